package request

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/canonical/canonicaltest"
)

// The codec of this package before package canonical, unchanged. The tests below
// require that package canonical accepts the same input.
var (
	stampReferenceEncoder = func() cbor.EncMode {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
	stampReferenceDecoder = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			IndefLength:      cbor.IndefLengthForbidden,
			TagsMd:           cbor.TagsForbidden,
			MaxNestedLevels:  4,
			MaxArrayElements: MaxSolutions,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceDecodeStamp(b []byte) (wireStamp, error) {
	var w wireStamp
	if len(b) > MaxStamp {
		return wireStamp{}, fmt.Errorf("%w: it has %d bytes, over %d", ErrInvalidStamp, len(b), MaxStamp)
	}
	if err := stampReferenceDecoder.Unmarshal(b, &w); err != nil {
		return wireStamp{}, fmt.Errorf("%w: it is not the CBOR that it should be", ErrInvalidStamp)
	}
	if again, err := stampReferenceEncoder.Marshal(w); err != nil || !bytes.Equal(again, b) {
		return wireStamp{}, fmt.Errorf("%w: it is not in its canonical encoding", ErrInvalidStamp)
	}
	if w.Version != stampVersion || len(w.Solutions) == 0 || len(w.Solutions) > MaxSolutions {
		return wireStamp{}, fmt.Errorf("%w: it is of version %d, with %d solutions", ErrInvalidStamp, w.Version, len(w.Solutions))
	}
	return w, nil
}

func stampCodecsAgree(t require.TestingT, b []byte) bool {
	accepted := canonicaltest.Agree(t, b, decodeStamp, referenceDecodeStamp)
	if accepted {
		w, err := decodeStamp(b)
		require.NoError(t, err)
		now, err := canonical.Marshal(w)
		require.NoError(t, err)
		before, err := stampReferenceEncoder.Marshal(w)
		require.NoError(t, err)
		require.Equal(t, before, now)
	}
	return accepted
}

func stampCodecSeeds(t testing.TB) [][]byte {
	most, err := stampReferenceEncoder.Marshal(wireStamp{Version: stampVersion, Epoch: 1 << 63, Solutions: make([]uint64, MaxSolutions)})
	require.NoError(t, err)
	w := wireStamp{Version: stampVersion, Epoch: 1 << 63, Solutions: make([]uint64, MaxSolutions)}
	for i := range w.Solutions {
		w.Solutions[i] = 1 << 63
	}
	longest, err := stampReferenceEncoder.Marshal(w)
	require.NoError(t, err)
	require.Len(t, longest, MaxStamp)
	return [][]byte{quickStamp(t, testChallenge, testDifficulty, now), most, longest, {0x83, 1, 0x18, 0x18, 0x81, 0}}
}

// The accepted input and the encoding are the same as before.
func TestStampCodecAgreesWithReference(t *testing.T) {
	canonicaltest.CheckVariants(t, stampCodecSeeds(t), stampCodecsAgree)
}

func FuzzStampCodecAgainstReference(f *testing.F) {
	canonicaltest.RequireCorpus(f, f.Name())
	for _, b := range stampCodecSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { stampCodecsAgree(t, b) })
}
