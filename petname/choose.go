package petname

import (
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// ErrNoConflict is returned by [Book.Choose] for a name and a contact that are in no
// conflict.
var ErrNoConflict = errors.New("is in no conflict")

// Choose settles a conflict of concurrent edits: the contact with pointer p, or with the id p,
// has the name n from then on, alone, and is its only name. It removes the names of the other
// contacts that have n, and of the others at that pointer, and returns these contacts.
// All of it is one transaction. The error is [ErrNotFound] if p is no contact, or
// ErrNoConflict if neither the contact nor the name is in conflict, or if n is none of the
// names that the conflict is about.
func (b *Book) Choose(n name.Name, p pointer.Pointer) (chosen Contact, others []Contact, err error) {
	err = b.Update(func(book *Book, _ *ledger.View) error {
		kept, rivals, err := book.conflictOf(n, p)
		if err != nil {
			return err
		}
		for _, c := range rivals {
			if c, err = book.Remove(c.ID); err != nil {
				return err
			}
			others = append(others, c)
		}
		if chosen, err = book.Rename(kept, n, Source{Lookalike: true}); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return Contact{}, nil, err
	}
	return chosen, others, nil
}

// conflictOf returns the id of the contact that is to have a name, and the contacts that lose
// theirs.
func (b *Book) conflictOf(n name.Name, p pointer.Pointer) (kept pointer.Pointer, rivals []Contact, err error) {
	c, err := b.ByID(p)
	if errors.Is(err, ErrNotFound) {
		c, err = b.ByPointer(p)
	}
	at := &ConflictError{}
	switch {
	case errors.As(err, &at) && !at.Pointer.IsZero(): // several contacts are at p
		for _, one := range at.Contacts {
			if one.hasName(n) && kept.IsZero() {
				kept = one.ID
			} else {
				rivals = append(rivals, one)
			}
		}
		if kept.IsZero() {
			return pointer.Pointer{}, nil, fmt.Errorf("name %q at %s: %w", n, p, ErrNoConflict)
		}
	case err != nil:
		return pointer.Pointer{}, nil, err
	default:
		kept = c.ID
	}
	err = b.read(func(v *ledger.View) error {
		same, err := claimants(v, n.Key(), maxRivals)
		if err != nil {
			return err
		}
		has := false
		for _, cl := range same {
			if cl.id == kept {
				has = true
				continue
			}
			other, _, err := readContact(v, cl.id)
			if err != nil {
				return err
			}
			rivals = append(rivals, other)
		}
		if !has || len(rivals) == 0 && c.Conflict == nil {
			return fmt.Errorf("name %q of %s: %w", n, p, ErrNoConflict)
		}
		return nil
	})
	return kept, rivals, err
}

// hasName reports whether a name is the contact's, or one of those that it is in conflict
// over.
func (c Contact) hasName(n name.Name) bool {
	if c.Name.Key() == n.Key() && !c.Name.IsZero() {
		return true
	}
	if c.Conflict == nil {
		return false
	}
	for _, other := range c.Conflict.Names {
		if other.Key() == n.Key() {
			return true
		}
	}
	return false
}
