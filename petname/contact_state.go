package petname

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// contactState is the row of a contact in the view. The row exists if any act
// is about the contact. Facts have rows of their own.
type contactState struct {
	Claims        []claim     `cbor:"1,keyasint,omitempty"` // those that no later claim replaced, sorted
	Chain         [][]byte    `cbor:"2,keyasint,omitempty"` // the pointers after the first, in order
	HasSuccession bool        `cbor:"3,keyasint,omitempty"` // a succession is among its facts
	Keeps         []keepClaim `cbor:"4,keyasint,omitempty"` // those that no later claim replaced, sorted
}

// claim is the name of a contact according to one entry: a name, removed, or
// neither if the addition was undone.
type claim struct {
	_       struct{} `cbor:",toarray"`
	Device  []byte
	Number  uint64
	Name    string // as typed; empty: none
	Text    string // Name.String of it
	Key     string // Name.Key of it
	Removed bool
	At      int64 // time of the removal, ms since 1970
}

func newClaim(id ledger.ID, text string, removed bool, at int64) claim {
	c := claim{Device: id.Device[:], Number: id.Number, Name: text, Removed: removed}
	if removed {
		c.At = at
	}
	if text != "" {
		n := name.Recorded(text)
		c.Text, c.Key = n.String(), n.Key()
	}
	return c
}

func entryID(device []byte, number uint64) ledger.ID {
	id := ledger.ID{Number: number}
	copy(id.Device[:], device)
	return id
}

func (c claim) id() ledger.ID { return entryID(c.Device, c.Number) }

func (c claim) name() name.Name { return name.Restore(c.Text, c.Key) }

// compareClaims sorts by entry, then by content: an entry that undoes the
// resolution of a conflict makes several claims.
func compareClaims(a, b claim) int {
	return cmp.Or(bytes.Compare(a.Device, b.Device), cmp.Compare(a.Number, b.Number), strings.Compare(a.Name, b.Name), cmp.Compare(a.At, b.At))
}

// keys returns the distinct comparison keys that the contact claims; "" is a
// claim without a name.
func (s contactState) keys() []string {
	var keys []string
	for _, c := range s.Claims {
		keys = append(keys, c.Key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// names returns the distinct names that the contact claims, as typed.
func (s contactState) names() []name.Name {
	var names []name.Name
	for _, c := range s.Claims {
		if n := c.name(); !n.IsZero() && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// replace removes the claims that entry e saw, and adds its own.
func (s *contactState) replace(e ledger.Entry, with []claim) {
	s.Claims = slices.DeleteFunc(s.Claims, func(c claim) bool { return e.Saw(c.id()) })
	s.Claims = append(s.Claims, with...)
	slices.SortFunc(s.Claims, compareClaims)
}

// previous returns the claims of a contact for an act, so that an undo can
// restore them.
func (s contactState) previous(v *ledger.View, id pointer.Pointer) ([]wirePrevious, error) {
	at, err := pointer.Restore(s.current(id.Bytes()))
	if err != nil {
		return nil, err
	}
	sharing, err := namedContactsAt(v, at, 2)
	if err != nil {
		return nil, err
	}
	var previous []wirePrevious
	for _, cl := range s.Claims {
		w := wirePrevious{Name: cl.Name, Removed: cl.Removed, At: cl.At}
		if cl.Key != "" {
			r, err := claimants(v, cl.Key, 2)
			if err != nil {
				return nil, err
			}
			w.Contested = len(r) > 1 || len(sharing) > 1
		}
		if !slices.Contains(previous, w) && len(previous) < maxPrevious {
			previous = append(previous, w)
		}
	}
	return previous, nil
}

// isAs reports whether the claims of the contact are what the act claimed.
func (s contactState) isAs(a act) bool {
	var n name.Name
	if a.Op == opName {
		n = name.Recorded(a.Name)
	}
	for _, c := range s.Claims {
		if c.name() != n || c.Removed != (a.Op == opRemove) {
			return false
		}
	}
	return len(s.Claims) > 0
}

// contact returns the Contact, without the facts and without conflicts with
// other contacts.
func (s contactState) contact(id pointer.Pointer) Contact {
	c := Contact{ID: id, Republished: s.kept()}
	keys := s.keys()
	for _, cl := range s.Claims {
		if at := time.UnixMilli(cl.At).UTC(); cl.Removed && (c.Removed.IsZero() || at.Before(c.Removed)) {
			c.Removed = at
		}
		if len(keys) == 1 {
			c.Name = cl.name()
		}
	}
	if len(keys) > 1 {
		c.Conflict = &Conflict{Removed: keys[0] == ""}
		for _, cl := range s.Claims {
			if n := cl.name(); !n.IsZero() && !slices.ContainsFunc(c.Conflict.Names, func(o name.Name) bool { return o.Key() == n.Key() }) {
				c.Conflict.Names = append(c.Conflict.Names, n)
			}
		}
	}
	return c
}

// factState is the row of a fact in the view. Its key is contact id ‖ device ‖
// number. No contact's id is a prefix of another's, because a multihash
// contains its length.
type factState struct {
	_     struct{} `cbor:",toarray"`
	At    int64    // ms since 1970
	Fact  wireFact
	Of    []byte // the subject; nil: the first pointer
	Chain []byte // a succession; nil: none

	Pin      *wirePin // what the commitment differs from; nil: nothing is stated
	Decision bool     // the fact is a decision of the owner about commitments
	// the decision was undone: the row has nothing but the decisions that it replaced, which stay
	// replaced if another one that replaces this one stands
	Undone bool

	NamesSuccessor bool // the fact is a card that names the successor of its pointer as well
}

func factKey(contact []byte, id ledger.ID) []byte {
	return append(slices.Clone(contact), undoKey(id)...)
}

// factsOf yields the facts about a contact.
func factsOf(v *ledger.View, contact []byte) iter.Seq2[factState, error] {
	return func(yield func(factState, error) bool) {
		for kv, err := range v.Scan(tableContacts, contact) {
			if len(kv.Key) == len(contact) && err == nil {
				continue // the row of the contact itself
			}
			var fact factState
			if err == nil {
				fact, err = decodeState[factState](tableContacts, kv.Value)
			}
			if !yield(fact, err) {
				return
			}
		}
	}
}
