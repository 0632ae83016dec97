package petname

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// An act is the body of a ledger entry: one thing that the user did to the
// book. It is canonical CBOR (RFC 8949 §4.2.1) with integer keys:
//
//	act = {
//	  1: op                       name, remove, learn, share, unshare, undo, profile, publish, advance, keep,
//	                              suggest, decide, hear
//	  ? 2: contact                pointer: the first one learnt of it
//	  ? 3: name                   text, as typed: a petname; the nickname for profile
//	  ? 4: [kind, by, channel, nickname, commitment or null]   the fact that came with it
//	  ? 5: [+ [name or "", removed, ms since 1970, contested]] what the contact was called before
//	  ? 6: label                  of an edge
//	  ? 7: number                 for undo: the entry of this device that it takes back
//	  ? 8: [value, sequence]      for publish
//	  ? 9: [+ [label, contact or null]]   edges: where the label led before; those that end
//	                              with a name or its removal; those that an undo puts back
//	  ? 10: true                  for name: what it looks like was told, and overridden
//	  ? 11: pointer               the one that the fact, or what is published, is about, when not the first
//	  ? 12: chain                 for advance: a succession, as in a card, its signatures verified
//	  ? 13: 1 or 2                keep: from now on, or no longer; for remove: 1, that it ends with
//	                              the name; for name: 2, that it doesn't come back with it; for
//	                              undo: what is true again
//	  ? 14: [kind, by, about, next, suggested, nickname, note, expires, channel, evidence]   suggest: what came in
//	  ? 15: id                    of the suggestion that is decided on, or accepted by a name
//	  ? 16: 1 or 2                decide: declined, or declined for ever
//	  ? 17: statement             hear: what somebody signed, verified (package introduce)
//	  ? 18: contact               share, unshare: the only one who may read the edge; its first pointer
//	  ? 19: [+ [audience, label, contact or null]]   as 9, of edges with an audience
//	  ? 20: channel               hear: how it came
//	  ? 21: contact               name: whose name this was, who gave way to it
//	}
//
// An act is read strictly: in another encoding, with a field that its op
// doesn't have, or that this version doesn't know, it says nothing at all. So
// an edge for one audience, written by a later version, is never taken for a
// public one.
//
// What isn't in the act is derived from it: above all the comparison key, so
// that a device with other Unicode tables, or a lying one, can't put two names
// under one key or one name under two.
type act struct {
	Op        op         `cbor:"1,keyasint"`
	Contact   []byte     `cbor:"2,keyasint,omitempty"`
	Name      string     `cbor:"3,keyasint,omitempty"`
	Fact      *wireFact  `cbor:"4,keyasint,omitempty"`
	Was       []wireWas  `cbor:"5,keyasint,omitempty"`
	Label     string     `cbor:"6,keyasint,omitempty"`
	Number    uint64     `cbor:"7,keyasint,omitempty"`
	Published *wireValue `cbor:"8,keyasint,omitempty"`
	Edges     []wireEdge `cbor:"9,keyasint,omitempty"`
	Lookalike bool       `cbor:"10,keyasint,omitempty"`
	Of        []byte     `cbor:"11,keyasint,omitempty"`
	Chain     []byte     `cbor:"12,keyasint,omitempty"`
	Keep      keeping    `cbor:"13,keyasint,omitempty"`

	Suggestion *wireSuggestion `cbor:"14,keyasint,omitempty"`
	Item       []byte          `cbor:"15,keyasint,omitempty"`
	Verdict    verdict         `cbor:"16,keyasint,omitempty"`
	Statement  []byte          `cbor:"17,keyasint,omitempty"`
	Audience   []byte          `cbor:"18,keyasint,omitempty"`
	Private    []wireShare     `cbor:"19,keyasint,omitempty"`
	Channel    string          `cbor:"20,keyasint,omitempty"`
	Instead    []byte          `cbor:"21,keyasint,omitempty"`
}

type op uint8

const (
	opName op = iota + 1
	opRemove
	opLearn
	opShare
	opUnshare
	opUndo
	opProfile
	opPublish
	opAdvance
	opKeep
	opSuggest
	opDecide
	opHear
)

var opTexts = map[op]string{
	opName: "name", opRemove: "remove", opLearn: "learn", opShare: "share",
	opUnshare: "unshare", opUndo: "undo", opProfile: "profile", opPublish: "publish", opAdvance: "advance",
	opKeep: "keep", opSuggest: "suggest", opDecide: "decide", opHear: "hear",
}

func (o op) String() string { return opTexts[o] }

type wireFact struct {
	_        struct{} `cbor:",toarray"`
	Kind     string
	By       string
	Channel  string
	Nickname string
	Next     []byte
}

// wireWas is one of the things that a contact was called: a name, removed, or
// neither.
type wireWas struct {
	_         struct{} `cbor:",toarray"`
	Name      string
	Removed   bool
	At        int64 // when it was removed
	Contested bool  // other contacts had the name too, or were at the same pointer
}

type wireValue struct {
	_        struct{} `cbor:",toarray"`
	Value    string
	Sequence uint64
}

type wireEdge struct {
	_       struct{} `cbor:",toarray"`
	Label   string
	Contact []byte // nil: unshared
}

// wireShare is where a label leads for an audience.
type wireShare struct {
	_        struct{} `cbor:",toarray"`
	Audience []byte   // nil: everybody, in the program; such edges travel as wireEdge
	Label    string
	Contact  []byte // nil: unshared
}

// shares are the edges of before, of all audiences.
func (a act) shares() []wireShare {
	var all []wireShare
	for _, e := range a.Edges {
		all = append(all, wireShare{Label: e.Label, Contact: e.Contact})
	}
	return append(all, a.Private...)
}

// setShares sets them.
func (a *act) setShares(all []wireShare) {
	a.Edges, a.Private = nil, nil
	for _, s := range all {
		if s.Audience == nil {
			a.Edges = append(a.Edges, wireEdge{Label: s.Label, Contact: s.Contact})
		} else {
			a.Private = append(a.Private, s)
		}
	}
}

// Bounds on an act from any device, so that no row of the view outgrows what
// the ledger keeps: a fold that failed would stop all merging.
const (
	maxSourceText = 256     // bytes of each text of a fact
	maxWas        = 16      // things that a contact was called
	maxActEdges   = 512     // edges in one act
	maxValueText  = 8 << 10 // bytes of a published value
	maxAt         = 1 << 46 // ms since 1970: as far as an entry's clock goes
)

// actBounds are those of acts and of the rows of the view.
var actBounds = canonical.Bounds{Nesting: 8}

// encode returns the body of an entry. It refuses what decodeAct would, since the
// fold passes over that without an error. It verifies no signature of a statement
// again: an act is made from verified ones.
func (a act) encode() ([]byte, error) {
	body, err := canonical.Marshal(a)
	if err != nil {
		return nil, err
	}
	if _, _, err := openAct(body, introduce.Restore); err != nil {
		return nil, err
	}
	return body, nil
}

// opener is introduce.Open, or introduce.Restore.
type opener func([]byte, ...introduce.Kind) (introduce.Statement, error)

// decodeAct reads the body of an entry, of whatever device, and verifies it.
func decodeAct(body []byte) (act, error) {
	a, _, err := openAct(body, introduce.Open)
	return a, err
}

// openAct returns an act, and the statement in it, the zero value if it has none.
func openAct(body []byte, open opener) (act, introduce.Statement, error) {
	fail := func(err error) (act, introduce.Statement, error) { return act{}, introduce.Statement{}, err }
	var a act
	if err := canonical.Unmarshal(body, &a, actBounds); err != nil {
		return fail(fmt.Errorf("act: %w", err))
	}
	err := a.check()
	if err == nil && a.Suggestion != nil {
		err = a.Suggestion.verify(open)
	}
	var s introduce.Statement
	if err == nil && a.Statement != nil {
		s, err = open(a.Statement, introduce.KindRetraction, introduce.KindEdges, introduce.KindDenial)
	}
	if err != nil {
		return fail(fmt.Errorf("act: %s: %w", a.Op, err))
	}
	return a, s, nil
}

// shapes say which fields an op has.
var shapes = map[op]struct{ must, may field }{
	opName:    {has(2) | has(3), has(4) | has(5) | has(9) | has(10) | has(11) | has(13) | has(15) | has(19) | has(21)},
	opRemove:  {has(2), has(5) | has(9) | has(13) | has(19)},
	opLearn:   {has(2) | has(4), has(11) | has(15)},
	opShare:   {has(2) | has(6), has(9) | has(18) | has(19)},
	opUnshare: {has(6), has(9) | has(18) | has(19)},
	opUndo:    {has(7), has(2) | has(3) | has(5) | has(6) | has(9) | has(13) | has(15) | has(18) | has(19)},
	opProfile: {0, has(3)},
	opPublish: {has(8), has(11)},
	opKeep:    {has(2) | has(13), 0},
	opAdvance: {has(2) | has(4) | has(12), 0},
	opSuggest: {has(14), 0},
	opDecide:  {has(15) | has(16), 0},
	opHear:    {has(17) | has(20), 0},
}

// field is a set of an act's keys.
type field uint32

func has(key int) field { return 1 << key }

func (a act) fields() (f field) {
	for key, there := range [...]bool{
		2: a.Contact != nil, 3: a.Name != "", 4: a.Fact != nil, 5: a.Was != nil, 6: a.Label != "",
		7: a.Number != 0, 8: a.Published != nil, 9: a.Edges != nil, 10: a.Lookalike,
		11: a.Of != nil, 12: a.Chain != nil, 13: a.Keep != 0, 14: a.Suggestion != nil, 15: a.Item != nil,
		16: a.Verdict != 0, 17: a.Statement != nil, 18: a.Audience != nil, 19: a.Private != nil, 20: a.Channel != "", 21: a.Instead != nil,
	} {
		if there {
			f |= has(key)
		}
	}
	return f
}

// check holds an act to its shape, and every part of it to its bounds.
func (a act) check() error {
	shape, known := shapes[a.Op]
	if f := a.fields(); !known || f&shape.must != shape.must || f&^(shape.must|shape.may) != 0 {
		return errors.New("has not the fields of its op")
	}
	for _, mh := range [][]byte{a.Contact, a.Of, a.Audience, a.Instead} {
		if mh == nil {
			continue
		}
		if _, err := pointer.FromBytes(mh); err != nil {
			return fmt.Errorf("contact %w", err)
		}
	}
	if a.Of != nil && (a.Fact == nil && a.Op != opPublish || bytes.Equal(a.Of, a.Contact)) {
		return errors.New("has another pointer, and no fact about it")
	}
	if a.Chain != nil {
		if err := checkChain(a.Chain); err != nil {
			return err
		}
	}
	if a.Name != "" && !name.IsName(a.Name) {
		return fmt.Errorf("%s can't be a name", name.Quote(a.Name))
	}
	if a.Op == opProfile && len(a.Name) > pointer.MaxNickname {
		return fmt.Errorf("nickname of %d bytes", len(a.Name))
	}
	if a.Label != "" && !name.IsLabel(a.Label) {
		return fmt.Errorf("%s can't be a label", name.Quote(a.Label))
	}
	if a.Fact != nil {
		if err := a.Fact.check(); err != nil {
			return err
		}
	}
	if a.Published != nil && (len(a.Published.Value) > maxValueText || a.Published.Sequence == 0 || a.Published.Sequence > pointer.MaxSequence) {
		return fmt.Errorf("sequence %d of a value of %d bytes", a.Published.Sequence, len(a.Published.Value))
	}
	if a.Keep > keepOff {
		return fmt.Errorf("keeping %d", a.Keep)
	}
	if err := a.checkHeard(); err != nil {
		return err
	}
	return a.checkBefore()
}

// checkChain verifies what can be without knowing what was pinned.
func checkChain(b []byte) error {
	chain, err := pointer.ParseSuccession(b)
	if err != nil {
		return err
	}
	if len(chain) > maxTrail {
		return fmt.Errorf("succession of %d steps", len(chain))
	}
	for _, s := range chain {
		if _, err := s.Verify(); err != nil {
			return err
		}
	}
	return nil
}

func (a act) checkBefore() error {
	if len(a.Was) > maxWas || len(a.Edges) > maxActEdges || len(a.Private) > maxActEdges {
		return fmt.Errorf("tells of %d names and %d edges before", len(a.Was), len(a.Edges)+len(a.Private))
	}
	if a.Op == opShare || a.Op == opUnshare {
		if a.Audience == nil && a.Private != nil || a.Audience != nil && a.Edges != nil {
			return errors.New("an edge for one audience was one for another before")
		}
	}
	for _, e := range a.Private {
		if !name.IsLabel(e.Label) {
			return fmt.Errorf("%s can't have been a label", name.Quote(e.Label))
		}
		if _, err := pointer.FromBytes(e.Audience); err != nil {
			return fmt.Errorf("edge's audience %w", err)
		}
		if e.Contact == nil {
			continue
		}
		if _, err := pointer.FromBytes(e.Contact); err != nil {
			return fmt.Errorf("edge's contact %w", err)
		}
	}
	for _, w := range a.Was {
		if w.Name != "" && (w.Removed || !name.IsName(w.Name)) || w.At < 0 || w.At > maxAt {
			return fmt.Errorf("%s can't have been the name", name.Quote(w.Name))
		}
	}
	for _, e := range a.Edges {
		if !name.IsLabel(e.Label) {
			return fmt.Errorf("%s can't have been a label", name.Quote(e.Label))
		}
		if e.Contact == nil {
			continue
		}
		if _, err := pointer.FromBytes(e.Contact); err != nil {
			return fmt.Errorf("edge's contact %w", err)
		}
	}
	return nil
}

func (f wireFact) check() error {
	for _, text := range []string{f.Kind, f.By, f.Channel} {
		if len(text) > maxSourceText {
			return fmt.Errorf("source %s: is over %d bytes", name.Quote(text), maxSourceText)
		}
	}
	if len(f.Nickname) > pointer.MaxNickname {
		return fmt.Errorf("nickname %s: is over %d bytes", name.Quote(f.Nickname), pointer.MaxNickname)
	}
	if f.Next == nil {
		return nil
	}
	_, err := pointer.CommitmentFromBytes(f.Next)
	return err
}
