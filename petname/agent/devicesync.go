package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/folder"
	"github.com/petnames-go/petnames/ledger/replicate"
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
	SameName bool            // another device has the name, or one that looks alike
	By       string
	Received int   // new entries that count
	Sent     int   // entries
	Waiting  int   // messages that the device has not received, or entries that wait for others
	Unsent   int   // changes that the device does not receive before this one syncs again
	Problem  error // nil: none; what Waiting and Unsent count may be left

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
	out := DeviceSync{Device: d.ID, Name: d.Name, SameName: d.SameName, By: ByStream}
	var err error
	for more := true; more && err == nil; {
		var r replicate.Result
		r, err = a.dialDevice(ctx, d.ID)
		a.exchanged(r)
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
	out.Waiting, out.Unsent = s.Waiting, s.Unsent
	out.Problem = err
	if err == nil {
		out.Problem = s.Reported
	}
	if now := a.now(); out.Problem == nil && s.Waiting > 0 && s.Ahead.Sub(now) > maxClockApart {
		out.Problem = &DeviceClockError{Theirs: s.Ahead, Now: now}
	}
	return out
}
