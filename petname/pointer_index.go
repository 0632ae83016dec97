package petname

import (
	"bytes"
	"iter"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// The table of successors has a row for each pointer that a contact advanced
// to,
//
//	pointer ‖ contact id → empty
//
// so that a contact is found by each pointer that it has or had.
func successorKey(p, contact []byte) []byte { return append(slices.Clone(p), contact...) }

// contactsByLaterPointer yields the contacts that have or had a pointer by
// succession. The zero pointer has none: its bytes are the prefix of every row.
func contactsByLaterPointer(v *ledger.View, p pointer.Pointer) iter.Seq2[pointer.Pointer, error] {
	return func(yield func(pointer.Pointer, error) bool) {
		if p.IsZero() {
			return
		}
		if n, err := v.Count(tableSuccessors); n == 0 || err != nil {
			if err != nil {
				yield(pointer.Pointer{}, err)
			}
			return
		}
		prefix := p.Bytes()
		for kv, err := range v.Scan(tableSuccessors, prefix) {
			var id pointer.Pointer
			if err == nil {
				id, err = pointer.Restore(kv.Key[len(prefix):])
			}
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
}

// namedContactsByPointer yields the named contacts that have or had a pointer.
// The one with that id is first.
func namedContactsByPointer(v *ledger.View, p pointer.Pointer) iter.Seq2[pointer.Pointer, error] {
	return func(yield func(pointer.Pointer, error) bool) {
		named := func(id pointer.Pointer) bool {
			state, err := getState[contactState](v, tableContacts, id.Bytes())
			return err == nil && len(state.names()) == 0 || yield(id, err) && err == nil
		}
		if !named(p) {
			return
		}
		for id, err := range contactsByLaterPointer(v, p) {
			if err != nil {
				yield(id, err)
				return
			}
			if !named(id) {
				return
			}
		}
	}
}

// contactIDOf returns the id of the contact that a pointer means.
//
// Several trails can pass through one pointer: the holder of any key can commit to a
// key of another party, whose public half is known, and with that key, stolen perhaps
// after its retirement, sign a step to it and a step from it. So a trail that reaches
// a pointer proves that the key of that pointer agreed once, and not that the contact
// is the one that another source means by the pointer. A pointer means, in this order:
//
//   - the named contact with that id, which is its first pointer;
//   - the named contact that is at the pointer by its trail, or else one that was:
//     the owner believes the trail of a contact with a name;
//   - the pointer itself, which is the id of a contact without a name, or of none.
//
// A contact without a name is therefore found by its id alone. Three uses differ:
//
//   - a link or an edge means no contact that left its pointer, or whose pin its commitment
//     contradicts: [contactOfLink];
//   - an addition under the name that a removed contact had continues that contact:
//     [removedContactAt];
//   - a statement that was received of a contact stays its own after the removal:
//     [signerIDOf].
func contactIDOf(v *ledger.View, p pointer.Pointer) (pointer.Pointer, error) {
	var left pointer.Pointer
	for id, err := range namedContactsByPointer(v, p) {
		if err != nil || id == p {
			return id, err
		}
		state, err := getState[contactState](v, tableContacts, id.Bytes())
		if err != nil || bytes.Equal(state.current(id.Bytes()), p.Bytes()) {
			return id, err
		}
		if left.IsZero() {
			left = id
		}
	}
	if !left.IsZero() {
		return left, nil
	}
	return p, nil
}

// contactOfLink returns the id of the contact that a link or an edge means. A named
// contact that came to the pointer later is meant if the commitment of the link agrees
// with the contact's pin there or, without a commitment, if it is still at the pointer;
// otherwise the id is the pointer, and apart is set: what is received of the pointer is not
// about that contact.
func contactOfLink(v *ledger.View, l pointer.Link) (id pointer.Pointer, apart bool, err error) {
	if id, err = contactIDOf(v, l.Pointer); err != nil || id == l.Pointer {
		return id, false, err
	}
	c, _, err := readContact(v, id)
	if err != nil {
		return id, false, err
	}
	if have := c.step(l.Pointer).Next; l.Next.IsZero() {
		apart = c.Pointer != l.Pointer
	} else {
		apart = !have.IsZero() && have != l.Next
	}
	if apart {
		id = l.Pointer
	}
	return id, apart, nil
}

// Means reports whether a link means the contact, as far as is proven: by its first pointer,
// its current one, or one that it left by a step that the key of that pointer signed, with
// the commitment of the link, if it has one. Another party's trail can pass through a pointer:
// see [Book.ByPointer].
func (c Contact) Means(l pointer.Link) bool {
	for i, s := range c.Chain {
		switch {
		case s.Pointer != l.Pointer:
		case i == 0, i == len(c.Chain)-1:
			return true
		default:
			return !c.Chain[i+1].Unsigned && (l.Next.IsZero() || l.Next == s.Next)
		}
	}
	return false
}

// removedContactAt returns the id of the removed contact that an addition continues, with
// its pins: the only one without a name that is at the pointer by its trail, and that had
// the name when the owner removed it. The commitment of the link, if it has one, agrees
// with the contact's. It returns the pointer if there is none, or if the book has a
// contact with that id.
func removedContactAt(v *ledger.View, n name.Name, l pointer.Link) (pointer.Pointer, error) {
	p := l.Pointer
	if _, found, err := readContact(v, p); err != nil || found {
		return p, err
	}
	removed := p
	for id, err := range contactsByLaterPointer(v, p) {
		if err != nil {
			return p, err
		}
		had, err := v.Get(tableFormerNames, formerNameKey(id.Bytes(), n.Key()))
		if err != nil {
			return p, err
		}
		if had == nil {
			continue
		}
		c, _, err := readContact(v, id)
		if err != nil {
			return p, err
		}
		if c.Pointer != p || c.Removed.IsZero() || !l.Next.IsZero() && !c.Next.IsZero() && c.Next != l.Next {
			continue
		}
		if removed != p {
			return p, nil // two of them
		}
		removed = id
	}
	return removed, nil
}

// confirmedWhenRemoved reports whether the commitment of a link was confirmed at its pointer
// for a contact without a name that came there by steps which the old keys signed. An addition by
// the link confirms it again: it is a contact of its own, because the trail may be another
// party's, and the commitment is about the same pointer in both.
func confirmedWhenRemoved(v *ledger.View, l pointer.Link) (bool, error) {
	if l.Next.IsZero() {
		return false, nil
	}
	for id, err := range contactsByLaterPointer(v, l.Pointer) {
		if err != nil {
			return false, err
		}
		c, _, err := readContact(v, id)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(c.Chain, func(s Step) bool { return s.Pointer == l.Pointer || s.Unsigned })
		if s := c.Chain[max(i, 0)]; !s.Unsigned && s.Pin == Confirmed && s.Next == l.Next {
			return true, nil
		}
	}
	return false, nil
}

// signerIDOf returns the id of the contact whose statements a pointer signed: that of
// contactIDOf or, if the book has no such contact, the first without a name whose trail
// has the pointer.
func signerIDOf(v *ledger.View, p pointer.Pointer) (pointer.Pointer, error) {
	id, err := contactIDOf(v, p)
	if err != nil || id != p {
		return id, err
	}
	if _, found, err := readContact(v, p); err != nil || found {
		return p, err
	}
	for id, err := range contactsByLaterPointer(v, p) {
		return id, err
	}
	return p, nil
}

// formerNameKey returns the key of a row of the names that contacts had when they were
// removed.
func formerNameKey(contact []byte, key string) []byte { return append(slices.Clone(contact), key...) }

// namedContactsAt returns the named contacts with a current pointer, up to
// limit; 0: all. Several are in conflict.
func namedContactsAt(v *ledger.View, p pointer.Pointer, limit int) ([]pointer.Pointer, error) {
	var found []pointer.Pointer
	for id, err := range namedContactsByPointer(v, p) {
		if err != nil {
			return nil, err
		}
		state, err := getState[contactState](v, tableContacts, id.Bytes())
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(state.current(id.Bytes()), p.Bytes()) {
			continue
		}
		if found = append(found, id); len(found) == limit {
			break
		}
	}
	return found, nil
}

// updateShared updates the name index after the contact came to a pointer, left
// it, or changed its names: the rows record whether several named contacts
// share the pointer. If three or more do, the rows of the others are up to
// date, so the number of changed rows is bounded.
func (f fold) updateShared(v *ledger.View, p []byte, contact pointer.Pointer) error {
	at, err := pointer.Restore(p)
	if err != nil {
		return err
	}
	sharing, err := namedContactsAt(v, at, 3)
	if err != nil {
		return err
	}
	shared := len(sharing) > 1
	if len(sharing) == 3 && !slices.Contains(sharing, contact) {
		sharing = append(sharing, contact)
	}
	for _, id := range sharing {
		state, err := getState[contactState](v, tableContacts, id.Bytes())
		if err != nil {
			return err
		}
		if !bytes.Equal(state.current(id.Bytes()), p) {
			continue // the contact has left
		}
		keys := state.keys()
		for _, key := range keys {
			if key == "" {
				continue
			}
			c := claimant{id, len(keys) > 1 || shared, len(state.Chain) > 0}
			if err := addClaimant(v, key, c); err != nil {
				return err
			}
		}
	}
	return nil
}
