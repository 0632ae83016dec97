package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// UnmergedError is returned when another device of the owner has published a card that this device
// cannot explain, since it lacks entries of that device: its own card would undo what that device
// published, such as the end of a public edge or the keys for messages after a removal. A rotation,
// and the first publication after it, compare what was published under the former pointer, values
// included: a publication continues with the value of its own pointer's newest record alone.
type UnmergedError struct {
	Sequence uint64 // of the record of the other device
	Value    bool   // the value differs, and the card does not
	Rotating bool   // the key was to be rotated

	NextElsewhere bool // the next key is not in this home

	// A removed device had the identity key. It has the current one too if another device, which did
	// not know of the removal, handed it over, and can sign such records until the next rotation.
	RemovedHolder bool
}

func (e *UnmergedError) Error() string {
	what := "card"
	if e.Value {
		what = "value"
	}
	return fmt.Sprintf("another device of yours has published another %s, with sequence %d, and this one lacks changes of that device: it would undo them", what, e.Sequence)
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
	a.syncUnmerged(ctx)
	return a.publishOnce(ctx, edit, renewing)
}

// syncUnmerged exchanges entries with the other devices, for up to unmergedTime.
func (a *Agent) syncUnmerged(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, unmergedTime)
	defer cancel()
	if _, err := a.Sync(bounded, SyncOptions{}); err != nil {
		a.log.Info("other devices, before a publication", "error", err)
	}
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
		return &UnmergedError{Sequence: r.Sequence(), RemovedHolder: s.removedHolder(), NextElsewhere: s.nextElsewhere()}
	}
	return nil
}

// checkUnmergedRotation is checkUnmerged before the last record of a key is signed: its value
// stays for 20 years, and the next key continues with what the book has. So the value is compared
// as well. If a removed device may have the key, it returns nil after an exchange of entries: the
// record may be of that device, and of another one.
func (s *state) checkUnmergedRotation(exchanged bool) error {
	own := s.book.Identity()
	if !s.othersSign() {
		return nil
	}
	if signers, err := s.book.RemovedSigners(); err != nil || len(signers) > 0 && exchanged {
		return nil
	}
	r, expired, err := s.held(own)
	if err != nil || expired {
		return nil
	}
	published, err := s.book.PublishedAt(own)
	if err != nil || r.Sequence() <= published.Sequence {
		return err
	}
	card, err := s.sharedCard()
	if err != nil {
		return err
	}
	sealing, err := s.sealingHome().Sealing()
	if err != nil {
		return err
	}
	card.Sealing = sealing.PublicKeys()
	other, ok := r.Card()
	e := &UnmergedError{Sequence: r.Sequence(), Rotating: true, RemovedHolder: s.removedHolder(), NextElsewhere: s.nextElsewhere()}
	if ok && !sameCard(other, card) {
		return e
	}
	last, err := s.book.Published()
	if e.Value = r.Value() != cmp.Or(last.Value, pointer.NoValue); err != nil || !e.Value {
		return err
	}
	return e
}

// tableUnmerged is a device-local table: former pointer → the newest record of another device that
// a look-up found there before this home stored the last record.
const tableUnmerged = "unmerged"

// formerToMerge yields the former pointers whose records the first publication of the current
// pointer may undo, the newest first: those since the last one that has a publication in the
// book, and the sequence of that. It yields nothing after the first publication, and if no other
// device publishes. Pointers whose key a removed device may have are left out.
func (s *state) formerToMerge(id home.Identity) iter.Seq2[pointer.Pointer, uint64] {
	return func(yield func(pointer.Pointer, uint64) bool) {
		if !s.othersSign() {
			return
		}
		if published, err := s.book.PublishedAt(id.Pointer); err != nil || published.Sequence > 0 {
			return // a damaged book is reported elsewhere
		}
		for _, step := range slices.Backward(id.Succession) {
			if signers, err := s.book.RemovedSignersAt(step.Old); err != nil || len(signers) > 0 {
				return
			}
			published, err := s.book.PublishedAt(step.Old)
			if err != nil || !yield(step.Old, published.Sequence) || published.Sequence > 0 {
				return
			}
		}
	}
}

// lookAtFormer asks the network for what other devices have published under the former pointers
// before they knew of the rotation: a last record, which is stored after it, replaces that. What it
// finds is stored in tableUnmerged.
func (s *state) lookAtFormer(ctx context.Context, id home.Identity, stores []dht.Store) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	for p, known := range s.formerToMerge(id) {
		var mu sync.Mutex
		newest, _ := s.unmergedAt(p)
		before := newest
		see := func(p pointer.Pointer, b []byte) {
			r, err := pointer.Open(p, b, s.now())
			if err != nil || r.Sequence() <= known || r.Sequence() >= pointer.MaxSequence {
				return
			}
			if card, _ := r.Card(); !petname.NamedSuccessor(p, card).IsZero() {
				return // of another rotation: see [CopiedError]
			}
			mu.Lock()
			defer mu.Unlock()
			if newest.Pointer() != p || r.Compare(newest) > 0 {
				newest = r
			}
		}
		if _, err := s.resolver(watch(stores, p, see)...).Best(ctx, p, dht.LevelFresh); err != nil {
			s.log.Debug("records of a former pointer not found", "pointer", p, "error", err)
		}
		mu.Lock()
		found := newest
		mu.Unlock()
		if found.Pointer() != p || before.Pointer() == p && found.ID() == before.ID() {
			continue
		}
		err := s.book.Update(func(_ *petname.Book, local *ledger.View) error {
			return local.Put(tableUnmerged, p.Bytes(), found.Bytes())
		})
		if err != nil {
			s.log.Warn("a record of another device is not noted", "error", err)
		}
	}
}

// unmergedAt returns the record of tableUnmerged of a former pointer that has not expired; the
// zero value if there is none.
func (s *state) unmergedAt(p pointer.Pointer) (r pointer.Record, err error) {
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		b, err := local.Get(tableUnmerged, p.Bytes())
		if err == nil && b != nil {
			r, _ = pointer.Open(p, b, s.now())
		}
		return err
	})
	return r, err
}

// checkUnmergedFormer is checkUnmerged for the first publication after a rotation: it returns an
// [*UnmergedError] if another device has published another card, or another value, under a former
// pointer, unless edit decides about the value. The keys for messages are not compared: the
// rotation has replaced them.
func (s *state) checkUnmergedFormer(id home.Identity, own pointer.Card, value string, edit func(*Draft) error) error {
	for p, known := range s.formerToMerge(id) {
		r, err := s.unmergedAt(p)
		if err != nil {
			return err
		}
		if r.Pointer() != p || r.Sequence() <= known {
			continue
		}
		e := &UnmergedError{Sequence: r.Sequence(), RemovedHolder: s.removedHolder(), NextElsewhere: s.nextElsewhere()}
		if card, ok := r.Card(); ok && !sameShared(card, own) {
			return e
		}
		if r.Value() == cmp.Or(value, pointer.NoValue) {
			continue
		}
		a, aerr := drafted(value, edit)
		b, berr := drafted(r.Value(), edit)
		if aerr != nil || berr != nil || a.Value != b.Value {
			e.Value = true
			return e
		}
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
	return sameShared(a, b) && slices.EqualFunc(a.Sealing, b.Sealing, sameKey)
}

// sameShared is sameCard without the keys for messages.
func sameShared(a, b pointer.Card) bool {
	return a.Nickname == b.Nickname && slices.Equal(a.Devices, b.Devices) && maps.Equal(a.Edges, b.Edges)
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
