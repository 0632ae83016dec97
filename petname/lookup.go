package petname

import (
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/petname/name"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// readByPointer reads the contact that a pointer means: see contactIDOf.
func readByPointer(v *ledger.View, p pointer.Pointer) (Contact, error) {
	id, err := contactIDOf(v, p)
	if err != nil {
		return Contact{}, err
	}
	c, _, err := readContact(v, id)
	return c, err
}

// readNamed reads the contact that a pointer means, if it has a name or is in conflict
// over one.
func readNamed(v *ledger.View, p pointer.Pointer) (Contact, error) {
	id, err := contactIDOf(v, p)
	if err != nil {
		return Contact{}, err
	}
	return readNamedByID(v, id)
}

// readNamedByID is readNamed for a contact's id.
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

// Lookup returns the current pointer of the contact with a name. Its cost is
// about one read of the index. The error is [ErrNotFound] or a
// [*ConflictError].
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
		return claimant{}, &NoNameError{n}
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

// conflictOver returns the error for a name in conflict, with the contacts that
// claim it.
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

// byName returns the contact with a name. The error is [ErrNotFound] or a
// [*ConflictError].
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

// ByPointer returns the contact that pointer p means, including those in conflict: the
// contact with the id p if it has a name, or else one with a name that came to p by its
// trail, or else the contact with the id p, which was removed or never had a name. A
// removed contact is not found by a later pointer, because the key of p may have
// signed a step of another contact: see [Book.ByID]. The error is [ErrNotFound] if there
// is none.
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

// ByID returns the contact with an id, which is its first pointer, including removed
// contacts and those in conflict. Unlike [Book.ByPointer] it returns no other contact that
// came to this pointer later. The error is [ErrNotFound] if the book has no such contact.
func (b *Book) ByID(id pointer.Pointer) (Contact, error) {
	var c Contact
	err := b.read(func(v *ledger.View) error {
		var found bool
		var err error
		if c, found, err = readContact(v, id); err == nil && !found {
			return fmt.Errorf("%s: %w", id, ErrNotFound)
		}
		return err
	})
	return c, err
}

// SenderID returns the id of the contact whose statements a pointer signed, by any key of its
// trail, also of a contact that was removed: see [Book.ByPointer], which finds a removed contact by
// its first pointer alone. It is the pointer itself if there is no such contact.
func (b *Book) SenderID(p pointer.Pointer) (id pointer.Pointer, err error) {
	err = b.read(func(v *ledger.View) error {
		id, err = signerIDOf(v, p)
		return err
	})
	return id, err
}

// Find returns the contact for a text: a name, a pointer in any of its forms, or a
// link. No name reads as a pointer or a link, so a text has one meaning. A text that no
// contact has as its name can be one with a pointer in it: see [pointer.ParseLink]. The commitment
// of a link is not compared with what the book has: see [Contact.Pinned]. But another party's trail
// can pass through a pointer: a link to one that a contact came to and left, with another
// commitment than the contact continued by, means no contact.
func (b *Book) Find(text string) (Contact, error) {
	if link, ok := linkIn(text); ok {
		return b.ByLink(link)
	}
	n, err := name.ParseKnown(name.Unisolated(text))
	if err == nil {
		var c Contact
		if c, err = b.byName(n); !errors.Is(err, ErrNotFound) {
			return c, err
		}
	}
	if link, perr := pointer.ParseLink(text); perr == nil {
		return b.ByLink(link)
	}
	return Contact{}, err
}

// ByLink is ByPointer for the pointer of a link, or of another claim of a commitment: see Find.
func (b *Book) ByLink(l pointer.Link) (Contact, error) {
	c, err := b.ByPointer(l.Pointer)
	if err == nil && c.ID != l.Pointer && c.Pointer != l.Pointer && !l.Next.IsZero() && c.step(l.Pointer).Next != l.Next {
		return Contact{}, fmt.Errorf("%s: %w", l.Pointer, ErrNotFound)
	}
	return c, err
}

// linkIn parses a text that is a pointer, in any of its forms, has a link, or has a pointer
// beside the word petname, as a command has. No name is such a text.
func linkIn(text string) (pointer.Link, bool) {
	if p, err := pointer.Parse(text); err == nil {
		return pointer.Link{Pointer: p}, true
	}
	if link, ok := name.LinkIn(text); ok {
		return link, true
	}
	if !strings.Contains(strings.ToLower(text), "petname") {
		return pointer.Link{}, false
	}
	link, err := pointer.ParseLink(text)
	return link, err == nil
}

// readContact reads a contact by its id; false if the book has no information
// about it, or all of it was undone.
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

// addRivals adds the conflicts with other contacts over a name or a pointer.
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
		sharing, err := namedContactsAt(v, c.Pointer, maxRivals+1)
		if err != nil {
			return err
		}
		for _, other := range sharing {
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
