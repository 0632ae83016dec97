package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/canonical/canonicaltest"
)

// The set-up of this package's codec before package canonical, and its checks of
// the encoding, word for word: what was accepted then decides what is accepted
// now. The tests below hold package canonical to it.
var (
	referenceEncMode, referenceEncErr = cbor.CoreDetEncOptions().EncMode()
	referenceDecMode, referenceDecErr = cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  4,
		MaxArrayElements: 1024,
		MaxMapPairs:      16,
	}.DecMode()
)

func referenceEncode(v any) []byte {
	if referenceEncErr != nil {
		panic("ledger: " + referenceEncErr.Error())
	}
	b, err := referenceEncMode.Marshal(v)
	if err != nil {
		panic("ledger: " + err.Error()) // only structs of this package come here
	}
	return b
}

func referenceDecode(b []byte, v any) error {
	if referenceDecErr != nil {
		return referenceDecErr
	}
	return referenceDecMode.Unmarshal(b, v)
}

func referenceParseAdmission(body []byte, book BookID, identity pointer.Pointer) (admission, BookID, pointer.Pointer, error) {
	var a admission
	fail := func(err error) (admission, BookID, pointer.Pointer, error) {
		return a, book, identity, fmt.Errorf("admission: %w", err)
	}
	if err := referenceDecode(body, &a); err != nil {
		return fail(err)
	}
	if !bytes.Equal(referenceEncode(a), body) || len(a.Book) != len(book) || len(a.Device) != len(DeviceID{}) {
		return fail(errors.New("not referenceEncode"))
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

func referenceParseRemoval(body []byte, book BookID, identity pointer.Pointer) (removal, error) {
	var r removal
	if err := referenceDecode(body, &r); err != nil {
		return r, fmt.Errorf("removal: %w", err)
	}
	switch {
	case !bytes.Equal(referenceEncode(r), body) || len(r.Device) != len(DeviceID{}) || r.Last > maxNumber:
		return r, errors.New("removal: not referenceEncode")
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

// admitted is what an admission is read as.
type admitted struct {
	admission admission
	book      BookID
	identity  pointer.Pointer
}

func codecsAgree(t require.TestingT, b []byte) (accepted bool) {
	strict := canonicaltest.Codec{Marshal: canonical.Marshal, Unmarshal: func(b []byte, v any) error { return canonical.Unmarshal(b, v, bounds) }}
	referenceStrict := canonicaltest.Codec{Marshal: referenceEncMode.Marshal, Unmarshal: func(b []byte, v any) error {
		if err := referenceDecode(b, v); err != nil {
			return err
		}
		if !bytes.Equal(referenceEncode(v), b) {
			return errors.New("not canonical")
		}
		return nil
	}}
	loose := canonicaltest.Codec{Marshal: canonical.Marshal, Unmarshal: readRow}
	referenceLoose := canonicaltest.Codec{Marshal: referenceEncMode.Marshal, Unmarshal: referenceDecode}
	for _, agree := range []func(require.TestingT, []byte, canonicaltest.Codec, canonicaltest.Codec) bool{
		canonicaltest.AgreeOn[admission], canonicaltest.AgreeOn[removal], canonicaltest.AgreeOn[bookRow], canonicaltest.AgreeOn[deviceRow],
	} {
		accepted = agree(t, b, strict, referenceStrict) || accepted
		accepted = agree(t, b, loose, referenceLoose) || accepted
	}
	p, err := pointer.FromPublicKey(identity.Public())
	require.NoError(t, err)
	for _, book := range []BookID{{}, fuzzBook} {
		canonicaltest.Agree(t, b,
			func(b []byte) (a admitted, err error) {
				a.admission, a.book, a.identity, err = parseAdmission(b, book, p)
				return
			},
			func(b []byte) (a admitted, err error) {
				a.admission, a.book, a.identity, err = referenceParseAdmission(b, book, p)
				return
			})
	}
	canonicaltest.Agree(t, b,
		func(b []byte) (removal, error) { return parseRemoval(b, fuzzBook, p) },
		func(b []byte) (removal, error) { return referenceParseRemoval(b, fuzzBook, p) })
	return accepted
}

func codecSeeds(t testing.TB) [][]byte {
	body, p, err := admit(fuzzBook, identity, nil, DeviceID{5}, "name")
	require.NoError(t, err)
	r := removal{Book: fuzzBook[:], Identity: p.Bytes(), Device: make([]byte, 32), Last: 9}
	r.Signature, err = sign(identity, nil, r.message())
	require.NoError(t, err)
	return [][]byte{
		body, referenceEncode(r), referenceEncode(bookRow{Format: fileFormat, Book: fuzzBook[:], Identity: p.Bytes(), Order: 300, Fold: "fold", Devices: 2}),
		referenceEncode(deviceRow{ID: make([]byte, 32), Name: "laptop", Head: 1 << 33, Hash: make([]byte, 32), Clock: 1 << 40, Removed: true, Last: 5, Past: []pastRow{{Index: 1, Number: 300}, {}}}),
		referenceEncode(deviceRow{ID: make([]byte, 32), Hash: make([]byte, 32)}),
	}
}

// What is accepted, and what is written, is what it was before.
func TestCodecAgreesWithReference(t *testing.T) {
	canonicaltest.CheckVariants(t, codecSeeds(t), codecsAgree)
}

func FuzzCodecAgainstReference(f *testing.F) {
	canonicaltest.RequireCorpus(f, f.Name())
	for _, b := range codecSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { codecsAgree(t, b) })
}

// Lists are bounded as they were, to the element.
func TestListsAreBoundedAsBefore(t *testing.T) {
	for _, n := range []int{1024, 1024 + 1} {
		b := referenceEncode(deviceRow{ID: []byte{}, Hash: []byte{}, Past: make([]pastRow, n)})
		require.Equal(t, n == 1024, codecsAgree(t, b))
	}
}
