package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Contacts yields the contacts that have a petname, in the order of their names.
func (a *Agent) Contacts() iter.Seq2[petname.Contact, error] { return a.book.Contacts() }

// Search yields the contacts with a text in their petname or nickname.
func (a *Agent) Search(text string) iter.Seq2[petname.Contact, error] { return a.book.Search(text) }

// Prefix yields the contacts with a petname that starts with a text.
func (a *Agent) Prefix(text string) iter.Seq2[petname.Contact, error] { return a.book.Prefix(text) }

// Lookup returns the contact that a text means: a petname, or a pointer in any
// form that [pointer.Parse] reads. It fails with [petname.ErrNotFound], with a
// [*petname.ConflictError], or with an [*ArgumentError] for a text as long as a
// pointer that is not one.
func (a *Agent) Lookup(text string) (petname.Contact, error) {
	c, err := a.book.Find(text)
	return c, malformed(text, err)
}

// ByPointer returns the contact that has, or had, a pointer.
func (a *Agent) ByPointer(p pointer.Pointer) (petname.Contact, error) { return a.book.ByPointer(p) }

// ByLink is ByPointer for a pointer with a commitment: see [petname.Book.ByLink].
func (a *Agent) ByLink(l pointer.Link) (petname.Contact, error) { return a.book.ByLink(l) }

// SenderID is [petname.Book.SenderID].
func (a *Agent) SenderID(p pointer.Pointer) (pointer.Pointer, error) { return a.book.SenderID(p) }

// PointerOf returns the pointer that a text means: a petname, a link, or a pointer in
// any form that [pointer.Parse] reads. A link or pointer need not be in the book. A pointer without
// a commitment that a contact came to and left means itself: the trail of another party can pass
// through it.
func (a *Agent) PointerOf(text string) (pointer.Pointer, error) {
	c, err := a.Lookup(text)
	link, perr := pointer.ParseLink(text)
	switch {
	case perr == nil && (err != nil || link.Next.IsZero() && c.ID != link.Pointer && slices.ContainsFunc(c.Chain, func(s petname.Step) bool { return s.Pointer == link.Pointer })):
		return link.Pointer, nil
	case err != nil:
		return pointer.Pointer{}, err
	}
	return c.Pointer, nil
}

// shortestPointer is about the length, in bytes, of the shortest form of a pointer.
const shortestPointer = 40

// malformed replaces the error for a text that is no contact's name, if it is as long
// as a pointer and does not parse as one.
func malformed(text string, err error) error {
	if !errors.Is(err, petname.ErrNotFound) && !errors.As(err, new(*name.Error)) || len(text) < shortestPointer || strings.ContainsAny(text, " /") {
		return err
	}
	if _, perr := pointer.ParseLink(text); perr != nil {
		return &ArgumentError{"pointer", perr.Error()}
	}
	return err
}

// Add adds the pointer of a link to the book under a petname. It is an act of the
// owner. Errors are those of [petname.Book.Add]: a name that looks like another is
// refused with a [*petname.LookalikeError] unless [petname.Source.Lookalike] is set.
func (a *Agent) Add(text string, l pointer.Link, s petname.Source) (petname.Contact, error) {
	n, err := name.Parse(text)
	if err != nil {
		return petname.Contact{}, err
	}
	return a.book.Add(n, l, s)
}

// Rename changes the petname of the contact that a text means: see
// [petname.Book.Rename].
func (a *Agent) Rename(old, text string, s petname.Source) (petname.Contact, error) {
	n, err := name.Parse(text)
	if err != nil {
		return petname.Contact{}, err
	}
	c, err := a.Lookup(old)
	if err != nil {
		return petname.Contact{}, err
	}
	return a.book.Rename(c.ID, n, s)
}

// Choose settles a conflict of concurrent edits on two devices: see [petname.Book.Choose].
// pointerText is the pointer of the contact that is to have the name, in any form.
func (a *Agent) Choose(text, pointerText string) (petname.Contact, []petname.Contact, error) {
	n, err := name.Parse(text)
	if err != nil {
		return petname.Contact{}, nil, err
	}
	p, err := pointer.Parse(pointerText)
	if err != nil {
		return petname.Contact{}, nil, &ArgumentError{"pointer", fmt.Sprintf("pointer %q: %v", pointerText, err)}
	}
	return a.book.Choose(n, p)
}

// Remove removes the petname of the contact that a text means. The facts about the
// contact stay on record.
func (a *Agent) Remove(text string) (petname.Contact, error) {
	c, err := a.Lookup(text)
	if err != nil {
		return petname.Contact{}, err
	}
	return a.book.Remove(c.ID)
}

// Undo reverts the last change that this device made to the book, and returns the
// change: see [petname.Book.Undo].
func (a *Agent) Undo() (petname.Event, error) { return a.book.Undo() }

// Log yields the history of the book, oldest first.
func (a *Agent) Log() iter.Seq2[petname.Event, error] { return a.book.Log() }

// Verify checks every entry, hash and row of the book, and returns the errors.
func (s *state) Verify(ctx context.Context) []error {
	var problems []error
	for err := range s.book.Ledger().Verify(ctx) {
		problems = append(problems, err)
	}
	forks, err := s.book.Ledger().Forks()
	if err != nil {
		problems = append(problems, err)
	}
	devices := s.book.Ledger().Devices()
	for _, fork := range forks {
		id := fork.Other.ID().Device
		i := slices.IndexFunc(devices, func(d ledger.Device) bool { return d.ID == id })
		if i >= 0 && devices[i].Removed || s.now().Sub(fork.Other.Time()).Abs() > copyShown {
			continue // its end is settled, or it is long known
		}
		problems = append(problems, fmt.Errorf("fork: device wrote two entries %s: it was copied or stolen", fork.Other.ID()))
	}
	return problems
}

// NamesLike returns the petnames that a text could be mistaken for, except those of
// the contact with pointer p: see [petname.Book.NamesLike].
func (a *Agent) NamesLike(text string, p pointer.Pointer) ([]string, error) {
	return a.book.NamesLike(text, p)
}

// Evidence returns the signed statements about a contact, accepted or not: see
// [petname.Book.Evidence].
func (a *Agent) Evidence(p pointer.Pointer) ([]petname.Evidence, error) { return a.book.Evidence(p) }

// Contradictions returns the proofs that an introducer named a wrong key for a
// contact: see [petname.Book.Contradictions].
func (a *Agent) Contradictions(p pointer.Pointer) ([]introduce.Contradiction, error) {
	return a.book.Contradictions(p)
}
