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

// fuzzEntry is the entry of the statements.
var fuzzEntry = ID{DeviceID{4}, 7}

func referenceParseAdmission(body []byte, book BookID, identity pointer.Pointer) (verifiedAdmission, error) {
	if isVersion2(body) {
		a, err := referenceParse[admission2](body)
		if err != nil {
			return verifiedAdmission{}, err
		}
		return a.verify(book, identity, fuzzEntry)
	}
	a, err := referenceParse[admission](body)
	if err != nil {
		return verifiedAdmission{}, err
	}
	v, b, _, err := a.verify(identity)
	if err == nil && b != book {
		return verifiedAdmission{}, fmt.Errorf("for book %q, this is %q", b, book)
	}
	return v, err
}

func referenceParseRemoval(body []byte, book BookID, identity pointer.Pointer) (verifiedRemoval, error) {
	if isVersion2(body) {
		r, err := referenceParse[removal2](body)
		if err != nil {
			return verifiedRemoval{}, err
		}
		return r.verify(book, identity, fuzzEntry)
	}
	r, err := referenceParse[removal](body)
	if err != nil {
		return verifiedRemoval{}, err
	}
	return r.verify(book, identity)
}

func referenceParse[T any](body []byte) (v T, err error) {
	if err := referenceDecode(body, &v); err != nil {
		return v, err
	}
	if !bytes.Equal(referenceEncode(v), body) {
		return v, errors.New("not referenceEncode")
	}
	return v, nil
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
		canonicaltest.AgreeOn[admission], canonicaltest.AgreeOn[removal], canonicaltest.AgreeOn[admission2], canonicaltest.AgreeOn[removal2],
		canonicaltest.AgreeOn[branchRow], canonicaltest.AgreeOn[bookRow], canonicaltest.AgreeOn[deviceRow],
	} {
		accepted = agree(t, b, strict, referenceStrict) || accepted
		accepted = agree(t, b, loose, referenceLoose) || accepted
	}
	p, err := pointer.FromPublicKey(identity.Public())
	require.NoError(t, err)
	canonicaltest.Agree(t, b,
		func(b []byte) (verifiedAdmission, error) { return parseAdmission(b, fuzzBook, p, fuzzEntry) },
		func(b []byte) (verifiedAdmission, error) { return referenceParseAdmission(b, fuzzBook, p) })
	canonicaltest.Agree(t, b,
		func(b []byte) (verifiedRemoval, error) { return parseRemoval(b, fuzzBook, p, fuzzEntry) },
		func(b []byte) (verifiedRemoval, error) { return referenceParseRemoval(b, fuzzBook, p) })
	return accepted
}

func codecSeeds(t testing.TB) [][]byte {
	p := identityPointer(t)
	body, err := admitFirst(fuzzBook, identity, nil, DeviceID{5}, "name")
	require.NoError(t, err)
	later, steps := succeeded(t)
	admits2, err := admit(fuzzBook, later, steps, nil, fuzzEntry, DeviceID{5}, "name")
	require.NoError(t, err)
	removes2, err := remove(fuzzBook, later, steps, nil, fuzzEntry, Head{DeviceID{5}, 9, Hash{7}})
	require.NoError(t, err)
	removesAll, err := remove(fuzzBook, identity, nil, nil, fuzzEntry, Head{Device: DeviceID{5}})
	require.NoError(t, err)
	r := removal{Book: fuzzBook[:], Identity: p.Bytes(), Device: make([]byte, 32), Last: 9}
	r.Signature, err = sign(identity, nil, r.message())
	require.NoError(t, err)
	return [][]byte{
		admits2, removes2, removesAll, referenceEncode(branchRow{Parent: -1, From: 1, Counted: maxNumber}),
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
