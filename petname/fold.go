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

// The tables of the view.
const (
	tableContacts   = "contacts" // contact id → contactState; contact id ‖ entry → factState, for each fact
	tableSuccessors = "heirs"    // later pointer ‖ contact id → empty
	tableNames      = "names"    // comparison key → row of the name index
	tableRivals     = "rivals"   // comparison key ‖ contact id → flag
	// contact id ‖ comparison key → empty, for each name of a contact that was removed
	tableFormerNames = "formernames"
	tableKept        = "kept"      // contact id → empty, for each kept contact
	tableEdges       = "edges"     // audience ‖ comparison key of the label → edgeState
	tableUndo        = "undo"      // entry → empty, for each entry that can be undone
	tableProfile     = "profile"   // "nickname", or what deviceKey returns → profileState
	tablePublished   = "published" // "own", or a later pointer of the owner; ‖ device → publishedState
)

const (
	// The first byte of the key of an edge: public, or for one contact, with
	// the contact's id next.
	audiencePublic  byte = 0
	audiencePrivate byte = 1

	keyNickname = "nickname"
	keyOwn      = "own"
)

type profileState struct {
	Claims []claim `cbor:"1,keyasint"`
}

// fold derives the view of the book from the entries of the ledger. Concurrent
// entries may be applied in any order with the same result: a claim replaces
// the claims that its entry saw, whatever the clocks show.
//
// An act that this version cannot read has no effect. A version that can read
// it rebuilds the view.
type fold struct {
	withoutLooks bool // does not write the table of looks; for benchmarks
}

// Version names the rules and the Unicode tables of the comparison keys. The
// ledger rebuilds the view when either changes.
func (fold) Version() string {
	return "petname/21 unicode/" + name.UnicodeVersion + " categories/" + unicode.Version + " confusables/" + name.ConfusablesVersion + " emoji/" + name.EmojiVersion
}

func (f fold) Apply(v *ledger.View, e ledger.Entry, body []byte) error {
	// the body may be from another device: each device verifies it
	a, statement, err := openAct(body, introduce.Open)
	if err != nil {
		return nil
	}
	id := e.ID()
	claimed := a.Op == opLearn && a.Fact.Kind != factCard // by the owner, or accepted
	switch {
	case claimed, slices.Contains([]op{opName, opRemove, opShare, opUnshare, opKeep, opPin}, a.Op):
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
		for _, w := range a.Previous {
			if w.Name == "" {
				continue
			}
			if err := v.Put(tableFormerNames, formerNameKey(a.Contact, name.Recorded(w.Name).Key()), []byte{}); err != nil {
				return err
			}
		}
		// A removal always ends the keeping. Otherwise the keeping would return
		// with the name.
		if err := f.setContact(v, e, a, []claim{newClaim(id, "", true, e.Time().UnixMilli())}); err != nil {
			return err
		}
		return f.setKeep(v, e, a.Contact, keepOff)
	case opLearn, opAdvance, opPin:
		if err := f.accept(v, a.Item, id, true); err != nil {
			return err
		}
		return f.addFact(v, e, a)
	case opShare, opUnshare:
		return f.setEdge(v, e, []wireShare{{Audience: a.Audience, Label: a.Label, Contact: a.Contact}})
	case opUndo:
		return f.undo(v, e, a)
	case opProfile:
		return f.setProfile(v, e, []byte(keyNickname), a.Name)
	case opPublish:
		return f.setPublished(v, e, a)
	case opKeep:
		return f.setKeep(v, e, a.Contact, a.Keep)
	case opSuggest:
		return f.suggest(v, e, a)
	case opDecide:
		return f.decide(v, a)
	case opDevice:
		return f.setDevice(v, e, *a.Device)
	case opRelay:
		return f.relay(v, e, *a.Relay)
	case opStatement:
		return f.storeReceived(v, e, a, statement)
	}
	return nil
}

func undoKey(id ledger.ID) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(id.Device[:]), id.Number)
}

// setContact replaces the claims of a contact, updates the indexes, and ends
// the edges that the act lists.
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

// addFact stores the fact of an act. It creates the contact's row if there is
// none.
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
	if a.Op == opPin { // a decision replaces none that is not made yet
		seen := slices.DeleteFunc(slices.Clone(a.Pin.Replaces), func(w wireEntry) bool { return !e.Saw(entryID(w.Device, w.Number)) })
		a.Pin = &wirePin{Differs: a.Pin.Differs, Replaces: seen}
	}
	fact := factState{At: e.Time().UnixMilli(), Fact: *a.Fact, Of: a.Of, Chain: a.Chain, Pin: a.Pin, Decision: a.Op == opPin, NamesSuccessor: a.NamesSuccessor}
	if err := putState(v, tableContacts, factKey(a.Contact, e.ID()), fact); err != nil {
		return err
	}
	// A contact without a name has no looks: see updateLooks.
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

// updateNameIndex updates the index rows of a contact's old and new keys.
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
		return err // without any succession no two contacts are at one pointer
	}
	return f.updateShared(v, state.current(contact), id)
}

// setEdge replaces the claims of a label for an audience; label and audience
// are the same in all of with.
func (f fold) setEdge(v *ledger.View, e ledger.Entry, with []wireShare) error {
	key := edgeKey(with[0].Audience, with[0].Label)
	state, err := getState[edgeState](v, tableEdges, key)
	if err != nil {
		return err
	}
	state.replace(e, with)
	return putState(v, tableEdges, key, state)
}

// setProfile replaces the claims to a value of the profile.
func (f fold) setProfile(v *ledger.View, e ledger.Entry, key []byte, text string) error {
	state, err := getState[profileState](v, tableProfile, key)
	if err != nil {
		return err
	}
	state.Claims = slices.DeleteFunc(state.Claims, func(c claim) bool { return e.Saw(c.id()) })
	state.Claims = append(state.Claims, newClaim(e.ID(), text, false, 0))
	slices.SortFunc(state.Claims, compareClaims)
	return putState(v, tableProfile, key, state)
}

// getState reads a row of a table; the zero value if there is none.
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
