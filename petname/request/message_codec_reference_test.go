package request

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical/canonicaltest"
)

// The codec of this package before package canonical, unchanged. The tests below
// require that package canonical accepts the same input.
var (
	messageReferenceEncoder = func() cbor.EncMode {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
	messageReferenceDecoder = func() cbor.DecMode {
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

func referenceDecodeMessage(b []byte) (Message, error) {
	var w wireMessage
	if err := messageReferenceDecoder.Unmarshal(b, &w); err != nil {
		return Message{}, errors.New("contact request is not the CBOR that it should be") // err repeats untrusted text
	}
	if again, err := messageReferenceEncoder.Marshal(w); err != nil || !bytes.Equal(again, b) {
		return Message{}, errors.New("contact request is not in its canonical encoding")
	}
	if w.Version != messageVersion {
		return Message{}, fmt.Errorf("contact request is of version %d, and this program knows %d", w.Version, messageVersion)
	}
	m := Message{Stamp: w.Stamp, Statement: w.Statement}
	return m, m.check()
}

func messageCodecsAgree(t require.TestingT, b []byte) bool {
	accepted := canonicaltest.Agree(t, b, decodeMessage, referenceDecodeMessage)
	if accepted {
		m, err := decodeMessage(b)
		require.NoError(t, err)
		now, err := m.encode()
		require.NoError(t, err)
		before, err := messageReferenceEncoder.Marshal(wireMessage{Version: messageVersion, Stamp: m.Stamp, Statement: m.Statement})
		require.NoError(t, err)
		require.Equal(t, before, now)
	}
	return accepted
}

func messageCodecSeeds(t testing.TB) [][]byte {
	good, err := message("hello").encode()
	require.NoError(t, err)
	return [][]byte{good, {0x83, 1, 0x41, 1, 0x41, 2}, encoded(t, make([]byte, MaxStamp), make([]byte, 300))}
}

// The accepted input and the encoding are the same as before.
func TestMessageCodecAgreesWithReference(t *testing.T) {
	canonicaltest.CheckVariants(t, messageCodecSeeds(t), messageCodecsAgree)
}

func FuzzMessageCodecAgainstReference(f *testing.F) {
	canonicaltest.RequireCorpus(f, f.Name())
	for _, b := range messageCodecSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { messageCodecsAgree(t, b) })
}
