package petname

import (
	"bytes"
	"fmt"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// An act is the body of a ledger entry: one change that the owner made to the
// book. It is canonical CBOR (RFC 8949 §4.2.1) with integer keys:
//
//	act = {
//	  1: op                       name, remove, learn, share, unshare, undo, profile, publish,
//	                              advance, keep,
//	                              suggest, decide, hear, pin, device, relay
//	  ? 2: contact                pointer: the contact's id, its first known pointer
//	  ? 3: name                   text, as typed: a petname; the nickname for profile
//	  ? 4: [kind, by, channel, nickname, commitment or null]   the fact that the act records
//	  ? 5: [+ [name or "", removed, ms since 1970, contested]]   the names of the contact
//	                              before the act
//	  ? 6: label                  of an edge
//	  ? 7: number                 undo: the entry of this device that is undone
//	  ? 8: [value, sequence]      publish
//	  ? 9: [+ [label, contact or null]]   public edges before the act: targets of the label; edges
//	                              that end with a name or its removal; edges that an undo restores
//	  ? 10: true                  name: the owner confirmed a name that looks like another
//	  ? 11: pointer               the subject of the fact or of the publication, if not the
//	                              first pointer
//	  ? 12: chain                 advance: a succession, encoded as in a card, its signatures
//	                              verified
//	  ? 13: 1 or 2                keep: on or off; remove: 1 if the removal ends the keeping;
//	                              name: 2 if the keeping does not return with the name;
//	                              undo: the restored value
//	  ? 14: [kind, by, about, next, suggested, nickname, note, expires, channel, evidence]
//	                              suggest: the suggestion
//	  ? 15: id                    of the suggestion that is decided on, or accepted by a name
//	  ? 16: 1 or 2                decide: declined, or declined permanently
//	  ? 17: statement             hear: a signed statement, verified (package introduce)
//	  ? 18: contact               share, unshare: the only recipient of the edge, by its first
//	                              pointer
//	  ? 19: [+ [audience, label, contact or null]]   as 9, for edges with an audience
//	  ? 20: channel               hear: how the statement arrived
//	  ? 21: contact               name: the contact that this one replaces
//	  ? 22: [[* commitment], [* [device, number]]]   pin: the rejected commitments, and
//	                              the earlier decisions that this one replaces; learn: the
//	                              commitments of third parties that a card differs from; advance: the
//	                              owner's acts that the first step rests on; undo: of a pin
//	  ? 23: true                  pin, learn: one step of the owner with the act before it; both
//	                              are undone together
//	  ? 24: true                  learn: the card names the successor of its pointer as well
//	  ? 25: [device, name or "", 0, 1 or 2]   device: its name; whether it holds the identity
//	                              key: not stated, yes, no
//	  ? 26: [sender, message]     relay: a message of a mutual introduction for another device
//	}
//
// An act is read strictly: in another encoding, or with a field that its op
// does not have or that this version does not know, it has no effect. So an
// edge for one audience, written by a later version, is never read as a public
// one.
//
// What is not in the act is derived from it, above all the comparison key. So a
// device with other Unicode tables, or a malicious one, cannot file two names
// under one key or one name under two.
type act struct {
	Op        op             `cbor:"1,keyasint"`
	Contact   []byte         `cbor:"2,keyasint,omitempty"`
	Name      string         `cbor:"3,keyasint,omitempty"`
	Fact      *wireFact      `cbor:"4,keyasint,omitempty"`
	Previous  []wirePrevious `cbor:"5,keyasint,omitempty"`
	Label     string         `cbor:"6,keyasint,omitempty"`
	Number    uint64         `cbor:"7,keyasint,omitempty"`
	Published *wireValue     `cbor:"8,keyasint,omitempty"`
	Edges     []wireEdge     `cbor:"9,keyasint,omitempty"`
	Lookalike bool           `cbor:"10,keyasint,omitempty"`
	Of        []byte         `cbor:"11,keyasint,omitempty"`
	Chain     []byte         `cbor:"12,keyasint,omitempty"`
	Keep      keeping        `cbor:"13,keyasint,omitempty"`

	Suggestion *wireSuggestion `cbor:"14,keyasint,omitempty"`
	Item       []byte          `cbor:"15,keyasint,omitempty"`
	Verdict    verdict         `cbor:"16,keyasint,omitempty"`
	Statement  []byte          `cbor:"17,keyasint,omitempty"`
	Audience   []byte          `cbor:"18,keyasint,omitempty"`
	Private    []wireShare     `cbor:"19,keyasint,omitempty"`
	Channel    string          `cbor:"20,keyasint,omitempty"`
	Replaced   []byte          `cbor:"21,keyasint,omitempty"`
	Pin        *wirePin        `cbor:"22,keyasint,omitempty"`
	Joined     bool            `cbor:"23,keyasint,omitempty"`

	NamesSuccessor bool `cbor:"24,keyasint,omitempty"`

	Device *wireDevice `cbor:"25,keyasint,omitempty"`

	Relay *wireRelay `cbor:"26,keyasint,omitempty"`
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
	opStatement
	opPin
	opDevice
	opRelay
)

var opTexts = map[op]string{
	opName: "name", opRemove: "remove", opLearn: "learn", opShare: "share",
	opUnshare: "unshare", opUndo: "undo", opProfile: "profile", opPublish: "publish", opAdvance: "advance",
	opKeep: "keep", opSuggest: "suggest", opDecide: "decide", opStatement: "hear", opPin: "pin", opDevice: "device", opRelay: "relay",
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

// wirePrevious is one earlier state of a contact: a name, removed, or neither.
type wirePrevious struct {
	_         struct{} `cbor:",toarray"`
	Name      string
	Removed   bool
	At        int64 // time of the removal, ms since 1970
	Contested bool  // other contacts had the name too, or were at the same pointer
}

// wireDevice is a statement about a device of the book.
type wireDevice struct {
	_      struct{} `cbor:",toarray"`
	Device []byte
	Name   string // "": not stated
	Key    uint8  // keyNotStated, keyHeld or keyNotHeld
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

// wireShare is the target of a label for an audience.
type wireShare struct {
	_        struct{} `cbor:",toarray"`
	Audience []byte   // nil: public, in memory only; public edges are encoded as wireEdge
	Label    string
	Contact  []byte // nil: unshared
}

// shares returns the earlier edges of the act, for all audiences.
func (a act) shares() []wireShare {
	var all []wireShare
	for _, e := range a.Edges {
		all = append(all, wireShare{Label: e.Label, Contact: e.Contact})
	}
	return append(all, a.Private...)
}

// ledTo returns the contact to which the label of the act led before it; zero if there is none.
func (a act) ledTo() pointer.Pointer {
	for _, s := range a.shares() {
		if a.Label != "" && s.Label == a.Label && bytes.Equal(s.Audience, a.Audience) && s.Contact != nil {
			return optionalPointer(s.Contact)
		}
	}
	return pointer.Pointer{}
}

// setShares replaces the earlier edges of the act.
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

// Bounds on an act from any device. They keep every row of the view within the
// bounds of the ledger: a fold that fails would stop all merging.
const (
	maxSourceText = 256     // bytes of each text of a fact
	maxPrevious   = 16      // earlier states of a contact
	maxActEdges   = 512     // edges in one act
	maxValueText  = 8 << 10 // bytes of a published value
	maxAt         = 1 << 46 // ms since 1970: the maximum of an entry's clock
)

// actBounds are the bounds of acts and of the rows of the view.
var actBounds = canonical.Bounds{Nesting: 8}

// encode returns the body of an entry. It returns an error for what decodeAct
// refuses, because the fold skips such a body without an error. It does not
// verify signatures of statements again: an act is made from verified
// statements.
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

// opener is introduce.Open or introduce.Restore.
type opener func([]byte, ...introduce.Kind) (introduce.Statement, error)

// decodeAct reads the body of an entry of any device, and verifies it.
func decodeAct(body []byte) (act, error) {
	a, _, err := openAct(body, introduce.Open)
	return a, err
}

// openAct returns an act and the statement in it, the zero Statement if it has
// none.
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
