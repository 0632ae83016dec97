package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/petnames-go/petnames/pointer"
)

// renewForDevices publishes the owner's record again, with the same value, if it is valid and its
// card does not list the devices that send: contacts do not read the messages of a device that no
// card lists. It does nothing while the identity is locked, or where its key is on other devices.
func (a *Agent) renewForDevices(ctx context.Context) error {
	id, err := a.identity()
	if err != nil || id.KeyElsewhere || a.locked() {
		return err
	}
	r, expired, err := a.held(a.book.Identity())
	if err != nil || expired {
		if errors.As(err, new(*NoRecordError)) {
			err = nil
		}
		return err
	}
	if listed, err := a.listsDevices(r); err != nil || listed {
		return err
	}
	life := a.lifetime(r)
	if life == 0 {
		life = r.Expires().Sub(a.now())
	}
	return a.renew(ctx, r, life)
}

// listsDevices reports whether the card of the owner's record lists the devices that send.
func (s *state) listsDevices(r pointer.Record) (bool, error) {
	card, ok := r.Card()
	tags, err := s.book.DeviceTags()
	return !ok || slices.Equal(card.Devices, tags), err
}
