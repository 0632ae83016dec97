package petname

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// ErrNothingToConfirm is returned by [Book.Confirm] if no card and no successor
// of the contact is known, or not the one that the owner names.
var ErrNothingToConfirm = errors.New("no card of the contact is known, so there is nothing to confirm")

// Confirmation is what the owner believes about the next key of a contact.
type Confirmation struct {
	// the newest verified record of the contact's current pointer; nil: none is known
	Card *pointer.Record

	// The commitment that is right, of those that the signature of the current pointer
	// carried or, where they contradict each other, that of an earlier one; zero: that
	// of the card, or what the step to Successor opens. One of Next and Successor is
	// zero.
	Next pointer.Commitment

	// The pointer that the contact moved to: one of its chain, or one that only a
	// claim proves, see [Contact.Unproven]; zero: none.
	Successor pointer.Pointer
}

// Confirm records that the owner believes the contact with pointer p about its
// next key. It is an act of the owner, and settles the contradictions of the
// contact, except those after the commitment or the successor that it names:
//
//   - at an earlier pointer, the commitment that its successor opens is right, if
//     the pointer's own signature carried no other one, or if the confirmation
//     names that commitment, a later one or a later pointer; or that which the
//     confirmation names;
//   - at the current pointer, that of the confirmation is right, or without any
//     the only one on record that the contact's own signature carried. With a
//     successor, that which a step on record to it opens is right, and the
//     contact advances to it.
//
// A card that contradicts what is on record is recorded first. Unless the
// confirmation names a commitment, the error is then a [*DuplicityError] or a
// [*ContradictionError]: the owner confirms what was shown. If cards with
// different commitments are on record, their order is that of their signer, and
// only a confirmation that names one of them is sure. Confirm changes nothing if
// all of this is confirmed and nothing contradicts it. It is one step for
// [Book.Undo]. At a pointer that the contact came to without the signature of its old key, it
// confirms no card that was not shown, with an [*UnnamedError]. Other errors are [ErrNotFound],
// [ErrNothingToConfirm], and those of [Book.Resolve] for a step that the contact cannot advance by.
func (b *Book) Confirm(p pointer.Pointer, what Confirmation) (Contact, error) {
	if !what.Next.IsZero() && !what.Successor.IsZero() {
		return Contact{}, errors.New("a confirmation names a next key and a successor, and one of them is enough")
	}
	var c Contact
	var isNew error
	err := b.update(func(tx *ledger.Tx) (err error) {
		if c, err = readNamed(tx.View(), p); err != nil {
			return err
		}
		if isNew, err = learnNewCard(tx, c, what); err != nil || isNew != nil {
			return err
		}
		before := c
		choice := choice{Confirmation: what, decided: make(map[pointer.Pointer]bool)}
		for {
			at, next, err := choice.next(tx.View(), c)
			if err != nil {
				return err
			}
			if at.IsZero() {
				return checkMoved(tx.View(), before)
			}
			choice.decided[at] = true
			if err := b.checkAdvance(tx.View(), c, at, next); err != nil {
				return err
			}
			if err := decide(tx, c, at, &wireFact{Kind: factConfirm, By: byOwner, Channel: "api", Next: next.Bytes()}, len(choice.decided) > 1); err != nil {
				return err
			}
			if c, _, err = readContact(tx.View(), c.ID); err != nil {
				return err
			}
		}
	})
	if err = firstError(err, isNew); err != nil {
		return Contact{}, err
	}
	return c, nil
}

// learnNewCard records a card with a commitment that the owner was not shown yet,
// and returns the error for what it contradicts; nil: nothing.
func learnNewCard(tx *ledger.Tx, c Contact, what Confirmation) (isNew, err error) {
	shown := what.shown(c.Pointer)
	pl, _, err := placeIn(tx.View(), c, c.Pointer)
	if err != nil || shown.Next.IsZero() || slices.Contains(pl.all, shown.Next) || len(pl.all) == 0 {
		return nil, err
	}
	a, _, err := learnAct(tx.View(), c.Pointer, shown)
	if err != nil {
		return nil, err
	}
	if a.Op == 0 { // over the bounds of learnAct, or where cards pin nothing: the owner was not shown it either
		a = cardAct(c, shown)
	}
	pinned := c.Pinned(c.Pointer, shown.Next)
	if err := appendAct(tx, a); err != nil {
		return nil, err
	}
	if c, _, err = readContact(tx.View(), c.ID); err != nil || !what.Next.IsZero() {
		return nil, err
	}
	return firstError(c.Pinned(c.Pointer, shown.Next), pinned), nil
}

// choice is a confirmation while it is carried out.
type choice struct {
	Confirmation
	decided map[pointer.Pointer]bool // the pointers that were decided about
	spent   bool                     // the commitment or the successor that was named was one of these
}

// next returns the first pointer of the chain with something to confirm, and the
// commitment that is right there; zero if there is none.
func (what *choice) next(v *ledger.View, c Contact) (pointer.Pointer, pointer.Commitment, error) {
	none := pointer.Commitment{}
	h, err := readFacts(v, c.ID)
	if err != nil {
		return pointer.Pointer{}, none, err
	}
	places, steps := h.places(c), h.standing(false)
	for i, pl := range places[:len(places)-1] {
		at := c.Chain[i].Pointer
		if what.decided[at] {
			continue
		}
		if !what.spent && pl.contested == nil && pl.refuses(what.Next) {
			what.spent = true
			return at, what.Next, nil
		}
		if pl.contested == nil {
			continue
		}
		next, err := what.earlier(pl, steps, c.Chain[i:])
		if err != nil || !next.IsZero() {
			return at, next, err
		}
	}
	pl := places[len(places)-1]
	switch {
	case what.decided[c.Pointer] || what.spent:
		return pointer.Pointer{}, none, nil
	case pl.contested == nil && slices.ContainsFunc(c.Chain[1:], func(s Step) bool { return s.Pointer == what.Successor }):
		return pointer.Pointer{}, none, nil // it is there already
	}
	next, err := pl.believed(steps, c, what.Confirmation)
	if err != nil && len(what.decided) > 0 && what.Next.IsZero() && (what.Successor.IsZero() || c.hasPointer(what.Successor)) {
		return pointer.Pointer{}, none, nil // an earlier pointer was all there was to settle
	}
	if have, r := pl.pin(); err != nil || have == next && r == confirmed {
		return pointer.Pointer{}, none, err
	}
	what.spent = !what.Next.IsZero()
	return c.Pointer, next, nil
}

// earlier returns the commitment that is right at the first pointer of the rest of
// the chain; zero: the confirmation does not decide about it. If the commitment
// that the chain continued by and those that the pointer's own signature carried
// differ, neither is right unless the confirmation names it, or a commitment or a
// successor that the chain leads to: a thief of the key, retired or not, can sign a
// card as well as a step.
func (what *choice) earlier(pl place, steps []pointer.Succession, rest []Step) (pointer.Commitment, error) {
	at := rest[0].Pointer
	followed, own := pl.openedBy(steps, at, rest[1].Pointer), pl.own()
	card := what.shown(at).Next
	leadsTo := slices.ContainsFunc(rest[1:], func(s Step) bool { return s.Pointer == what.Successor })
	switch {
	case what.spent:
	case !what.Next.IsZero() && (slices.Contains(own, what.Next) || what.Next == followed):
		what.spent = true
		return what.Next, nil
	case !card.IsZero() && slices.Contains(own, card):
		return card, nil
	case leadsTo:
		what.spent = what.Successor == rest[1].Pointer
		return followed, nil
	case !what.Next.IsZero():
		return followed, nil
	}
	switch {
	case len(without(own, followed)) == 0:
		return followed, nil
	case len(what.decided) > 0 || what.spent:
		return pointer.Commitment{}, nil // to be named by a confirmation of its own
	}
	return pointer.Commitment{}, Contradiction{at, pl.contested, pl.duplicity}.err()
}

// believed returns the commitment that Confirm chooses for the current pointer.
func (pl place) believed(steps []pointer.Succession, c Contact, what Confirmation) (pointer.Commitment, error) {
	shown, successor := what.shown(c.Pointer), what.Successor
	if next := what.Next; !next.IsZero() && next != shown.Next {
		if pl.refuses(next) || slices.Contains(pl.own(), next) || slices.Contains(pl.cards, next) {
			return next, nil
		}
		return pointer.Commitment{}, fmt.Errorf("no card of %s states the next key %s: %w", c.Pointer, next, ErrNothingToConfirm)
	}
	// A card that names its successor is believed without anything known before only
	// if the owner names the same successor: another card may have been shown.
	if len(pl.claims) == 0 && !shown.Next.IsZero() {
		if NamedSuccessor(c.Pointer, shown) != successor {
			return pointer.Commitment{}, fmt.Errorf("the card of %s names the successor %s, and nothing known before proves it: %w", c.Pointer, NamedSuccessor(c.Pointer, shown), ErrNothingToConfirm)
		} else if !successor.IsZero() {
			return shown.Next, nil
		}
	}
	if !successor.IsZero() {
		if next := pl.openedBy(steps, c.Pointer, successor); !next.IsZero() {
			return next, nil
		}
		return pointer.Commitment{}, fmt.Errorf("no step from %s to %s is on record: %w", c.Pointer, successor, ErrNothingToConfirm)
	}
	if !shown.Next.IsZero() {
		if have, r := pl.pin(); pl.step.Unsigned && what.Next.IsZero() && (have != shown.Next || r != confirmed) {
			return pointer.Commitment{}, &UnnamedError{c.Pointer, shown.Next}
		}
		return shown.Next, nil
	}
	if own := pl.own(); len(own) == 1 {
		return own[0], nil
	}
	return pointer.Commitment{}, fmt.Errorf("%s: %w", c.Pointer, ErrNothingToConfirm)
}

// shown returns the card of the record, if it is one of p.
func (what Confirmation) shown(p pointer.Pointer) pointer.Card {
	if what.Card == nil || what.Card.Pointer() != p {
		return pointer.Card{}
	}
	card, _ := what.Card.Card()
	return card
}

// refuses reports whether the owner rejected a commitment that the pointer's own
// signature carried.
func (pl place) refuses(next pointer.Commitment) bool {
	return slices.ContainsFunc(pl.refused, func(claim PinClaim) bool { return claim.Next == next })
}

// own returns the confirmed commitments.
func (pl place) own() (own []pointer.Commitment) {
	for _, claim := range pl.claims {
		if claim.rank == confirmed {
			own = append(own, claim.Next)
		}
	}
	return own
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
	for _, s := range h.standing(false) {
		if s.Old == at && next.Opens(s.New) && at == c.Pointer {
			return b.checkTarget(v, c, []pointer.Succession{s})
		}
	}
	return nil
}

// decide appends a decision of the owner: the commitment of a fact is right at a
// pointer of the contact, and all others on record are not. joined reports whether it is
// one step with the act before it.
func decide(tx *ledger.Tx, c Contact, at pointer.Pointer, f *wireFact, joined bool) error {
	pl, _, err := placeIn(tx.View(), c, at)
	if err != nil {
		return err
	}
	next, err := f.next()
	if err != nil {
		return err
	}
	a := act{Op: opPin, Contact: c.ID.Bytes(), Of: otherPointer(c.ID, at), Fact: f, Joined: joined}
	return appendDecision(tx, a, without(pl.all, next), pl.decisions)
}

// appendDecision appends a decision that rejects commitments and replaces decisions. What is
// over the bounds of one act is in further ones.
func appendDecision(tx *ledger.Tx, a act, rejected []pointer.Commitment, replaced []ledger.ID) error {
	for {
		r, d := min(len(rejected), maxDiffering), min(len(replaced), maxReplaced)
		a.Pin = newWirePin(rejected[:r], replaced[:d])
		if err := appendAct(tx, a); err != nil {
			return err
		}
		if rejected, replaced, a.Joined = rejected[r:], replaced[d:], true; len(rejected)+len(replaced) == 0 {
			return nil
		}
	}
}

// checkDecisionUnchanged returns an error if a later decision replaces that of
// an act.
func checkDecisionUnchanged(v *ledger.View, id ledger.ID, contact pointer.Pointer) error {
	h, err := readFacts(v, contact)
	if err != nil {
		return err
	}
	if h.replaced()[id] {
		return fmt.Errorf("%s: %w", contact, ErrChanged)
	}
	return nil
}
