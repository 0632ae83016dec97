package ledger

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// A statement admits a device to the book, or removes one. It is the body of an entry,
// and is signed by the book's identity: the key of the genesis, or one that succeeded it
// by steps that both keys of each step signed, to keys that were committed to: see
// [Ledger.Follow]. Version 1 is by the key of the genesis
// alone. Version 2 has the steps; the entry that it is the body of, so that it cannot be
// repeated elsewhere; and in a removal the hash of the last entry that counts: without it,
// a removed device could replace its entries up to that one by others.
//
//	admission 1 = [book, identity, device, name, signature]
//	admission 2 = [2, book, steps, by, number, device, name, signature]
//	removal 1   = [book, identity, device, last, signature]
//	removal 2   = [2, book, steps, by, number, device, last, hash, signature]

const (
	admitDomain   = "petnames/ledger/admit/v1\x00"
	removeDomain  = "petnames/ledger/remove/v1\x00"
	admitDomain2  = "petnames/ledger/admit/v2\x00"
	removeDomain2 = "petnames/ledger/remove/v2\x00"

	statementVersion = 2
)

// admission is version 1 of an admission, and the body of each genesis.
type admission struct {
	_         struct{} `cbor:",toarray"`
	Book      []byte
	Identity  []byte // the pointer's multihash
	Device    []byte
	Name      string
	Signature []byte // the identity's, over admitDomain and this array with an empty signature
}

// admission2 is version 2 of an admission.
type admission2 struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Book      []byte
	Steps     []byte // from the identity of the genesis, as pointer.EncodeSuccession encodes them; empty: none
	By        []byte // the device that writes the entry
	Number    uint64 // of the entry
	Device    []byte
	Name      string
	Signature []byte // by the key of the last step, over admitDomain2, in the same way
}

// removal is version 1 of a removal.
type removal struct {
	_         struct{} `cbor:",toarray"`
	Book      []byte
	Identity  []byte
	Device    []byte
	Last      uint64 // its last entry that counts
	Signature []byte // over removeDomain, in the same way
}

// removal2 is version 2 of a removal.
type removal2 struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Book      []byte
	Steps     []byte
	By        []byte
	Number    uint64
	Device    []byte
	Last      uint64
	Hash      []byte // of the entry Last; empty if Last is 0
	Signature []byte // over removeDomain2, in the same way
}

// The message methods return the bytes that the identity signs.

func (a admission) message() []byte {
	a.Signature = []byte{}
	return append([]byte(admitDomain), canonical.MustMarshal(a)...)
}

func (a admission2) message() []byte {
	a.Signature = []byte{}
	return append([]byte(admitDomain2), canonical.MustMarshal(a)...)
}

func (r removal) message() []byte {
	r.Signature = []byte{}
	return append([]byte(removeDomain), canonical.MustMarshal(r)...)
}

func (r removal2) message() []byte {
	r.Signature = []byte{}
	return append([]byte(removeDomain2), canonical.MustMarshal(r)...)
}

// verifiedAdmission is a verified admission.
type verifiedAdmission struct {
	device DeviceID
	name   string
	steps  int // between the identity of the genesis and the key that signed
	chain  []pointer.Succession
}

// verifiedRemoval is a verified removal.
type verifiedRemoval struct {
	device DeviceID
	last   uint64
	hash   Hash // of the entry last; zero in version 1
	steps  int
	chain  []pointer.Succession
}

// admit returns an admission of the device, for the entry at, signed by the identity.
func admit(book BookID, identity crypto.Signer, steps []pointer.Succession, rand io.Reader, at ID, device DeviceID, name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	a := admission2{Version: statementVersion, Book: book[:], By: at.Device[:], Number: at.Number, Device: device[:], Name: name}
	var err error
	if a.Steps, err = encodeSteps(steps); err != nil {
		return nil, err
	}
	if a.Signature, err = sign(identity, rand, a.message()); err != nil {
		return nil, fmt.Errorf("admitting a device: %w", err)
	}
	return canonical.MustMarshal(a), nil
}

// admitFirst returns the admission in a genesis.
func admitFirst(book BookID, identity crypto.Signer, rand io.Reader, device DeviceID, name string) ([]byte, error) {
	p, err := pointer.FromPublicKey(identity.Public())
	if err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	a := admission{Book: book[:], Identity: p.Bytes(), Device: device[:], Name: name}
	if a.Signature, err = sign(identity, rand, a.message()); err != nil {
		return nil, fmt.Errorf("admitting a device: %w", err)
	}
	return canonical.MustMarshal(a), nil
}

// remove returns a removal of the device of last after that entry, for the entry at, signed
// by the identity.
func remove(book BookID, identity crypto.Signer, steps []pointer.Succession, rand io.Reader, at ID, last Head) ([]byte, error) {
	r := removal2{Version: statementVersion, Book: book[:], By: at.Device[:], Number: at.Number, Device: last.Device[:], Last: last.Number, Hash: []byte{}}
	if last.Number > 0 {
		r.Hash = last.Hash[:]
	}
	var err error
	if r.Steps, err = encodeSteps(steps); err != nil {
		return nil, err
	}
	if r.Signature, err = sign(identity, rand, r.message()); err != nil {
		return nil, fmt.Errorf("removing a device: %w", err)
	}
	return canonical.MustMarshal(r), nil
}

func encodeSteps(steps []pointer.Succession) ([]byte, error) {
	if len(steps) == 0 {
		return []byte{}, nil
	}
	return pointer.EncodeSuccession(steps)
}

// openSteps verifies the signatures of the steps from an identity to the key that signed a
// statement. It returns that key's pointer and the steps. A thief of one key signs as many to
// keys of its own: whether they were committed to is decided by [followed.accepts].
func openSteps(identity pointer.Pointer, encoded []byte) (pointer.Pointer, []pointer.Succession, error) {
	if len(encoded) == 0 {
		return identity, nil, nil
	}
	steps, err := pointer.ParseSuccession(encoded)
	if err != nil {
		return identity, nil, err
	}
	at := identity
	for i, s := range steps {
		if s.Old != at {
			return identity, nil, fmt.Errorf("step %d of its succession does not start at %q", i+1, at)
		}
		if s.OldSignature == nil {
			return identity, nil, fmt.Errorf("step %d of its succession is not signed by the old key", i+1)
		}
		if at, err = s.Verify(); err != nil {
			return identity, nil, fmt.Errorf("step %d of its succession: %w", i+1, err)
		}
	}
	return at, steps, nil
}

// newer returns an error for a statement of a version that this program does not know;
// nil for any other body.
func newer(body []byte) error {
	r := reader{b: body}
	if r.head(cborArray); r.bad || len(r.b) == 0 || r.b[0]&0xe0 != cborUint {
		return nil
	}
	if v := r.uint(); !r.bad && v != statementVersion {
		return fmt.Errorf("version %d, this program knows %d: a newer version of it wrote the book", v, statementVersion)
	}
	return nil
}

// isVersion2 reports whether a body starts as a statement of version 2.
func isVersion2(body []byte) bool {
	return len(body) > 1 && body[0]&0xe0 == cborArray && body[1] == statementVersion
}

// parseGenesis reads and verifies the admission in a genesis. It returns the book and
// the identity; a zero identity accepts any.
func parseGenesis(body []byte, identity pointer.Pointer) (verifiedAdmission, BookID, pointer.Pointer, error) {
	var a admission
	if err := canonical.Unmarshal(body, &a, bounds); err != nil {
		return verifiedAdmission{}, BookID{}, identity, fmt.Errorf("admission: %w", err)
	}
	return a.verify(identity)
}

func (a admission) verify(identity pointer.Pointer) (verifiedAdmission, BookID, pointer.Pointer, error) {
	fail := func(err error) (verifiedAdmission, BookID, pointer.Pointer, error) {
		return verifiedAdmission{}, BookID{}, identity, fmt.Errorf("admission: %w", err)
	}
	if len(a.Book) != len(BookID{}) || len(a.Device) != len(DeviceID{}) {
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
	if err := p.Verify(a.message(), a.Signature); err != nil {
		return fail(err)
	}
	return verifiedAdmission{device: DeviceID(a.Device), name: a.Name}, BookID(a.Book), p, nil
}

// parseAdmission reads and verifies an admission to a book of an identity, in the entry at.
func parseAdmission(body []byte, book BookID, identity pointer.Pointer, at ID) (verifiedAdmission, error) {
	fail := func(err error) (verifiedAdmission, error) {
		return verifiedAdmission{}, fmt.Errorf("admission: %w", err)
	}
	if !isVersion2(body) {
		if err := newer(body); err != nil {
			return fail(err)
		}
		a, b, _, err := parseGenesis(body, identity)
		if err == nil && b != book {
			return fail(fmt.Errorf("for book %q, this is %q", b, book))
		}
		return a, err
	}
	var a admission2
	if err := canonical.Unmarshal(body, &a, bounds); err != nil {
		return fail(err)
	}
	return a.verify(book, identity, at)
}

func (a admission2) verify(book BookID, identity pointer.Pointer, at ID) (verifiedAdmission, error) {
	fail := func(err error) (verifiedAdmission, error) {
		return verifiedAdmission{}, fmt.Errorf("admission: %w", err)
	}
	if len(a.Device) != len(DeviceID{}) {
		return fail(errors.New("not canonical"))
	}
	if !bytes.Equal(a.Book, book[:]) {
		return fail(fmt.Errorf("for book %x, this is %q", a.Book, book))
	}
	if !bytes.Equal(a.By, at.Device[:]) || a.Number != at.Number {
		return fail(errors.New("for another entry"))
	}
	if err := checkName(a.Name); err != nil {
		return fail(err)
	}
	by, steps, err := openSteps(identity, a.Steps)
	if err != nil {
		return fail(err)
	}
	if err := by.Verify(a.message(), a.Signature); err != nil {
		return fail(err)
	}
	return verifiedAdmission{DeviceID(a.Device), a.Name, len(steps), steps}, nil
}

// parseRemoval reads and verifies a removal from a book of an identity, in the entry at.
func parseRemoval(body []byte, book BookID, identity pointer.Pointer, at ID) (verifiedRemoval, error) {
	fail := func(err error) (verifiedRemoval, error) {
		return verifiedRemoval{}, fmt.Errorf("removal: %w", err)
	}
	if isVersion2(body) {
		var r removal2
		if err := canonical.Unmarshal(body, &r, bounds); err != nil {
			return fail(err)
		}
		return r.verify(book, identity, at)
	}
	if err := newer(body); err != nil {
		return fail(err)
	}
	var r removal
	if err := canonical.Unmarshal(body, &r, bounds); err != nil {
		return fail(err)
	}
	return r.verify(book, identity)
}

func (r removal) verify(book BookID, identity pointer.Pointer) (verifiedRemoval, error) {
	fail := func(err error) (verifiedRemoval, error) {
		return verifiedRemoval{}, fmt.Errorf("removal: %w", err)
	}
	switch {
	case len(r.Device) != len(DeviceID{}) || r.Last > maxNumber:
		return fail(errors.New("not canonical"))
	case !bytes.Equal(r.Book, book[:]):
		return fail(fmt.Errorf("for book %x, this is %q", r.Book, book))
	case !bytes.Equal(r.Identity, identity.Bytes()):
		return fail(fmt.Errorf("not by the book's identity %q", identity))
	}
	if err := identity.Verify(r.message(), r.Signature); err != nil {
		return fail(err)
	}
	return verifiedRemoval{device: DeviceID(r.Device), last: r.Last}, nil
}

func (r removal2) verify(book BookID, identity pointer.Pointer, at ID) (verifiedRemoval, error) {
	fail := func(err error) (verifiedRemoval, error) {
		return verifiedRemoval{}, fmt.Errorf("removal: %w", err)
	}
	switch {
	case len(r.Device) != len(DeviceID{}) || r.Last > maxNumber:
		return fail(errors.New("not canonical"))
	case r.Last == 0 && len(r.Hash) != 0 || r.Last > 0 && len(r.Hash) != len(Hash{}):
		return fail(fmt.Errorf("a hash of %d bytes after entry %d", len(r.Hash), r.Last))
	case !bytes.Equal(r.Book, book[:]):
		return fail(fmt.Errorf("for book %x, this is %q", r.Book, book))
	case !bytes.Equal(r.By, at.Device[:]) || r.Number != at.Number:
		return fail(errors.New("for another entry"))
	}
	by, steps, err := openSteps(identity, r.Steps)
	if err != nil {
		return fail(err)
	}
	if err := by.Verify(r.message(), r.Signature); err != nil {
		return fail(err)
	}
	out := verifiedRemoval{device: DeviceID(r.Device), last: r.Last, steps: len(steps), chain: steps}
	copy(out.hash[:], r.Hash)
	return out, nil
}
