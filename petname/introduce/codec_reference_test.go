package introduce

import (
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/canonical/canonicaltest"
)

// The codec of this package before package canonical, unchanged. The tests below
// require that package canonical accepts the same input.
var (
	referenceEncoder = func() cbor.EncMode {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
	referenceDecoder = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			DupMapKey:         cbor.DupMapKeyEnforcedAPF,
			IndefLength:       cbor.IndefLengthForbidden,
			TagsMd:            cbor.TagsForbidden,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
			MaxNestedLevels:   4,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceOpen(b []byte, into any) error {
	if len(b) > maxStatement {
		return invalid("%d bytes, over %d", len(b), maxStatement)
	}
	if err := referenceDecoder.Unmarshal(b, into); err != nil {
		return invalid("%v", err)
	}
	if again, err := referenceEncoder.Marshal(into); err != nil || !bytes.Equal(again, b) {
		return invalid("is not in canonical encoding")
	}
	return nil
}

func codecsAgree(t require.TestingT, b []byte) bool {
	current := canonicaltest.Codec{Marshal: canonical.Marshal, Unmarshal: func(b []byte, v any) error { return canonical.Unmarshal(b, v, bounds) }}
	return canonicaltest.AgreeOn[wire](t, b, current, canonicaltest.Codec{Marshal: referenceEncoder.Marshal, Unmarshal: referenceOpen})
}

func codecSeeds(t testing.TB) [][]byte {
	intro := signed(t, introduction())
	edges, err := bytesOf(Edges{To: carol.Pointer(), Version: 1, Edges: map[string]pointer.Edge{
		"bob": {Pointer: bob.Pointer()}, "dave": {Pointer: dave.Pointer(), Next: commitment(dave)}}}.Sign(alice, now))
	require.NoError(t, err)
	question, err := bytesOf(Question{To: bob.Pointer(), Subject: subjectOf(t, intro)}.Sign(carol, now))
	require.NoError(t, err)
	denial, err := bytesOf(Deny(subjectOf(t, intro), dave, now))
	require.NoError(t, err)
	retraction, err := bytesOf(Retraction{To: carol.Pointer(), ID: ID{1}}.Sign(alice, now))
	require.NoError(t, err)
	return [][]byte{intro, edges, question, denial, retraction}
}

// The accepted input and the encoding are the same as before.
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
