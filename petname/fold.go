package petname

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// The tables of the view that the fold keeps.
const (
	tableContacts  = "contacts"  // contact id → contactState
	tableNames     = "names"     // comparison key → row
	tableEdges     = "edges"     // audience ‖ comparison key of the label → edgeState
	tableUndo      = "undo"      // device ‖ number → nothing: the entries that can be undone
	tableProfile   = "profile"   // "nickname" → profileState
	tablePublished = "published" // "own" → publishedState
)

const (
	// audiencePublic is the first byte of the key of an edge for everybody.
	// Other audiences have other first bytes.
	audiencePublic byte = 0

	keyNickname = "nickname"
	keyOwn      = "own"
)

// edgeState is what a label leads to: one claim a device that nothing later
// replaced, as for names.
type edgeState struct {
	Claims []edgeClaim `cbor:"1,keyasint"`
}

type edgeClaim struct {
	_       struct{} `cbor:",toarray"`
	Device  []byte
	Number  uint64
	Label   string // as typed
	Contact []byte // nil: unshared
	At      int64
}

type profileState struct {
	Claims []claim `cbor:"1,keyasint"`
}

type publishedState struct {
	Value    string `cbor:"1,keyasint"`
	Sequence uint64 `cbor:"2,keyasint"`
}

// fold makes the view of the book out of the ledger's entries. Concurrent
// entries may come in any order and give the same view: a claim replaces just
// those that its entry had seen, whatever any clock says.
//
// An act that says nothing to this version (a later one's, or a broken
// device's) changes nothing; the version rebuilds the view when it learns more.
type fold struct{}

// Version names the rules and the Unicode tables that the keys are made with:
// with either changed, the ledger derives the view again.
func (fold) Version() string { return "petname/1 unicode/" + UnicodeVersion }

func (f fold) Apply(v *ledger.View, e ledger.Entry, body []byte) error {
	a, err := decodeAct(body)
	if err != nil {
		return nil
	}
	id := e.ID()
	if a.Op != opUndo && a.Op != opLearn && a.Op != opPublish && a.Op != opProfile {
		if err := v.Put(tableUndo, undoKey(id), []byte{}); err != nil {
			return err
		}
	}
	at := e.Time().UnixMilli()
	switch a.Op {
	case opName:
		if a.Contact == nil || a.Name == "" {
			return nil
		}
		return f.setContact(v, e, a, &claim{Device: id.Device[:], Number: id.Number, Name: a.Name, At: at})
	case opRemove:
		if a.Contact == nil {
			return nil
		}
		return f.setContact(v, e, a, &claim{Device: id.Device[:], Number: id.Number, At: at})
	case opLearn:
		if a.Contact == nil || a.Fact == nil {
			return nil
		}
		return f.learn(v, e, a)
	case opShare, opUnshare:
		if a.Label == "" || (a.Op == opShare && a.Contact == nil) {
			return nil
		}
		if a.Op == opUnshare {
			a.Contact = nil
		}
		return f.setEdge(v, e, a.Label, a.Contact)
	case opUndo:
		return f.undo(v, e, a)
	case opProfile:
		return f.setProfile(v, e, a)
	case opPublish:
		return f.publish(v, a)
	}
	return nil
}

func undoKey(id ledger.ID) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(id.Device[:]), id.Number)
}

// setContact replaces what the contact is called, and keeps the index true.
func (f fold) setContact(v *ledger.View, e ledger.Entry, a act, with *claim) error {
	state, err := getState[contactState](v, tableContacts, a.Contact)
	if err != nil {
		return err
	}
	before := state.keys()
	state.replace(e, with)
	if a.Fact != nil {
		id := e.ID()
		state.learn(fact{Device: id.Device[:], Number: id.Number, At: e.Time().UnixMilli(), Fact: *a.Fact})
	}
	if err := putState(v, tableContacts, a.Contact, state); err != nil {
		return err
	}
	return f.reindex(v, a.Contact, before, state.keys())
}

func (f fold) learn(v *ledger.View, e ledger.Entry, a act) error {
	state, err := getState[contactState](v, tableContacts, a.Contact)
	if err != nil {
		return err
	}
	id := e.ID()
	state.learn(fact{Device: id.Device[:], Number: id.Number, At: e.Time().UnixMilli(), Fact: *a.Fact})
	return putState(v, tableContacts, a.Contact, state)
}

// reindex brings the rows of a contact's old and new keys up to date.
func (f fold) reindex(v *ledger.View, contact []byte, before, after []string) error {
	id, err := pointer.Restore(contact)
	if err != nil {
		return err
	}
	conflicted := len(after) > 1
	keys := append(slices.Clone(before), after...)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		if key == "" {
			continue
		}
		stored, err := v.Get(tableNames, []byte(key))
		if err != nil {
			return err
		}
		r, err := decodeRow(stored)
		if err != nil {
			return err
		}
		r = slices.DeleteFunc(r, func(c claimant) bool { return c.id == id })
		if slices.Contains(after, key) {
			r = append(r, claimant{id, conflicted})
			slices.SortFunc(r, func(a, b claimant) int { return bytes.Compare(a.id.Bytes(), b.id.Bytes()) })
		}
		if len(r) == 0 {
			err = v.Delete(tableNames, []byte(key))
		} else {
			err = v.Put(tableNames, []byte(key), r.encode())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func edgeKey(audience byte, label string) []byte {
	return append([]byte{audience}, foldKey(label)...)
}

func (f fold) setEdge(v *ledger.View, e ledger.Entry, label string, contact []byte) error {
	key := edgeKey(audiencePublic, label)
	state, err := getState[edgeState](v, tableEdges, key)
	if err != nil {
		return err
	}
	id := e.ID()
	state.Claims = slices.DeleteFunc(state.Claims, func(c edgeClaim) bool { return e.Saw(entryID(c.Device, c.Number)) })
	state.Claims = append(state.Claims, edgeClaim{
		Device: id.Device[:], Number: id.Number, Label: label, Contact: contact, At: e.Time().UnixMilli(),
	})
	slices.SortFunc(state.Claims, func(a, b edgeClaim) int { return compareIDs(a.Device, a.Number, b.Device, b.Number) })
	return putState(v, tableEdges, key, state)
}

// undo takes back an earlier entry of the same device: what stood before it is
// said again.
func (f fold) undo(v *ledger.View, e ledger.Entry, a act) error {
	id := e.ID()
	if a.Number == 0 || a.Number >= id.Number {
		return nil
	}
	if err := v.Delete(tableUndo, undoKey(ledger.ID{Device: id.Device, Number: a.Number})); err != nil {
		return err
	}
	if a.Label != "" {
		return f.setEdge(v, e, a.Label, a.WasEdge)
	}
	if a.Contact == nil {
		return nil
	}
	var with *claim
	if a.Was != nil {
		with = &claim{Device: id.Device[:], Number: id.Number, Name: a.Was.Name, At: e.Time().UnixMilli()}
		if with.Name == "" && !a.Was.Removed {
			with = nil
		}
	}
	return f.setContact(v, e, a, with)
}

func (f fold) setProfile(v *ledger.View, e ledger.Entry, a act) error {
	state, err := getState[profileState](v, tableProfile, []byte(keyNickname))
	if err != nil {
		return err
	}
	id := e.ID()
	state.Claims = slices.DeleteFunc(state.Claims, func(c claim) bool { return e.Saw(c.id()) })
	state.Claims = append(state.Claims, claim{Device: id.Device[:], Number: id.Number, Name: a.Name, At: e.Time().UnixMilli()})
	slices.SortFunc(state.Claims, func(a, b claim) int { return compareIDs(a.Device, a.Number, b.Device, b.Number) })
	return putState(v, tableProfile, []byte(keyNickname), state)
}

func (f fold) publish(v *ledger.View, a act) error {
	if a.Published == nil {
		return nil
	}
	state, err := getState[publishedState](v, tablePublished, []byte(keyOwn))
	if err != nil {
		return err
	}
	// Of two devices' publishing with one sequence the greater value stands,
	// so that all fold to the same.
	if a.Published.Sequence < state.Sequence ||
		(a.Published.Sequence == state.Sequence && a.Published.Value <= state.Value) {
		return nil
	}
	return putState(v, tablePublished, []byte(keyOwn), publishedState(publishedState{a.Published.Value, a.Published.Sequence}))
}

// getState reads one value of a table; the zero value when there is none.
func getState[T any](v *ledger.View, table string, key []byte) (T, error) {
	var state T
	b, err := v.Get(table, key)
	if err != nil || b == nil {
		return state, err
	}
	if err := actDecoder.Unmarshal(b, &state); err != nil {
		return state, fmt.Errorf("table %s: %w", table, err)
	}
	return state, nil
}

func putState(v *ledger.View, table string, key []byte, state any) error {
	b, err := actEncoder.Marshal(state)
	if err != nil {
		return err
	}
	return v.Put(table, key, b)
}
