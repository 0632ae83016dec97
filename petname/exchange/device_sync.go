package exchange

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/replicate"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// syncPurpose is the purpose of the channels between the devices of a book, under the keys of
// the devices.
const syncPurpose = "petnames/sync/1"

// DeviceSync is what a step of the exchange with another device of the book did.
type DeviceSync struct {
	replicate.Result
	Waiting int       // messages that the other device has not received
	Unsent  int       // changes that the other device does not receive without another step
	Moved   bool      // something was received, or acknowledged: another step may do more
	Asked   bool      // a message that asks for what the other device has was put
	Ahead   time.Time // of the other device's clock, by a message that is not received before this clock shows about that; zero: there is none
	Left    bool      // nothing was put: a record of a copy of this device is there, for the other device to receive
}

// SyncDevice does one step of the exchange of entries with another device of the book, in
// messages that the network stores: so the two need not be online at the same time. A
// step receives what is there, and puts one record.
//
// What is stored of the entries that the other device has is a hint, since either of the two
// may have been restored from a backup. With ask, or if a message that this device
// acknowledged before is lost, the step asks for what the other device has; without, it sends
// nothing if both have everything by that hint.
//
// The record holds about 9 KB. What is written while messages wait in it is put beside them, as
// far as it fits, so that the other device receives it although this one does no further step. All
// other changes are Unsent: those of a round that the record does not hold to its end, those for
// which it has no room, and all of them after a message that shows that one before it is missing,
// until the other device has stated again what it has. A device that has stated nothing yet has what
// [Exchange.handedTo] returns.
//
// A copy of this device puts its records in the same place. A step with ask that finds one of the
// copy there leaves it for the other device, every second time, and puts its own again later: so
// what both copies wrote arrives.
func (e *Exchange) SyncDevice(ctx context.Context, device ledger.DeviceID, ask bool) (DeviceSync, error) {
	return e.syncDevice(ctx, device, ask, ask, false)
}

// syncDevice is SyncDevice. With look, it looks for a record of a copy; with left, an earlier step
// has found one, and this one puts nothing.
func (e *Exchange) syncDevice(ctx context.Context, device ledger.DeviceID, ask, look, left bool) (out DeviceSync, err error) {
	if e.c.DeviceKey == nil {
		return out, errors.New("this program exchanges no messages between devices")
	}
	unlock, err := e.lockDevice(device)
	if err != nil {
		return out, err
	}
	defer unlock()
	c, err := e.openSyncChannel(device)
	if err != nil {
		return out, err
	}
	peer, err := e.syncPeer(device)
	if err != nil {
		return out, err
	}
	l := e.c.Book.Ledger()
	waiting := c.Waiting()
	var stored uint64
	var looked sync.WaitGroup
	if look && waiting > 0 {
		looked.Go(func() { out.Ahead, _ = c.Ahead(ctx, c.store, e.c.Now()) }) // without an answer nothing is known
	}
	if look {
		looked.Go(func() { stored, _ = c.Stored(ctx, c.store, e.c.Now()) }) // without an answer there is none to leave
	}
	polled, pollErr := c.Poll(ctx, c.store, e.c.Now())
	looked.Wait()
	if ask || polled.Lost > 0 {
		peer.Ask()
	}
	done := 0
	var refused error
	for _, m := range polled.Messages {
		// The entries are merged in transactions of their own. If the process ends before the
		// message is marked as processed, it is processed again, which changes nothing.
		if err := peer.Incoming(l, m.Bytes); err != nil {
			if !replicate.IsRefused(err) {
				refused = err
				break
			}
			refused = err
		}
		done++
	}
	if side := peer.Side(); done > 0 && side != nil && e.c.ReceiveFromDevice != nil {
		refused = errors.Join(refused, e.c.ReceiveFromDevice(device, side))
	}
	out.Moved = done > 0 || c.Waiting() < waiting
	if e.c.OfferDevice != nil {
		side, err := e.c.OfferDevice(device)
		if err == nil {
			err = peer.Offer(side)
		}
		if err != nil {
			return out, err
		}
	}
	err = e.updateChannel(c, func(tx tx) error {
		for _, m := range polled.Messages[:done] {
			if err := c.Done(m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	var messages [][]byte
	if c.Waiting() == 0 {
		peer.Acknowledged()
		if messages, err = peer.Outgoing(l); err != nil {
			return out, err
		}
	} else if further, err := peer.Further(l, c.Room()); err != nil {
		return out, err
	} else if further != nil {
		messages = [][]byte{further}
	}
	state, err := peer.MarshalBinary()
	if err != nil {
		return out, err
	}
	err = e.updateChannel(c, func(tx tx) error {
		for _, m := range messages {
			if err := c.Send(m); err != nil {
				return err
			}
		}
		return tx.local.Put(tableSyncPeers, device[:], state)
	})
	if err != nil {
		return out, err
	}
	if out.Left = left || c.Yield(stored, e.c.Now()); out.Left {
		err = e.saveChannel(c)
	} else if c.Due(e.c.Now()) {
		_, err = e.putRecord(ctx, c)
	}
	out.Result, out.Waiting, out.Asked = peer.Result, c.Waiting(), ask && peer.Asked()
	out.Peer = device
	var countErr error
	out.Unsent, countErr = peer.Unsent(l, c.NotPut() == 0 && !out.Left)
	return out, errors.Join(refused, pollErr, err, countErr)
}

// lockDevice waits for exclusive use of the channel with a device.
func (e *Exchange) lockDevice(device ledger.DeviceID) (unlock func(), err error) {
	p, err := devicePointer(device)
	if err != nil {
		return nil, err
	}
	return e.lockChannel(p), nil
}

func devicePointer(device ledger.DeviceID) (pointer.Pointer, error) {
	p, err := pointer.FromPublicKey(ed25519.PublicKey(device[:]))
	if err != nil {
		return pointer.Pointer{}, fmt.Errorf("device %s: %w", device, err)
	}
	return p, nil
}

// openSyncChannel opens the channel with another device.
func (e *Exchange) openSyncChannel(device ledger.DeviceID) (*channel, error) {
	rows := channelRows{heads: tableSyncChannels, queue: tableSyncQueue, key: device[:]}
	var state []byte
	err := e.view(func(local *ledger.View) (err error) {
		state, err = rows.load(local)
		return err
	})
	if err != nil {
		return nil, err
	}
	c, err := e.deviceChannel(device, syncPurpose, state)
	if err != nil {
		return nil, err
	}
	return &channel{Channel: c, store: e.storeFor(nil), rows: rows}, nil
}

// deviceChannel opens the channel with another device for a purpose, with its stored state.
func (e *Exchange) deviceChannel(device ledger.DeviceID, purpose string, state []byte) (*drop.Channel, error) {
	own, err := devicePointer(e.c.Book.Ledger().Device())
	if err != nil {
		return nil, err
	}
	party, err := devicePointer(device)
	if err != nil {
		return nil, err
	}
	private, err := replicate.PrivateKey(e.c.DeviceKey)
	if err != nil {
		return nil, err
	}
	sealing, err := hpke.NewDHKEMPrivateKey(private)
	if err != nil {
		return nil, err
	}
	public, err := replicate.PublicKey(device)
	if err != nil {
		return nil, err
	}
	self := drop.Self{Pointer: own, Signer: e.c.DeviceKey, Sealing: []hpke.PrivateKey{sealing}, Purpose: purpose}
	return drop.Open(self, drop.Party{Pointer: party, Sealing: []pointer.SealingKey{{KEM: sealing.KEM().ID(), Key: public.Bytes()}}}, state)
}

// syncPeer returns the state of the exchange with a device.
func (e *Exchange) syncPeer(device ledger.DeviceID) (*replicate.Peer, error) {
	peer := replicate.NewPeer(device)
	row, err := e.getRow(tableSyncPeers, device[:])
	if err != nil {
		return nil, err
	}
	if row != nil {
		if err := peer.UnmarshalBinary(row); err != nil {
			return nil, fmt.Errorf("exchange with device %s: %w", device, err)
		}
	}
	if peer.Unknown() {
		heads, err := e.handedTo(device)
		if err != nil {
			return nil, err
		}
		peer.Assume(heads)
	}
	return peer, nil
}

// handedTo returns the heads of what a device has by the entries of the book: what its admission
// builds on, since the device that admits one hands its book over, and what the device's own last
// entry builds on.
func (e *Exchange) handedTo(device ledger.DeviceID) (heads []ledger.Head, err error) {
	l := e.c.Book.Ledger()
	statements, err := l.Statements()
	if err != nil {
		return nil, err
	}
	stored := l.Heads()
	last := make(map[ledger.DeviceID]uint64) // number of the last entry of each device
	var show []ledger.ID
	for _, s := range statements {
		if s.Kind != ledger.KindRemove && s.Device == device {
			show = append(show, s.At)
		}
	}
	for _, h := range stored {
		last[h.Device] = max(last[h.Device], h.Number)
	}
	if n := last[device]; n > 0 {
		show = append(show, ledger.ID{Device: device, Number: n})
	}
	has := make(map[ledger.DeviceID]uint64)
	for _, id := range show {
		entry, _, err := l.Entry(id)
		if err != nil {
			continue // of a branch that does not count: it shows nothing
		}
		has[id.Device] = max(has[id.Device], id.Number)
		for d, n := range last {
			if d != id.Device {
				before := sort.Search(int(n), func(i int) bool { return !entry.Saw(ledger.ID{Device: d, Number: uint64(i) + 1}) })
				has[d] = max(has[d], uint64(before))
			}
		}
	}
	for d, n := range has {
		if entry, _, err := l.Entry(ledger.ID{Device: d, Number: n}); err == nil {
			heads = append(heads, ledger.Head{Device: d, Number: n, Hash: entry.Hash()})
		}
	}
	slices.SortFunc(heads, func(a, b ledger.Head) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	return heads, nil
}

// Exchanged records that another device has received the entries up to these heads, over a
// connection: [replicate.Result].Heads. Without heads it does nothing.
func (e *Exchange) Exchanged(device ledger.DeviceID, heads []ledger.Head) error {
	if len(heads) == 0 {
		return nil
	}
	unlock, err := e.lockDevice(device)
	if err != nil {
		return err
	}
	defer unlock()
	peer, err := e.syncPeer(device)
	if err != nil {
		return err
	}
	before, err := peer.MarshalBinary()
	if err != nil {
		return err
	}
	peer.Assume(heads)
	after, err := peer.MarshalBinary()
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	return e.putRow(tableSyncPeers, device[:], after)
}

// UnknownOwn returns, by the device that stated them last, the heads of this device's log that
// are not in the book: see [replicate.Peer.UnknownOwn]. Removed devices are left out.
func UnknownOwn(book *petname.Book) (map[ledger.DeviceID][]ledger.Head, error) {
	var peers []*replicate.Peer
	l := book.Ledger()
	err := l.ReadLocal(func(local *ledger.View) error {
		peers = nil
		for _, d := range l.Devices() {
			row, err := local.Get(tableSyncPeers, d.ID[:])
			if err != nil {
				return err
			}
			if row == nil || d.Removed {
				continue
			}
			peer := replicate.NewPeer(d.ID)
			if err := peer.UnmarshalBinary(row); err != nil {
				return fmt.Errorf("exchange with device %s: %w", d.ID, err)
			}
			peers = append(peers, peer)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := map[ledger.DeviceID][]ledger.Head{}
	for _, p := range peers {
		heads, err := p.UnknownOwn(l)
		if err != nil {
			return nil, err
		}
		if len(heads) > 0 {
			all[p.Result.Peer] = heads
		}
	}
	return all, nil
}

// AssumeDevice states that another device has the entries up to these heads, before anything was
// exchanged with it.
func AssumeDevice(local *ledger.View, device ledger.DeviceID, heads []ledger.Head) error {
	peer := replicate.NewPeer(device)
	peer.Assume(heads)
	state, err := peer.MarshalBinary()
	if err != nil {
		return err
	}
	return local.Put(tableSyncPeers, device[:], state)
}

// ForgetDevice deletes the channel with a device that was removed.
func (e *Exchange) ForgetDevice(device ledger.DeviceID) error {
	unlock, err := e.lockDevice(device)
	if err != nil {
		return err
	}
	defer unlock()
	return e.update(func(tx tx) error {
		rows := channelRows{heads: tableSyncChannels, queue: tableSyncQueue, key: device[:]}
		return errors.Join(rows.remove(tx.local), tx.local.Delete(tableSyncPeers, device[:]))
	})
}

// maxDeviceSync bounds a SyncDeviceUntilIdle with a device that sends messages for ever.
const maxDeviceSync = 2 * time.Minute

// SyncDeviceUntilIdle repeats SyncDevice while that does something, and for patience after
// it did, but not for over two minutes: the other device may be online too. It returns the
// sums.
func (e *Exchange) SyncDeviceUntilIdle(ctx context.Context, device ledger.DeviceID, ask bool, patience time.Duration) (sum DeviceSync, err error) {
	tick := time.NewTicker(e.c.PollInterval)
	defer tick.Stop()
	idle, total := time.Duration(0), time.Duration(0)
	for look := ask; ; look = false {
		step, err := e.syncDevice(ctx, device, ask && !sum.Asked, look, sum.Left)
		sum.Peer, sum.Waiting, sum.Unsent, sum.Reported = device, step.Waiting, step.Unsent, cmp.Or(sum.Reported, step.Reported)
		sum.Received += step.Received
		sum.Sent += step.Sent
		sum.Result.Waiting = step.Result.Waiting
		sum.Left = sum.Left || step.Left
		if sum.Ahead.IsZero() {
			sum.Ahead = step.Ahead
		}
		sum.Moved, sum.Asked = sum.Moved || step.Moved, sum.Asked || step.Asked
		if err != nil {
			return sum, err
		}
		total += e.c.PollInterval
		if idle += e.c.PollInterval; step.Moved {
			idle = 0
		}
		if idle >= patience || total >= maxDeviceSync || step.Waiting == 0 && !step.Moved {
			return sum, nil
		}
		select {
		case <-ctx.Done():
			return sum, nil // what is left is for the next call
		case <-tick.C:
		}
	}
}
