package petname

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Book is one person's book of petnames: a state machine over the entries of a
// ledger. In it a petname has exactly one contact and a contact at most one
// petname, after any operation and any merge. It is safe for concurrent use;
// one process at a time has it open.
type Book struct {
	ledger *ledger.Ledger
	now    func() time.Time
}

// Options may be left zero.
type Options struct {
	Now        func() time.Time // nil: time.Now
	Rand       io.Reader        // nil: crypto/rand
	Wait       time.Duration    // how long to wait while another process has the book open
	DeviceName string           // for Create: how this device shows in the log
}

func (o Options) ledger() ledger.Options {
	return ledger.Options{Now: o.Now, Rand: o.Rand, Wait: o.Wait}
}

// Create starts a book at path: its identity signs once, to admit the device,
// which signs all entries from then on. It never overwrites a file.
func Create(path string, identity, device crypto.Signer, o Options) (*Book, error) {
	g := ledger.Genesis{Identity: identity, Device: device, DeviceName: o.DeviceName}
	l, err := ledger.Create(path, g, fold{}, o.ledger())
	if err != nil {
		return nil, err
	}
	return newBook(l, o), nil
}

// Open opens a book. ledger.ErrInUse tells that another process has it.
func Open(path string, device crypto.Signer, o Options) (*Book, error) {
	l, err := ledger.Open(path, device, fold{}, o.ledger())
	if err != nil {
		return nil, err
	}
	return newBook(l, o), nil
}

func newBook(l *ledger.Ledger, o Options) *Book {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	return &Book{l, now}
}

// Close lets go of the file.
func (b *Book) Close() error { return b.ledger.Close() }

// Ledger is the ledger under the book, for checking, syncing and its devices.
func (b *Book) Ledger() *ledger.Ledger { return b.ledger }

// Identity is my own pointer.
func (b *Book) Identity() pointer.Pointer { return b.ledger.Identity() }

var (
	// ErrNotFound: nothing in the book answers to that.
	ErrNotFound = errors.New("not in the book")

	// ErrOwnPointer: the pointer is my own, which has no petname.
	ErrOwnPointer = errors.New("that is your own pointer")

	// ErrNothingToUndo: this device has made no change that still stands.
	ErrNothingToUndo = errors.New("nothing to undo")
)

// TakenError: the name belongs to another contact.
type TakenError struct {
	Name    Name
	Contact pointer.Pointer
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("the name %q is taken by %s", e.Name, e.Contact)
}

// NamedError: the contact already has another name.
type NamedError struct {
	Name    Name
	Contact pointer.Pointer
}

func (e *NamedError) Error() string {
	return fmt.Sprintf("%s is already called %q", e.Contact, e.Name)
}

// ConflictError: edits on several devices gave one name to several contacts or
// one contact several names, and the user has not yet picked.
type ConflictError struct {
	Name     Name // as asked for; zero when asked by pointer
	Contacts []Contact
}

func (e *ConflictError) Error() string {
	var b strings.Builder
	if !e.Name.IsZero() {
		fmt.Fprintf(&b, "%q is in conflict", e.Name)
	} else {
		b.WriteString("the contact is in conflict")
	}
	for i, c := range e.Contacts {
		sep := ": "
		if i > 0 {
			sep = "; "
		}
		fmt.Fprintf(&b, "%s%s", sep, c.ID)
		if c.Conflict == nil {
			continue
		}
		for _, n := range c.Conflict.Names {
			fmt.Fprintf(&b, " %q", n)
		}
		if c.Conflict.Removed {
			b.WriteString(" removed")
		}
	}
	return b.String()
}

// DuplicityError: two commitments for one pointer. Somebody else has its key,
// or its owner broke the rules; either way it can't be followed further.
type DuplicityError struct {
	Pointer      pointer.Pointer
	Pinned, Seen pointer.Commitment
}

func (e *DuplicityError) Error() string {
	return fmt.Sprintf("duplicity: %s committed to the next key %s when it was first learnt, and to %s now", e.Pointer, e.Pinned, e.Seen)
}

// Lookup gives the pointer behind a name, at about the cost of one read of the
// index. ErrNotFound, or a [*ConflictError].
func (b *Book) Lookup(n Name) (pointer.Pointer, error) {
	var p pointer.Pointer
	err := b.ledger.Read(func(v *ledger.View) error {
		stored, err := v.Get(tableNames, []byte(n.key))
		if err != nil {
			return err
		}
		if stored == nil {
			return fmt.Errorf("%q: %w", n.text, ErrNotFound)
		}
		c, rest, err := decodeClaimant(stored)
		if err != nil {
			return err
		}
		if len(rest) > 0 || c.conflicted {
			return conflictOver(v, n)
		}
		p = c.id
		return nil
	})
	return p, err
}

// conflictOver gathers what a name in conflict could mean.
func conflictOver(v *ledger.View, n Name) error {
	r, err := nameRow(v, n.key)
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

func nameRow(v *ledger.View, key string) (row, error) {
	stored, err := v.Get(tableNames, []byte(key))
	if err != nil {
		return nil, err
	}
	return decodeRow(stored)
}

// readContact reads a contact by its id, and adds the conflicts of its names.
func readContact(v *ledger.View, id pointer.Pointer) (Contact, bool, error) {
	state, err := getState[contactState](v, tableContacts, id.Bytes())
	if err != nil {
		return Contact{}, false, err
	}
	if len(state.Claims) == 0 && len(state.Facts) == 0 {
		return Contact{ID: id, Pointer: id}, false, nil
	}
	c, err := state.contact(id)
	if err != nil {
		return Contact{}, false, err
	}
	for _, key := range state.keys() {
		if key == "" {
			continue
		}
		r, err := nameRow(v, key)
		if err != nil {
			return Contact{}, false, err
		}
		for _, other := range r {
			if other.id == id {
				continue
			}
			if c.Conflict == nil {
				c.Conflict = &Conflict{}
				if !c.Name.IsZero() {
					c.Conflict.Names = []Name{c.Name}
				}
			}
			c.Conflict.Pointers = append(c.Conflict.Pointers, other.id)
		}
	}
	if c.Conflict != nil {
		c.Name = Name{}
	}
	return c, true, nil
}

// ByName gives the contact with a name. ErrNotFound, or a [*ConflictError].
func (b *Book) ByName(n Name) (Contact, error) {
	p, err := b.Lookup(n)
	if err != nil {
		return Contact{}, err
	}
	return b.ByPointer(p)
}

// ByPointer gives the contact with a pointer, removed ones and those in
// conflict included. ErrNotFound when the book never heard of it.
func (b *Book) ByPointer(p pointer.Pointer) (Contact, error) {
	var c Contact
	err := b.ledger.Read(func(v *ledger.View) error {
		var found bool
		var err error
		if c, found, err = readContact(v, p); err == nil && !found {
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
	n, err := ParseName(text)
	if err != nil {
		return Contact{}, err
	}
	return b.ByName(n)
}

// Contacts yields everybody who has a name, or is in conflict over one, in the
// order of the comparison keys. Removed contacts aren't among them.
func (b *Book) Contacts() iter.Seq2[Contact, error] { return b.contacts("") }

// Prefix yields the contacts whose comparison key starts as that of text does.
func (b *Book) Prefix(text string) iter.Seq2[Contact, error] {
	key, err := compareKey(text)
	if err != nil {
		key = text
	}
	return b.contacts(key)
}

// chunk is how many contacts are read in one transaction: none is open while
// the caller has the turn, so that it may use the book meanwhile.
const chunk = 256

func (b *Book) contacts(prefix string) iter.Seq2[Contact, error] {
	return func(yield func(Contact, error) bool) {
		seen := make(map[pointer.Pointer]bool) // contacts in conflict stand under several keys
		from := []byte(prefix)
		for from != nil {
			var contacts []Contact
			var err error
			if contacts, from, err = b.readChunk(prefix, from, seen); err != nil {
				yield(Contact{}, err)
				return
			}
			for _, c := range contacts {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

// readChunk reads on from a key, and gives the key to go on from; nil at the end.
func (b *Book) readChunk(prefix string, from []byte, seen map[pointer.Pointer]bool) (contacts []Contact, next []byte, err error) {
	err = b.ledger.Read(func(v *ledger.View) error {
		rows := 0
		for kv, err := range v.ScanFrom(tableNames, []byte(prefix), from) {
			if err != nil {
				return err
			}
			if rows++; rows > chunk {
				next = bytes.Clone(kv.Key)
				return nil
			}
			r, err := decodeRow(kv.Value)
			if err != nil {
				return err
			}
			for _, cl := range r {
				if cl.conflicted {
					if seen[cl.id] {
						continue
					}
					seen[cl.id] = true
				}
				c, _, err := readContact(v, cl.id)
				if err != nil {
					return err
				}
				contacts = append(contacts, c)
			}
		}
		return nil
	})
	return contacts, next, err
}

// Search yields the contacts whose name or nickname contains text, ignoring
// what the comparison key ignores.
func (b *Book) Search(text string) iter.Seq2[Contact, error] {
	return func(yield func(Contact, error) bool) {
		want := searchKey(text)
		for c, err := range b.Contacts() {
			if err != nil {
				yield(c, err)
				return
			}
			if c.matches(want) && !yield(c, nil) {
				return
			}
		}
	}
}

func searchKey(text string) string {
	if key, err := compareKey(text); err == nil {
		return key
	}
	return strings.ToLower(text)
}

func (c Contact) matches(want string) bool {
	if strings.Contains(c.Name.key, want) || strings.Contains(searchKey(c.Nickname), want) {
		return true
	}
	if c.Conflict != nil {
		for _, n := range c.Conflict.Names {
			if strings.Contains(n.key, want) {
				return true
			}
		}
	}
	return false
}

// Count is the number of names in the book.
func (b *Book) Count() (n int, err error) {
	err = b.ledger.Read(func(v *ledger.View) error {
		n, err = v.Count(tableNames)
		return err
	})
	return n, err
}
