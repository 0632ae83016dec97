package petname

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// ErrNothingToConfirm is returned by [Book.Confirm] if no card and no successor
// of the contact is known.
var ErrNothingToConfirm = errors.New("no card of the contact is known, so there is nothing to confirm")

// Confirm records that the owner believes the contact with pointer p about its
// next key. It is an act of the owner, and settles all contradictions of the
// contact:
//
//   - at an earlier pointer, the commitment that its successor opens is right;
//   - at the current pointer, that of the card is right, or without a card that
//     of the contact's own signature on record, or else that which a step on
//     record opens. The contact then advances by that step.
//
// card is the newest verified record of the current pointer; nil: none is
// known. Confirm changes nothing if all of this is confirmed and nothing
// contradicts it. The errors are [ErrNotFound], [ErrNothingToConfirm], and those
// of [Book.Resolve] for a step that the contact cannot advance by.
func (b *Book) Confirm(p pointer.Pointer, card *pointer.Record) (Contact, error) {
	var c Contact
	err := b.update(func(tx *ledger.Tx) (err error) {
		if c, err = readNamed(tx.View(), p); err != nil {
			return err
		}
		decided := make(map[pointer.Pointer]bool)
		for {
			at, next, err := c.toConfirm(tx.View(), card, decided)
			if err != nil || at.IsZero() {
				return err
			}
			decided[at] = true
			if err := b.checkAdvance(tx.View(), c, at, next); err != nil {
				return err
			}
			if err := decide(tx, c, at, &wireFact{Kind: factConfirm, By: byOwner, Channel: "api", Next: next.Bytes()}); err != nil {
				return err
			}
			if c, _, err = readContact(tx.View(), c.ID); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return Contact{}, err
	}
	return c, nil
}

// toConfirm returns the first pointer of the chain with something to confirm,
// and the commitment that is right there; zero if there is none.
func (c Contact) toConfirm(v *ledger.View, card *pointer.Record, decided map[pointer.Pointer]bool) (pointer.Pointer, pointer.Commitment, error) {
	none := pointer.Commitment{}
	h, err := readFacts(v, c.ID)
	if err != nil {
		return pointer.Pointer{}, none, err
	}
	for i, step := range c.Chain[:len(c.Chain)-1] {
		pl, _, err := placeIn(v, c, step.Pointer)
		if err != nil {
			return pointer.Pointer{}, none, err
		}
		if pl.contested == nil || decided[step.Pointer] {
			continue
		}
		if next := pl.openedBy(h.steps, step.Pointer, c.Chain[i+1].Pointer); !next.IsZero() {
			return step.Pointer, next, nil
		}
	}
	if decided[c.Pointer] {
		return pointer.Pointer{}, none, nil
	}
	pl, _, err := placeIn(v, c, c.Pointer)
	if err != nil {
		return pointer.Pointer{}, none, err
	}
	next, err := pl.believed(h.steps, c, card)
	if err != nil && len(decided) > 0 {
		return pointer.Pointer{}, none, nil // an earlier pointer was all there was to settle
	}
	if have, r := pl.pin(); err != nil || have == next && r == confirmed {
		return pointer.Pointer{}, none, err
	}
	return c.Pointer, next, nil
}

// believed returns the commitment that Confirm chooses for the current pointer.
func (pl place) believed(steps []pointer.Succession, c Contact, card *pointer.Record) (pointer.Commitment, error) {
	if card != nil && card.Pointer() == c.Pointer {
		if shown, _ := card.Card(); !shown.Next.IsZero() {
			return shown.Next, nil
		}
	}
	var own []pointer.Commitment
	for i, claim := range pl.claims {
		if pl.ranks[i] == confirmed {
			own = append(own, claim.Next)
		}
	}
	if len(own) == 1 {
		return own[0], nil
	}
	if next := pl.openedBy(steps, c.Pointer, c.Unproven); len(own) == 0 && !next.IsZero() {
		return next, nil
	}
	return pointer.Commitment{}, fmt.Errorf("%s: %w", c.Pointer, ErrNothingToConfirm)
}

// openedBy returns the commitment on record that a step between two pointers
// opens; zero: none.
func (pl place) openedBy(steps []pointer.Succession, from, to pointer.Pointer) pointer.Commitment {
	for _, s := range steps {
		if successor, err := pointer.FromPublicKey(s.New); err != nil || s.Old != from || successor != to {
			continue
		}
		for _, claim := range pl.claims {
			if claim.Next.Opens(s.New) {
				return claim.Next
			}
		}
	}
	return pointer.Commitment{}
}

// checkAdvance returns an error if the contact can't advance to the successor
// that a commitment lets it advance to.
func (b *Book) checkAdvance(v *ledger.View, c Contact, at pointer.Pointer, next pointer.Commitment) error {
	h, err := readFacts(v, c.ID)
	if err != nil {
		return err
	}
	for _, s := range h.steps {
		if s.Old == at && next.Opens(s.New) && at == c.Pointer {
			return b.checkTarget(v, c, []pointer.Succession{s})
		}
	}
	return nil
}

// decide appends a decision of the owner: the commitment of a fact is right at a
// pointer of the contact, and all others on record are not.
func decide(tx *ledger.Tx, c Contact, at pointer.Pointer, f *wireFact) error {
	pl, _, err := placeIn(tx.View(), c, at)
	if err != nil {
		return err
	}
	next, err := f.next()
	if err != nil {
		return err
	}
	return appendAct(tx, act{Op: opPin, Contact: c.ID.Bytes(), Of: otherPointer(c.ID, at), Fact: f,
		Pin: newWirePin(without(pl.all, next), pl.decisions)})
}

// checkDecisionUnchanged returns an error if a later decision replaces that of
// an act.
func checkDecisionUnchanged(v *ledger.View, id ledger.ID, contact pointer.Pointer) error {
	h, err := readFacts(v, contact)
	if err != nil {
		return err
	}
	for _, f := range h.facts {
		if f.decision != nil && slices.Contains(f.decision.replaces, id) {
			return fmt.Errorf("%s: %w", contact, ErrChanged)
		}
	}
	return nil
}
