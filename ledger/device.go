package ledger

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	admitDomain  = "petnames/ledger/admit/v1\x00"
	removeDomain = "petnames/ledger/remove/v1\x00"
)

// Device describes one device of the book.
type Device struct {
	ID DeviceID
	// according to the identity's admission; hostile text unless the identity is trusted
	Name    string
	Head    uint64    // number of its latest entry in this ledger, 0 before its first
	At      time.Time // of that entry, by the device's clock, which may be wrong; zero before its first
	Removed bool
	Last    uint64 // of a removed device: its last entry that counts
}

// admission is the body of a genesis and of an admission entry: the identity
// admits a device to this book.
type admission struct {
	_         struct{} `cbor:",toarray"`
	Book      []byte
	Identity  []byte // the pointer's multihash
	Device    []byte
	Name      string
	Signature []byte // the identity's, over admitDomain and this array with an empty signature
}

// removal is the body of a removal entry.
type removal struct {
	_         struct{} `cbor:",toarray"`
	Book      []byte
	Identity  []byte
	Device    []byte
	Last      uint64 // its last entry that counts
	Signature []byte // over removeDomain, in the same way
}

// message returns the bytes that the identity signs.
func (a admission) message() []byte {
	a.Signature = []byte{}
	return append([]byte(admitDomain), canonical.MustMarshal(a)...)
}

// message returns the bytes that the identity signs.
func (r removal) message() []byte {
	r.Signature = []byte{}
	return append([]byte(removeDomain), canonical.MustMarshal(r)...)
}

// checkName checks the length and the encoding of a device's name.
func checkName(name string) error {
	if len(name) > maxName || !utf8.ValidString(name) {
		return fmt.Errorf("device name %q: at most %d bytes of UTF-8", name, maxName)
	}
	return nil
}

// sign signs a message with an Ed25519 key.
func sign(signer crypto.Signer, rand io.Reader, message []byte) ([]byte, error) {
	return signer.Sign(rand, message, crypto.Hash(0))
}

// deviceOf returns the id of the device with this key.
func deviceOf(signer crypto.Signer) (id DeviceID, err error) {
	if signer == nil {
		return id, errors.New("no device key")
	}
	return deviceFromKey(signer.Public())
}

// deviceFromKey returns the id of the device with this public key.
func deviceFromKey(key crypto.PublicKey) (id DeviceID, err error) {
	k, ok := key.(ed25519.PublicKey)
	if !ok || len(k) != len(id) {
		return id, fmt.Errorf("device key is a %T, must be Ed25519", key)
	}
	copy(id[:], k)
	return id, nil
}

// admit returns an admission of the device, signed by the identity, and the
// identity's pointer.
func admit(book BookID, identity crypto.Signer, rand io.Reader, device DeviceID, name string) ([]byte, pointer.Pointer, error) {
	p, err := pointer.FromPublicKey(identity.Public())
	if err != nil {
		return nil, p, fmt.Errorf("identity key: %w", err)
	}
	if err := checkName(name); err != nil {
		return nil, p, err
	}
	a := admission{Book: book[:], Identity: p.Bytes(), Device: device[:], Name: name}
	if a.Signature, err = sign(identity, rand, a.message()); err != nil {
		return nil, p, fmt.Errorf("admitting a device: %w", err)
	}
	return canonical.MustMarshal(a), p, nil
}

// parseAdmission reads and verifies an admission. The zero pointer accepts any
// identity, and the zero book any book: a genesis sets them.
func parseAdmission(body []byte, book BookID, identity pointer.Pointer) (admission, BookID, pointer.Pointer, error) {
	var a admission
	fail := func(err error) (admission, BookID, pointer.Pointer, error) {
		return a, book, identity, fmt.Errorf("admission: %w", err)
	}
	if err := canonical.Unmarshal(body, &a, bounds); err != nil {
		return fail(err)
	}
	if len(a.Book) != len(book) || len(a.Device) != len(DeviceID{}) {
		return fail(errors.New("not canonical"))
	}
	if err := checkName(a.Name); err != nil {
		return fail(err)
	}
	p, err := pointer.FromBytes(a.Identity)
	if err != nil {
		return fail(err)
	}
	if identity != (pointer.Pointer{}) && p != identity {
		return fail(fmt.Errorf("by %q, the book is %q's", p, identity))
	}
	b := BookID(a.Book)
	if book != (BookID{}) && b != book {
		return fail(fmt.Errorf("for book %q, this is %q", b, book))
	}
	if err := p.Verify(a.message(), a.Signature); err != nil {
		return fail(err)
	}
	return a, b, p, nil
}

// parseRemoval reads and verifies a removal.
func parseRemoval(body []byte, book BookID, identity pointer.Pointer) (removal, error) {
	var r removal
	if err := canonical.Unmarshal(body, &r, bounds); err != nil {
		return r, fmt.Errorf("removal: %w", err)
	}
	switch {
	case len(r.Device) != len(DeviceID{}) || r.Last > maxNumber:
		return r, errors.New("removal: not canonical")
	case !bytes.Equal(r.Book, book[:]):
		return r, fmt.Errorf("removal: for book %x, this is %q", r.Book, book)
	case !bytes.Equal(r.Identity, identity.Bytes()):
		return r, fmt.Errorf("removal: not by the book's identity %q", identity)
	}
	if err := identity.Verify(r.message(), r.Signature); err != nil {
		return r, fmt.Errorf("removal: %w", err)
	}
	return r, nil
}
