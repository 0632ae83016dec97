package petname

import (
	"bytes"
	"iter"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// The table of heirs has a row for each pointer that a contact moved to,
//
//	pointer ‖ contact id → nothing
//
// so that a contact is found by any pointer that it has or had.
func successorKey(p, contact []byte) []byte { return append(slices.Clone(p), contact...) }

// heirs yields the contacts that have, or had, a pointer by succession.
func contactsByLaterPointer(v *ledger.View, p pointer.Pointer) iter.Seq2[pointer.Pointer, error] {
	return func(yield func(pointer.Pointer, error) bool) {
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

// holders yields the contacts with a name that have or had a pointer, the one
// whose first it was before the others.
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

// owner is the id of the contact that has or had a pointer: one that is named
// rather than one that isn't, and then the one whose first it was. It is p
// itself when there is none.
func contactIDOf(v *ledger.View, p pointer.Pointer) (pointer.Pointer, error) {
	for id, err := range namedContactsByPointer(v, p) {
		return id, err
	}
	for id, err := range contactsByLaterPointer(v, p) {
		return id, err
	}
	return p, nil
}

// sharers are the contacts with a name that are at a pointer now, the first so
// many. Several are somebody who has two names: a conflict.
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

// regroup brings the index up to date on whether those who are at a pointer are
// several, after a contact has come, gone, or changed its names. All the others
// of three or more are marked so already: no change touches more rows than that.
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
			continue // the contact, which has gone
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
