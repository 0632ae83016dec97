package petname

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// A contact's trail is the succession of its keys: it starts at the first
// pointer learnt, and goes on as long as a step is on record that opens the
// commitment which was pinned for the pointer before. It is a function of the
// facts on record, in whatever order they came: so devices that know the same
// are of one mind.

// maxTrail bounds a trail, in pointers after the first.
const maxChain = 64

// addFacts reads what is known of a contact, and from it where it is now.
func (c *Contact) addFacts(v *ledger.View) error {
	prefix := c.ID.Bytes()
	var steps []pointer.Succession
	for kv, err := range v.Scan(tableContacts, prefix) {
		if err != nil {
			return err
		}
		if len(kv.Key) == len(prefix) {
			continue // the contact's own
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

// follow walks the trail. No clock picks between two commitments to one next
// key: that is duplicity. The trail goes on as far as the next key is proven all
// the same, and ends where two are.
//
// At a step that was reached without the old key's signature cards pin
// nothing: whoever has the key there signs them, and it may be a thief who came
// late. What a person hands over does.
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

// onwards is the step after a pointer: where the steps lead that open what
// was pinned for it. A step that the old key signed goes before one that it
// didn't; two that it signed, with different commitments, are duplicity, and
// prove neither.
func (c *Contact) nextStep(from pointer.Pointer, pins []pointer.Commitment, steps []pointer.Succession) (step Step, ok bool) {
	var commitments []pointer.Commitment // as signed by the old key
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

// Pinned compares a commitment of one of the contact's pointers with the one on
// record: an error when they, or those on record, differ.
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

// step returns the one of a pointer of the contact's; of another, one of which
// nothing is known.
func (c Contact) step(p pointer.Pointer) Step {
	for _, s := range c.Chain {
		if s.Pointer == p {
			return s
		}
	}
	return Step{Pointer: p}
}

// commitment is the one on record for a pointer of the contact's.
func (c Contact) commitment(p pointer.Pointer) pointer.Commitment { return c.step(p).Next }

func (f wireFact) next() (pointer.Commitment, error) {
	if f.Next == nil {
		return pointer.Commitment{}, nil
	}
	return pointer.CommitmentFromBytes(f.Next)
}

// now is the binary form of the pointer that a contact is at.
func (s contactState) current(id []byte) []byte {
	if len(s.Chain) == 0 {
		return id
	}
	return s.Chain[len(s.Chain)-1]
}

// retrail finds out anew where a contact is, after what is known of it has
// changed.
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
