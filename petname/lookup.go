package petname

import (
	"fmt"
	"github.com/petnames-go/petnames/petname/name"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// read reads the contact that has or had a pointer.
func readByPointer(v *ledger.View, p pointer.Pointer) (Contact, error) {
	id, err := contactIDOf(v, p)
	if err != nil {
		return Contact{}, err
	}
	c, _, err := readContact(v, id)
	return c, err
}

// named reads a contact that has a name, or is in conflict over one.
func readNamed(v *ledger.View, p pointer.Pointer) (Contact, error) {
	id, err := contactIDOf(v, p)
	if err != nil {
		return Contact{}, err
	}
	return readNamedByID(v, id)
}

// namedID is named for the contact with that id, wherever it has moved to.
func readNamedByID(v *ledger.View, id pointer.Pointer) (Contact, error) {
	c, found, err := readContact(v, id)
	if err != nil {
		return Contact{}, err
	}
	if !found || (c.Name.IsZero() && c.Conflict == nil) {
		return Contact{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	return c, nil
}

// Lookup gives the pointer behind a name, the one that its contact is at now, at
// about the cost of one read of the index. ErrNotFound, or a [*ConflictError].
func (b *Book) Lookup(n name.Name) (pointer.Pointer, error) {
	var p pointer.Pointer
	err := b.read(func(v *ledger.View) error {
		c, err := lookup(v, n)
		if p = c.id; err != nil || !c.moved {
			return err
		}
		state, err := getState[contactState](v, tableContacts, p.Bytes())
		if err == nil {
			p, err = pointer.Restore(state.current(p.Bytes()))
		}
		return err
	})
	if err != nil {
		return pointer.Pointer{}, err
	}
	return p, nil
}

func lookup(v *ledger.View, n name.Name) (claimant, error) {
	stored, err := v.Get(tableNames, []byte(n.Key()))
	if err != nil {
		return claimant{}, err
	}
	if stored == nil {
		return claimant{}, fmt.Errorf("%q: %w", n.String(), ErrNotFound)
	}
	c, one, err := decodeRow(stored)
	if err != nil {
		return claimant{}, err
	}
	if !one || c.inConflict {
		return claimant{}, conflictOver(v, n)
	}
	return c, nil
}

// conflictOver gathers what a name in conflict could mean.
func conflictOver(v *ledger.View, n name.Name) error {
	r, err := claimants(v, n.Key(), maxRivals)
	if err != nil {
		return err
	}
	e := &ConflictError{Name: n}
	for _, cl := range r {
		c, _, err := readContact(v, cl.id)
		if err != nil {
			return err
		}
		e.Contacts = append(e.Contacts, c)
	}
	return e
}

// ByName gives the contact with a name. ErrNotFound, or a [*ConflictError].
func (b *Book) byName(n name.Name) (Contact, error) {
	var c Contact
	err := b.read(func(v *ledger.View) error {
		found, err := lookup(v, n)
		if err == nil {
			c, _, err = readContact(v, found.id)
		}
		return err
	})
	return c, err
}

// ByPointer gives the contact that has a pointer, or had it before its keys went
// on, removed ones and those in conflict included. ErrNotFound when the book
// never heard of it.
func (b *Book) ByPointer(p pointer.Pointer) (Contact, error) {
	var c Contact
	err := b.read(func(v *ledger.View) error {
		id, err := contactIDOf(v, p)
		if err != nil {
			return err
		}
		var found bool
		if c, found, err = readContact(v, id); err == nil && !found {
			return fmt.Errorf("%s: %w", p, ErrNotFound)
		}
		return err
	})
	return c, err
}

// Find gives the contact that a text means: a name, or a pointer in any of its
// forms. Names can't read as pointers, so that there is only one meaning.
func (b *Book) Find(text string) (Contact, error) {
	if p, err := pointer.Parse(text); err == nil {
		return b.ByPointer(p)
	}
	n, err := name.Parse(text)
	if err != nil {
		return Contact{}, err
	}
	return b.byName(n)
}

// readContact reads a contact by its id; false when the book never heard of it,
// or all that it heard was undone.
func readContact(v *ledger.View, id pointer.Pointer) (Contact, bool, error) {
	stored, err := v.Get(tableContacts, id.Bytes())
	if err != nil || stored == nil {
		return Contact{ID: id, Pointer: id, Chain: []Step{{Pointer: id}}}, false, err
	}
	state, err := decodeState[contactState](tableContacts, stored)
	if err != nil {
		return Contact{}, false, err
	}
	c := state.contact(id)
	if err := c.addFacts(v); err != nil {
		return Contact{}, false, err
	}
	if err := c.addRivals(v, state.keys()); err != nil {
		return Contact{}, false, err
	}
	found := !c.Name.IsZero() || c.Conflict != nil || !c.Removed.IsZero() || len(c.Provenance) > 0
	return c, found, nil
}

// addRivals adds the conflict with other contacts over the same names.
func (c *Contact) addRivals(v *ledger.View, keys []string) error {
	for _, key := range keys {
		if key == "" {
			continue
		}
		r, err := claimants(v, key, maxRivals+1)
		if err != nil {
			return err
		}
		for _, other := range r {
			if other.id == c.ID {
				continue
			}
			if c.Conflict == nil {
				c.Conflict = &Conflict{Names: []name.Name{c.Name}}
			}
			c.Conflict.add(other.id)
		}
	}
	if !c.Name.IsZero() || c.Conflict != nil && len(c.Conflict.Names) > 0 {
		there, err := namedContactsAt(v, c.Pointer, maxRivals+1)
		if err != nil {
			return err
		}
		for _, other := range there {
			if other == c.ID {
				continue
			}
			if c.Conflict == nil {
				c.Conflict = &Conflict{Names: []name.Name{c.Name}}
			}
			c.Conflict.add(other)
		}
	}
	if c.Conflict != nil {
		c.Name = name.Name{}
	}
	return nil
}
