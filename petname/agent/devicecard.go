package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/petnames-go/petnames/pointer"
)

// renewForDevices publishes the owner's record again, with the same value, if it is valid and
// its card does not list the devices that send: contacts do not read the messages of a device that
// no card lists. After entries of other devices were merged, it does so if they change the card,
// unless another device has published that. It does nothing while the identity is locked, or where
// its key is on other devices.
func (a *Agent) renewForDevices(ctx context.Context) error {
	id, err := a.identity()
	if err != nil || id.KeyElsewhere || a.locked() {
		return err
	}
	merged := a.mergedEntries.Swap(false)
	if merged {
		err = a.lookUpPublished(ctx)
	}
	changed := false
	if err == nil {
		changed, err = a.cardDiffers(merged)
	}
	r, expired, herr := a.held(a.book.Identity())
	if err == nil && changed && herr == nil && !expired {
		life := a.lifetime(r)
		if life == 0 {
			life = r.Expires().Sub(a.now())
		}
		err = a.renew(ctx, r, life)
	}
	if err != nil && merged {
		a.mergedEntries.Store(true)
	}
	return err
}

// lookUpPublished looks for the owner's newest record, unless the home has the last one that the
// book states, with the card that this home would publish. The only error of the network is
// context.Canceled.
func (a *Agent) lookUpPublished(ctx context.Context) error {
	published, err := a.book.Published()
	if err != nil {
		return err
	}
	changed, err := a.cardDiffers(true)
	if r, _, herr := a.held(a.book.Identity()); err != nil || !changed && (herr != nil || r.Sequence() >= published.Sequence) {
		return err
	}
	stores, offline := a.joined(ctx)
	return a.lookUpOwn(ctx, stores, offline)
}

// cardDiffers reports whether the owner's record is valid, and its card does not list the devices
// that send or, with whole, is another one than this home would publish.
func (s *state) cardDiffers(whole bool) (bool, error) {
	if whole {
		return s.cardChanged()
	}
	r, expired, err := s.held(s.book.Identity())
	if err != nil || expired {
		if errors.As(err, new(*NoRecordError)) {
			err = nil
		}
		return false, err
	}
	listed, err := s.listsDevices(r)
	return !listed, err
}

// listsDevices reports whether the card of the owner's record lists the devices that send.
func (s *state) listsDevices(r pointer.Record) (bool, error) {
	card, ok := r.Card()
	tags, err := s.book.DeviceTags()
	return !ok || slices.Equal(card.Devices, tags), err
}
