package petname

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// keeping is the value of an act for the republication of a contact's records;
// 0: none.
type keeping uint8

const (
	keepOn  keeping = 1
	keepOff keeping = 2
)

func (k keeping) other() keeping { return keepOn + keepOff - k }

// keepClaim is the value of keep according to one entry. If devices disagree
// the contact is not kept, because republication reveals that the owner knows
// the contact.
type keepClaim struct {
	_      struct{} `cbor:",toarray"`
	Device []byte
	Number uint64
	Keep   keeping
}

// undoesKeep reports whether an undo is of a keep. The undo of a removal that
// ended a keep has other fields too.
func (a act) undoesKeep() bool {
	return a.Keep != 0 && a.Name == "" && a.Previous == nil && a.Label == "" && a.Edges == nil && a.Private == nil
}

// replaceKeep removes the claims that entry e saw, and adds its own.
func (s *contactState) replaceKeep(e ledger.Entry, k keeping) {
	id := e.ID()
	s.Keeps = slices.DeleteFunc(s.Keeps, func(c keepClaim) bool {
		return e.Saw(entryID(c.Device, c.Number)) || entryID(c.Device, c.Number) == id
	})
	s.Keeps = append(s.Keeps, keepClaim{Device: id.Device[:], Number: id.Number, Keep: k})
	slices.SortFunc(s.Keeps, func(a, b keepClaim) int {
		return cmp.Or(bytes.Compare(a.Device, b.Device), cmp.Compare(a.Number, b.Number))
	})
}

// keeps reports whether all claims are to keep the contact.
func (s contactState) keeps() bool {
	return len(s.Keeps) > 0 && !slices.ContainsFunc(s.Keeps, func(c keepClaim) bool { return c.Keep != keepOn })
}

// kept reports whether the contact is kept: all claims are to keep it, and none
// removes its name.
func (s contactState) kept() bool {
	return s.keeps() && len(s.Claims) > 0 && !slices.ContainsFunc(s.Claims, func(c claim) bool { return c.Name == "" })
}

// setKeep replaces the claim of keep, unless k is 0.
func (f fold) setKeep(v *ledger.View, e ledger.Entry, contact []byte, k keeping) error {
	if k == 0 {
		return nil
	}
	state, err := getState[contactState](v, tableContacts, contact)
	if err != nil {
		return err
	}
	state.replaceKeep(e, k)
	if err := putState(v, tableContacts, contact, state); err != nil {
		return err
	}
	return indexKept(v, contact, state)
}

// indexKept updates the table of kept contacts, which exists so that listing a
// few does not read a whole book.
func indexKept(v *ledger.View, contact []byte, state contactState) error {
	listed, err := v.Get(tableKept, contact)
	if err != nil || (listed != nil) == state.kept() {
		return err
	}
	if state.kept() {
		return v.Put(tableKept, contact, []byte{})
	}
	return v.Delete(tableKept, contact)
}

// SetRepublished marks the contacts with pointers ps as kept, or with on false
// removes the marks, in one durable transaction. A running node republishes the
// records of kept contacts before they expire from the DHT. Republication reveals
// to the nodes that store the records that a user of this node knows the contact.
// Removal of a contact removes its mark.
//
// It skips contacts that are in conflict over their removal. The error is
// [ErrNotFound] for a pointer without a name, and no contact is changed then.
func (b *Book) SetRepublished(ps []pointer.Pointer, on bool) error {
	return b.update(func(tx *ledger.Tx) error {
		for _, p := range ps {
			c, err := readNamed(tx.View(), p)
			if err != nil {
				return err
			}
			if on == c.Republished || on && c.Conflict != nil && c.Conflict.Removed {
				continue
			}
			a := act{Op: opKeep, Contact: c.ID.Bytes(), Keep: keepOff}
			if on {
				a.Keep = keepOn
			}
			if err := appendAct(tx, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// Republished yields the kept contacts, ordered by id.
func (b *Book) Republished() iter.Seq2[Contact, error] {
	return func(yield func(Contact, error) bool) {
		var after []byte
		for {
			contacts, next, err := b.keptAfter(after)
			if err != nil {
				yield(Contact{}, err)
				return
			}
			for _, c := range contacts {
				if !yield(c, nil) {
					return
				}
			}
			if after = next; after == nil {
				return
			}
		}
	}
}

func (b *Book) keptAfter(from []byte) (contacts []Contact, next []byte, err error) {
	err = b.read(func(v *ledger.View) error {
		for kv, err := range v.ScanFrom(tableKept, nil, from) {
			if err != nil {
				return err
			}
			if len(contacts) == chunk {
				next = bytes.Clone(kv.Key)
				return nil
			}
			id, err := pointer.Restore(kv.Key)
			if err != nil {
				return err
			}
			c, _, err := readContact(v, id)
			if err != nil {
				return err
			}
			contacts = append(contacts, c)
		}
		return nil
	})
	return contacts, next, err
}

// keepAfterNaming returns the value of keep for an act that names a contact
// without a name: keepOff if a keep claim is left from an addition that another
// device undid, otherwise 0. Naming a contact does not keep it.
func keepAfterNaming(v *ledger.View, id pointer.Pointer) (keeping, error) {
	state, err := getState[contactState](v, tableContacts, id.Bytes())
	if slices.ContainsFunc(state.Keeps, func(c keepClaim) bool { return c.Keep == keepOn }) {
		return keepOff, err
	}
	return 0, err
}

// checkKeepUnchanged returns an error if the value of keep is no longer the one
// of the act.
func checkKeepUnchanged(v *ledger.View, a act) error {
	state, err := getState[contactState](v, tableContacts, a.Contact)
	if err != nil {
		return err
	}
	contact, err := pointer.FromBytes(a.Contact)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(state.Keeps, func(c keepClaim) bool { return c.Keep != a.Keep }) {
		return fmt.Errorf("%s: %w", contact, ErrChanged)
	}
	if a.Keep == keepOn {
		return nil
	}
	c, err := readNamedByID(v, contact) // only a named contact can be kept again
	if err == nil && c.Conflict != nil && c.Conflict.Removed {
		err = &ConflictError{Contacts: []Contact{c}}
	}
	return err
}

// keptOnlyBy reports whether no other device has a claim of keep for a contact.
func keptOnlyBy(v *ledger.View, device ledger.DeviceID, contact []byte) (bool, error) {
	state, err := getState[contactState](v, tableContacts, contact)
	return !slices.ContainsFunc(state.Keeps, func(c keepClaim) bool { return !bytes.Equal(c.Device, device[:]) }), err
}
