package petname

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Contact is somebody in the book: a pointer, and what I call it. It may have
// no name: then it was removed, or is in conflict.
type Contact struct {
	Pointer    pointer.Pointer    // where it is now
	ID         pointer.Pointer    // the first pointer learnt of it; stays the same
	Name       Name               // zero: none
	Next       pointer.Commitment // pinned when the pointer was first learnt; zero: none was given yet
	Nickname   string             // what it calls itself, as first heard: hostile text
	Provenance []Fact             // oldest first
	Removed    time.Time          // zero: not removed
	Conflict   *Conflict          // nil: none
	Duplicity  bool               // two different commitments were seen for one pointer
}

// Fact is one thing known of a contact and where it came from. It is no
// verdict.
type Fact struct {
	Kind     string             // "typed", "link", "card"
	By       string             // "me", or the pointer of who said it
	Channel  string             // how it came: "argument", "stdin", "network", …
	At       time.Time          // by the clock of the device that wrote it down
	Nickname string             // the nickname that came with it: hostile text
	Next     pointer.Commitment // the commitment that came with it
	Entry    ledger.ID          // where the ledger has it
}

// Conflict is what edits on two devices that didn't know of each other left
// behind. Nothing picks silently: the name doesn't resolve until the user has
// renamed or removed one side.
type Conflict struct {
	Names    []Name            // different names that this contact was given
	Removed  bool              // it was removed too
	Pointers []pointer.Pointer // other contacts that were given the same name
}

// contactState is a contact in the view.
type contactState struct {
	Claims []claim `cbor:"1,keyasint,omitempty"` // what nothing later replaced, sorted by entry
	Facts  []fact  `cbor:"2,keyasint,omitempty"` // sorted by entry
}

// claim is one device's word for what a contact is called.
type claim struct {
	_      struct{} `cbor:",toarray"`
	Device []byte
	Number uint64
	Name   string // as typed; empty: removed
	At     int64  // ms since 1970
}

type fact struct {
	_      struct{} `cbor:",toarray"`
	Device []byte
	Number uint64
	At     int64 // ms since 1970
	Fact   wireFact
}

func entryID(device []byte, number uint64) ledger.ID {
	id := ledger.ID{Number: number}
	copy(id.Device[:], device)
	return id
}

func (c claim) id() ledger.ID { return entryID(c.Device, c.Number) }

// key is the comparison key of the claim's name, and "" for a removal. A name
// that these Unicode tables don't know, from a device with newer ones, is its
// own key.
func (c claim) key() string { return foldKey(c.Name) }

func foldKey(name string) string {
	if name == "" {
		return ""
	}
	if n, err := ParseName(name); err == nil {
		return n.key
	}
	return "\x00" + name
}

func foldName(name string) Name {
	if n, err := ParseName(name); err == nil {
		return n
	}
	return Name{name, "\x00" + name}
}

func compareIDs(aDevice []byte, aNumber uint64, bDevice []byte, bNumber uint64) int {
	return cmp.Or(bytes.Compare(aDevice, bDevice), cmp.Compare(aNumber, bNumber))
}

// keys are the different comparison keys that the contact claims; "" stands
// for a removal.
func (s contactState) keys() []string {
	var keys []string
	for _, c := range s.Claims {
		keys = append(keys, c.key())
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// replace drops the claims that entry e knew of, and adds its own.
func (s *contactState) replace(e ledger.Entry, with *claim) {
	s.Claims = slices.DeleteFunc(s.Claims, func(c claim) bool { return e.Saw(c.id()) })
	if with != nil {
		s.Claims = append(s.Claims, *with)
	}
	slices.SortFunc(s.Claims, func(a, b claim) int { return compareIDs(a.Device, a.Number, b.Device, b.Number) })
}

func (s *contactState) learn(f fact) {
	s.Facts = append(s.Facts, f)
	slices.SortFunc(s.Facts, func(a, b fact) int { return compareIDs(a.Device, a.Number, b.Device, b.Number) })
}

// contact makes the exported form. The conflict with other contacts over one
// name stands in the index, and is added by the caller.
func (s contactState) contact(id pointer.Pointer) (Contact, error) {
	c := Contact{ID: id, Pointer: id}
	for _, f := range s.Facts {
		next := pointer.Commitment{}
		if f.Fact.Next != nil {
			var err error
			if next, err = pointer.CommitmentFromBytes(f.Fact.Next); err != nil {
				return Contact{}, err
			}
		}
		c.Provenance = append(c.Provenance, Fact{
			Kind: f.Fact.Kind, By: f.Fact.By, Channel: f.Fact.Channel, At: time.UnixMilli(f.At).UTC(),
			Nickname: f.Fact.Nickname, Next: next, Entry: entryID(f.Device, f.Number),
		})
	}
	slices.SortStableFunc(c.Provenance, func(a, b Fact) int { return a.At.Compare(b.At) })
	for _, f := range c.Provenance {
		if !f.Next.IsZero() {
			c.Duplicity = c.Duplicity || !c.Next.IsZero() && c.Next != f.Next
			if c.Next.IsZero() {
				c.Next = f.Next
			}
		}
		if c.Nickname == "" {
			c.Nickname = f.Nickname
		}
	}
	keys := s.keys()
	for _, cl := range s.Claims {
		if cl.Name == "" {
			c.Removed = time.UnixMilli(cl.At).UTC()
			continue
		}
		if len(keys) == 1 {
			c.Name = foldName(cl.Name)
		}
	}
	if len(keys) > 1 {
		c.Conflict = &Conflict{Removed: keys[0] == ""}
		for _, cl := range s.Claims {
			if n := foldName(cl.Name); cl.Name != "" && !slices.ContainsFunc(c.Conflict.Names, func(o Name) bool { return o.key == n.key }) {
				c.Conflict.Names = append(c.Conflict.Names, n)
			}
		}
	}
	return c, nil
}

// A row of the index has the contacts that claim one comparison key, sorted:
//
//	row = 1*( flag ‖ uvarint(len) ‖ contact id )
//
// The flag is 1 when the contact itself is in conflict. A name resolves when
// its row has one contact, and its flag is 0. Not CBOR, since each look-up
// reads one.
type row []claimant

type claimant struct {
	id         pointer.Pointer
	conflicted bool
}

func (r row) encode() []byte {
	var b []byte
	for _, c := range r {
		flag := byte(0)
		if c.conflicted {
			flag = 1
		}
		id := c.id.Bytes()
		b = append(b, flag)
		b = binary.AppendUvarint(b, uint64(len(id)))
		b = append(b, id...)
	}
	return b
}

func decodeRow(b []byte) (row, error) {
	var r row
	for len(b) > 0 {
		c, rest, err := decodeClaimant(b)
		if err != nil {
			return nil, err
		}
		r, b = append(r, c), rest
	}
	return r, nil
}

var errRow = errors.New("row of the name index: malformed")

func decodeClaimant(b []byte) (claimant, []byte, error) {
	flag := b[0]
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || flag > 1 || n > uint64(len(b)-1-size) {
		return claimant{}, nil, errRow
	}
	b = b[1+size:]
	id, err := pointer.Restore(b[:n])
	if err != nil {
		return claimant{}, nil, fmt.Errorf("%w: %w", errRow, err)
	}
	return claimant{id, flag == 1}, b[n:], nil
}
