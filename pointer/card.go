package pointer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// Card is the statement of a pointer's owner about itself. It is part of the
// record, under its signature, as canonical CBOR (RFC 8949 §4.2.1):
//
//	Card = {
//	  1: 1                                            version
//	  2: text                                         nickname, 1 to 64 bytes
//	  3: bytes                                        next: a Commitment
//	  4: [+ [KEM id, key bytes]]                      sealing keys (KEM ids of RFC 9180); not used beside 9
//	  5: [+ multiaddr bytes]                          nodes
//	  6: {+ label: [pointer, commitment or null]}     edges, labels of 1 to 64 bytes
//	  7: [+ [rel, target]]                            links
//	  8: [+ [old pointer, new key, commitment or null,
//	         signature by new, signature by old or null]]  succession
//	  9: pointer                                      successor
//	  12: [1*16 bytes .size 8]                        tags of devices, in ascending order
//	  13: uint                                        epoch: delegations of an earlier one are revoked
//	}
//
// Everything but the version is optional. An empty value is absent, so that a
// card has one encoding. Unknown integer keys are stored and written back. All
// of it is a claim of the owner. A nickname is not a petname, and must be
// cleaned before it is displayed.
type Card struct {
	Nickname   string
	Next       Commitment
	Sealing    []SealingKey
	Nodes      [][]byte // multiaddrs in binary form, not checked
	Edges      map[string]Edge
	Links      []CardLink
	Succession []Succession
	Successor  Pointer
	Devices    []DeviceTag // of the owner's devices that send on channels of their own, in ascending order
	Epoch      uint64      // of delegations to peer keys: see package delegation; at most MaxEpoch

	unknown map[int64]canonical.Raw
}

// DeviceTag identifies a device of the owner to the owner's contacts, without the key of the
// device. Package petname derives it. The zero value is no tag.
type DeviceTag [8]byte

// String returns the tag as 16 hexadecimal digits.
func (t DeviceTag) String() string { return hex.EncodeToString(t[:]) }

// MaxDevices bounds the tags of a card.
const MaxDevices = 16

// MaxEpoch bounds the epoch of a card.
const MaxEpoch = 1<<53 - 1

// SealingKey is a public key for messages to the owner, with the id of its HPKE
// KEM (RFC 9180, §7.1).
type SealingKey struct {
	_   struct{} `cbor:",toarray"`
	KEM uint16
	Key []byte
}

// Edge is the target of a label in the owner's card.
type Edge struct {
	Pointer Pointer
	Next    Commitment // zero: none
}

// CardLink is a link of the card: a relation and its target, as in RFC 8288.
type CardLink struct {
	_      struct{} `cbor:",toarray"`
	Rel    string
	Target string
}

const (
	cardVersion = 1

	// MaxNickname and MaxLabel bound a nickname and an edge's label, in bytes
	// of UTF-8.
	MaxNickname = 64
	MaxLabel    = 64

	// maxList bounds each list and map of a card.
	maxList = 1024
)

const (
	keyVersion = iota + 1
	keyNickname
	keyNext
	keySealing
	keyNodes
	keyEdges
	keyLinks
	keySuccession
	keySuccessor
	_
	_
	keyDevices
	keyEpoch
)

// wireEdge is the encoding of an Edge.
type wireEdge struct {
	_       struct{} `cbor:",toarray"`
	Pointer []byte
	Next    []byte
}

// cardBounds are the bounds of cards and of succession chains.
var cardBounds = canonical.Bounds{Nesting: 16, Elements: maxList, Pairs: maxList}

// Encode returns the canonical encoding of the card, or an error if a field is
// over its bounds.
func (c Card) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	m := map[int64]any{keyVersion: cardVersion}
	if c.Nickname != "" {
		m[keyNickname] = c.Nickname
	}
	if !c.Next.IsZero() {
		m[keyNext] = c.Next.Bytes()
	}
	if len(c.Sealing) > 0 {
		m[keySealing] = c.Sealing
	}
	if len(c.Nodes) > 0 {
		m[keyNodes] = c.Nodes
	}
	if len(c.Edges) > 0 {
		edges := make(map[string]wireEdge, len(c.Edges))
		for label, e := range c.Edges {
			edges[label] = wireEdge{Pointer: e.Pointer.Bytes(), Next: e.Next.Bytes()}
		}
		m[keyEdges] = edges
	}
	if len(c.Links) > 0 {
		m[keyLinks] = c.Links
	}
	if len(c.Succession) > 0 {
		chain, err := wireChain(c.Succession)
		if err != nil {
			return nil, fmt.Errorf("card: %w", err)
		}
		m[keySuccession] = chain
	}
	if !c.Successor.IsZero() {
		m[keySuccessor] = c.Successor.Bytes()
	}
	if len(c.Devices) > 0 {
		m[keyDevices] = c.Devices
	}
	if c.Epoch != 0 {
		m[keyEpoch] = c.Epoch
	}
	for key, raw := range c.unknown {
		m[key] = raw
	}
	b, err := canonical.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	return b, nil
}

// check checks the bounds of all fields.
func (c Card) check() error {
	if err := checkNickname(c.Nickname); err != nil {
		return err
	}
	for _, list := range []struct {
		name   string
		length int
	}{{"sealing keys", len(c.Sealing)}, {"nodes", len(c.Nodes)}, {"edges", len(c.Edges)}, {"links", len(c.Links)}} {
		if list.length > maxList {
			return fmt.Errorf("%d %s, over %d", list.length, list.name, maxList)
		}
	}
	for _, s := range c.Sealing {
		if len(s.Key) == 0 {
			return fmt.Errorf("the sealing key for KEM %d is empty", s.KEM)
		}
	}
	for _, node := range c.Nodes {
		if len(node) == 0 {
			return errors.New("a node's address is empty")
		}
	}
	for label, e := range c.Edges {
		if label == "" {
			return errors.New("an edge has an empty label")
		}
		if err := checkText("edge label", label, MaxLabel); err != nil {
			return err
		}
		if e.Pointer.IsZero() {
			return fmt.Errorf("edge %s leads to no pointer", quote(label))
		}
	}
	for _, link := range c.Links {
		if link.Rel == "" || link.Target == "" {
			return errors.New("a link has no relation or no target")
		}
		for _, text := range []string{link.Rel, link.Target} {
			if err := checkText("link", text, MaxRecord); err != nil {
				return err
			}
		}
	}
	if err := checkDevices(c.Devices); err != nil {
		return err
	}
	if c.Epoch > MaxEpoch {
		return fmt.Errorf("epoch %d, over %d", c.Epoch, uint64(MaxEpoch))
	}
	return checkSuccession(c.Succession, maxSuccession)
}

// checkDevices checks the number and the order of the tags of devices.
func checkDevices(tags []DeviceTag) error {
	if len(tags) > MaxDevices {
		return fmt.Errorf("%d tags of devices, over %d", len(tags), MaxDevices)
	}
	previous := DeviceTag{}
	for _, tag := range tags {
		if bytes.Compare(tag[:], previous[:]) <= 0 {
			return errors.New("the tags of devices are not in ascending order, or one is zero")
		}
		previous = tag
	}
	return nil
}

// checkNickname checks the bounds of a nickname.
func checkNickname(s string) error { return checkText("nickname", s, MaxNickname) }

// checkText checks that a text has at most maxBytes of UTF-8; what is its name in the error.
func checkText(what, s string, maxBytes int) error {
	if len(s) > maxBytes {
		return fmt.Errorf("%s %s is %d bytes long, over %d", what, quote(s), len(s), maxBytes)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s %s is not valid UTF-8", what, quote(s))
	}
	return nil
}

// ParseCard reads a card. It accepts only the canonical encoding, so
// [Card.Encode] returns the same bytes.
func ParseCard(b []byte) (Card, error) {
	c, err := parseCard(b)
	if err != nil {
		return Card{}, fmt.Errorf("card: %w", err)
	}
	return c, nil
}

// parseCard is ParseCard without the prefix of its errors.
func parseCard(b []byte) (Card, error) {
	// 1. Canonical as CBOR, down to the values of unknown keys.
	var whole any
	if err := canonical.Unmarshal(b, &whole, cardBounds); err != nil {
		return Card{}, err
	}
	// 2. The known fields.
	var fields map[int64]canonical.Raw
	if err := canonical.UnmarshalLoose(b, &fields, cardBounds); err != nil {
		return Card{}, errors.New("is not a map with integer keys")
	}
	var version uint64
	if err := decodeField(fields, keyVersion, &version); err != nil {
		return Card{}, err
	}
	if version != cardVersion {
		return Card{}, fmt.Errorf("has version %d, and this program knows %d", version, cardVersion)
	}
	var c Card
	var next, successor []byte
	var edges map[string]wireEdge
	var succession []wireSuccession
	for _, field := range []struct {
		key  int64
		into any
	}{
		{keyNickname, &c.Nickname}, {keyNext, &next}, {keySealing, &c.Sealing}, {keyNodes, &c.Nodes},
		{keyEdges, &edges}, {keyLinks, &c.Links}, {keySuccession, &succession}, {keySuccessor, &successor},
		{keyDevices, &c.Devices}, {keyEpoch, &c.Epoch},
	} {
		if err := decodeField(fields, field.key, field.into); err != nil {
			return Card{}, err
		}
	}
	var err error
	if next != nil {
		if c.Next, err = CommitmentFromBytes(next); err != nil {
			return Card{}, err
		}
	}
	if successor != nil {
		if c.Successor, err = FromBytes(successor); err != nil {
			return Card{}, fmt.Errorf("successor %w", err)
		}
	}
	if len(edges) > 0 {
		c.Edges = make(map[string]Edge, len(edges))
	}
	for label, w := range edges {
		var e Edge
		if e.Pointer, err = FromBytes(w.Pointer); err != nil {
			return Card{}, fmt.Errorf("edge %s: pointer %w", quote(label), err)
		}
		if w.Next != nil {
			if e.Next, err = CommitmentFromBytes(w.Next); err != nil {
				return Card{}, fmt.Errorf("edge %s: %w", quote(label), err)
			}
		}
		c.Edges[label] = e
	}
	if c.Succession, err = openSuccession(succession, maxSuccession); err != nil {
		return Card{}, err
	}
	if len(fields) > 0 { // what decodeField has left
		c.unknown = fields
	}
	// 3. Bounds, and no fields that are present and empty: those are not
	// canonical.
	again, err := c.Encode()
	if err != nil {
		return Card{}, errors.Unwrap(err) // without the prefix "card: ", which the caller adds
	}
	if !bytes.Equal(again, b) {
		return Card{}, canonical.ErrNotCanonical
	}
	return c, nil
}

// decodeField decodes the field with a key into v, if m has it, and deletes it from m.
func decodeField(m map[int64]canonical.Raw, key int64, v any) error {
	raw, ok := m[key]
	if !ok {
		return nil
	}
	delete(m, key)
	if err := canonical.UnmarshalLoose(raw, v, cardBounds); err != nil {
		return fmt.Errorf("field %d is not what it should be", key)
	}
	return nil
}

// clone returns a deep copy.
func (c Card) clone() Card {
	c.Sealing = slices.Clone(c.Sealing)
	for i := range c.Sealing {
		c.Sealing[i].Key = bytes.Clone(c.Sealing[i].Key)
	}
	c.Nodes = slices.Clone(c.Nodes)
	for i := range c.Nodes {
		c.Nodes[i] = bytes.Clone(c.Nodes[i])
	}
	c.Edges = maps.Clone(c.Edges)
	c.Links = slices.Clone(c.Links)
	c.Succession = slices.Clone(c.Succession)
	for i := range c.Succession {
		s := &c.Succession[i]
		s.New, s.NewSignature, s.OldSignature = bytes.Clone(s.New), bytes.Clone(s.NewSignature), bytes.Clone(s.OldSignature)
	}
	c.Devices = slices.Clone(c.Devices)
	c.unknown = maps.Clone(c.unknown)
	return c
}
