package petname

import (
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Source describes how the owner received a pointer.
type Source struct {
	// "typed", "link"; empty: "link" if the link has more than a pointer, otherwise "typed"
	Kind    string
	By      string // empty: "me"
	Channel string // "argument", "stdin", "api", …; empty: "api"

	// Lookalike is set when the owner confirmed a name that looks like another.
	// The ledger records it.
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

// Add names the pointer of a link. It is an act of the owner. Repeating it
// changes nothing.
//
// It refuses a pointer of the owner ([ErrOwnPointer]), the name of another
// contact ([*TakenError]), a name that looks like another ([*LookalikeError]),
// a contact with another name ([*NamedError]), a name or pointer in conflict
// with further contacts ([*ConflictError]), and a link with another commitment
// than the one pinned for the pointer ([*DuplicityError]). Adding a contact
// that was removed or is in conflict resolves the conflict.
//
// Several contacts are added in one durable transaction, or none of them, by
// calls within [Book.Update].
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

func (b *Book) add(tx *ledger.Tx, n name.Name, l pointer.Link, s Source) error {
	return b.accept(tx, n, l, s, nil, nil)
}

// accept is add for a suggestion. The entry also records the suggestion and the
// replaced contact; nil: none.
func (b *Book) accept(tx *ledger.Tx, n name.Name, l pointer.Link, s Source, item, replaced []byte) error {
	switch {
	case n.IsZero():
		return &name.Error{Reason: "is empty"}
	case l.Pointer.IsZero():
		return errors.New("add: no pointer given")
	case b.IsOwn(l.Pointer):
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
				return nil // already known
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
			a.setShares(edges) // otherwise they would stay
		}
	}
	if c.Name.IsZero() && c.Conflict == nil {
		if a.Keep, err = keepAfterNaming(v, id); err != nil {
			return err
		}
	}
	return appendAct(tx, a)
}

// otherPointer returns the subject of a fact for an act: nil for the contact's
// first pointer.
func otherPointer(id, p pointer.Pointer) []byte {
	if p == id {
		return nil
	}
	return p.Bytes()
}

// checkSoleHolder returns an error if another named contact is at the pointer
// of c. A new name does not resolve that conflict, only a removal does.
func checkSoleHolder(v *ledger.View, c Contact) error {
	sharing, err := namedContactsAt(v, c.Pointer, maxRivals)
	if err != nil {
		return err
	}
	e := &ConflictError{Contacts: []Contact{c}}
	for _, id := range sharing {
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
		return fmt.Errorf("%s is the pointer of several contacts; remove all but one: %w", c.Pointer, e)
	}
	return nil
}

// previousState returns the claims of a contact, and the edges that end with
// its name, for an act: an undo restores them.
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

// checkAvailable returns an error if a contact other than p has the name.
func checkAvailable(v *ledger.View, n name.Name, p pointer.Pointer) error {
	r, err := claimants(v, n.Key(), 2) // a second claimant makes a conflict; more change nothing
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

// Rename changes the name of the contact with pointer p. Provenance and history
// stay. It resolves a conflict over the contact's names. Of the source only
// Lookalike is used. Errors are those of [Book.Add], and [ErrNotFound] for a
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

// Remove removes the name of the contact with pointer p, and all edges to it
// and for it. The removal is recorded: nothing that other parties send restores
// the contact. Remove returns the contact without its name.
func (b *Book) Remove(p pointer.Pointer) (Contact, error) {
	return b.change(p, removeAct)
}

// removeAct returns the act that removes a contact's name.
func removeAct(v *ledger.View, c Contact) (act, error) {
	was, edges, err := previousState(v, c)
	a := act{Op: opRemove, Contact: c.ID.Bytes(), Previous: was}
	a.setShares(edges)
	if c.Republished {
		a.Keep = keepOn
	}
	return a, err
}
