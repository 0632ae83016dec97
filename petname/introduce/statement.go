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

// wireEdge is the encoding of a pointer.Edge.
type wireEdge struct {
	_       struct{} `cbor:",toarray"`
	Pointer []byte
	Next    []byte
}

// fieldSet is a set of fields, each as the bit of its key in a statement.
type fieldSet uint16

// setOf returns the set of the fields with these keys.
func setOf(keys ...int) (f fieldSet) {
	for _, key := range keys {
		f |= 1 << key
	}
	return f
}

// fields returns the optional fields that are present.
func (w wire) fields() (f fieldSet) {
	for key, present := range [...]bool{
		3: w.To != nil, 5: w.ID != nil, 6: w.About != nil, 7: w.Next != nil, 8: w.Suggested != "",
		9: w.Note != "", 10: w.Expires != 0, 11: w.Edges != nil, 12: w.Version != 0, 13: w.Subject != nil, 14: w.Succession != nil,
	} {
		if present {
			f |= setOf(key)
		}
	}
	return f
}

// shapes states which optional fields a statement of a kind must have, and may have.
var shapes = map[Kind]struct{ must, may fieldSet }{
	KindIntroduction: {setOf(3, 5, 6, 10), setOf(7, 8, 9, 14)},
	KindRetraction:   {setOf(3, 5), 0},
	KindEdges:        {setOf(3, 12), setOf(11)},
	KindQuestion:     {setOf(3, 13), setOf(9)}, // 9 is reserved: accepted, not read
	KindDenial:       {setOf(6, 13), 0},
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

// invalid returns an error that wraps ErrInvalid.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// parse decodes a statement of one of these kinds, of any kind if there are
// none, and checks everything except its signature and its content. With stored (see
// Restore), it does not check that the pointers are valid points of their curves.
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
