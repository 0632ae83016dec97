package petname

import (
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// maxCards bounds the cards with different commitments that are recorded for
// one pointer. The holder of a key can sign any number of cards, and two that
// differ are enough.
const maxCards = 4

// LearnCard records what the card in a verified record states of a contact's
// next key, once: it confirms or contradicts what the book knows of it. Nothing
// is written for a record of any pointer but the current one of a contact, since
// a holder of a retired key can sign records too, nor for one without a card.
//
// The error is a [*DuplicityError] or a [*ContradictionError] if the card
// contradicts what the book knows, whether it was recorded now or before. It is a
// [*ConflictError] if the card proves a successor that is another contact; then
// nothing is written.
func (b *Book) LearnCard(r pointer.Record) error {
	card, _ := r.Card()
	return b.learnCard(r.Pointer(), card)
}

func (b *Book) learnCard(p pointer.Pointer, card pointer.Card) error {
	if card.Next.IsZero() {
		return nil
	}
	// Most calls write nothing, and need not wait for a writer.
	var a act
	var pinned error
	err := b.read(func(v *ledger.View) (err error) {
		a, pinned, err = learnAct(v, p, card)
		return err
	})
	if err != nil || a.Op == 0 {
		return firstError(err, pinned)
	}
	err = b.update(func(tx *ledger.Tx) error {
		a, _, err := learnAct(tx.View(), p, card)
		if err != nil {
			return err
		}
		if a.Op != 0 {
			before, err := readByPointer(tx.View(), p)
			if err != nil {
				return err
			}
			if err := appendAct(tx, a); err != nil {
				return err
			}
			if err := checkMoved(tx.View(), before); err != nil {
				return err
			}
		}
		_, pinned, err = learnAct(tx.View(), p, card)
		return err
	})
	return firstError(err, pinned)
}

// learnAct returns the act that records a card of a contact, and the error for a
// card that contradicts what is on record. The act has no op if there is nothing
// to record.
func learnAct(v *ledger.View, p pointer.Pointer, card pointer.Card) (a act, pinned, err error) {
	id, err := contactIDOf(v, p)
	if err != nil {
		return act{}, nil, err
	}
	c, found, err := readContact(v, id)
	if err != nil || !found || p != c.Pointer {
		return act{}, nil, err
	}
	pinned = c.Pinned(p, card.Next)
	pl, unsigned, err := placeIn(v, c, p)
	if err != nil || unsigned || slices.Contains(pl.plain, card.Next) {
		return act{}, pinned, err
	}
	namesSuccessor := !NamedSuccessor(p, card).IsZero()
	if namesSuccessor && (!pl.weighs(card.Next) || slices.Contains(pl.cards, card.Next)) {
		return act{}, pinned, nil
	}
	if pl.counting >= maxCards || len(pl.cards) >= maxDiffering/2 {
		return act{}, pinned, nil
	}
	a = cardAct(c, card)
	if differs := without(pl.reported, card.Next); len(differs) > 0 {
		a.Pin = newWirePin(differs, nil)
	}
	return a, pinned, nil
}

// cardAct returns the act that records a card of a contact's current pointer.
func cardAct(c Contact, card pointer.Card) act {
	return act{Op: opLearn, Contact: c.ID.Bytes(), Of: otherPointer(c.ID, c.Pointer), NamesSuccessor: !NamedSuccessor(c.Pointer, card).IsZero(),
		Fact: &wireFact{Kind: factCard, By: c.Pointer.String(), Channel: channelRecord, Nickname: card.Nickname, Next: card.Next.Bytes()}}
}

// placeIn returns what is on record about a pointer of a contact, and whether
// the pointer was reached without a signature of the key before it.
func placeIn(v *ledger.View, c Contact, p pointer.Pointer) (place, bool, error) {
	h, err := readFacts(v, c.ID)
	if err != nil {
		return place{}, false, err
	}
	for _, pl := range h.places(c) {
		if pl.step.Pointer == p {
			return pl, pl.step.Unsigned, nil
		}
	}
	return h.placeOf(Step{Pointer: p}, nil), false, nil
}

// places returns the places of the contact's chain.
func (h *chainFacts) places(c Contact) (all []place) {
	step := Step{Pointer: c.ID}
	var signed []pointer.Commitment
	for range c.Chain {
		pl := h.placeOf(step, signed)
		all = append(all, pl)
		step, signed, _ = pl.nextStep(step.Pointer, h.standing(pl.contested != nil))
	}
	return all
}

// without returns the commitments other than one.
func without(all []pointer.Commitment, c pointer.Commitment) []pointer.Commitment {
	return slices.DeleteFunc(slices.Clone(all), func(other pointer.Commitment) bool { return other == c })
}
