package petname

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// The succession chain of a contact starts at the first pointer known of it. It
// has a further pointer for each step on record that opens the commitment
// pinned for the pointer before. It depends on the facts on record and not on
// their order, so devices with the same facts compute the same chain.

// maxChain bounds a succession chain, in pointers after the first.
const maxChain = 64

// addFacts reads the facts about a contact, and derives its chain from them.
func (c *Contact) addFacts(v *ledger.View) error {
	prefix := c.ID.Bytes()
	var steps []pointer.Succession
	for kv, err := range v.Scan(tableContacts, prefix) {
		if err != nil {
			return err
		}
		if len(kv.Key) == len(prefix) {
			continue // the row of the contact itself
		}
		f, err := decodeState[factState](tableContacts, kv.Value)
		if err != nil {
			return err
		}
		id := kv.Key[len(prefix):]
		if len(id) != len(ledger.DeviceID{})+8 {
			return errRow
		}
		next, err := f.Fact.next()
		if err != nil {
			return err
		}
		of := c.ID
		if f.Of != nil {
			if of, err = pointer.Restore(f.Of); err != nil {
				return err
			}
		}
		if f.Chain != nil {
			chain, err := pointer.ParseSuccession(f.Chain)
			if err != nil {
				return err
			}
			steps = append(steps, chain...)
			if of, err = pointer.FromPublicKey(chain[len(chain)-1].New); err != nil {
				return err
			}
		}
		c.Provenance = append(c.Provenance, Fact{
			Pointer: of, Kind: f.Fact.Kind, By: f.Fact.By, Channel: f.Fact.Channel, At: time.UnixMilli(f.At).UTC(),
			Nickname: f.Fact.Nickname, Next: next, Entry: entryID(id[:len(id)-8], binary.BigEndian.Uint64(id[len(id)-8:])),
		})
	}
	slices.SortStableFunc(c.Provenance, func(a, b Fact) int { return a.At.Compare(b.At) })
	for _, f := range c.Provenance {
		if c.Nickname = f.Nickname; c.Nickname != "" {
			break
		}
	}
	c.walkChain(steps)
	return nil
}

// walkChain derives the succession chain. If two commitments to one next key
// are on record, no clock decides between them: the contact is in duplicity.
// The chain continues as long as the next key is proven, and ends where two
// keys are.
//
// After a step without the old key's signature, a card pins nothing: the holder
// of the key signs cards, and may have stolen the key after its retirement.
// What the owner enters or a third party states does pin.
func (c *Contact) walkChain(steps []pointer.Succession) {
	step := Step{Pointer: c.ID}
	for {
		var pins []pointer.Commitment
		pin := func(next pointer.Commitment) {
			if !next.IsZero() && !slices.Contains(pins, next) {
				pins = append(pins, next)
			}
		}
		pin(step.Next)
		for _, f := range c.Provenance {
			if f.Pointer == step.Pointer && !(step.Unsigned && f.Kind == factCard) {
				pin(f.Next)
			}
		}
		if step.Next = (pointer.Commitment{}); len(pins) > 0 {
			step.Next = pins[0]
		}
		if len(pins) > 1 && c.Contradiction == nil {
			c.Contradiction = &DuplicityError{step.Pointer, pins[0], pins[1]}
		}
		if c.Chain = append(c.Chain, step); len(c.Chain) > maxChain {
			break
		}
		next, ok := c.nextStep(step.Pointer, pins, steps)
		if !ok || slices.ContainsFunc(c.Chain, func(s Step) bool { return s.Pointer == next.Pointer }) {
			break
		}
		step = next
	}
	c.Pointer, c.Next, c.Duplicity = step.Pointer, step.Next, c.Contradiction != nil
	if c.Duplicity {
		c.Next = pointer.Commitment{}
	}
}

// nextStep returns the step from a pointer to the key that opens one of its
// pins; false if there is none. A step that the old key signed precedes one
// that it did not sign. Two signed steps with different commitments are
// duplicity, and neither commitment is proven.
func (c *Contact) nextStep(from pointer.Pointer, pins []pointer.Commitment, steps []pointer.Succession) (step Step, ok bool) {
	var commitments []pointer.Commitment // signed by the old key
	for _, s := range steps {
		if s.Old != from || !slices.ContainsFunc(pins, func(pin pointer.Commitment) bool { return pin.Opens(s.New) }) {
			continue
		}
		successor, err := pointer.FromPublicKey(s.New)
		if err != nil || ok && successor != step.Pointer {
			return Step{}, false // two pins, and two keys that open them
		}
		step.Pointer, ok = successor, true
		if s.OldSignature != nil && !slices.Contains(commitments, s.Next) {
			commitments = append(commitments, s.Next)
		}
	}
	switch {
	case len(commitments) == 1:
		step.Next = commitments[0]
	case len(commitments) == 0:
		step.Unsigned = true
	case c.Contradiction == nil:
		c.Contradiction = &DuplicityError{step.Pointer, commitments[0], commitments[1]}
	}
	return step, ok
}

// Pinned returns a [*DuplicityError] if the contact is in duplicity, or if next
// differs from the commitment on record for p. A zero next is not compared.
func (c Contact) Pinned(p pointer.Pointer, next pointer.Commitment) error {
	if c.Contradiction != nil {
		return c.Contradiction
	}
	have := c.commitment(p)
	if !next.IsZero() && !have.IsZero() && next != have {
		return &DuplicityError{p, have, next}
	}
	return nil
}

// step returns the step of the chain with pointer p, or a step with p alone if
// the chain does not have it.
func (c Contact) step(p pointer.Pointer) Step {
	for _, s := range c.Chain {
		if s.Pointer == p {
			return s
		}
	}
	return Step{Pointer: p}
}

// commitment returns the commitment on record for a pointer of the chain; zero:
// none.
func (c Contact) commitment(p pointer.Pointer) pointer.Commitment { return c.step(p).Next }

func (f wireFact) next() (pointer.Commitment, error) {
	if f.Next == nil {
		return pointer.Commitment{}, nil
	}
	return pointer.CommitmentFromBytes(f.Next)
}

// current returns the binary form of the contact's current pointer.
func (s contactState) current(id []byte) []byte {
	if len(s.Chain) == 0 {
		return id
	}
	return s.Chain[len(s.Chain)-1]
}

// updateChain derives the chain again after the facts about a contact changed.
func (f fold) updateChain(v *ledger.View, contact []byte) error {
	state, err := getState[contactState](v, tableContacts, contact)
	if err != nil || !state.HasSuccession {
		return err
	}
	id, err := pointer.Restore(contact)
	if err != nil {
		return err
	}
	c := Contact{ID: id}
	if err := c.addFacts(v); err != nil {
		return err
	}
	before := state.Chain
	previous := state.current(contact)
	state.Chain = nil
	for _, s := range c.Chain[1:] {
		state.Chain = append(state.Chain, s.Pointer.Bytes())
	}
	if slices.EqualFunc(before, state.Chain, bytes.Equal) {
		return nil
	}
	for _, p := range before {
		if err := v.Delete(tableSuccessors, successorKey(p, contact)); err != nil {
			return err
		}
	}
	for _, p := range state.Chain {
		if err := v.Put(tableSuccessors, successorKey(p, contact), []byte{}); err != nil {
			return err
		}
	}
	if err := putState(v, tableContacts, contact, state); err != nil {
		return err
	}
	if err := f.updateNameIndex(v, contact, nil, state); err != nil {
		return err
	}
	for _, p := range [][]byte{previous, state.current(contact)} {
		if err := f.updateShared(v, p, id); err != nil {
			return err
		}
	}
	return nil
}
