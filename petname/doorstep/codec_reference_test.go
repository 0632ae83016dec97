package doorstep

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/postage"
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
			IndefLength:     cbor.IndefLengthForbidden,
			TagsMd:          cbor.TagsForbidden,
			MaxNestedLevels: 4,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceDecodeLetter(b []byte) (Letter, error) {
	var w wireLetter
	if err := referenceDecoder.Unmarshal(b, &w); err != nil {
		return Letter{}, errors.New("letter is not the CBOR that it should be") // err repeats hostile text
	}
	if again, err := referenceEncoder.Marshal(w); err != nil || !bytes.Equal(again, b) {
		return Letter{}, errors.New("letter is not in its canonical encoding")
	}
	if w.Version != letterVersion {
		return Letter{}, fmt.Errorf("letter is of version %d, and this program knows %d", w.Version, letterVersion)
	}
	l := Letter{Stamp: w.Stamp, Statement: w.Statement}
	return l, l.check()
}

func codecsAgree(t require.TestingT, b []byte) bool {
	accepted := canonicaltest.Agree(t, b, decodeLetter, referenceDecodeLetter)
	if accepted {
		l, err := decodeLetter(b)
		require.NoError(t, err)
		now, err := l.encode()
		require.NoError(t, err)
		before, err := referenceEncoder.Marshal(wireLetter{Version: letterVersion, Stamp: l.Stamp, Statement: l.Statement})
		require.NoError(t, err)
		require.Equal(t, before, now)
	}
	return accepted
}

func codecSeeds(t testing.TB) [][]byte {
	good, err := letter("hello").encode()
	require.NoError(t, err)
	return [][]byte{good, {0x83, 1, 0x41, 1, 0x41, 2}, encoded(t, make([]byte, postage.MaxStamp), make([]byte, 300))}
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
