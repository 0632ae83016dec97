package exchange

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// A device joins a book in three steps. It pairs, by the code or the link of an invitation
// that admits devices, as an identity that has its device key: so each side knows the key
// of the other. Then the device with the identity key admits it, and sends to it, in a drop
// channel between the identity and the device's key, what its home and its book are made of.
// An interrupted admission continues with the next Sync of one side, and the next call of
// JoinBook of the other.

// devicePurpose is the purpose of the channel in which an admitted device receives its book.
const devicePurpose = "petnames/device/1"

const (
	// maxChunk bounds the content of a chunk, so that it fits a message.
	maxChunk = drop.MaxMessage - 64

	// maxChunksQueued bounds the chunks that are under way.
	maxChunksQueued = 64

	// newcomerLife is how long a device that was admitted can fetch its book.
	newcomerLife = 30 * 24 * time.Hour

	// maxHanded bounds what a device accepts from another one, in bytes.
	maxHanded = 1 << 30

	maxHandover = 512 << 10 // bytes, encoded
)

// DeviceTerms are the terms of an invitation that admits a device of the owner.
type DeviceTerms struct {
	Expires  time.Time
	Made     time.Time // by the clock that Expires was taken from
	Code     bool      // with a code to speak as well
	Name     string    // of the device; empty: what it calls itself
	WithKey  bool      // the device receives the identity key
	Identity []byte    // the file of the identity key for the device
	Networks []string  // how the device can reach this one, in the link
}

// NewDevice is a device that the owner admitted.
type NewDevice struct {
	Device  ledger.DeviceID
	Name    string
	WithKey bool
}

// InviteDevice makes an invitation that admits one device of the owner, by its link or by a
// code. Any holder of either becomes a device of the owner until it expires. WaitDevice
// returns the result; without it, Sync admits the device.
func (e *Exchange) InviteDevice(ctx context.Context, key crypto.Signer, t DeviceTerms) (Invitation, error) {
	row, err := canonical.Marshal(wireAdmission{Name: t.Name, WithKey: t.WithKey, Identity: t.Identity})
	if err != nil {
		return Invitation{}, err
	}
	return e.invite(ctx, key, Terms{Code: t.Code, Terms: pair.Terms{Expires: t.Expires, Made: t.Made, Uses: 1, Device: true, Networks: t.Networks}}, row)
}

// addNewcomer stores the device that accepted an invitation. Repeating it changes nothing.
// taken are the names of other devices: of two machines with one name, or with names that look
// alike, the second device gets a number.
func (tx tx) addNewcomer(id string, m pair.Paired, now time.Time, taken []string) error {
	device, err := deviceOf(m.Peer.Pointer)
	if err != nil {
		return err
	}
	if old, err := tx.local.Get(tableNewcomers, device[:]); err != nil || old != nil {
		return err
	}
	row, err := tx.local.Get(tableAdmissions, []byte(id))
	if err != nil || row == nil {
		return cmp.Or(err, ErrNoInvitation)
	}
	var a wireAdmission
	if err := canonical.Unmarshal(row, &a, canonical.Bounds{}); err != nil {
		return fmt.Errorf("admission: %w", err)
	}
	waiting, err := newcomerNames(tx.local)
	if err != nil {
		return err
	}
	text := unusedName(cmp.Or(a.Name, name.Clean(m.Peer.Nickname), "device"), append(waiting, taken...))
	b, err := canonical.Marshal(wireNewcomer{Invitation: id, Name: text, WithKey: a.WithKey, Identity: a.Identity,
		Sealing: m.Peer.Sealing, Addresses: m.Peer.Addresses, Since: now.UnixMilli()})
	if err != nil {
		return err
	}
	return errors.Join(tx.local.Put(tableNewcomers, device[:], b), tx.local.Delete(tableAdmissions, []byte(id)))
}

// deviceNames returns the names of the devices that were not removed.
func (e *Exchange) deviceNames() (names []string, err error) {
	devices, err := e.c.Book.Devices()
	for _, d := range devices {
		if !d.Removed {
			names = append(names, d.Name)
		}
	}
	return names, err
}

// newcomerNames returns the names of the devices that are still to be admitted.
func newcomerNames(local *ledger.View) (names []string, err error) {
	for row, err := range local.Scan(tableNewcomers, nil) {
		if err != nil {
			return nil, err
		}
		var w wireNewcomer
		if err := canonical.Unmarshal(row.Value, &w, canonical.Bounds{}); err != nil {
			return nil, fmt.Errorf("newcomer: %w", err)
		}
		names = append(names, w.Name)
	}
	return names, nil
}

// unusedName returns a name, with a number after it if another device has the name, or one that
// looks alike.
func unusedName(text string, taken []string) string {
	base := text
	is := func(text string) bool {
		return slices.ContainsFunc(taken, func(t string) bool { return petname.DeviceNamesAlike(t, text) })
	}
	out := text
	for n := 2; is(out) && n < 1000; n++ { // over the bound of devices: numbers that look alike are few
		number := fmt.Sprintf(" %d", n)
		for len(base)+len(number) > petname.MaxDeviceName {
			_, size := utf8.DecodeLastRuneInString(base)
			base = base[:len(base)-size]
		}
		out = base + number
	}
	return out
}

// admitPaired ends an invitation that a device has accepted: by its link, of which the state
// stays so that a repeated acceptance is answered, or by its code, which ends the link.
func (e *Exchange) admitPaired(ctx context.Context, id string, p *pendingInvitation, event pair.Event) error {
	link := strings.TrimSuffix(id, codeID(""))
	if event.Paired == nil { // by the link: saveInvitation has stored the device
		e.removePending(codeID(link))
		return e.deleteInvitation(codeID(link))
	}
	taken, err := e.deviceNames()
	if err == nil {
		err = e.update(func(tx tx) error { return tx.addNewcomer(link, *event.Paired, e.c.Now(), taken) })
	}
	p.err = ErrNoInvitation
	e.removePending(id)
	if err != nil { // for example of the disk: the step is not repeated
		e.addOutcome(id, outcome{err: err})
		return err
	}
	_ = e.deleteInvitation(id) // a state that stays is of a pairing that is known
	if l := e.pending(link); l != nil && l.inviter != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.inviter.Withdraw(ctx)
	}
	return nil
}

// deviceOf returns the device whose key a pointer is.
func deviceOf(p pointer.Pointer) (ledger.DeviceID, error) {
	public, ok := p.Ed25519()
	if !ok {
		return ledger.DeviceID{}, fmt.Errorf("%s is no key of a device", p)
	}
	return ledger.DeviceID(public), nil
}

// newcomers returns the devices that wait for their book.
func (e *Exchange) newcomers() (all map[ledger.DeviceID]wireNewcomer, err error) {
	all = make(map[ledger.DeviceID]wireNewcomer)
	err = e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableNewcomers, nil) {
			if err != nil {
				return err
			}
			var w wireNewcomer
			if err := canonical.Unmarshal(row.Value, &w, canonical.Bounds{}); err != nil || len(row.Key) != len(ledger.DeviceID{}) {
				return fmt.Errorf("device that joins: %w", errors.Join(err, canonical.ErrNotCanonical))
			}
			all[ledger.DeviceID(row.Key)] = w
		}
		return nil
	})
	return all, err
}

// serveNewcomers admits the devices that have paired, and sends them their book. One that
// has all of it, or has not fetched it for newcomerLife, is forgotten; so is one that was
// removed, once it is answered.
func (e *Exchange) serveNewcomers(ctx context.Context, key crypto.Signer) error {
	all, err := e.newcomers()
	if err != nil || len(all) == 0 || key == nil {
		return err
	}
	e.newcomerLock.Lock()
	defer e.newcomerLock.Unlock()
	var errs []error
	for device, w := range all {
		done, err := e.serveNewcomer(ctx, key, device, w)
		if errors.Is(err, petname.ErrDeviceRemoved) {
			e.addOutcome(w.Invitation, outcome{err: err})
			errs = append(errs, e.refuseNewcomer(ctx, key, device, w))
			continue
		}
		if now := e.c.Now(); err == nil && !done && now.Sub(time.UnixMilli(w.Since)) > newcomerLife {
			done = true
		}
		if done {
			err = e.forgetNewcomer(device)
			e.addOutcome(w.Invitation, outcome{device: &NewDevice{device, w.Name, w.WithKey}})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (e *Exchange) forgetNewcomer(device ledger.DeviceID) error {
	delete(e.handovers, device)
	return e.update(func(tx tx) error {
		return errors.Join(tx.local.Delete(tableNewcomers, device[:]), deviceRows(device[:]).remove(tx.local))
	})
}

// refuseNewcomer answers a device that was removed before it had the book, so that its JoinBook
// ends, and forgets it when the network has the answer.
func (e *Exchange) refuseNewcomer(ctx context.Context, key crypto.Signer, device ledger.DeviceID, w wireNewcomer) error {
	party, err := devicePointer(device)
	if err != nil {
		return err
	}
	c, err := e.openDeviceChannel(key, party, w.Sealing, w.Addresses, deviceRows(device[:]))
	if err != nil {
		return err
	}
	_, _ = c.Poll(ctx, c.store, e.c.Now()) // what was acknowledged leaves room for the answer
	err = e.updateChannel(c, func(tx tx) error {
		if len(w.Identity) == 0 { // the answer is in the channel
			return nil
		}
		w.Generation, w.Identity, w.Sent = w.Generation+1, nil, true
		answer, err := canonical.Marshal(wireChunk{Version: 1, Generation: w.Generation, Last: true})
		if err == nil {
			err = c.Send(answer)
		}
		if err != nil {
			return err
		}
		row, err := canonical.Marshal(w)
		if err != nil {
			return err
		}
		return tx.local.Put(tableNewcomers, device[:], row)
	})
	if err != nil {
		return err
	}
	sent, err := e.sendRecord(ctx, c)
	keys, kerr := e.c.Sealing()
	if err = errors.Join(err, kerr); err != nil {
		return err
	}
	// The removal has replaced the keys of this side: the device polls by those of its pairing.
	for i, k := range keys {
		if i == 0 || k.KEM().ID() != hpke.DHKEM(ecdh.X25519()).ID() {
			continue
		}
		former := slices.Concat([]hpke.PrivateKey{k}, keys[:i], keys[i+1:])
		if c, err = e.openDeviceChannelWith(former, key, party, w.Sealing, w.Addresses, deviceRows(device[:])); err != nil {
			return err
		}
		if stored, err := e.sendRecord(ctx, c); err != nil || stored != Stored {
			return err
		}
	}
	if sent == Stored || e.c.Now().Sub(time.UnixMilli(w.Since)) > newcomerLife {
		err = e.forgetNewcomer(device)
	}
	return err
}

// serveNewcomer does one step, and reports whether the device has received everything.
func (e *Exchange) serveNewcomer(ctx context.Context, key crypto.Signer, device ledger.DeviceID, w wireNewcomer) (done bool, err error) {
	if err := e.c.Book.AdmitDevice(key, device[:], w.Name, w.WithKey); err != nil {
		return false, err
	}
	party, err := devicePointer(device)
	if err != nil {
		return false, err
	}
	c, err := e.openDeviceChannel(key, party, w.Sealing, w.Addresses, deviceRows(device[:]))
	if err != nil {
		return false, err
	}
	h := e.handovers[device]
	if h == nil && !w.Sent {
		if h, err = e.beginHandover(device, w); err != nil {
			return false, err
		}
		e.handovers[device] = h
	}
	polled, pollErr := c.Poll(ctx, c.store, e.c.Now())
	if len(polled.Messages) > 0 { // it has received the book over a stream: see JoinBook
		return true, nil
	}
	err = e.updateChannel(c, func(tx tx) error {
		if w.Sent {
			return nil
		}
		chunks, err := h.next(e.c.Book.Ledger(), maxChunksQueued-c.Waiting())
		for _, chunk := range chunks {
			b, merr := canonical.Marshal(chunk)
			if err = errors.Join(err, merr); err == nil {
				err = c.Send(b)
			}
		}
		if err != nil || !h.ended {
			return err
		}
		w.Generation, w.Sent = h.generation, true
		row, err := canonical.Marshal(w)
		if err != nil {
			return err
		}
		return tx.local.Put(tableNewcomers, device[:], row)
	})
	if err != nil {
		delete(e.handovers, device) // the next step begins a new generation
		return false, err
	}
	if w.Sent && c.Waiting() == 0 {
		return true, nil
	}
	if c.Due(e.c.Now()) {
		_, err = e.putRecord(ctx, c)
	}
	return false, errors.Join(err, pollErr)
}

// beginHandover begins a new generation for a device.
func (e *Exchange) beginHandover(device ledger.DeviceID, w wireNewcomer) (*handover, error) {
	if e.c.Handover == nil {
		return nil, errors.New("this program admits no devices")
	}
	content, err := e.c.Handover(NewDevice{device, w.Name, w.WithKey})
	if err != nil {
		return nil, err
	}
	content.Identity = w.Identity
	l := e.c.Book.Ledger()
	content.Creator, content.Inviter, content.Book = l.Identity(), l.Device(), l.Book()
	first, err := content.encode()
	if err != nil {
		return nil, err
	}
	w.Generation++
	row, err := canonical.Marshal(w)
	if err == nil {
		err = e.putRow(tableNewcomers, device[:], row)
	}
	if err != nil {
		return nil, err
	}
	h := &handover{generation: w.Generation, heads: make(map[ledger.Hash]ledger.Head)}
	return h, h.add(first)
}

// deviceRows are the rows of the channel between an identity and a device, in tables of their
// own.
func deviceRows(key []byte) channelRows {
	return channelRows{heads: tableDeviceChannels, queue: tableDeviceQueue, key: key}
}

// openDeviceChannel opens the channel between the owner of this book and a party, of
// devicePurpose.
func (e *Exchange) openDeviceChannel(key crypto.Signer, party pointer.Pointer, sealing []pointer.SealingKey, addresses [][]byte, rows channelRows) (*channel, error) {
	keys, err := e.c.Sealing()
	if err != nil {
		return nil, err
	}
	return e.openDeviceChannelWith(keys, key, party, sealing, addresses, rows)
}

// openDeviceChannelWith is openDeviceChannel with these keys of the owner, of which the first
// X25519 key is that of the records to send.
func (e *Exchange) openDeviceChannelWith(keys []hpke.PrivateKey, key crypto.Signer, party pointer.Pointer, sealing []pointer.SealingKey, addresses [][]byte, rows channelRows) (*channel, error) {
	var state []byte
	err := e.view(func(local *ledger.View) (err error) {
		state, err = rows.load(local)
		return err
	})
	if err != nil {
		return nil, err
	}
	self := drop.Self{Pointer: e.c.Book.Identity(), Signer: key, Sealing: keys, Purpose: devicePurpose}
	c, err := drop.Open(self, drop.Party{Pointer: party, Sealing: sealing}, state)
	if err != nil {
		return nil, err
	}
	return &channel{Channel: c, store: e.storeFor(addresses), rows: rows}, nil
}

// WaitDevice waits until the device that accepts an invitation has its book, and returns it.
// The errors are those of Wait.
func (e *Exchange) WaitDevice(ctx context.Context, key crypto.Signer, id string) (NewDevice, error) {
	o, err := e.wait(ctx, id, func() (bool, error) {
		if err := e.serveNewcomers(ctx, key); err != nil {
			return true, err
		}
		all, err := e.newcomers()
		for _, w := range all {
			if w.Invitation == id {
				return true, err
			}
		}
		return false, err
	})
	if err != nil || o.device == nil {
		return NewDevice{}, cmp.Or(err, ErrNoInvitation)
	}
	return *o.device, nil
}
