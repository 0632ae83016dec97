package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/canonical/canonicaltest"
)

// The set-up of this package's codec before package canonical, and its checks of
// the encoding, unchanged: package canonical must accept what they accepted. The tests below
// compare the two.
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
			DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 4,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceDecodeMessage(b []byte) (message, error) {
	var m message
	if len(b) > drop.MaxMessage {
		return message{}, fmt.Errorf("message of %d bytes", len(b))
	}
	if err := referenceDecoder.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("message: %w", err)
	}
	if again, err := referenceEncoder.Marshal(m); err != nil || !bytes.Equal(again, b) {
		return message{}, errors.New("message: is not in canonical encoding")
	}
	return m, nil
}

type referenceKnown struct {
	Sealing   []pointer.SealingKey
	Addresses [][]byte
}

type referenceWireKnown struct {
	_         struct{} `cbor:",toarray"`
	Sealing   []referenceSealing
	Addresses [][]byte
}

type referenceSealing struct {
	_   struct{} `cbor:",toarray"`
	KEM uint16
	Key []byte
}

func (k referenceKnown) encode() ([]byte, error) {
	w := referenceWireKnown{Sealing: []referenceSealing{}, Addresses: k.Addresses}
	for _, s := range k.Sealing {
		w.Sealing = append(w.Sealing, referenceSealing{KEM: s.KEM, Key: s.Key})
	}
	return referenceEncoder.Marshal(w)
}

func referenceDecodeKnown(b []byte) (referenceKnown, error) {
	var w referenceWireKnown
	if err := referenceDecoder.Unmarshal(b, &w); err != nil {
		return referenceKnown{}, err
	}
	k := referenceKnown{Addresses: w.Addresses}
	for _, s := range w.Sealing {
		k.Sealing = append(k.Sealing, pointer.SealingKey{KEM: s.KEM, Key: s.Key})
	}
	if again, err := k.encode(); err != nil || !bytes.Equal(again, b) {
		return referenceKnown{}, errors.New("is not in canonical encoding")
	}
	return k, nil
}

func codecsAgree(t require.TestingT, b []byte) bool {
	accepted := canonicaltest.Agree(t, b, decodeMessage, referenceDecodeMessage)
	var d pointer.Details
	if canonicaltest.Agree(t, b,
		func(b []byte) (k referenceKnown, err error) {
			d, err = decodeKnown(b)
			return referenceKnown{d.Sealing, d.Addresses}, err
		},
		func(b []byte) (referenceKnown, error) {
			k, err := referenceDecodeKnown(b)
			if err == nil && k.Sealing == nil {
				k.Sealing = []pointer.SealingKey{} // nil and empty differ in no use of it
			}
			return k, err
		}) {
		accepted = true
		now, err := encodeKnown(d)
		require.NoError(t, err)
		require.Equal(t, b, now)
	}
	current := canonicaltest.Codec{Marshal: canonical.Marshal, Unmarshal: func(b []byte, v any) error {
		return canonical.UnmarshalLoose(b, v, canonical.Bounds{})
	}}
	reference := canonicaltest.Codec{Marshal: referenceEncoder.Marshal, Unmarshal: referenceDecoder.Unmarshal}
	for _, agree := range []func(require.TestingT, []byte, canonicaltest.Codec, canonicaltest.Codec) bool{
		canonicaltest.AgreeOn[message], canonicaltest.AgreeOn[inviteeState], canonicaltest.AgreeOn[sharedState], canonicaltest.AgreeOn[wireRequest],
	} {
		accepted = agree(t, b, current, reference) || accepted
	}
	return accepted
}

func codecSeeds(t testing.TB) (seeds [][]byte) {
	for _, v := range []any{
		message{Kind: kindStatement, Body: []byte("statement")}, message{Kind: kindMutual, Body: []byte{}},
		referenceWireKnown{Sealing: []referenceSealing{}}, referenceWireKnown{Sealing: []referenceSealing{{KEM: 0x20, Key: []byte("key")}, {KEM: 0x647a, Key: []byte("another")}}, Addresses: [][]byte{{1}, {2, 3}}},
		inviteeState{State: []byte("state"), Offer: make([]byte, 16), Concluded: true}, sharedState{Version: 1 << 40, Hash: make([]byte, 32)},
		wireRequest{Statement: []byte("statement"), Stamp: []byte("stamp"), Epoch: 1 << 20, Complete: true, Solutions: 64, Bits: 10},
	} {
		b, err := referenceEncoder.Marshal(v)
		require.NoError(t, err)
		seeds = append(seeds, b)
	}
	return seeds
}

// The same bytes are accepted and written as before.
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

// Keys and addresses of a contact are encoded as before, and messages are bounded as before.
func TestKnownAndMessagesAreEncodedAsBefore(t *testing.T) {
	for _, keys := range [][]pointer.SealingKey{nil, {}, {{KEM: 0x20, Key: []byte("key")}}} {
		for _, addresses := range [][][]byte{nil, {}, {{1}}} {
			now, err := encodeKnown(pointer.Details{Sealing: keys, Addresses: addresses, Nickname: "not stored"})
			require.NoError(t, err)
			before, err := referenceKnown{keys, addresses}.encode()
			require.NoError(t, err)
			require.Equal(t, before, now)
		}
	}
	for _, size := range []int{drop.MaxMessage, drop.MaxMessage + 1} {
		b, err := referenceEncoder.Marshal(message{Kind: kindMutual, Body: make([]byte, size-5)}) // behind heads of 1, 1 and 3 bytes
		require.NoError(t, err)
		require.Len(t, b, size)
		require.Equal(t, size == drop.MaxMessage, canonicaltest.Agree(t, b, decodeMessage, referenceDecodeMessage))
	}
}
