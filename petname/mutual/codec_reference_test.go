package mutual

import (
	"bytes"
	"testing"
	"unicode/utf8"

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
			DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 4,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceDecodeInto(b []byte, limit int, into any) error {
	if len(b) > limit {
		return invalid("%d bytes, over %d", len(b), limit)
	}
	if err := referenceDecoder.Unmarshal(b, into); err != nil {
		return invalid("%v", err)
	}
	if again, err := referenceEncoder.Marshal(into); err != nil || !bytes.Equal(again, b) {
		return invalid("is not in canonical encoding")
	}
	return nil
}

const (
	referenceMaxSealing   = 4
	referenceMaxAddresses = 8
	referenceMaxKey       = 2048
	referenceMaxAddress   = 256
)

type referenceWirePayload struct {
	_         struct{} `cbor:",toarray"`
	Salt      []byte   // so that the hash does not confirm guesses
	Next      []byte   // null: none
	Sealing   []referenceWireKey
	Nickname  string
	Addresses [][]byte
}

type referenceWireKey struct {
	_   struct{} `cbor:",toarray"`
	KEM uint16
	Key []byte
}

func referenceEncodePayload(p pointer.Details, salt []byte) ([]byte, error) {
	w := referenceWirePayload{Salt: salt, Next: p.Next.Bytes(), Sealing: []referenceWireKey{}, Nickname: p.Nickname, Addresses: p.Addresses}
	for _, k := range p.Sealing {
		w.Sealing = append(w.Sealing, referenceWireKey{KEM: k.KEM, Key: k.Key})
	}
	if w.Addresses == nil {
		w.Addresses = [][]byte{}
	}
	b, err := referenceEncoder.Marshal(w)
	if err != nil {
		return nil, err
	}
	_, err = referenceOpenPayload(b)
	return b, err
}

func referenceOpenPayload(b []byte) (pointer.Details, error) {
	var w referenceWirePayload
	if err := referenceDecodeInto(b, maxPayload, &w); err != nil {
		return pointer.Details{}, err
	}
	p := pointer.Details{Nickname: w.Nickname}
	switch {
	case len(w.Salt) != saltSize:
		return pointer.Details{}, invalid("salt of %d bytes", len(w.Salt))
	case w.Sealing == nil || w.Addresses == nil:
		return pointer.Details{}, invalid("null where a list belongs")
	case len(w.Sealing) > referenceMaxSealing || len(w.Addresses) > referenceMaxAddresses:
		return pointer.Details{}, invalid("%d sealing keys and %d addresses", len(w.Sealing), len(w.Addresses))
	case len(w.Nickname) > pointer.MaxNickname || !utf8.ValidString(w.Nickname):
		return pointer.Details{}, invalid("nickname of %d bytes, or not UTF-8", len(w.Nickname))
	}
	if w.Next != nil {
		var err error
		if p.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
			return pointer.Details{}, invalid("%v", err)
		}
	}
	for _, k := range w.Sealing {
		if len(k.Key) == 0 || len(k.Key) > referenceMaxKey {
			return pointer.Details{}, invalid("sealing key of %d bytes", len(k.Key))
		}
		p.Sealing = append(p.Sealing, pointer.SealingKey{KEM: k.KEM, Key: k.Key})
	}
	for _, a := range w.Addresses {
		if len(a) == 0 || len(a) > referenceMaxAddress {
			return pointer.Details{}, invalid("address of %d bytes", len(a))
		}
		p.Addresses = append(p.Addresses, a)
	}
	return p, nil
}

func codecsAgree(t require.TestingT, b []byte) (accepted bool) {
	for _, format := range []struct {
		agree func(require.TestingT, []byte, canonicaltest.Codec, canonicaltest.Codec) bool
		limit int
	}{
		{canonicaltest.AgreeOn[wire], maxMessage},
		{canonicaltest.AgreeOn[wirePayload], maxPayload},
		{canonicaltest.AgreeOn[sealedAuth], maxSealed},
		{canonicaltest.AgreeOn[wireTranscript], maxTranscript},
		{canonicaltest.AgreeOn[wireInvitee], maxState},
		{canonicaltest.AgreeOn[wireIntroducer], maxState},
	} {
		current := canonicaltest.Codec{Marshal: canonical.Marshal, Unmarshal: func(b []byte, v any) error { return decodeInto(b, format.limit, v) }}
		reference := canonicaltest.Codec{Marshal: referenceEncoder.Marshal, Unmarshal: func(b []byte, v any) error { return referenceDecodeInto(b, format.limit, v) }}
		accepted = format.agree(t, b, current, reference) || accepted
	}
	if canonicaltest.Agree(t, b, openPayload, referenceOpenPayload) {
		d, err := openPayload(b)
		require.NoError(t, err)
		salt := b[3 : 3+saltSize] // [salt, …]
		now, err := encodePayload(d, salt)
		require.NoError(t, err)
		before, err := referenceEncodePayload(d, salt)
		require.NoError(t, err)
		require.Equal(t, before, now)
		require.Equal(t, b, now)
	}
	return accepted
}

func codecSeeds(t testing.TB) [][]byte {
	sent, invitee, introducer, transcript := messages(t)
	payload, err := encodePayload(payloadOf("bob"), make([]byte, saltSize))
	require.NoError(t, err)
	seeds := append(sent, invitee[0], introducer[0], transcript, payload, referenceEncode(t, sealedAuth{Payload: payload, Signature: make([]byte, signatureSize)}))
	return append(seeds, referenceEncode(t, referenceWirePayload{Salt: make([]byte, saltSize), Sealing: []referenceWireKey{}, Addresses: [][]byte{}}),
		referenceEncode(t, referenceWirePayload{Salt: make([]byte, saltSize), Sealing: make([]referenceWireKey, 5), Addresses: make([][]byte, 9)}))
}

func referenceEncode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := referenceEncoder.Marshal(v)
	require.NoError(t, err)
	return b
}

// The bounds of a payload are the same as before.
func TestPayloadBoundsAgreeWithReference(t *testing.T) {
	accepted := 0
	for _, nickname := range []int{0, pointer.MaxNickname, pointer.MaxNickname + 1} {
		for _, keys := range []int{0, referenceMaxSealing, referenceMaxSealing + 1} {
			for _, key := range []int{0, 1, 512, referenceMaxKey, referenceMaxKey + 1} {
				for _, addresses := range []int{0, referenceMaxAddresses, referenceMaxAddresses + 1} {
					for _, address := range []int{0, 1, referenceMaxAddress, referenceMaxAddress + 1} {
						w := referenceWirePayload{Salt: make([]byte, saltSize), Nickname: string(make([]byte, nickname)), Sealing: []referenceWireKey{}, Addresses: [][]byte{}}
						for range keys {
							w.Sealing = append(w.Sealing, referenceWireKey{KEM: 0x20, Key: make([]byte, key)})
						}
						for range addresses {
							w.Addresses = append(w.Addresses, make([]byte, address))
						}
						if canonicaltest.Agree(t, referenceEncode(t, w), openPayload, referenceOpenPayload) {
							accepted++
						}
					}
				}
			}
		}
	}
	require.Greater(t, accepted, 20)
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
