package petname

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// The tables of the view that the fold keeps.
const (
	tableContacts   = "contacts"  // contact id → contactState; and behind it contact id ‖ entry → factState, for each fact
	tableSuccessors = "heirs"     // later pointer ‖ contact id → nothing
	tableNames      = "names"     // comparison key → row of the index
	tableRivals     = "rivals"    // comparison key ‖ contact id → flag
	tableKept       = "kept"      // contact id → nothing: those that are kept
	tableEdges      = "edges"     // audience ‖ comparison key of the label → edgeState
	tableUndo       = "undo"      // entry → nothing: what can be undone
	tableProfile    = "profile"   // "nickname" → profileState
	tablePublished  = "published" // "own", or a later pointer of mine → publishedState
)

const (
	// The first byte of the key of an edge: for everybody, or for one contact,
	// whose id comes next.
	audiencePublic  byte = 0
	audiencePrivate byte = 1

	keyNickname = "nickname"
	keyOwn      = "own"
)

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
type fold struct {
	withoutLooks bool // keeps no looks: what they cost is measured against it
}

// Version names the rules and the Unicode tables that the keys are made with:
// with either changed, the ledger derives the view again.
func (fold) Version() string {
	return "petname/9 unicode/" + name.UnicodeVersion + " categories/" + unicode.Version + " confusables/" + name.ConfusablesVersion
}

func (f fold) Apply(v *ledger.View, e ledger.Entry, body []byte) error {
	a, heard, err := openAct(body, introduce.Open) // a body may be another device's: verified here, on each
	if err != nil {
		return nil
	}
	id := e.ID()
	switch a.Op {
	case opName, opRemove, opShare, opUnshare, opKeep:
		if err := v.Put(tableUndo, undoKey(id), []byte{}); err != nil {
			return err
		}
	}
	switch a.Op {
	case opName:
		if err := f.addFact(v, e, a); err != nil {
			return err
		}
		if err := f.setContact(v, e, a, []claim{newClaim(id, a.Name, false, 0)}); err != nil {
			return err
		}
		if a.Replaced != nil {
			if err := v.Put(tableReplaced, factKey(a.Contact, id), a.Replaced); err != nil {
				return err
			}
		}
		if err := f.accept(v, a.Item, id, true); err != nil {
			return err
		}
		return f.setKeep(v, e, a.Contact, a.Keep)
	case opRemove:
		// Whoever is removed is no longer kept, whatever the act says: or a keep
		// would come back with the name.
		if err := f.setContact(v, e, a, []claim{newClaim(id, "", true, e.Time().UnixMilli())}); err != nil {
			return err
		}
		return f.setKeep(v, e, a.Contact, keepOff)
	case opLearn, opAdvance:
		if err := f.accept(v, a.Item, id, true); err != nil {
			return err
		}
		return f.addFact(v, e, a)
	case opShare, opUnshare:
		return f.setEdge(v, e, []wireShare{{Audience: a.Audience, Label: a.Label, Contact: a.Contact}})
	case opUndo:
		return f.undo(v, e, a)
	case opProfile:
		return f.setProfile(v, e, a)
	case opPublish:
		return f.publish(v, a)
	case opKeep:
		return f.setKeep(v, e, a.Contact, a.Keep)
	case opSuggest:
		return f.suggest(v, e, a)
	case opDecide:
		return f.decide(v, a)
	case opStatement:
		return f.storeReceived(v, e, a, heard)
	}
	return nil
}

func undoKey(id ledger.ID) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(id.Device[:]), id.Number)
}

// setContact replaces what the contact is called, keeps the index true, and
// ends the edges that the act says end with it.
func (f fold) setContact(v *ledger.View, e ledger.Entry, a act, with []claim) error {
	state, err := getState[contactState](v, tableContacts, a.Contact)
	if err != nil {
		return err
	}
	before, names := state.keys(), state.names()
	state.replace(e, with)
	if err := putState(v, tableContacts, a.Contact, state); err != nil {
		return err
	}
	if err := indexKept(v, a.Contact, state); err != nil {
		return err
	}
	if err := f.updateNameIndex(v, a.Contact, before, state); err != nil {
		return err
	}
	if err := f.updateLooks(v, a.Contact, names, state.names()); err != nil {
		return err
	}
	for _, edges := range byLabel(a.shares()) {
		if err := f.setEdge(v, e, []wireShare{{Audience: edges[0].Audience, Label: edges[0].Label}}); err != nil {
			return err
		}
	}
	return nil
}

// learn keeps the fact that came with an act. The contact has a row then, be
// it an empty one.
func (f fold) addFact(v *ledger.View, e ledger.Entry, a act) error {
	if a.Fact == nil {
		return nil
	}
	known, err := v.Get(tableContacts, a.Contact)
	if err != nil {
		return err
	}
	var state contactState
	if known != nil {
		if state, err = decodeState[contactState](tableContacts, known); err != nil {
			return err
		}
	}
	if chained := a.Chain != nil; known == nil || chained && !state.HasSuccession {
		state.HasSuccession = chained
		if err := putState(v, tableContacts, a.Contact, state); err != nil {
			return err
		}
	}
	fact := factState{At: e.Time().UnixMilli(), Fact: *a.Fact, Of: a.Of, Chain: a.Chain}
	if err := putState(v, tableContacts, factKey(a.Contact, e.ID()), fact); err != nil {
		return err
	}
	// Of a stranger none are kept: see relook.
	if n, some := name.OfNickname(a.Fact.Nickname); some && len(state.names()) > 0 {
		if err := f.setLooks(v, rowNickname, a.Contact, n, true); err != nil {
			return err
		}
	}
	if !state.HasSuccession {
		return nil
	}
	return f.updateChain(v, a.Contact)
}

// reindex brings the rows of a contact's old and new keys up to date.
func (f fold) updateNameIndex(v *ledger.View, contact []byte, before []string, state contactState) error {
	id, err := pointer.Restore(contact)
	if err != nil {
		return err
	}
	after := state.keys()
	for _, key := range before {
		if key == "" || slices.Contains(after, key) {
			continue
		}
		if err := removeClaimant(v, key, id); err != nil {
			return err
		}
	}
	for _, key := range after {
		if key == "" {
			continue
		}
		if err := addClaimant(v, key, claimant{id, len(after) > 1, len(state.Chain) > 0}); err != nil {
			return err
		}
	}
	if n, err := v.Count(tableSuccessors); n == 0 || err != nil {
		return err // nobody ever moved, so nobody is where another is
	}
	return f.updateShared(v, state.current(contact), id)
}

// setEdge replaces where a label leads for an audience: it is the same in all of
// with.
func (f fold) setEdge(v *ledger.View, e ledger.Entry, with []wireShare) error {
	key := edgeKey(with[0].Audience, with[0].Label)
	state, err := getState[edgeState](v, tableEdges, key)
	if err != nil {
		return err
	}
	state.replace(e, with)
	return putState(v, tableEdges, key, state)
}

func (f fold) setProfile(v *ledger.View, e ledger.Entry, a act) error {
	state, err := getState[profileState](v, tableProfile, []byte(keyNickname))
	if err != nil {
		return err
	}
	state.Claims = slices.DeleteFunc(state.Claims, func(c claim) bool { return e.Saw(c.id()) })
	state.Claims = append(state.Claims, newClaim(e.ID(), a.Name, false, 0))
	slices.SortFunc(state.Claims, compareClaims)
	return putState(v, tableProfile, []byte(keyNickname), state)
}

func (f fold) publish(v *ledger.View, a act) error {
	key := publishedKey(a.Of)
	state, err := getState[publishedState](v, tablePublished, key)
	if err != nil {
		return err
	}
	// Of two devices' publishing with one sequence the greater value stands,
	// so that all fold to the same.
	if a.Published.Sequence < state.Sequence ||
		(a.Published.Sequence == state.Sequence && a.Published.Value <= state.Value) {
		return nil
	}
	return putState(v, tablePublished, key, publishedState{a.Published.Value, a.Published.Sequence})
}

// publishedKey is of which of my pointers a publication is: "own" for the first.
func publishedKey(of []byte) []byte {
	if of == nil {
		return []byte(keyOwn)
	}
	return of
}

// getState reads one value of a table; the zero value when there is none.
func getState[T any](v *ledger.View, table string, key []byte) (T, error) {
	var state T
	b, err := v.Get(table, key)
	if err != nil || b == nil {
		return state, err
	}
	return decodeState[T](table, b)
}

func decodeState[T any](table string, b []byte) (T, error) {
	var state T
	if err := canonical.UnmarshalLoose(b, &state, actBounds); err != nil {
		return state, fmt.Errorf("table %s: %w", table, err)
	}
	return state, nil
}

func putState(v *ledger.View, table string, key []byte, state any) error {
	b, err := canonical.Marshal(state)
	if err != nil {
		return err
	}
	return v.Put(table, key, b)
}
