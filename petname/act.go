package petname

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/petnames-go/petnames/pointer"
)

// An act is the body of a ledger entry: one thing that the user did to the
// book. It is canonical CBOR (RFC 8949 §4.2.1) with integer keys:
//
//	act = {
//	  1: op                       name, remove, learn, share, unshare, undo, profile, publish
//	  ? 2: contact                pointer: the first one learnt of it
//	  ? 3: name                   text, as typed: a petname; the nickname for profile
//	  ? 4: [kind, by, channel, nickname, commitment or null]   the fact that came with it
//	  ? 5: [name or "", removed]  what the contact was called before
//	  ? 6: label                  of an edge
//	  ? 7: number                 for undo: the entry of this device that it takes back
//	  ? 8: [value, sequence]      for publish
//	  ? 9: contact                what the label led to before
//	}
//
// What isn't in the act is derived from it: above all the comparison key, so
// that a device with other Unicode tables, or a lying one, can't put two names
// under one key or one name under two.
type act struct {
	Op        op         `cbor:"1,keyasint"`
	Contact   []byte     `cbor:"2,keyasint,omitempty"`
	Name      string     `cbor:"3,keyasint,omitempty"`
	Fact      *wireFact  `cbor:"4,keyasint,omitempty"`
	Was       *wireWas   `cbor:"5,keyasint,omitempty"`
	Label     string     `cbor:"6,keyasint,omitempty"`
	Number    uint64     `cbor:"7,keyasint,omitempty"`
	Published *wireValue `cbor:"8,keyasint,omitempty"`
	WasEdge   []byte     `cbor:"9,keyasint,omitempty"`
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
)

var opTexts = map[op]string{
	opName: "name", opRemove: "remove", opLearn: "learn", opShare: "share",
	opUnshare: "unshare", opUndo: "undo", opProfile: "profile", opPublish: "publish",
}

func (o op) String() string {
	if s, ok := opTexts[o]; ok {
		return s
	}
	return fmt.Sprintf("op %d", uint8(o))
}

type wireFact struct {
	_        struct{} `cbor:",toarray"`
	Kind     string
	By       string
	Channel  string
	Nickname string
	Next     []byte
}

type wireWas struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Removed bool
}

type wireValue struct {
	_        struct{} `cbor:",toarray"`
	Value    string
	Sequence uint64
}

var (
	actEncoder = func() cbor.EncMode {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
	actDecoder = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			DupMapKey:       cbor.DupMapKeyEnforcedAPF,
			IndefLength:     cbor.IndefLengthForbidden,
			TagsMd:          cbor.TagsForbidden,
			MaxNestedLevels: 8,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func (a act) encode() ([]byte, error) { return actEncoder.Marshal(a) }

func decodeAct(body []byte) (act, error) {
	var a act
	if err := actDecoder.Unmarshal(body, &a); err != nil {
		return act{}, fmt.Errorf("act: %w", err)
	}
	if a.Op == 0 {
		return act{}, errors.New("act: does nothing")
	}
	for _, p := range [][]byte{a.Contact, a.WasEdge} {
		if p == nil {
			continue
		}
		if _, err := pointer.FromBytes(p); err != nil {
			return act{}, fmt.Errorf("act: contact %w", err)
		}
	}
	if a.Fact != nil && a.Fact.Next != nil {
		if _, err := pointer.CommitmentFromBytes(a.Fact.Next); err != nil {
			return act{}, fmt.Errorf("act: %w", err)
		}
	}
	return a, nil
}
