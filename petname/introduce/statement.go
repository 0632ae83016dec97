package introduce

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// ErrInvalid: a statement doesn't verify.
var ErrInvalid = errors.New("statement does not verify")

// ExpiredError: an authentic introduction whose end has come.
type ExpiredError struct {
	Introduction Introduction
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("introduction by %s: expired on %s", e.Introduction.By, e.Introduction.Expires.Format(time.RFC3339))
}

// Kind is what a statement says.
type Kind uint8

const (
	KindIntroduction Kind = iota + 1
	KindRetraction
	KindEdges
	KindQuestion
	KindDenial
)

// Bounds of a statement.
const (
	MaxStatement = 8000 // bytes: one message of package drop
	MaxText      = 64   // bytes of a suggested name
	MaxNote      = 512  // bytes of a note

	idSize    = 16
	maxMillis = 1 << 46
	domain    = "petnames/statement/v1\x00"
)

// ID is an introduction's, chosen at random by the introducer.
type ID [idSize]byte

// wire is any statement, encoded.
type wire struct {
	Kind       Kind                `cbor:"1,keyasint"`
	By         []byte              `cbor:"2,keyasint"`
	To         []byte              `cbor:"3,keyasint,omitempty"`
	Made       int64               `cbor:"4,keyasint"`
	ID         []byte              `cbor:"5,keyasint,omitempty"`
	About      []byte              `cbor:"6,keyasint,omitempty"`
	Next       []byte              `cbor:"7,keyasint,omitempty"`
	Suggested  string              `cbor:"8,keyasint,omitempty"`
	Note       string              `cbor:"9,keyasint,omitempty"`
	Expires    int64               `cbor:"10,keyasint,omitempty"`
	Edges      map[string]wireEdge `cbor:"11,keyasint,omitempty"`
	Version    uint64              `cbor:"12,keyasint,omitempty"`
	Subject    []byte              `cbor:"13,keyasint,omitempty"`
	Succession []byte              `cbor:"14,keyasint,omitempty"`
	Signature  []byte              `cbor:"15,keyasint,omitempty"`
}

type wireEdge struct {
	_       struct{} `cbor:",toarray"`
	Pointer []byte
	Next    []byte
}

// field is a set of a statement's keys.
type field uint16

func has(key int) field { return 1 << key }

func (w wire) fields() (f field) {
	for key, there := range [...]bool{
		3: w.To != nil, 5: w.ID != nil, 6: w.About != nil, 7: w.Next != nil, 8: w.Suggested != "",
		9: w.Note != "", 10: w.Expires != 0, 11: w.Edges != nil, 12: w.Version != 0, 13: w.Subject != nil, 14: w.Succession != nil,
	} {
		if there {
			f |= has(key)
		}
	}
	return f
}

// shapes say which fields a statement of a kind has.
var shapes = map[Kind]struct{ must, may field }{
	KindIntroduction: {has(3) | has(5) | has(6) | has(10), has(7) | has(8) | has(9) | has(14)},
	KindRetraction:   {has(3) | has(5), 0},
	KindEdges:        {has(3) | has(12), has(11)},
	KindQuestion:     {has(3) | has(13), has(9)},
	KindDenial:       {has(6) | has(13), 0},
}

// bounds are those of a statement.
var bounds = canonical.Bounds{Size: MaxStatement}

// signed is what the signature is over.
func (w wire) signed() ([]byte, error) {
	w.Signature = nil
	b, err := canonical.Marshal(w)
	return append([]byte(domain), b...), err
}

// sign completes a statement by the key of who says it, and checks that it
// opens: what a foreign signer (an agent, hardware) gives is verified first.
func (w wire) sign(key crypto.Signer) ([]byte, error) {
	by, err := pointer.FromPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	w.By = by.Bytes()
	message, err := w.signed()
	if err != nil {
		return nil, err
	}
	if w.Signature, err = key.Sign(rand.Reader, message, crypto.Hash(0)); err != nil {
		return nil, err
	}
	b, err := canonical.Marshal(w)
	if err != nil {
		return nil, err
	}
	if _, err := open(b, w.Kind); err != nil {
		return nil, err
	}
	return b, nil
}

// opened is a statement that verified.
type opened struct {
	wire
	by, to, about pointer.Pointer
	next          pointer.Commitment
	made, expires time.Time
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// open parses and verifies a statement of a kind.
func open(b []byte, kind Kind) (opened, error) {
	var o opened
	if err := canonical.Unmarshal(b, &o.wire, bounds); err != nil {
		return opened{}, invalid("%v", err)
	}
	if o.Kind != kind {
		return opened{}, invalid("is of kind %d, not %d", o.Kind, kind)
	}
	if err := o.check(); err != nil {
		return opened{}, err
	}
	message, err := o.signed()
	if err != nil {
		return opened{}, invalid("%v", err)
	}
	if err := o.by.Verify(message, o.Signature); err != nil {
		return opened{}, invalid("%v", err)
	}
	return o, nil
}

// check holds a statement to its shape, and every part of it to its bounds.
func (o *opened) check() (err error) {
	shape, known := shapes[o.Kind]
	if f := o.fields(); !known || f&shape.must != shape.must || f&^(shape.must|shape.may) != 0 {
		return invalid("has not the fields of its kind")
	}
	for _, p := range []struct {
		name string
		mh   []byte
		into *pointer.Pointer
	}{{"by", o.By, &o.by}, {"to", o.To, &o.to}, {"about", o.About, &o.about}} {
		if p.mh == nil && p.name != "by" {
			continue
		}
		if *p.into, err = pointer.FromBytes(p.mh); err != nil {
			return invalid("%s: %v", p.name, err)
		}
	}
	if o.Next != nil {
		if o.next, err = pointer.CommitmentFromBytes(o.Next); err != nil {
			return invalid("%v", err)
		}
	}
	if o.ID != nil && len(o.ID) != idSize {
		return invalid("id of %d bytes, not %d", len(o.ID), idSize)
	}
	if o.Made <= 0 || o.Made > maxMillis || o.Expires < 0 || o.Expires > maxMillis {
		return invalid("made or expires out of range")
	}
	o.made, o.expires = time.UnixMilli(o.Made).UTC(), time.UnixMilli(o.Expires).UTC()
	switch {
	case len(o.Suggested) > MaxText || !utf8.ValidString(o.Suggested):
		return invalid("suggested name of %d bytes, or not UTF-8", len(o.Suggested))
	case len(o.Note) > MaxNote || !utf8.ValidString(o.Note):
		return invalid("note of %d bytes, or not UTF-8", len(o.Note))
	case o.Kind == KindDenial && len(o.Subject) != sha256.Size:
		return invalid("subject of %d bytes, not %d", len(o.Subject), sha256.Size)
	}
	if o.Succession == nil {
		return nil
	}
	if _, err := pointer.ParseSuccession(o.Succession); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// millis is a time as statements have it.
func millis(t time.Time) int64 { return t.UnixMilli() }

// Hash identifies a signed statement.
func Hash(signed []byte) [sha256.Size]byte { return sha256.Sum256(signed) }

// KindOf is what a signed statement claims to say; opening it tells whether it
// does.
func KindOf(b []byte) (Kind, error) {
	var w wire
	if err := canonical.UnmarshalLoose(b, &w, bounds); err != nil {
		return 0, invalid("%v", err)
	}
	if _, known := shapes[w.Kind]; !known {
		return 0, invalid("is of kind %d, which this version doesn't know", w.Kind)
	}
	return w.Kind, nil
}
