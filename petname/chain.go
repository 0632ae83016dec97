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
const maxTrail = 64

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
	c.follow(steps)
	return nil
}

// follow walks the trail. No clock picks between two commitments to one next
// key: that is duplicity. The trail goes on as far as the next key is proven all
// the same, and ends where two are.
//
// At a step that was reached without the old key's signature cards pin
// nothing: whoever has the key there signs them, and it may be a thief who came
// late. What a person hands over does.
func (c *Contact) follow(steps []pointer.Succession) {
	at := Step{Pointer: c.ID}
	for {
		var pins []pointer.Commitment
		pin := func(next pointer.Commitment) {
			if !next.IsZero() && !slices.Contains(pins, next) {
				pins = append(pins, next)
			}
		}
		pin(at.Next)
		for _, f := range c.Provenance {
			if f.Pointer == at.Pointer && !(at.Unsigned && f.Kind == factCard) {
				pin(f.Next)
			}
		}
		if at.Next = (pointer.Commitment{}); len(pins) > 0 {
			at.Next = pins[0]
		}
		if len(pins) > 1 && c.Contradiction == nil {
			c.Contradiction = &DuplicityError{at.Pointer, pins[0], pins[1]}
		}
		if c.Trail = append(c.Trail, at); len(c.Trail) > maxTrail {
			break
		}
		on, ok := c.onwards(at.Pointer, pins, steps)
		if !ok || slices.ContainsFunc(c.Trail, func(s Step) bool { return s.Pointer == on.Pointer }) {
			break
		}
		at = on
	}
	c.Pointer, c.Next, c.Duplicity = at.Pointer, at.Next, c.Contradiction != nil
	if c.Duplicity {
		c.Next = pointer.Commitment{}
	}
}

// onwards is the step after a pointer: where the steps lead that open what
// was pinned for it. A step that the old key signed goes before one that it
// didn't; two that it signed, with different commitments, are duplicity, and
// prove neither.
func (c *Contact) onwards(from pointer.Pointer, pins []pointer.Commitment, steps []pointer.Succession) (on Step, ok bool) {
	var next []pointer.Commitment // as signed by the old key
	for _, s := range steps {
		if s.Old != from || !slices.ContainsFunc(pins, func(pin pointer.Commitment) bool { return pin.Opens(s.New) }) {
			continue
		}
		led, err := pointer.FromPublicKey(s.New)
		if err != nil || ok && led != on.Pointer {
			return Step{}, false // two pins, and two keys that open them
		}
		on.Pointer, ok = led, true
		if s.OldSignature != nil && !slices.Contains(next, s.Next) {
			next = append(next, s.Next)
		}
	}
	switch {
	case len(next) == 1:
		on.Next = next[0]
	case len(next) == 0:
		on.Unsigned = true
	case c.Contradiction == nil:
		c.Contradiction = &DuplicityError{on.Pointer, next[0], next[1]}
	}
	return on, ok
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
	for _, s := range c.Trail {
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
func (s contactState) now(id []byte) []byte {
	if len(s.Trail) == 0 {
		return id
	}
	return s.Trail[len(s.Trail)-1]
}

// retrail finds out anew where a contact is, after what is known of it has
// changed.
func (f fold) retrail(v *ledger.View, contact []byte) error {
	state, err := getState[contactState](v, tableContacts, contact)
	if err != nil || !state.Chained {
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
	before := state.Trail
	was := state.now(contact)
	state.Trail = nil
	for _, s := range c.Trail[1:] {
		state.Trail = append(state.Trail, s.Pointer.Bytes())
	}
	if slices.EqualFunc(before, state.Trail, bytes.Equal) {
		return nil
	}
	for _, p := range before {
		if err := v.Delete(tableHeirs, heirKey(p, contact)); err != nil {
			return err
		}
	}
	for _, p := range state.Trail {
		if err := v.Put(tableHeirs, heirKey(p, contact), []byte{}); err != nil {
			return err
		}
	}
	if err := putState(v, tableContacts, contact, state); err != nil {
		return err
	}
	if err := f.reindex(v, contact, nil, state); err != nil {
		return err
	}
	for _, p := range [][]byte{was, state.now(contact)} {
		if err := f.regroup(v, p, id); err != nil {
			return err
		}
	}
	return nil
}
