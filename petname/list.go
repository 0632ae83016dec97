package petname

import (
	"bytes"
	"iter"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Contacts yields the contacts that have a name or are in conflict over one,
// ordered by comparison key. Removed contacts are not included.
func (b *Book) Contacts() iter.Seq2[Contact, error] { return b.contacts("", nil) }

// ContactsAfter yields the contacts with comparison keys after key, as
// [Book.Contacts] does.
func (b *Book) ContactsAfter(key string) iter.Seq2[Contact, error] {
	return b.contacts("", append([]byte(key), 0))
}

// Prefix yields the contacts with a comparison key that starts with that of text.
func (b *Book) Prefix(text string) iter.Seq2[Contact, error] {
	key, err := name.Key(text)
	if err != nil {
		key = text
	}
	return b.contacts(key, []byte(key))
}

// chunk is the number of index rows that one transaction reads. No transaction
// is open while the caller's loop body runs, so the body may use the book.
const chunk = 256

func (b *Book) contacts(prefix string, from []byte) iter.Seq2[Contact, error] {
	return func(yield func(Contact, error) bool) {
		seen := make(map[pointer.Pointer]bool) // contacts in conflict have several keys
		from := append([]byte{}, from...)
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

// readChunk reads contacts from a key on. It returns the key of the next chunk,
// nil at the end.
func (b *Book) readChunk(prefix string, from []byte, seen map[pointer.Pointer]bool) (contacts []Contact, next []byte, err error) {
	err = b.read(func(v *ledger.View) error {
		rows := 0
		for kv, err := range v.ScanFrom(tableNames, []byte(prefix), from) {
			if err != nil {
				return err
			}
			if rows++; rows > chunk {
				next = bytes.Clone(kv.Key)
				return nil
			}
			r, err := claimants(v, string(kv.Key), maxRivals)
			if err != nil {
				return err
			}
			for _, cl := range r {
				if seen[cl.id] {
					continue
				}
				if cl.inConflict {
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

// Search yields the contacts whose name or nickname contains text, as
// [name.SearchForm] compares them: without regard to case, width and marks.
func (b *Book) Search(text string) iter.Seq2[Contact, error] {
	return func(yield func(Contact, error) bool) {
		want := name.SearchForm(text)
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

func (c Contact) matches(want string) bool {
	if strings.Contains(name.SearchForm(c.Name.String()), want) || strings.Contains(name.SearchForm(c.Nickname), want) {
		return true
	}
	return c.Conflict != nil && slices.ContainsFunc(c.Conflict.Names, func(n name.Name) bool {
		return strings.Contains(name.SearchForm(n.String()), want)
	})
}

// Count returns the number of names in the book.
func (b *Book) Count() (n int, err error) {
	err = b.read(func(v *ledger.View) error {
		n, err = v.Count(tableNames)
		return err
	})
	return n, err
}
