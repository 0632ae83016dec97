package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/folder"
	"github.com/petnames-go/petnames/ledger/replicate"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// syncProtocol is the protocol of streams between the devices of a book: package replicate.
const syncProtocol = "/petnames/sync/1"

const (
	deviceSyncTime  = 2 * time.Minute // of one session over a stream
	devicePatience  = 3 * time.Second // for another device that may be online, after the last message
	deviceSyncEvery = 5 * time.Minute // by an agent that runs
	replicateTime   = 3 * time.Second // to reach other devices before messages are acknowledged
)

// How two devices exchanged entries.
const (
	ByStream = "stream" // a connection between them
	ByDrop   = "drop"   // messages that the network stores
	ByFolder = "folder" // files
)

// DeviceSync is how the exchange of entries with one device went, or through one folder. It
// is a plain value.
type DeviceSync struct {
	Device   ledger.DeviceID // zero: through a folder
	Name     string          // of the device; hostile text
	By       string
	Received int   // new entries that count
	Sent     int   // entries
	Waiting  int   // messages that the device has not received, or entries that wait for others
	Problem  error // nil: none; what Waiting counts may be left

	// The device has not acknowledged what this one wrote, although another one was removed: if it
	// acknowledges nothing later either, it may regard this device as removed. See devicebundle.go.
	Unacknowledged bool
}

// Synced is the result of [Agent.Sync]. It is a plain value.
type Synced struct {
	With           []DeviceSync
	Received, Sent int
	Conflicts      int // contacts in conflict, in the book

	// CardChanged reports that what was received changes the owner's card, and that this agent does
	// not publish it by itself: the identity is locked, or it does not run.
	CardChanged bool
}

// SyncOptions are the options of [Agent.Sync].
type SyncOptions struct {
	With ledger.DeviceID // zero: all devices
	Dir  string          // a folder that something carries between the devices; empty: the network

	// Quiet asks a device with which no stream is possible for what it has only if something
	// shows that it may lack something: so devices that run exchange no messages while neither
	// changes. If one was restored from a backup, a Sync that is not quiet finds it.
	Quiet bool
}

// Sync exchanges entries with the other devices of the owner: over a stream to those that are
// online, in messages that the network stores with the others, or through a folder. What is
// merged stays merged after an error; a later Sync continues. It needs no identity key.
func (a *Agent) Sync(ctx context.Context, o SyncOptions) (out Synced, err error) {
	a.syncing.Lock()
	defer a.syncing.Unlock()
	if o.Dir != "" {
		var one DeviceSync
		if one, err = a.syncFolder(ctx, o.Dir); err == nil || one.Received+one.Sent > 0 {
			out.With = append(out.With, one)
		}
	} else {
		out.With, err = a.syncDevices(ctx, o)
	}
	for _, one := range out.With {
		out.Received += one.Received
		out.Sent += one.Sent
	}
	if out.Received > 0 {
		a.merged()
	}
	if out.Received > 0 && (!a.isServing() || a.locked()) {
		changed, cerr := a.cardChanged()
		out.CardChanged, err = changed, errors.Join(err, cerr)
	}
	conflicts, cerr := a.countConflicts()
	out.Conflicts = conflicts
	return out, errors.Join(err, cerr)
}

// merged makes known that entries of other devices changed the book.
func (s *state) merged() {
	s.mergedEntries.Store(true)
	s.logTakenBack()
	for _, kind := range []EventKind{BookChanged, InboxChanged} {
		s.events.publish(Event{Kind: kind})
	}
	s.wakeRepublisher()
	s.syncSoon()
}

func (a *Agent) countConflicts() (n int, err error) {
	for c, err := range a.book.Contacts() {
		if err != nil {
			return n, err
		}
		if c.Conflict != nil {
			n++
		}
	}
	return n, nil
}

// syncFolder exchanges entries through a folder.
func (a *Agent) syncFolder(ctx context.Context, dir string) (DeviceSync, error) {
	out := DeviceSync{By: ByFolder}
	key, err := a.home.DeviceKey()
	if err != nil {
		return out, err
	}
	for ctx.Err() == nil {
		r, err := folder.Sync(a.book.Ledger(), key, dir, folder.Options{Now: a.now})
		out.Received += r.Received
		out.Sent += r.Sent
		out.Waiting = r.Waiting
		out.Problem = errors.Join(append(slices.Clone(r.Problems), r.Reported)...)
		if err != nil || !r.More {
			return out, err // a call with More has read files that no later one reads
		}
	}
	return out, ctx.Err()
}

// ErrNoDevices is returned when the book has no other device.
var ErrNoDevices = errors.New("the book has no other device")

// others returns the devices of the book besides this one that were not removed.
func (a *Agent) others() (all []Device, err error) {
	devices, err := a.book.Devices()
	for _, d := range devices {
		if !d.This && !d.Removed {
			all = append(all, d)
		}
	}
	return all, err
}

// syncDevices exchanges entries with one device, or with all.
func (a *Agent) syncDevices(ctx context.Context, o SyncOptions) (all []DeviceSync, err error) {
	bundles := a.bundlesDue(o)
	if bundles {
		a.pollBundles(ctx)
	}
	devices, err := a.others()
	if err != nil {
		return nil, err
	}
	if o.With != (ledger.DeviceID{}) {
		devices = slices.DeleteFunc(devices, func(d Device) bool { return d.ID != o.With })
	}
	if len(devices) == 0 {
		return nil, ErrNoDevices
	}
	c, err := a.home.Config()
	if err != nil {
		return nil, err
	}
	if c.Network == "off" && len(c.Routers) == 0 {
		return nil, ErrNotJoined
	}
	for _, d := range devices {
		one := a.syncDevice(ctx, d, !o.Quiet)
		if one.By == ByDrop && one.Waiting > 0 && a.removedHolder() {
			one.Unacknowledged = a.putBundle(ctx, d.ID, bundles)
		}
		now, derr := a.device(d.ID)
		if derr == nil && now.Removed && errors.Is(one.Problem, replicate.ErrNotAdmitted) {
			one.Problem = nil // another device has stated the removal in this call
			if one.Received+one.Sent == 0 {
				continue
			}
		}
		all = append(all, one)
		if one.Problem != nil {
			err = errors.Join(err, fmt.Errorf("device %s: %w", d.Name, one.Problem))
		}
	}
	return all, err
}

// syncDevice exchanges entries with a device: over a stream, or else in messages.
func (a *Agent) syncDevice(ctx context.Context, d Device, ask bool) DeviceSync {
	out := DeviceSync{Device: d.ID, Name: d.Name, By: ByStream}
	var err error
	for more := true; more && err == nil; {
		var r replicate.Result
		r, err = a.dialDevice(ctx, d.ID)
		out.Received += r.Received
		out.Sent += r.Sent
		out.Waiting, out.Problem = r.Waiting, cmp.Or(out.Problem, r.Reported)
		more = r.More && r.Received+r.Sent > 0
	}
	if err == nil {
		return out
	}
	out.By = ByDrop
	ex, err := a.exchange()
	if err != nil {
		out.Problem = err
		return out
	}
	s, err := ex.SyncDeviceUntilIdle(ctx, d.ID, ask, a.patience)
	out.Received += s.Received
	out.Sent += s.Sent
	out.Waiting = s.Waiting
	out.Problem = err
	if err == nil {
		out.Problem = s.Reported
	}
	if now := a.now(); out.Problem == nil && s.Waiting > 0 && s.Ahead.Sub(now) > maxClockApart {
		out.Problem = &DeviceClockError{Theirs: s.Ahead, Now: now}
	}
	return out
}

// dialDevice exchanges entries with a device over a stream, if its addresses are known.
func (a *Agent) dialDevice(ctx context.Context, id ledger.DeviceID) (replicate.Result, error) {
	addresses, err := a.deviceAddresses(id)
	if err != nil {
		return replicate.Result{}, err
	}
	if len(addresses) == 0 || a.transport == nil {
		return replicate.Result{}, dht.ErrUnreachable
	}
	key, err := a.home.DeviceKey()
	if err != nil {
		return replicate.Result{}, err
	}
	node, err := a.network(ctx)
	if err != nil {
		return replicate.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, deviceSyncTime)
	defer cancel()
	conn, err := node.OpenStream(ctx, addresses, syncProtocol)
	if err != nil {
		return replicate.Result{}, err
	}
	o, refused := a.replicateOptions()
	r, err := replicate.Dial(ctx, a.book.Ledger(), key, conn, id, o)
	r.Reported = cmp.Or(*refused, r.Reported)
	return r, err
}

// replicateNow exchanges entries with the other devices that can be reached over a stream, within
// replicateTime. A message that this device acknowledges afterwards does not depend on it alone.
func (a *Agent) replicateNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, replicateTime)
	defer cancel()
	devices, err := a.others()
	if err != nil {
		return // the exchange of messages reports it
	}
	var wg sync.WaitGroup
	for _, d := range devices {
		wg.Go(func() {
			r, err := a.dialDevice(ctx, d.ID)
			if r.Received > 0 {
				a.merged()
			}
			if err != nil {
				a.log.Debug("entries are not replicated before an acknowledgement", "device", d.ID, "error", err)
			}
		})
	}
	wg.Wait()
}

// replicateOptions returns the options of a stream, and where the error of the device's state
// is after it: such a state does not keep the entries from being exchanged.
func (a *Agent) replicateOptions() (o replicate.Options, refused *error) {
	refused = new(error)
	receive := func(from ledger.DeviceID, side []byte) error {
		*refused = a.receiveFromDevice(from, side)
		return nil
	}
	return replicate.Options{OfferTo: a.offerDevice, Receive: receive}, refused
}

// serveDevices answers the streams of other devices, while the agent runs.
func (a *Agent) serveDevices(node Node) {
	key, err := a.home.DeviceKey()
	if err != nil {
		a.log.Warn("no streams of other devices are answered", "error", err)
		return
	}
	a.mu.Lock()
	running := a.running
	a.mu.Unlock()
	node.ServeStreams(syncProtocol, func(conn io.ReadWriteCloser) {
		ctx, cancel := context.WithTimeout(running, deviceSyncTime)
		defer cancel()
		o, refused := a.replicateOptions()
		r, err := replicate.Accept(ctx, a.book.Ledger(), key, conn, o)
		err = cmp.Or(err, *refused)
		if r.Received > 0 {
			a.merged()
		}
		if err != nil && running.Err() == nil {
			a.log.Info("stream of another device", "error", err)
		}
	})
}

// runDevices exchanges entries with the other devices, regularly and soon after a change,
// while the agent runs.
func (a *Agent) runDevices() {
	a.mu.Lock()
	running := a.running
	a.mu.Unlock()
	changed := make(chan struct{}, 1)
	a.loops.Go(func() {
		for e := range a.Changes(running) {
			if e.Kind == BookChanged || e.Kind == InboxChanged || e.Kind == RecordChanged {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}
	})
	a.loops.Go(func() {
		look := time.NewTicker(30 * time.Second)
		defer look.Stop()
		soon := time.NewTimer(0)
		defer soon.Stop()
		quiet := false     // the first exchange asks: this home may have been restored from a backup
		var last time.Time // wall time: timers stand still while the machine sleeps
		for {
			select {
			case <-look.C:
				if a.now().Sub(last).Abs() < deviceSyncEvery {
					continue
				}
			case <-changed:
				soon.Reset(deviceSyncSoon)
				continue
			case <-soon.C:
			case <-running.Done():
				return
			}
			last = a.now()
			if _, err := a.Sync(running, SyncOptions{Quiet: quiet}); err != nil && !errors.Is(err, ErrNoDevices) && !errors.Is(err, ErrNotJoined) && running.Err() == nil {
				a.log.Info("other devices", "error", err)
			}
			quiet = true
			if err := a.renewForDevices(running); err != nil && running.Err() == nil {
				a.log.Info("the card is not renewed after changes of other devices", "error", err)
			}
			for len(changed) > 0 { // by what was merged
				<-changed
			}
		}
	})
}

// deviceSyncSoon is how long after a change an agent that runs exchanges entries.
const deviceSyncSoon = 2 * time.Second

// tableDevices is a device-local table: device → wireDeviceState, as it was received last.
const tableDevices = "devices"

// wireDeviceState is what a device tells another one beside the entries.
type wireDeviceState struct {
	Version   int      `cbor:"1,keyasint"`
	Addresses [][]byte `cbor:"2,keyasint,omitempty"` // of its node; empty: it has none now
	Sealing   []byte   `cbor:"3,keyasint,omitempty"` // the file of its sealing keys
	Identity  []byte   `cbor:"4,keyasint,omitempty"` // of home.Identity.Handover, after a rotation
	Former    [][]byte `cbor:"5,keyasint,omitempty"` // last records of former keys, the newest first
	Removed   []byte   `cbor:"6,keyasint,omitempty"` // hash of the removed devices for which Sealing was replaced: see removals; empty: none
}

const (
	maxDeviceState = 64 << 10 // bytes
	maxOffered     = 56 << 10 // of it, without the addresses
)

// offerDevice returns the state of this device for another one.
func (a *Agent) offerDevice(to ledger.DeviceID) ([]byte, error) {
	w := wireDeviceState{Version: 1}
	var err error
	if w.Addresses, err = a.addresses(); err != nil && !errors.Is(err, ErrNotServing) {
		return nil, err
	}
	if w.Sealing, w.Removed, err = a.offerSealing(); err != nil {
		return nil, err
	}
	d, err := a.device(to)
	if err != nil {
		return nil, err
	}
	id, err := a.identity()
	if err != nil || len(id.Succession) == 0 {
		if err != nil {
			return nil, err
		}
		return canonical.Marshal(w)
	}
	if w.Identity, err = a.identityFor(id, d); err != nil {
		return nil, err
	}
	for size, i := len(w.Identity)+len(w.Sealing), len(id.Succession)-1; i >= 0; i-- {
		r, _, found := a.lastRecordOf(id, id.Succession[i].Old)
		if size += len(r.Bytes()) + 16; found && size < maxOffered {
			w.Former = append(w.Former, r.Bytes())
		}
	}
	return canonical.Marshal(w)
}

// updateLocal changes the device-local tables.
func (s *state) updateLocal(fn func(local *ledger.View) error) error {
	return s.book.Update(func(_ *petname.Book, local *ledger.View) error { return fn(local) })
}

// receiveFromDevice takes over what another device of the owner told. The device is
// hostile until each part is verified: it may be stolen.
func (a *Agent) receiveFromDevice(from ledger.DeviceID, side []byte) error {
	if len(side) == 0 {
		return nil
	}
	var w wireDeviceState
	if err := canonical.UnmarshalLoose(side, &w, canonical.Bounds{Size: maxDeviceState}); err != nil {
		return fmt.Errorf("state of device %s: %w", from, err)
	}
	var errs []error
	if len(w.Addresses) > 0 {
		errs = append(errs, a.setDeviceAddresses(from, w.Addresses))
	}
	if len(w.Sealing) > 0 {
		errs = append(errs, a.mergeSealing(from, w.Sealing, w.Removed))
	}
	if len(w.Identity) > 0 {
		errs = append(errs, a.adoptIdentity(from, w.Identity))
	}
	if len(w.Former) > 0 {
		errs = append(errs, a.adoptLastRecords(w.Former))
	}
	return errors.Join(errs...)
}

// wireDeviceRow is the row of a device.
type wireDeviceRow struct {
	_         struct{} `cbor:",toarray"`
	Addresses [][]byte
}

func (a *Agent) deviceAddresses(id ledger.DeviceID) ([][]byte, error) {
	var w wireDeviceRow
	err := a.book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableDevices, id[:])
		if err != nil || row == nil {
			return err
		}
		return canonical.Unmarshal(row, &w, canonical.Bounds{})
	})
	return w.Addresses, err
}

// setDeviceAddresses stores the addresses of a device's node.
func (a *Agent) setDeviceAddresses(id ledger.DeviceID, addresses [][]byte) error {
	old, err := a.deviceAddresses(id)
	if err != nil || slices.EqualFunc(old, addresses, bytes.Equal) {
		return err
	}
	return a.updateLocal(func(local *ledger.View) error { return putDeviceAddresses(local, id, addresses) })
}

// putDeviceAddresses stores the addresses of a device's node, if there are any.
func putDeviceAddresses(local *ledger.View, id ledger.DeviceID, addresses [][]byte) error {
	if len(addresses) == 0 {
		return nil
	}
	row, err := canonical.Marshal(wireDeviceRow{Addresses: addresses})
	if err != nil {
		return err
	}
	return local.Put(tableDevices, id[:], row)
}
