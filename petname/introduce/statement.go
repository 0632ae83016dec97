package introduce

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// ErrInvalid is wrapped by every error of this package that is about foreign
// bytes, except [ExpiredError].
var ErrInvalid = errors.New("statement does not verify")

// ExpiredError is returned for a verified introduction that has expired.
type ExpiredError struct {
	Introduction Introduction
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("introduction by %s: expired on %s", e.Introduction.By, e.Introduction.Expires.Format(time.RFC3339))
}

// Kind is the kind of a statement.
type Kind uint8

const (
	KindIntroduction Kind = iota + 1
	KindRetraction
	KindEdges
	KindQuestion
	KindDenial
)

var kindTexts = [...]string{
	KindIntroduction: "introduction", KindRetraction: "retraction", KindEdges: "edges", KindQuestion: "question", KindDenial: "denial",
}

// String returns the name of a kind; "" for an unknown one.
func (k Kind) String() string {
	if int(k) < len(kindTexts) {
		return kindTexts[k]
	}
	return ""
}

// Bounds of a statement.
const (
	maxStatement = 8000 // bytes: one message of package drop
	MaxText      = 64   // bytes of a suggested name
	MaxNote      = 512  // bytes of a note

	idSize    = 16
	maxMillis = 1 << 46
	domain    = "petnames/statement/v1\x00"
)

// ID identifies an introduction. The introducer draws it at random.
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
	for key, present := range [...]bool{
		3: w.To != nil, 5: w.ID != nil, 6: w.About != nil, 7: w.Next != nil, 8: w.Suggested != "",
		9: w.Note != "", 10: w.Expires != 0, 11: w.Edges != nil, 12: w.Version != 0, 13: w.Subject != nil, 14: w.Succession != nil,
	} {
		if present {
			f |= has(key)
		}
	}
	return f
}

// shapes states which fields a statement of a kind has.
var shapes = map[Kind]struct{ must, may field }{
	KindIntroduction: {has(3) | has(5) | has(6) | has(10), has(7) | has(8) | has(9) | has(14)},
	KindRetraction:   {has(3) | has(5), 0},
	KindEdges:        {has(3) | has(12), has(11)},
	KindQuestion:     {has(3) | has(13), has(9)},
	KindDenial:       {has(6) | has(13), 0},
}

// bounds are the CBOR bounds of a statement.
var bounds = canonical.Bounds{Size: maxStatement}

// signed returns the bytes that the signature covers.
func (w wire) signed() ([]byte, error) {
	w.Signature = nil
	b, err := canonical.Marshal(w)
	return append([]byte(domain), b...), err
}

// sign returns w, signed by a key. The result is opened: the signature of a
// foreign signer (an agent, hardware) is verified before it is used.
func (w wire) sign(key crypto.Signer) (Statement, error) {
	fail := func(err error) (Statement, error) { return Statement{}, fmt.Errorf("%s: %w", w.Kind, err) }
	by, err := pointer.FromPublicKey(key.Public())
	if err != nil {
		return fail(err)
	}
	w.By = by.Bytes()
	message, err := w.signed()
	if err != nil {
		return fail(err)
	}
	if w.Signature, err = key.Sign(rand.Reader, message, crypto.Hash(0)); err != nil {
		return fail(err)
	}
	b, err := canonical.Marshal(w)
	if err != nil {
		return fail(err)
	}
	return Open(b, w.Kind)
}

// parsed is a statement in canonical encoding, with the fields of its kind.
type parsed struct {
	wire
	stored        bool // read by Restore
	by, to, about pointer.Pointer
	next          pointer.Commitment
	chain         []pointer.Succession
	made, expires time.Time
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// parse decodes a statement of one of these kinds, of any kind if there are
// none, and checks everything except its signature and its content. With stored,
// it also leaves out the curve arithmetic for the pointers.
func parse(b []byte, stored bool, kinds []Kind) (parsed, error) {
	p := parsed{stored: stored}
	if len(b) > maxStatement {
		return p, invalid("%d bytes, over %d", len(b), maxStatement)
	}
	if err := canonical.Unmarshal(b, &p.wire, bounds); err != nil {
		return p, invalid("%v", err)
	}
	if len(kinds) > 0 && !slices.Contains(kinds, p.Kind) {
		return p, invalid("is of kind %d, not %v", p.Kind, kinds)
	}
	if _, known := shapes[p.Kind]; !known {
		return p, invalid("is of kind %d, which this version does not know", p.Kind)
	}
	if err := p.check(); err != nil {
		return p, err
	}
	return p, nil
}

// pointer reads a pointer of the statement.
func (p *parsed) pointer(mh []byte) (pointer.Pointer, error) {
	if p.stored {
		return pointer.Restore(mh)
	}
	return pointer.FromBytes(mh)
}

// check checks the shape of a statement and the bounds of its parts.
func (p *parsed) check() (err error) {
	shape := shapes[p.Kind]
	if f := p.fields(); f&shape.must != shape.must || f&^(shape.must|shape.may) != 0 {
		return invalid("does not have the fields of its kind")
	}
	for _, part := range []struct {
		name string
		mh   []byte
		into *pointer.Pointer
	}{{"by", p.By, &p.by}, {"to", p.To, &p.to}, {"about", p.About, &p.about}} {
		if part.mh == nil && part.name != "by" {
			continue
		}
		if *part.into, err = p.pointer(part.mh); err != nil {
			return invalid("%s: %v", part.name, err)
		}
	}
	if p.Next != nil {
		if p.next, err = pointer.CommitmentFromBytes(p.Next); err != nil {
			return invalid("%v", err)
		}
	}
	if p.ID != nil && len(p.ID) != idSize {
		return invalid("id of %d bytes, not %d", len(p.ID), idSize)
	}
	if p.Made <= 0 || p.Made > maxMillis || p.Expires < 0 || p.Expires > maxMillis {
		return invalid("made or expires out of range")
	}
	p.made, p.expires = time.UnixMilli(p.Made).UTC(), time.UnixMilli(p.Expires).UTC()
	switch {
	case len(p.Suggested) > MaxText || !utf8.ValidString(p.Suggested):
		return invalid("suggested name of %d bytes, or not UTF-8", len(p.Suggested))
	case len(p.Note) > MaxNote || !utf8.ValidString(p.Note):
		return invalid("note of %d bytes, or not UTF-8", len(p.Note))
	case p.Kind == KindDenial && len(p.Subject) != sha256.Size:
		return invalid("subject of %d bytes, not %d", len(p.Subject), sha256.Size)
	}
	if p.Succession == nil {
		return nil
	}
	if p.chain, err = pointer.ParseSuccession(p.Succession); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// millis returns a time in ms since 1970.
func millis(t time.Time) int64 { return t.UnixMilli() }

// Hash returns the hash that identifies a signed statement.
func Hash(signed []byte) [sha256.Size]byte { return sha256.Sum256(signed) }
