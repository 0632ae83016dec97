package petname

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Source says how a pointer reached the user who now names it.
type Source struct {
	Kind    string // "typed", "link"; empty: link when the link has more than a pointer
	By      string // empty: "me"
	Channel string // "argument", "stdin", "api", …; empty: "api"
}

const maxSourceText = 256 // bytes of each text of a Source

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

func (s Source) check() error {
	for _, text := range []string{s.Kind, s.By, s.Channel} {
		if len(text) > maxSourceText {
			return fmt.Errorf("source %s: is over %d bytes", quote(text), maxSourceText)
		}
	}
	return nil
}

// Add gives a name to what a link points to: the user's own act. Adding the
// same again changes nothing and is fine.
//
// It refuses my own pointer ([ErrOwnPointer]), a name that another contact has
// ([*TakenError]), a contact that has another name ([*NamedError]), what would
// deepen a conflict ([*ConflictError]), and a link whose commitment isn't the
// one pinned for the pointer ([*DuplicityError]). A contact that was removed,
// or is in conflict, can be added again: that is the user picking.
func (b *Book) Add(n Name, l pointer.Link, s Source) (Contact, error) {
	if n.IsZero() {
		return Contact{}, &NameError{"", "is empty"}
	}
	if l.Pointer.IsZero() {
		return Contact{}, errors.New("add: no pointer given")
	}
	if err := s.check(); err != nil {
		return Contact{}, err
	}
	err := b.update(func(tx *ledger.Tx) error { return add(tx, b.Identity(), n, l, s) })
	if err != nil {
		return Contact{}, err
	}
	return b.ByPointer(l.Pointer)
}

// Naming is one name to be given by [Book.AddAll].
type Naming struct {
	Name   Name
	Link   pointer.Link
	Source Source
}

// AddAll gives many names in one durable transaction: all, or, with an error
// that says which one was refused, none.
func (b *Book) AddAll(namings []Naming) error {
	return b.update(func(tx *ledger.Tx) error {
		for _, n := range namings {
			if err := add(tx, b.Identity(), n.Name, n.Link, n.Source); err != nil {
				return fmt.Errorf("%q: %w", n.Name, err)
			}
		}
		return nil
	})
}

func add(tx *ledger.Tx, me pointer.Pointer, n Name, l pointer.Link, s Source) error {
	if l.Pointer == me {
		return ErrOwnPointer
	}
	c, _, err := readContact(tx.View(), l.Pointer)
	if err != nil {
		return err
	}
	if !l.Next.IsZero() && !c.Next.IsZero() && l.Next != c.Next {
		return &DuplicityError{l.Pointer, c.Next, l.Next}
	}
	if err := free(tx.View(), n, l.Pointer); err != nil {
		return err
	}
	if !c.Name.IsZero() && c.Name.key != n.key {
		return &NamedError{c.Name, l.Pointer}
	}
	a := act{Contact: l.Pointer.Bytes(), Fact: s.fact(l)}
	if c.Name.key == n.key {
		if l.Next == c.Next || l.Next.IsZero() {
			return nil // known already
		}
		a.Op = opLearn
	} else {
		a.Op, a.Name, a.Was = opName, n.text, c.was()
	}
	return appendAct(tx, a)
}

// was is what the contact is called now, for undoing a change.
func (c Contact) was() *wireWas {
	switch {
	case !c.Name.IsZero():
		return &wireWas{Name: c.Name.text}
	case c.Conflict == nil && !c.Removed.IsZero():
		return &wireWas{Removed: true}
	}
	return nil
}

// free tells whether the contact with that pointer may have the name.
func free(v *ledger.View, n Name, p pointer.Pointer) error {
	r, err := nameRow(v, n.key)
	if err != nil {
		return err
	}
	for _, cl := range r {
		if cl.id == p {
			continue
		}
		if len(r) > 1 || cl.conflicted {
			return conflictOver(v, n)
		}
		return &TakenError{n, cl.id}
	}
	return nil
}

func appendAct(tx *ledger.Tx, a act) error {
	body, err := a.encode()
	if err != nil {
		return err
	}
	_, err = tx.Append(body)
	return err
}

func (b *Book) update(fn func(tx *ledger.Tx) error) error {
	_, err := b.ledger.Update(fn)
	return err
}

// Rename gives another name to the contact with that pointer, which keeps its
// provenance and history. It settles a conflict over the contact's names.
// Errors as for Add; [ErrNotFound] for a pointer without a name.
func (b *Book) Rename(p pointer.Pointer, n Name) (Contact, error) {
	if n.IsZero() {
		return Contact{}, &NameError{"", "is empty"}
	}
	err := b.update(func(tx *ledger.Tx) error {
		c, err := named(tx.View(), p)
		if err != nil {
			return err
		}
		if err := free(tx.View(), n, p); err != nil {
			return err
		}
		if c.Name.text == n.text {
			return nil
		}
		return appendAct(tx, act{Op: opName, Contact: p.Bytes(), Name: n.text, Was: c.was()})
	})
	if err != nil {
		return Contact{}, err
	}
	return b.ByPointer(p)
}

// named reads a contact that has a name, or is in conflict over one.
func named(v *ledger.View, p pointer.Pointer) (Contact, error) {
	c, found, err := readContact(v, p)
	if err != nil {
		return Contact{}, err
	}
	if !found || (c.Name.IsZero() && c.Conflict == nil) {
		return Contact{}, fmt.Errorf("%s: %w", p, ErrNotFound)
	}
	return c, nil
}

// Remove takes the name from the contact with that pointer, and with it every
// edge of mine that leads there. The removal is kept: nothing that others send
// brings the contact back. It returns the contact as it is then.
func (b *Book) Remove(p pointer.Pointer) (Contact, error) {
	err := b.update(func(tx *ledger.Tx) error {
		c, err := named(tx.View(), p)
		if err != nil {
			return err
		}
		return appendAct(tx, act{Op: opRemove, Contact: p.Bytes(), Was: c.was()})
	})
	if err != nil {
		return Contact{}, err
	}
	return b.ByPointer(p)
}

// Learn pins what the first verified card of a contact brings: the commitment
// to its next key, and its nickname. Nothing is written when the book has a
// commitment already; another one than that is a [*DuplicityError].
func (b *Book) Learn(p pointer.Pointer, card pointer.Card) error {
	if card.Next.IsZero() {
		return nil
	}
	return b.update(func(tx *ledger.Tx) error {
		c, found, err := readContact(tx.View(), p)
		if err != nil || !found {
			return err
		}
		switch {
		case c.Next == card.Next:
			return nil
		case !c.Next.IsZero():
			return &DuplicityError{p, c.Next, card.Next}
		}
		f := &wireFact{Kind: "card", By: p.String(), Channel: "record", Nickname: card.Nickname, Next: card.Next.Bytes()}
		return appendAct(tx, act{Op: opLearn, Contact: p.Bytes(), Fact: f})
	})
}

// Undo takes back the newest change to the book that this device made and that
// still stands, and returns what it was. Undoing again goes further back. A
// change that another device has changed since is left alone, with a
// [*ConflictError].
func (b *Book) Undo() (Event, error) {
	var id ledger.ID
	err := b.ledger.Read(func(v *ledger.View) error {
		var err error
		id, err = b.undoable(v)
		return err
	})
	if err != nil {
		return Event{}, err
	}
	e, body, err := b.ledger.Entry(id)
	if err != nil {
		return Event{}, err
	}
	a, err := decodeAct(body)
	if err != nil {
		return Event{}, fmt.Errorf("entry %s can't be undone: %w", id, err)
	}
	return event(e, a), b.update(func(tx *ledger.Tx) error {
		if now, err := b.undoable(tx.View()); err != nil || now != id {
			return errors.Join(err, fmt.Errorf("the book was changed at the same time: try again"))
		}
		return undo(tx, id, a)
	})
}

// undoable is the entry that an undo takes back.
func (b *Book) undoable(v *ledger.View) (ledger.ID, error) {
	device := b.ledger.Device()
	last, ok, err := v.Last(tableUndo, device[:])
	if err != nil {
		return ledger.ID{}, err
	}
	if !ok || len(last.Key) != len(device)+8 {
		return ledger.ID{}, ErrNothingToUndo
	}
	return ledger.ID{Device: device, Number: binary.BigEndian.Uint64(last.Key[len(device):])}, nil
}

func undo(tx *ledger.Tx, id ledger.ID, a act) error {
	inverse := act{Op: opUndo, Number: id.Number, Contact: a.Contact, Name: a.Name}
	if a.Op == opShare || a.Op == opUnshare {
		inverse.Label, inverse.WasEdge = a.Label, a.WasEdge
		return appendAct(tx, inverse)
	}
	contact, err := pointer.FromBytes(a.Contact)
	if err != nil {
		return err
	}
	c, _, err := readContact(tx.View(), contact)
	if err != nil {
		return err
	}
	if !c.isAs(a) {
		return &ConflictError{Contacts: []Contact{c}}
	}
	if a.Was != nil && a.Was.Name != "" {
		if err := free(tx.View(), foldName(a.Was.Name), c.ID); err != nil {
			return err
		}
	}
	inverse.Was = a.Was
	return appendAct(tx, inverse)
}

// isAs reports whether the contact is called what the act made it.
func (c Contact) isAs(a act) bool {
	if c.Conflict != nil {
		return false
	}
	if a.Op == opRemove {
		return c.Name.IsZero() && !c.Removed.IsZero()
	}
	return c.Name.text == strings.TrimSpace(a.Name) || c.Name.key == foldKey(a.Name)
}
