package petname

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// applySuccession advances the contact with pointer old along a succession, if
// its steps open the commitment pinned for the contact: the signature of the
// old key alone advances nothing. A commitment that the owner entered needs the
// signature of the old key as well, and one that only a third party stated
// advances nothing: the step is then stored, and [Contact.Unproven] shows it
// until the owner decides. The steps are stored as evidence. Name, history and
// public edges stay.
//
// It writes nothing if the book does not know old, has no commitment for it, or
// has the steps already. The error is a [*SuccessionError] for a chain that
// does not agree with what was pinned, a [*DuplicityError] for another
// commitment by the same new key, and a [*ConflictError] for a successor that
// is another named contact. It is a [*SuccessionError], too, for a chain that was
// recorded up to a step after which nothing is pinned, and that has further steps.
func (b *Book) applySuccession(old pointer.Pointer, chain []pointer.Succession, channel string) error {
	var isNew bool
	err := b.read(func(v *ledger.View) error { // most calls write nothing
		_, steps, err := b.newSteps(v, old, chain)
		isNew = len(steps) > 0
		return err
	})
	if err != nil || !isNew {
		return err
	}
	var further error
	err = b.update(func(tx *ledger.Tx) error {
		further = nil
		c, steps, err := b.newSteps(tx.View(), old, chain)
		if err != nil || len(steps) == 0 {
			return err
		}
		evidence, err := pointer.EncodeSuccession(steps)
		if err != nil {
			return err
		}
		to, err := steps[len(steps)-1].Verify()
		if err != nil {
			return err
		}
		a := act{Op: opAdvance, Contact: c.ID.Bytes(), Chain: evidence,
			Fact: &wireFact{Kind: factSuccession, By: to.String(), Channel: channel}}
		h, err := readFacts(tx.View(), c.ID)
		if err != nil {
			return err
		}
		if on := h.basis(c, steps[0]); len(on) > 0 {
			a.Pin = newWirePin(nil, on)
		}
		if err := appendAct(tx, a); err != nil {
			return err
		}
		if c, _, err = readContact(tx.View(), c.ID); err == nil && c.Pointer == to && chain[len(chain)-1].Old != steps[len(steps)-1].Old {
			further = &SuccessionError{to, errors.New("it follows a step that proves no commitment to the next key")}
		}
		return err
	})
	return firstError(err, further)
}

// basis returns the acts of the owner on which a step from a pointer of the contact
// rests: the decisions there, if the contact would not advance by it without them, or
// else the claims that it opens. Nil: cards and steps alone prove it.
func (h *chainFacts) basis(c Contact, s pointer.Succession) (on []ledger.ID) {
	if !slices.ContainsFunc(h.facts, func(f pinFact) bool { return f.Pointer == s.Old && f.Kind != factCard && f.Kind != factSuccession }) {
		return nil
	}
	if !h.permits(c, s, func(f pinFact) bool { return f.decision == nil }) {
		for _, pl := range h.places(c) {
			if pl.step.Pointer == s.Old && len(pl.decisions) > 0 {
				return pl.decisions
			}
		}
	} else if h.permits(c, s, func(f pinFact) bool { return f.Kind == factCard }) {
		return nil
	}
	for _, f := range h.facts {
		if f.Pointer == s.Old && f.Next.Opens(s.New) && f.Kind != factCard {
			on = append(on, f.Entry)
		}
	}
	return on
}

// permits reports whether the contact advances by a step from a pointer of its chain
// if of the facts about that pointer only those count which counts selects.
func (h *chainFacts) permits(c Contact, s pointer.Succession, counts func(pinFact) bool) bool {
	for _, pl := range h.places(c) {
		if pl.step.Pointer != s.Old {
			continue
		}
		less := *h
		less.closure = nil
		less.facts = slices.DeleteFunc(slices.Clone(h.facts), func(f pinFact) bool { return f.Pointer == s.Old && !counts(f) })
		alone := less.placeOf(pl.step, pl.signed)
		_, advances := alone.opened(s)
		return advances && alone.contested == nil
	}
	return false
}

// newSteps returns the steps of a chain that advance the contact.
func (b *Book) newSteps(v *ledger.View, old pointer.Pointer, chain []pointer.Succession) (Contact, []pointer.Succession, error) {
	id, err := contactIDOf(v, old)
	if err != nil {
		return Contact{}, nil, err
	}
	c, found, err := readContact(v, id)
	if err != nil || !found {
		return c, nil, err
	}
	if err := c.checkChain(v, chain); err != nil {
		return c, nil, err
	}
	if len(c.Contradictions) > 0 {
		return c, nil, nil
	}
	from := c.step(c.Pointer)
	for i := range c.Chain[1:] { // an unsigned step may be signed here
		if steps := stepsFrom(c.Chain[i].Pointer, chain); c.Chain[i+1].Unsigned && len(steps) > 0 && steps[0].OldSignature != nil {
			from = c.Chain[i]
			break
		}
	}
	steps := stepsFrom(from.Pointer, chain)
	if len(steps) == 0 || from.Next.IsZero() {
		return c, nil, nil
	}
	h, err := readFacts(v, id)
	if err != nil {
		return c, nil, err
	}
	pl, _, err := placeIn(v, c, from.Pointer)
	if err != nil {
		return c, nil, err
	}
	if _, r := pl.pin(); !r.permits(steps[0]) {
		steps = steps[:1] // shown to the owner, and the contact does not advance
		// The holder of the new key can sign any number of such steps: one, and
		// one that the old key signed as well, are enough.
		if slices.ContainsFunc(h.steps, func(known chainStep) bool {
			return known.Old == steps[0].Old && known.New.Equal(steps[0].New) && (known.OldSignature != nil || steps[0].OldSignature == nil)
		}) {
			return c, nil, nil
		}
	}
	to, _, err := pointer.Follow(from.Pointer, from.Next, steps)
	if err != nil {
		return c, nil, &SuccessionError{from.Pointer, err}
	}
	if to == c.Pointer {
		return c, steps, nil
	}
	return c, steps, b.checkTarget(v, c, steps)
}

// checkTarget returns an error if the contact can't advance by steps: if its
// chain is too long or a circle, or if a target is the owner or another named
// contact.
func (b *Book) checkTarget(v *ledger.View, c Contact, steps []pointer.Succession) error {
	if len(c.Chain)+len(steps) > maxChain {
		return &SuccessionError{c.Pointer, fmt.Errorf("it is over %d keys long", maxChain)}
	}
	to, err := pointer.FromPublicKey(steps[len(steps)-1].New)
	if err != nil {
		return err
	}
	for _, s := range c.Chain {
		if s.Pointer == to {
			return &SuccessionError{c.Pointer, errors.New("it leads in a circle")}
		}
	}
	if b.IsOwn(to) {
		return &SuccessionError{c.Pointer, ErrOwnPointer}
	}
	if c.Name.IsZero() && c.Conflict == nil {
		return nil
	}
	// A pointer that another contact had before is refused too: a retired key
	// may be stolen.
	for _, step := range steps {
		p, err := pointer.FromPublicKey(step.New)
		if err != nil {
			return err
		}
		if err := checkFree(v, c, c.Pointer, p); err != nil {
			return err
		}
	}
	return nil
}

// checkFree returns an error if the pointer to which a contact moves is or was that of
// another named contact.
func checkFree(v *ledger.View, c Contact, from, to pointer.Pointer) error {
	for id, err := range namedContactsByPointer(v, to) {
		if err != nil {
			return err
		}
		if id == c.ID {
			continue
		}
		other, _, err := readContact(v, id)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s has moved to %s, which is also your contact %q; remove one of the two: %w",
			from, to, other.recordedName(), &ConflictError{Contacts: []Contact{c, other}, Pointer: to})
	}
	return nil
}

// recordedName returns the name of a contact, or the first of its names if it is in conflict, as
// two contacts at one pointer are.
func (c Contact) recordedName() name.Name {
	if c.Name.IsZero() && c.Conflict != nil && len(c.Conflict.Names) > 0 {
		return c.Conflict.Names[0]
	}
	return c.Name
}

// checkMoved returns an error if a change of the facts moved a contact to the pointer
// of another named contact: neither could be resolved.
func checkMoved(v *ledger.View, before Contact) error {
	c, found, err := readContact(v, before.ID)
	if err != nil || !found || c.Pointer == before.Pointer || c.Name.IsZero() && c.Conflict == nil {
		return err
	}
	return checkFree(v, c, before.Pointer, c.Pointer)
}

// checkChain compares a chain with the contact's own. One new key with two
// commitments is duplicity if the old key signed both. Without the signature of
// the old key, every later holder of the new key could claim another
// commitment.
func (c Contact) checkChain(v *ledger.View, chain []pointer.Succession) error {
	for i, to := range c.Chain[1:] {
		from := c.Chain[i]
		steps := stepsFrom(from.Pointer, chain)
		if len(steps) == 0 {
			continue
		}
		successor, err := steps[0].Verify()
		if err != nil || successor != to.Pointer {
			return &SuccessionError{from.Pointer, errors.New("it differs from the one on record")}
		}
		next := steps[0].Next
		if steps[0].OldSignature != nil && !to.Unsigned && next != to.Next && !next.IsZero() && !to.Next.IsZero() {
			pl, _, err := placeIn(v, c, to.Pointer)
			if err != nil {
				return err
			}
			if pl.refuses(next) {
				continue // the owner decided about it
			}
			return &DuplicityError{to.Pointer, to.Next, next}
		}
	}
	return nil
}

// maxSharedSteps bounds the steps of a succession in an introduction.
const maxSharedSteps = 8

// Succession returns the newest known steps to the current pointer of the
// contact with pointer p, at most 8, for recipients that know an earlier key.
// Nil: the contact never advanced.
func (b *Book) Succession(p pointer.Pointer) ([]pointer.Succession, error) {
	var chain []pointer.Succession
	err := b.read(func(v *ledger.View) error {
		c, err := readNamed(v, p)
		if err != nil {
			return err
		}
		known := make(map[[2]pointer.Pointer]pointer.Succession)
		for kv, err := range v.Scan(tableContacts, c.ID.Bytes()) {
			if err != nil {
				return err
			}
			if len(kv.Key) == len(c.ID.Bytes()) {
				continue // the row of the contact itself
			}
			f, err := decodeState[factState](tableContacts, kv.Value)
			if err != nil || f.Chain == nil {
				if err != nil {
					return err
				}
				continue
			}
			steps, err := pointer.ParseSuccession(f.Chain)
			if err != nil {
				return err
			}
			for _, s := range steps {
				to, err := pointer.FromPublicKey(s.New)
				if err != nil {
					return err
				}
				if old, ok := known[[2]pointer.Pointer{s.Old, to}]; !ok || old.OldSignature == nil {
					known[[2]pointer.Pointer{s.Old, to}] = s
				}
			}
		}
		for i := 1; i < len(c.Chain); i++ {
			s, ok := known[[2]pointer.Pointer{c.Chain[i-1].Pointer, c.Chain[i].Pointer}]
			if !ok {
				chain = nil
				continue
			}
			chain = append(chain, s)
		}
		chain = chain[max(0, len(chain)-maxSharedSteps):]
		return nil
	})
	return chain, err
}
