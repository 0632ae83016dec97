package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// UnmergedError is returned when another device of the owner has published a card that this device
// cannot explain, since it lacks entries of that device: its own card would undo what that device
// published, such as the end of a public edge or the keys for messages after a removal.
type UnmergedError struct {
	Sequence uint64 // of the record of the other device

	// A removed device had the identity key. It has the current one too if another device, which did
	// not know of the removal, handed it over, and can sign such records until the next rotation.
	RemovedHolder bool
}

func (e *UnmergedError) Error() string {
	return fmt.Sprintf("another device of yours has published another card, with sequence %d, and this one lacks changes of that device: it would undo them", e.Sequence)
}

// unmergedTime bounds the exchange with other devices before a publication.
const unmergedTime = 10 * time.Second

// publishDraft is PublishDraft; renewing, the newest value stays whatever the owner has
// to decide. If another device has published a card that this device cannot explain, it
// exchanges entries with the other devices first.
func (a *Agent) publishDraft(ctx context.Context, edit func(*Draft) error, renewing bool) (Published, error) {
	out, err := a.publishOnce(ctx, edit, renewing)
	if !errors.As(err, new(*UnmergedError)) {
		return out, err
	}
	bounded, cancel := context.WithTimeout(ctx, unmergedTime)
	defer cancel()
	if _, serr := a.Sync(bounded, SyncOptions{}); serr != nil {
		a.log.Info("other devices, before a publication", "error", serr)
	}
	return a.publishOnce(ctx, edit, renewing)
}

// checkUnmerged returns an [*UnmergedError] if the owner's newest record in the home, which
// includes what look-ups returned, is of a publication that no entry states, and has another card
// than the given one. It returns nil if no other device publishes, if the record has expired, or if
// a removed device may have the current key, and can sign such records until the next rotation.
func (s *state) checkUnmerged(own pointer.Card) error {
	if !s.othersSign() {
		return nil
	}
	if signers, err := s.book.RemovedSigners(); err != nil || len(signers) > 0 {
		return nil // a damaged book is reported elsewhere
	}
	r, expired, err := s.held(s.book.Identity())
	if err != nil || expired {
		return nil
	}
	published, err := s.book.Published()
	if err != nil || r.Sequence() <= published.Sequence {
		return err
	}
	if card, ok := r.Card(); ok && !sameCard(card, own) {
		return &UnmergedError{r.Sequence(), s.removedHolder()}
	}
	return nil
}

// removedHolder reports whether a removed device has the identity key, according to the book.
func (s *state) removedHolder() bool {
	devices, err := s.book.Devices()
	return err == nil && slices.ContainsFunc(devices, func(d Device) bool { return d.Removed && d.IdentityKey })
}

// sameCard reports whether two cards of the owner state the same about what is shared between
// devices: the nickname, the keys for messages, the public edges and the devices that send.
func sameCard(a, b pointer.Card) bool {
	sameKey := func(x, y pointer.SealingKey) bool { return x.KEM == y.KEM && bytes.Equal(x.Key, y.Key) }
	return a.Nickname == b.Nickname && slices.EqualFunc(a.Sealing, b.Sealing, sameKey) && slices.Equal(a.Devices, b.Devices) &&
		maps.Equal(a.Edges, b.Edges)
}

// cardChanged reports whether the card that this home would publish is another one than that of
// the owner's newest record in the home, if this home has the identity key and the record is valid.
func (s *state) cardChanged() (bool, error) {
	id, err := s.identity()
	if err != nil || id.KeyElsewhere {
		return false, err
	}
	r, expired, err := s.held(s.book.Identity())
	if err != nil || expired {
		if errors.As(err, new(*NoRecordError)) {
			err = nil
		}
		return false, err
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if err := s.replaceAfterRemovals(); err != nil {
		return false, err
	}
	own, err := s.newCard(id, false)
	card, ok := r.Card()
	return ok && !sameCard(card, own), err
}
