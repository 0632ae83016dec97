package postage

import (
	"bytes"
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
			IndefLength:      cbor.IndefLengthForbidden,
			TagsMd:           cbor.TagsForbidden,
			MaxNestedLevels:  4,
			MaxArrayElements: MaxPuzzles,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceDecode(b []byte) (wireStamp, error) {
	var w wireStamp
	if len(b) > MaxStamp {
		return wireStamp{}, fmt.Errorf("%w: it has %d bytes, over %d", ErrInvalid, len(b), MaxStamp)
	}
	if err := referenceDecoder.Unmarshal(b, &w); err != nil {
		return wireStamp{}, fmt.Errorf("%w: it is not the CBOR that it should be", ErrInvalid)
	}
	if again, err := referenceEncoder.Marshal(w); err != nil || !bytes.Equal(again, b) {
		return wireStamp{}, fmt.Errorf("%w: it is not in its canonical encoding", ErrInvalid)
	}
	if w.Version != stampVersion || len(w.Answers) == 0 || len(w.Answers) > MaxPuzzles {
		return wireStamp{}, fmt.Errorf("%w: it is of version %d, with %d answers", ErrInvalid, w.Version, len(w.Answers))
	}
	return w, nil
}

func codecsAgree(t require.TestingT, b []byte) bool {
	accepted := canonicaltest.Agree(t, b, decode, referenceDecode)
	if accepted {
		w, err := decode(b)
		require.NoError(t, err)
		now, err := canonical.Marshal(w)
		require.NoError(t, err)
		before, err := referenceEncoder.Marshal(w)
		require.NoError(t, err)
		require.Equal(t, before, now)
	}
	return accepted
}

func codecSeeds(t testing.TB) [][]byte {
	most, err := referenceEncoder.Marshal(wireStamp{Version: stampVersion, Seed: 1 << 63, Answers: make([]uint64, MaxPuzzles)})
	require.NoError(t, err)
	w := wireStamp{Version: stampVersion, Seed: 1 << 63, Answers: make([]uint64, MaxPuzzles)}
	for i := range w.Answers {
		w.Answers[i] = 1 << 63
	}
	longest, err := referenceEncoder.Marshal(w)
	require.NoError(t, err)
	require.Len(t, longest, MaxStamp)
	return [][]byte{quickStamp(t, letter, price, now), most, longest, {0x83, 1, 0x18, 0x18, 0x81, 0}}
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
