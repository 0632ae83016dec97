package mutual

import (
	"bytes"
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

var (
	// ErrInvalid is wrapped by the errors about bytes that are no message of this
	// protocol, or do not verify.
	ErrInvalid = errors.New("mutual introduction: does not verify")

	// ErrOtherSession is returned for a message of another session, or of a sender
	// that has no part in the session. The message changes nothing.
	ErrOtherSession = errors.New("mutual introduction: message of another session or sender")
)

// Kind is the kind of a message.
type Kind uint8

const (
	KindRequest Kind = iota + 1
	KindAccept
	KindDecline
	KindReveal
	KindAuth
	KindActivate
	KindAbort
)

// Bounds of a message.
const (
	maxMessage = 6000                // bytes of a message: it fits one message of package drop
	maxText    = 64                  // bytes of a suggested name
	maxNote    = 512                 // bytes of a note
	maxLife    = 90 * 24 * time.Hour // from a request to its end

	maxSkew   = 24 * time.Hour // by which the introducer's clock may be ahead
	maxSealed = maxPayload + 200
	maxAccept = 512
	maxMillis = 1 << 46
	hashSize  = sha256.Size
)

// Session is the ID of a session, drawn at random by the introducer.
type Session [32]byte

// Outgoing is a message to send, in order, after the state is durable.
type Outgoing struct {
	To    pointer.Pointer
	Bytes []byte
}

// wire is the encoding of every message.
type wire struct {
	Kind      Kind   `cbor:"1,keyasint"`
	Session   []byte `cbor:"2,keyasint"`
	Side      uint8  `cbor:"3,keyasint,omitempty"`
	Expires   int64  `cbor:"4,keyasint,omitempty"`
	Made      int64  `cbor:"5,keyasint,omitempty"`
	By        []byte `cbor:"6,keyasint,omitempty"`
	To        []byte `cbor:"7,keyasint,omitempty"`
	Hidden    []byte `cbor:"8,keyasint,omitempty"`
	Suggested string `cbor:"9,keyasint,omitempty"`
	Note      string `cbor:"10,keyasint,omitempty"`
	Request   []byte `cbor:"11,keyasint,omitempty"`
	Nonce     []byte `cbor:"12,keyasint,omitempty"`
	Ephemeral []byte `cbor:"13,keyasint,omitempty"`
	Payload   []byte `cbor:"14,keyasint,omitempty"`
	Salt      []byte `cbor:"15,keyasint,omitempty"`
	About     []byte `cbor:"16,keyasint,omitempty"`
	Accept    []byte `cbor:"17,keyasint,omitempty"`
	Sealed    []byte `cbor:"18,keyasint,omitempty"`
	MAC       []byte `cbor:"19,keyasint,omitempty"`
	Reason    Reason `cbor:"20,keyasint,omitempty"`
	Signature []byte `cbor:"21,keyasint,omitempty"`
}

// fieldSet is a set of fields, each as the bit of its key in a message.
type fieldSet uint32

// setOf returns the set of the fields with these keys.
func setOf(keys ...int) (f fieldSet) {
	for _, key := range keys {
		f |= 1 << key
	}
	return f
}

// fields returns the fields that are present, except the kind.
func (w wire) fields() (f fieldSet) {
	for key, present := range [...]bool{
		2: w.Session != nil, 3: w.Side != 0, 4: w.Expires != 0, 5: w.Made != 0, 6: w.By != nil, 7: w.To != nil, 8: w.Hidden != nil,
		9: w.Suggested != "", 10: w.Note != "", 11: w.Request != nil, 12: w.Nonce != nil, 13: w.Ephemeral != nil, 14: w.Payload != nil,
		15: w.Salt != nil, 16: w.About != nil, 17: w.Accept != nil, 18: w.Sealed != nil, 19: w.MAC != nil, 20: w.Reason != 0, 21: w.Signature != nil,
	} {
		if present {
			f |= setOf(key)
		}
	}
	return f
}

// shapes states which fields a message of a kind must have, and may have.
var shapes = map[Kind]struct{ must, may fieldSet }{
	KindRequest:  {setOf(2, 3, 4, 5, 6, 7, 8, 21), setOf(9, 10)},
	KindAccept:   {setOf(2, 3, 4, 6, 7, 11, 12, 13, 14, 21), 0},
	KindDecline:  {setOf(2), 0},
	KindReveal:   {setOf(2, 15, 16, 17), 0},
	KindAuth:     {setOf(2, 3, 18), 0},
	KindActivate: {setOf(2, 3, 19), 0},
	KindAbort:    {setOf(2, 20), 0},
}

// encode returns the canonical CBOR of a wire type of this package.
func encode(v any) []byte { return canonical.MustMarshal(v) }

// decodeInto decodes canonical CBOR of at most limit bytes into v, a pointer.
func decodeInto(b []byte, limit int, v any) error {
	if err := canonical.Unmarshal(b, v, canonical.Bounds{Size: limit}); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// invalid returns an error that wraps ErrInvalid.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// message is a decoded message that has the shape of its kind. A signature in it is
// not verified yet.
type message struct {
	wire
	raw           []byte
	session       Session
	by, to, about pointer.Pointer
	expires, made time.Time
}

// decode decodes a message, and checks that it has the shape of its kind.
func decode(b []byte) (message, error) {
	m := message{raw: bytes.Clone(b)}
	if err := decodeInto(b, maxMessage, &m.wire); err != nil {
		return message{}, err
	}
	if err := m.check(); err != nil {
		return message{}, err
	}
	m.session = Session(m.Session)
	m.expires, m.made = time.UnixMilli(m.Expires).UTC(), time.UnixMilli(m.Made).UTC()
	return m, nil
}

// decodeAs is decode for one kind of message.
func decodeAs(b []byte, kind Kind) (message, error) {
	m, err := decode(b)
	if err == nil && m.Kind != kind {
		return message{}, invalid("is of kind %d, not %d", m.Kind, kind)
	}
	return m, err
}

// check checks the fields and their bounds, and sets the decoded pointers.
func (m *message) check() (err error) {
	shape, ok := shapes[m.Kind]
	if f := m.fields(); !ok || f&shape.must != shape.must || f&^(shape.must|shape.may) != 0 {
		return invalid("does not have the fields of its kind")
	}
	for _, fixed := range []struct {
		b    []byte
		size int
	}{{m.Session, hashSize}, {m.Hidden, hashSize}, {m.Request, hashSize}, {m.Nonce, nonceSize}, {m.Ephemeral, ephemeralSize},
		{m.Payload, hashSize}, {m.Salt, saltSize}, {m.MAC, hashSize}, {m.Signature, signatureSize}} {
		if fixed.b != nil && len(fixed.b) != fixed.size {
			return invalid("field of %d bytes, not %d", len(fixed.b), fixed.size)
		}
	}
	for _, p := range []struct {
		mh   []byte
		into *pointer.Pointer
	}{{m.By, &m.by}, {m.To, &m.to}, {m.About, &m.about}} {
		if p.mh == nil {
			continue
		}
		if *p.into, err = pointer.FromBytes(p.mh); err != nil {
			return invalid("%v", err)
		}
	}
	switch {
	case m.Side > 2:
		return invalid("side %d", m.Side)
	case m.Expires < 0, m.Expires > maxMillis, m.Made < 0, m.Made > maxMillis:
		return invalid("time out of range")
	case len(m.Suggested) > maxText || !utf8.ValidString(m.Suggested):
		return invalid("suggested name of %d bytes, or not UTF-8", len(m.Suggested))
	case len(m.Note) > maxNote || !utf8.ValidString(m.Note):
		return invalid("note of %d bytes, or not UTF-8", len(m.Note))
	case len(m.Sealed) > maxSealed, len(m.Accept) > maxAccept:
		return invalid("a field is too long")
	case m.Reason > maxReason:
		return invalid("reason %d", m.Reason)
	}
	return nil
}

// domains are the domain strings of signatures.
var domains = map[Kind]string{KindRequest: "petnames/mutual/request/v1\x00", KindAccept: "petnames/mutual/accept/v1\x00"}

// signed returns the bytes that the signature covers.
func (w wire) signed() []byte {
	w.Signature = nil
	return append([]byte(domains[w.Kind]), encode(w)...)
}

// sign returns the signed message. It verifies the signature of a foreign signer (an
// agent, hardware) before the message is used.
func (w wire) sign(key crypto.Signer) (message, error) {
	by, err := pointer.FromPublicKey(key.Public())
	if err != nil {
		return message{}, err
	}
	w.By = by.Bytes()
	if w.Signature, err = key.Sign(rand.Reader, w.signed(), crypto.Hash(0)); err != nil {
		return message{}, err
	}
	return openSigned(encode(w), w.Kind)
}

// openSigned decodes and verifies a signed message.
func openSigned(b []byte, kind Kind) (message, error) {
	m, err := decodeAs(b, kind)
	if err != nil {
		return message{}, err
	}
	if err := m.by.Verify(m.signed(), m.Signature); err != nil {
		return message{}, invalid("%v", err)
	}
	return m, nil
}

// SessionOf returns the session and the kind that a message claims. Nothing is verified.
func SessionOf(b []byte) (Session, Kind, error) {
	m, err := decode(b)
	return m.session, m.Kind, err
}

// hash returns the SHA-256 hash of a domain string and a list in canonical CBOR.
func hash(domain string, parts ...any) [hashSize]byte {
	return sha256.Sum256(append([]byte(domain), encode(parts)...))
}
