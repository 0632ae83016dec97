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

// station is a pointer on a trail, and the commitment to the key after it.
type station struct {
	pointer pointer.Pointer
	next    pointer.Commitment // zero: none is known
}

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
// key, nor between two steps that both open it: that is duplicity, and the
// trail ends there.
func (c *Contact) follow(steps []pointer.Succession) {
	at := station{pointer: c.ID}
	for {
		for _, f := range c.Provenance {
			switch {
			case f.Pointer != at.pointer || f.Next.IsZero() || f.Next == at.next:
			case at.next.IsZero():
				at.next = f.Next
			case c.duplicity == nil:
				c.duplicity = &DuplicityError{at.pointer, at.next, f.Next}
			}
		}
		c.trail = append(c.trail, at)
		if c.duplicity != nil || len(c.trail) > maxTrail {
			break
		}
		var on *pointer.Succession
		for i, s := range steps {
			switch {
			case s.Old != at.pointer || !at.next.Opens(s.New):
			case on == nil:
				on = &steps[i]
			case s.Next != on.Next && c.duplicity == nil:
				c.duplicity = &DuplicityError{at.pointer, on.Next, s.Next}
			}
		}
		if on == nil || c.duplicity != nil {
			break
		}
		led, err := pointer.FromPublicKey(on.New)
		if err != nil || slices.ContainsFunc(c.trail, func(s station) bool { return s.pointer == led }) {
			break
		}
		at = station{led, on.Next}
	}
	c.Pointer, c.Next, c.Duplicity = at.pointer, at.next, c.duplicity != nil
	if c.Duplicity {
		c.Next = pointer.Commitment{}
	}
}

// Pinned compares a commitment of one of the contact's pointers with the one on
// record: an error when they, or those on record, differ.
func (c Contact) Pinned(p pointer.Pointer, next pointer.Commitment) error {
	if c.duplicity != nil {
		return c.duplicity
	}
	have := c.commitment(p)
	if !next.IsZero() && !have.IsZero() && next != have {
		return &DuplicityError{p, have, next}
	}
	return nil
}

// commitment is the one on record for a pointer of the contact's.
func (c Contact) commitment(p pointer.Pointer) pointer.Commitment {
	for _, s := range c.trail {
		if s.pointer == p {
			return s.next
		}
	}
	return pointer.Commitment{}
}

func (f wireFact) next() (pointer.Commitment, error) {
	if f.Next == nil {
		return pointer.Commitment{}, nil
	}
	return pointer.CommitmentFromBytes(f.Next)
}

// The table of heirs has a row for each pointer that a contact moved to,
//
//	pointer ‖ contact id → nothing
//
// so that a contact is found by any pointer that it has or had.
func heirKey(p, contact []byte) []byte { return append(slices.Clone(p), contact...) }

// heirs are the contacts that have, or had, a pointer by succession.
func heirs(v *ledger.View, p pointer.Pointer) ([]pointer.Pointer, error) {
	if n, err := v.Count(tableHeirs); n == 0 || err != nil {
		return nil, err
	}
	var ids []pointer.Pointer
	prefix := p.Bytes()
	for kv, err := range v.Scan(tableHeirs, prefix) {
		if err != nil {
			return nil, err
		}
		id, err := pointer.Restore(kv.Key[len(prefix):])
		if err != nil {
			return nil, err
		}
		if ids = append(ids, id); len(ids) == maxRivals {
			break
		}
	}
	return ids, nil
}

// owner is the id of the contact that has or had a pointer: one that is named
// rather than one that isn't, and then the one whose first it was. It is p
// itself when there is none.
func owner(v *ledger.View, p pointer.Pointer) (pointer.Pointer, error) {
	ids, err := heirs(v, p)
	if err != nil || len(ids) == 0 {
		return p, err
	}
	for _, id := range append([]pointer.Pointer{p}, ids...) {
		state, err := getState[contactState](v, tableContacts, id.Bytes())
		if err != nil || len(state.names()) > 0 {
			return id, err
		}
	}
	return ids[0], nil
}

// sharers are the contacts with a name that are at a pointer now. Several are
// somebody who has two names: a conflict.
func sharers(v *ledger.View, p pointer.Pointer) ([]pointer.Pointer, error) {
	ids, err := heirs(v, p)
	if err != nil {
		return nil, err
	}
	var there []pointer.Pointer
	for _, id := range append([]pointer.Pointer{p}, ids...) {
		state, err := getState[contactState](v, tableContacts, id.Bytes())
		if err != nil {
			return nil, err
		}
		if len(state.names()) > 0 && bytes.Equal(state.now(id.Bytes()), p.Bytes()) {
			there = append(there, id)
		}
	}
	return there, nil
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
	for _, s := range c.trail[1:] {
		state.Trail = append(state.Trail, s.pointer.Bytes())
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
		if err := f.regroup(v, p); err != nil {
			return err
		}
	}
	return nil
}

// regroup brings the index up to date on whether those who are at a pointer
// are several.
func (f fold) regroup(v *ledger.View, p []byte) error {
	at, err := pointer.Restore(p)
	if err != nil {
		return err
	}
	there, err := sharers(v, at)
	if err != nil {
		return err
	}
	for _, id := range there {
		state, err := getState[contactState](v, tableContacts, id.Bytes())
		if err != nil {
			return err
		}
		keys := state.keys()
		for _, key := range keys {
			if key == "" {
				continue
			}
			c := claimant{id, len(keys) > 1 || len(there) > 1, len(state.Trail) > 0}
			if err := claimed(v, key, c); err != nil {
				return err
			}
		}
	}
	return nil
}
