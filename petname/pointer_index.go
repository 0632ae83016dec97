package petname

import (
	"bytes"
	"iter"
	"slices"

	"github.com/petnames-go/petnames/ledger"
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

// contactIDOf returns the id of the contact that has or had a pointer: a named
// contact before others, and the one with that id before others. It returns p
// if there is none.
func contactIDOf(v *ledger.View, p pointer.Pointer) (pointer.Pointer, error) {
	for id, err := range namedContactsByPointer(v, p) {
		return id, err
	}
	for id, err := range contactsByLaterPointer(v, p) {
		return id, err
	}
	return p, nil
}

// namedContactsAt returns the named contacts with a current pointer, up to
// limit. Several are in conflict.
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
