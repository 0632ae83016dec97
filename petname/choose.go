package petname

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// ErrNoConflict is returned by [Book.Choose] for a name and a contact that are in no
// conflict.
var ErrNoConflict = errors.New("is in no conflict")

// Choice is a name and the id of a contact, for [Book.Choose].
type Choice struct {
	Name    name.Name
	Contact pointer.Pointer
}

// maxChoices bounds the contacts of which Choices returns the choices.
const maxChoices = 4

// Choices returns choices of which each settles the conflict, for the first contacts of it. It
// returns none for a conflict over a pointer that only a removal settles.
func (e *ConflictError) Choices() (all []Choice) {
	if !e.Pointer.IsZero() {
		return nil
	}
	for _, c := range e.Contacts[:min(len(e.Contacts), maxChoices)] {
		names := []name.Name{e.Name}
		if e.Name.IsZero() && c.Conflict != nil {
			names = c.Conflict.Names
		}
		for _, n := range names {
			all = append(all, Choice{n, c.ID})
		}
	}
	return all
}

// localSteps is the device-local table of the acts of this device that one undo reverts: the
// number of the last entry → that of the first one, each 8 bytes, big endian.
const localSteps = "steps"

// Choose settles a conflict of concurrent edits: the contact with the id p, or at the pointer p,
// has the name n from then on, alone, and is its only name. It removes the names of the other
// contacts that have n, and of the others at the pointer of the contact, however many, and
// returns these contacts. All of it is one transaction, and one step of [Book.Undo]. The error is
// [ErrNotFound] if p is no contact, or ErrNoConflict if neither the contact nor the name
// is in conflict, or if n is none of the names that the conflict is about.
func (b *Book) Choose(n name.Name, p pointer.Pointer) (chosen Contact, others []Contact, err error) {
	err = b.Update(func(book *Book, local *ledger.View) error {
		kept, rivals, err := conflictOf(book.tx.View(), n, p)
		if err != nil {
			return err
		}
		made := book.tx.Appended()
		for _, id := range rivals {
			c, err := book.Remove(id)
			if err != nil {
				return err
			}
			others = append(others, c)
		}
		// The name is stated also if the contact has it already: against a concurrent removal, by
		// another choice, it is a conflict, and otherwise both contacts would have lost theirs.
		chosen, err = book.change(kept, func(v *ledger.View, c Contact) (act, error) {
			was, _, err := previousState(v, c)
			return act{Op: opName, Contact: c.ID.Bytes(), Name: n.String(), Previous: was, Lookalike: true}, err
		})
		if err != nil {
			return err
		}
		if made = book.tx.Appended() - made; made < 2 {
			return nil
		}
		return book.putStep(local, made)
	})
	if err != nil {
		return Contact{}, nil, err
	}
	return chosen, others, nil
}

// conflictOf returns the id of the contact that is to have a name, and those of the contacts that
// lose theirs. Of several contacts that have the name at the pointer, it is the first one.
func conflictOf(v *ledger.View, n name.Name, p pointer.Pointer) (kept pointer.Pointer, rivals []pointer.Pointer, err error) {
	fail := func(err error) (pointer.Pointer, []pointer.Pointer, error) { return pointer.Pointer{}, nil, err }
	claim, err := claimants(v, n.Key(), 0)
	if err != nil {
		return fail(err)
	}
	means, err := contactIDOf(v, p)
	if err != nil {
		return fail(err)
	}
	for _, cl := range claim {
		state, err := getState[contactState](v, tableContacts, cl.id.Bytes())
		if err != nil {
			return fail(err)
		}
		switch at := bytes.Equal(state.current(cl.id.Bytes()), p.Bytes()); {
		case cl.id == p, kept.IsZero() && (at || cl.id == means):
			kept = cl.id
		}
		rivals = append(rivals, cl.id)
	}
	if kept.IsZero() {
		_, found, err := readContact(v, means)
		if err == nil && !found {
			err = ErrNotFound
		}
		return fail(fmt.Errorf("name %q at %s: %w", n, p, firstError(err, ErrNoConflict)))
	}
	c, _, err := readContact(v, kept)
	if err != nil {
		return fail(err)
	}
	sharing, err := namedContactsAt(v, c.Pointer, 0)
	if err != nil {
		return fail(err)
	}
	for _, id := range sharing {
		if !slices.Contains(rivals, id) {
			rivals = append(rivals, id)
		}
	}
	rivals = slices.DeleteFunc(rivals, func(id pointer.Pointer) bool { return id == kept })
	if len(rivals) == 0 && c.Conflict == nil {
		return fail(fmt.Errorf("name %q of %s: %w", n, p, ErrNoConflict))
	}
	return kept, rivals, nil
}

// putStep makes the last acts of this device, of a number, one step of [Book.Undo].
func (b *Book) putStep(local *ledger.View, acts int) error {
	last, err := b.newestUndoable(b.tx.View())
	if err != nil {
		return err
	}
	return local.Put(localSteps, binary.BigEndian.AppendUint64(nil, last.Number), binary.BigEndian.AppendUint64(nil, last.Number-uint64(acts)+1))
}

// firstOfStep returns the number of the first entry of the step of the owner that an entry is the
// last one of; 0: no step of several acts is recorded.
func (b *Book) firstOfStep(last uint64) (first uint64, err error) {
	err = b.ledger.ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(localSteps, binary.BigEndian.AppendUint64(nil, last))
		if err == nil && row != nil {
			if len(row) != 8 {
				return errRow
			}
			first = binary.BigEndian.Uint64(row)
		}
		return err
	})
	return first, err
}
