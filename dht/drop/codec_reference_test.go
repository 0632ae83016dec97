package drop

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/canonical/canonicaltest"
)

// The set-up of this package's codec before package canonical, and its checks of
// the encoding, word for word: what was accepted then decides what is accepted
// now. The tests below hold package canonical to it.
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
			DupMapKey:        cbor.DupMapKeyEnforcedAPF,
			IndefLength:      cbor.IndefLengthForbidden,
			TagsMd:           cbor.TagsForbidden,
			MaxNestedLevels:  8,
			MaxArrayElements: 1024, // MaxQueue fits
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

// referenceDecode accepts only the canonical encoding of v.
func referenceDecode[T any](b []byte, v *T) error {
	if err := referenceDecoder.Unmarshal(b, v); err != nil {
		return errors.New("is not the CBOR that it should be") // err repeats hostile text
	}
	if again, err := referenceEncoder.Marshal(*v); err != nil || !bytes.Equal(again, b) {
		return canonical.ErrNotCanonical
	}
	return nil
}

func referenceDecodeBatch(b []byte) (batch, signed, error) {
	var s signed
	if err := referenceDecode(b, &s); err != nil {
		return batch{}, signed{}, fmt.Errorf("sealed content %w", err)
	}
	if len(s.Signature) != ed25519.SignatureSize {
		return batch{}, signed{}, fmt.Errorf("its signature has %d bytes", len(s.Signature))
	}
	var l batch
	if err := referenceDecode(s.Batch, &l); err != nil {
		return batch{}, signed{}, fmt.Errorf("batch %w", err)
	}
	if err := l.validate(); err != nil {
		return batch{}, signed{}, fmt.Errorf("batch %w", err)
	}
	return l, s, nil
}

// decoded is the decoded content of a payload.
type decoded struct {
	batch  batch
	signed signed
}

func codecsAgree(t require.TestingT, b []byte) (accepted bool) {
	for _, agree := range []func(require.TestingT, []byte) bool{agreeOn[signed], agreeOn[batch], agreeOn[state]} {
		accepted = agree(t, b) || accepted
	}
	canonicaltest.Agree(t, b,
		func(b []byte) (o decoded, err error) { o.batch, o.signed, err = decodeBatch(b); return },
		func(b []byte) (o decoded, err error) { o.batch, o.signed, err = referenceDecodeBatch(b); return })
	return accepted
}

func agreeOn[T any](t require.TestingT, b []byte) bool {
	current := canonicaltest.Codec{Marshal: canonical.Marshal, Unmarshal: func(b []byte, v any) error { return canonical.Unmarshal(b, v, bounds) }}
	reference := canonicaltest.Codec{Marshal: referenceEncoder.Marshal, Unmarshal: func(b []byte, v any) error { return referenceDecode(b, v.(*T)) }}
	return canonicaltest.AgreeOn[T](t, b, current, reference)
}

func codecSeeds(t testing.TB) (seeds [][]byte) {
	for _, b := range batchSeeds(t)[:2] {
		var s signed
		require.NoError(t, referenceDecode(b, &s))
		seeds = append(seeds, b, s.Batch)
	}
	return append(seeds, stateSeeds(t)[:3]...)
}

// The codec accepts and writes the same bytes as the reference.
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

// Lists have the same bound as in the reference.
func TestListsAreBoundedAsBefore(t *testing.T) {
	for _, n := range []int{1024, 1024 + 1} {
		for _, v := range []any{batch{Messages: make([][]byte, n)}, state{Queue: make([][]byte, n)}} {
			b, err := referenceEncoder.Marshal(v)
			require.NoError(t, err)
			require.Equal(t, n == 1024, codecsAgree(t, b))
		}
	}
}
