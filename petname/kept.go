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

// keeping is what an act says of a contact's records: 0 nothing.
type keeping uint8

const (
	keepOn  keeping = 1
	keepOff keeping = 2
)

func (k keeping) other() keeping { return keepOn + keepOff - k }

// keepClaim is one device's word on whether a contact is kept. Where devices
// disagree it isn't: to keep somebody's records shows that I know them.
type keepClaim struct {
	_      struct{} `cbor:",toarray"`
	Device []byte
	Number uint64
	Keep   keeping
}

// isOfKeep tells the undoing of a keep from that of a removal, which ended one.
func (a act) undoesKeep() bool {
	return a.Keep != 0 && a.Name == "" && a.Previous == nil && a.Label == "" && a.Edges == nil && a.Private == nil
}

// replaceKeep drops the claims that entry e knew of, and adds its own.
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

// keeps reports whether all claims say that it is kept.
func (s contactState) keeps() bool {
	return len(s.Keeps) > 0 && !slices.ContainsFunc(s.Keeps, func(c keepClaim) bool { return c.Keep != keepOn })
}

// kept: it is to be kept, and nobody took its name away.
func (s contactState) kept() bool {
	return s.keeps() && len(s.Claims) > 0 && !slices.ContainsFunc(s.Claims, func(c claim) bool { return c.Name == "" })
}

// setKeep replaces whether a contact is kept, if anything is said of it.
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

// indexKept keeps the table of those that are kept true: a book of a million
// names must not be read for a few.
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

// Keep marks the contact with that pointer, so that a node puts its records
// again before the network forgets them, or takes that back. It shows those who
// store them that somebody here knows the contact. It ends when the contact is
// removed. [ErrNotFound] for a pointer without a name.
func (b *Book) Keep(p pointer.Pointer, on bool) (Contact, error) {
	return b.change(p, func(v *ledger.View, c Contact) (act, error) {
		switch {
		case on == c.Kept:
			return act{}, nil
		case on && c.Conflict != nil && c.Conflict.Removed:
			return act{}, &ConflictError{Contacts: []Contact{c}}
		case on:
			return act{Op: opKeep, Contact: c.ID.Bytes(), Keep: keepOn}, nil
		}
		return act{Op: opKeep, Contact: c.ID.Bytes(), Keep: keepOff}, nil
	})
}

// KeepAll does the same for many, in one durable transaction.
func (b *Book) KeepAll(ps []pointer.Pointer, on bool) error {
	return b.update(func(tx *ledger.Tx) error {
		for _, p := range ps {
			c, err := readNamed(tx.View(), p)
			if err != nil {
				return err
			}
			if on == c.Kept || on && c.Conflict != nil && c.Conflict.Removed {
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

// Kept yields the contacts that are kept, in the order of their ids.
func (b *Book) Kept() iter.Seq2[Contact, error] {
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

// endKeep is what the naming of a contact that has no name says: nothing, or
// that it isn't kept, where a device kept it and another undid its adding. To
// name somebody is not to keep them.
func keepAfterNaming(v *ledger.View, id pointer.Pointer) (keeping, error) {
	state, err := getState[contactState](v, tableContacts, id.Bytes())
	if slices.ContainsFunc(state.Keeps, func(c keepClaim) bool { return c.Keep == keepOn }) {
		return keepOff, err
	}
	return 0, err
}

// keepStands refuses when whether a contact is kept is no longer what the act
// made it.
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
	c, err := readNamedByID(v, contact) // else it can't be kept again
	if err == nil && c.Conflict != nil && c.Conflict.Removed {
		err = &ConflictError{Contacts: []Contact{c}}
	}
	return err
}

// keepOnlyBy reports whether nobody but that device has a word in whether a
// contact is kept, such as the removal that ended it.
func keptOnlyBy(v *ledger.View, device ledger.DeviceID, contact []byte) (bool, error) {
	state, err := getState[contactState](v, tableContacts, contact)
	return !slices.ContainsFunc(state.Keeps, func(c keepClaim) bool { return !bytes.Equal(c.Device, device[:]) }), err
}
