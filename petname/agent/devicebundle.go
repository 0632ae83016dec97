package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/ledger"
)

// A thief of a device with the identity key can remove the owner's device first. Another device
// that learns of that removal alone reads nothing that the owner's device sends, not even its
// removal of the thief's device under a later key, which counts before the thief's. So a device
// puts what it wrote where the others look that regard it as removed, and each device looks there
// for what the removed devices with the key wrote: see bundle.go of package replicate. Nothing is
// sent to a removed device, and nothing acknowledged.

const (
	bundlesEvery = time.Hour       // for an agent that runs
	maxBundled   = 16              // removed devices whose bundles are read, in the order of their admission
	bundleTime   = 5 * time.Second // for all of them, which are read at the same time
)

// bundlesDue reports whether bundles are to be exchanged now, and notes that they are.
func (a *Agent) bundlesDue(o SyncOptions) bool {
	now := a.now().Round(0)
	if c, err := a.home.Config(); err != nil || c.Network == "off" && len(c.Routers) == 0 {
		return false
	}
	if o.With != (ledger.DeviceID{}) || o.Quiet && now.Sub(a.bundlesAt).Abs() < bundlesEvery || !a.removedHolder() {
		return false
	}
	a.bundlesAt = now
	return true
}

// pollBundles merges what removed devices with the identity key wrote.
func (a *Agent) pollBundles(ctx context.Context) {
	devices, err := a.book.Devices()
	ex, xerr := a.exchange()
	if err != nil || xerr != nil {
		return // the exchange with the other devices reports it
	}
	devices = slices.DeleteFunc(devices, func(d Device) bool { return !d.Removed || !d.IdentityKey || d.This })
	ctx, cancel := context.WithTimeout(ctx, bundleTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, d := range devices[:min(len(devices), maxBundled)] {
		wg.Go(func() {
			received, err := ex.PollBundle(ctx, d.ID)
			if received > 0 {
				a.merged()
			}
			if err != nil {
				a.log.Info("what a removed device wrote is not read", "device", d.ID, "error", err)
			}
		})
	}
	wg.Wait()
}

// putBundle reports whether a device has not acknowledged what this one wrote. If so, and due is
// set, it puts that for the device.
func (a *Agent) putBundle(ctx context.Context, id ledger.DeviceID, due bool) (lacks bool) {
	ex, err := a.exchange()
	if err == nil {
		lacks, err = ex.Unacknowledged(id)
	}
	if lacks && due {
		_, err = ex.PutBundle(ctx, id)
	}
	if err != nil {
		a.log.Info("what a device has not acknowledged is not put for it", "device", id, "error", err)
	}
	return lacks
}
