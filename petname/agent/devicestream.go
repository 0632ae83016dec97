package agent

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/replicate"
)

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
	conn, err := node.OpenStream(ctx, addresses, syncProtocol, false)
	if err != nil {
		return replicate.Result{}, err
	}
	o, refused := a.replicateOptions()
	r, err := replicate.Dial(ctx, a.book.Ledger(), key, conn, id, o)
	r.Reported = cmp.Or(*refused, r.Reported)
	return r, err
}

// exchanged records what a device has received over a stream, so that messages to it do not repeat
// that. A failure costs only such repetitions.
func (a *Agent) exchanged(r replicate.Result) {
	if len(r.Heads) == 0 {
		return
	}
	ex, err := a.exchange()
	if err == nil {
		err = ex.Exchanged(r.Peer, r.Heads)
	}
	if err != nil {
		a.log.Debug("what a device has received over a stream is not recorded", "device", r.Peer, "error", err)
	}
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
	node.ServeStreams(syncProtocol, deviceBounds, func(conn Stream, serving func()) {
		ctx, cancel := context.WithTimeout(running, deviceSyncTime)
		defer cancel()
		o, refused := a.replicateOptions()
		offer := o.OfferTo
		o.OfferTo = func(peer ledger.DeviceID) ([]byte, error) { // its key was verified
			serving()
			return offer(peer)
		}
		r, err := replicate.Accept(ctx, a.book.Ledger(), key, conn, o)
		err = cmp.Or(err, *refused)
		if r.Received > 0 {
			a.merged()
		}
		a.exchanged(r)
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

// deviceBounds bounds the streams of devices, or of peers that claim to be some.
var deviceBounds = StreamBounds{Streams: 32, Peer: 2, Source: 8}

// deviceSyncSoon is how long after a change an agent that runs exchanges entries.
const deviceSyncSoon = 2 * time.Second
