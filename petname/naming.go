package petname

import (
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Source says how a pointer reached the user who now names it.
type Source struct {
	Kind    string // "typed", "link"; empty: link when the link has more than a pointer
	By      string // empty: "me"
	Channel string // "argument", "stdin", "api", …; empty: "api"

	// Lookalike says that the user was told what the name looks like, and
	// wants it all the same; it is kept in the ledger.
	Lookalike bool
}

func (s Source) fact(l pointer.Link) *wireFact {
	if s.Kind == "" {
		s.Kind = "typed"
		if !l.Next.IsZero() || l.Nickname != "" {
			s.Kind = "link"
		}
	}
	if s.By == "" {
		s.By = "me"
	}
	if s.Channel == "" {
		s.Channel = "api"
	}
	return &wireFact{Kind: s.Kind, By: s.By, Channel: s.Channel, Nickname: l.Nickname, Next: l.Next.Bytes()}
}

// Add gives a name to what a link points to: the user's own act. Adding the
// same again changes nothing and is fine.
//
// It refuses my own pointer ([ErrOwnPointer]), a name that another contact has
// ([*TakenError]), one that only looks like another's ([*LookalikeError]), a
// contact that has another name ([*NamedError]), what would deepen a conflict
// ([*ConflictError]), and a link whose commitment isn't the one pinned for the
// pointer ([*DuplicityError]). A contact that was removed,
// or is in conflict, can be added again: that is the user picking.
func (b *Book) Add(n name.Name, l pointer.Link, s Source) (Contact, error) {
	var c Contact
	err := b.update(func(tx *ledger.Tx) (err error) {
		if err = b.add(tx, n, l, s); err == nil {
			c, err = readByPointer(tx.View(), l.Pointer)
		}
		return err
	})
	if err != nil {
		return Contact{}, err
	}
	return c, nil
}

// Naming is one name to be given by [Book.AddAll].
type Naming struct {
	Name   name.Name
	Link   pointer.Link
	Source Source
}

// AddAll gives many names in one durable transaction: all, or, with an error
// that says which one was refused, none.
func (b *Book) AddAll(namings []Naming) error {
	return b.update(func(tx *ledger.Tx) error {
		for _, n := range namings {
			if err := b.add(tx, n.Name, n.Link, n.Source); err != nil {
				return fmt.Errorf("%q: %w", n.Name, err)
			}
		}
		return nil
	})
}

func (b *Book) add(tx *ledger.Tx, n name.Name, l pointer.Link, s Source) error {
	return b.accept(tx, n, l, s, nil, nil)
}

// accept is add for what was suggested: that it was goes into the same entry,
// and so does who gave way.
func (b *Book) accept(tx *ledger.Tx, n name.Name, l pointer.Link, s Source, item, replaced []byte) error {
	switch {
	case n.IsZero():
		return &name.Error{Reason: "is empty"}
	case l.Pointer.IsZero():
		return errors.New("add: no pointer given")
	case b.isOwn(l.Pointer):
		return ErrOwnPointer
	}
	fact := s.fact(l)
	if err := fact.check(); err != nil {
		return fmt.Errorf("add: %w", err)
	}
	v := tx.View()
	id, err := contactIDOf(v, l.Pointer)
	if err != nil {
		return err
	}
	c, found, err := readContact(v, id)
	if err != nil {
		return err
	}
	if err := c.Pinned(l.Pointer, l.Next); err != nil && !l.Next.IsZero() {
		return err
	}
	if err := checkSoleHolder(v, c); err != nil {
		return err
	}
	if err := checkAvailable(v, n, id); err != nil {
		return err
	}
	if !c.Name.IsZero() && c.Name.Key() != n.Key() {
		return &NamedError{c.Name, l.Pointer}
	}
	if c.Name.Key() != n.Key() {
		if err := checkDistinct(v, n, id, s.Lookalike); err != nil {
			return err
		}
	}
	if c.Name.Key() == n.Key() {
		if l.Next.IsZero() || l.Next == c.commitment(l.Pointer) {
			if item == nil {
				return nil // known already
			}
			return appendAct(tx, act{Op: opLearn, Contact: id.Bytes(), Fact: fact, Of: otherPointer(id, l.Pointer), Item: item})
		}
		n = c.Name
	}
	a := act{Op: opName, Contact: id.Bytes(), Name: n.String(), Fact: fact, Lookalike: s.Lookalike, Of: otherPointer(id, l.Pointer), Item: item, Replaced: replaced}
	if found {
		var edges []wireShare
		if a.Previous, edges, err = previousState(v, c); err != nil {
			return err
		}
		if c.Name.IsZero() && c.Conflict == nil {
			a.setShares(edges) // else they go on
		}
	}
	if c.Name.IsZero() && c.Conflict == nil {
		if a.Keep, err = keepAfterNaming(v, id); err != nil {
			return err
		}
	}
	return appendAct(tx, a)
}

// of is what an act says of the pointer that a fact is about.
func otherPointer(id, p pointer.Pointer) []byte {
	if p == id {
		return nil
	}
	return p.Bytes()
}

// alone refuses when other contacts with a name are where c is: naming settles
// nothing between them, only removing does.
func checkSoleHolder(v *ledger.View, c Contact) error {
	there, err := namedContactsAt(v, c.Pointer, maxRivals)
	if err != nil {
		return err
	}
	e := &ConflictError{Contacts: []Contact{c}}
	for _, id := range there {
		if id == c.ID {
			continue
		}
		other, _, err := readContact(v, id)
		if err != nil {
			return err
		}
		e.Contacts = append(e.Contacts, other)
	}
	if len(e.Contacts) > 1 {
		return fmt.Errorf("%s is several contacts' now; remove all but one: %w", c.Pointer, e)
	}
	return nil
}

// before is what a contact is called, and the edges that end if it no longer
// is: what undoing a change brings back.
func previousState(v *ledger.View, c Contact) ([]wirePrevious, []wireShare, error) {
	state, err := getState[contactState](v, tableContacts, c.ID.Bytes())
	if err != nil {
		return nil, nil, err
	}
	was, err := state.previous(v, c.ID)
	if err != nil {
		return nil, nil, err
	}
	edges, err := edgesEndingWith(v, c.ID)
	return was, edges, err
}

// free tells whether the contact with that pointer may have the name.
func checkAvailable(v *ledger.View, n name.Name, p pointer.Pointer) error {
	r, err := claimants(v, n.Key(), 2)
	if err != nil {
		return err
	}
	for _, cl := range r {
		if cl.id == p {
			continue
		}
		if len(r) > 1 || cl.inConflict {
			return conflictOver(v, n)
		}
		return &TakenError{n, cl.id}
	}
	return nil
}

// Rename gives another name to the contact with that pointer, which keeps its
// provenance and history. It settles a conflict over the contact's names.
// Of the source only Lookalike counts. Errors as for Add; [ErrNotFound] for a
// pointer without a name.
func (b *Book) Rename(p pointer.Pointer, n name.Name, s Source) (Contact, error) {
	if n.IsZero() {
		return Contact{}, &name.Error{Reason: "is empty"}
	}
	return b.change(p, func(v *ledger.View, c Contact) (act, error) {
		if err := checkAvailable(v, n, c.ID); err != nil || c.Name.String() == n.String() {
			return act{}, err
		}
		if c.Name.Key() != n.Key() {
			if err := checkDistinct(v, n, c.ID, s.Lookalike); err != nil {
				return act{}, err
			}
		}
		was, _, err := previousState(v, c)
		return act{Op: opName, Contact: c.ID.Bytes(), Name: n.String(), Previous: was, Lookalike: s.Lookalike}, err
	})
}

// Remove takes the name from the contact with that pointer, and with it every
// edge of mine that leads there. The removal is kept: nothing that others send
// brings the contact back. It returns the contact as it is then.
func (b *Book) Remove(p pointer.Pointer) (Contact, error) {
	return b.change(p, removeAct)
}

// removal is the act that takes a contact's name.
func removeAct(v *ledger.View, c Contact) (act, error) {
	was, edges, err := previousState(v, c)
	a := act{Op: opRemove, Contact: c.ID.Bytes(), Previous: was}
	a.setShares(edges)
	if c.Kept {
		a.Keep = keepOn
	}
	return a, err
}
