package pair

import (
	"bytes"
	"errors"
	"fmt"
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
			DupMapKey:         cbor.DupMapKeyEnforcedAPF,
			IndefLength:       cbor.IndefLengthForbidden,
			TagsMd:            cbor.TagsForbidden,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
			MaxNestedLevels:   8,
			MaxArrayElements:  64,
			MaxMapPairs:       16,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceDecode(b []byte, most int, into any) error {
	if len(b) > most {
		return fmt.Errorf("is %d bytes long, over %d", len(b), most)
	}
	if err := referenceDecoder.Unmarshal(b, into); err != nil {
		return errors.New("is not of the right form")
	}
	if again, err := referenceEncoder.Marshal(into); err != nil || !bytes.Equal(again, b) {
		return errors.New("is not in its canonical encoding")
	}
	return nil
}

const (
	referenceMaxAddresses  = 8
	referenceMaxAddress    = 256
	referenceMaxSealing    = 4
	referenceMaxSealingKey = 2048
)

func referenceCheck(id Identity) error {
	if id.Pointer.IsZero() {
		return errors.New("has no pointer")
	}
	if len(id.Nickname) > pointer.MaxNickname || !utf8.ValidString(id.Nickname) {
		return fmt.Errorf("its nickname is over %d bytes long, or not UTF-8", pointer.MaxNickname)
	}
	if len(id.Sealing) > referenceMaxSealing {
		return fmt.Errorf("has %d sealing keys, over %d", len(id.Sealing), referenceMaxSealing)
	}
	for _, s := range id.Sealing {
		if len(s.Key) == 0 || len(s.Key) > referenceMaxSealingKey {
			return fmt.Errorf("its sealing key for KEM %d is %d bytes long", s.KEM, len(s.Key))
		}
	}
	return referenceCheckAddresses(id.Addresses)
}

func referenceCheckAddresses(addresses [][]byte) error {
	if len(addresses) > referenceMaxAddresses {
		return fmt.Errorf("has %d addresses, over %d", len(addresses), referenceMaxAddresses)
	}
	for _, a := range addresses {
		if len(a) == 0 || len(a) > referenceMaxAddress {
			return fmt.Errorf("has an address of %d bytes", len(a))
		}
	}
	return nil
}

func referenceReadIdentity(b []byte) (Identity, error) {
	var w wireIdentity
	if err := referenceDecode(b, maxIdentity, &w); err != nil {
		return Identity{}, err
	}
	if w.Version != 1 {
		return Identity{}, fmt.Errorf("has version %d, and this program knows 1", w.Version)
	}
	id := Identity{Details: pointer.Details{Sealing: w.Sealing, Nickname: w.Nickname, Addresses: w.Addresses}}
	var err error
	if id.Pointer, err = pointer.FromBytes(w.Pointer); err != nil {
		return Identity{}, err
	}
	if len(w.Next) > 0 {
		if id.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
			return Identity{}, err
		}
	}
	return id, referenceCheck(id)
}

func codecsAgree(t require.TestingT, b []byte) (accepted bool) {
	for _, format := range []struct {
		agree func(require.TestingT, []byte, canonicaltest.Codec, canonicaltest.Codec) bool
		limit int
	}{
		{canonicaltest.AgreeOn[wireIdentity], maxIdentity},
		{canonicaltest.AgreeOn[wireSigned], maxInvitation},
		{canonicaltest.AgreeOn[wireTranscript], maxTranscript},
		{canonicaltest.AgreeOn[wireState], maxState},
		{canonicaltest.AgreeOn[wireOffer], maxMessage},
		{canonicaltest.AgreeOn[wireAcceptance], maxMessage},
		{canonicaltest.AgreeOn[wireAnswer], maxMessage},
		{canonicaltest.AgreeOn[wireFailure], maxMessage},
		{canonicaltest.AgreeOn[wireLinkAcceptance], maxMessage},
		{canonicaltest.AgreeOn[wireLinkAnswer], maxMessage},
		{canonicaltest.AgreeOn[wireProof], maxProof},
		{canonicaltest.AgreeOn[wireLinkProof], maxProof},
		{canonicaltest.AgreeOn[wireAnswerProof], maxProof},
	} {
		current := canonicaltest.Codec{Marshal: canonical.Marshal, Unmarshal: func(b []byte, v any) error { return decode(b, format.limit, v) }}
		reference := canonicaltest.Codec{Marshal: referenceEncoder.Marshal, Unmarshal: func(b []byte, v any) error { return referenceDecode(b, format.limit, v) }}
		accepted = format.agree(t, b, current, reference) || accepted
	}
	canonicaltest.Agree(t, b, readIdentity, referenceReadIdentity)
	return accepted
}

func codecSeeds(t testing.TB) [][]byte {
	s := newSamples(t)
	return [][]byte{s.identity, s.transcriptCode, s.transcriptLink, s.offer, s.acceptance, s.answer, s.failure, s.proof, s.invitation, s.state, s.linkAcceptance, s.linkAnswer, s.answerProof}
}

// The bounds of an identity are the same as before.
func TestIdentityBoundsAgreeWithReference(t *testing.T) {
	accepted := 0
	for _, nickname := range []string{"", string(make([]byte, pointer.MaxNickname)), string(make([]byte, pointer.MaxNickname+1)), "\xff"} {
		for _, keys := range []int{0, 1, referenceMaxSealing, referenceMaxSealing + 1} {
			for _, key := range []int{0, 1, 512, referenceMaxSealingKey, referenceMaxSealingKey + 1} {
				for _, addresses := range []int{0, referenceMaxAddresses, referenceMaxAddresses + 1} {
					for _, address := range []int{0, 1, referenceMaxAddress, referenceMaxAddress + 1} {
						id := Identity{Pointer: newKey(t, 1).Pointer(), Details: pointer.Details{Nickname: nickname}}
						for range keys {
							id.Sealing = append(id.Sealing, pointer.SealingKey{KEM: 0x20, Key: make([]byte, key)})
						}
						for range addresses {
							id.Addresses = append(id.Addresses, make([]byte, address))
						}
						require.Equal(t, referenceCheck(id) == nil, id.check() == nil)
						b := encode(wireIdentity{1, id.Pointer.Bytes(), id.Next.Bytes(), id.Sealing, id.Nickname, id.Addresses})
						if canonicaltest.Agree(t, b, readIdentity, referenceReadIdentity) {
							accepted++
						}
						require.Equal(t, referenceCheckAddresses(id.Addresses) == nil, checkAddresses(id.Addresses) == nil)
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

// The bounds of lists are the same as before, to the element.
func TestListBoundsAgreeWithReference(t *testing.T) {
	for _, n := range []int{64, 64 + 1} {
		b, err := referenceEncoder.Marshal(wireState{Version: 1, Invitees: make([][]byte, n)})
		require.NoError(t, err)
		require.Equal(t, n == 64, codecsAgree(t, b))
	}
}
