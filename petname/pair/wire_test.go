package pair

import (
	"bytes"
	"crypto"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// A field has one size, or a bound. A message with one byte more or less is
// refused.
func TestFieldsOfMessagesHaveTheirSizes(t *testing.T) {
	s := newSamples(t)
	into := func(b []byte, w any) {
		t.Helper()
		require.NoError(t, decode(b, maxMessage, w))
	}
	var (
		offer      wireOffer
		acceptance wireAcceptance
		answer     wireAnswer
		failure    wireFailure
		proof      wireProof
		linkTake   wireLinkAcceptance
		linkAnswer wireLinkAnswer
	)
	into(s.offer, &offer)
	into(s.acceptance, &acceptance)
	into(s.answer, &answer)
	into(s.failure, &failure)
	into(s.proof, &proof)
	into(s.linkAcceptance, &linkTake)
	into(s.linkAnswer, &linkAnswer)
	linkProof := wireLinkProof{Identity: s.identity, Nonce: make([]byte, nonceSize), Signature: []byte("s")}
	for name, c := range map[string]struct {
		message any
		kind    *uint8 // nil: the message has no kind
		fixed   []*[]byte
		sealed  *[]byte // nil: the message has no sealed part
		parse   func([]byte) error
	}{
		"offer":           {&offer, &offer.Kind, []*[]byte{&offer.Share, &offer.Commit}, nil, func(b []byte) error { _, err := parseOffer(b); return err }},
		"take":            {&acceptance, &acceptance.Kind, []*[]byte{&acceptance.Share, &acceptance.Commit, &acceptance.Tag}, &acceptance.Sealed, func(b []byte) error { _, err := parseAcceptance(b); return err }},
		"answer":          {&answer, &answer.Kind, []*[]byte{&answer.Acceptance, &answer.Tag}, &answer.Sealed, func(b []byte) error { _, err := parseAnswer(b); return err }},
		"failure":         {&failure, &failure.Kind, []*[]byte{&failure.Acceptance}, nil, func(b []byte) error { _, err := parseAnswer(b); return err }},
		"proof":           {&proof, nil, []*[]byte{&proof.Blind}, nil, func(b []byte) error { _, err := parseProof(b); return err }},
		"link acceptance": {&linkTake, &linkTake.Kind, []*[]byte{&linkTake.Ephemeral}, &linkTake.Sealed, func(b []byte) error { _, err := parseLinkAcceptance(b); return err }},
		"link proof":      {&linkProof, nil, []*[]byte{&linkProof.Nonce}, nil, func(b []byte) error { _, err := parseLinkProof(b); return err }},
		"link answer":     {&linkAnswer, &linkAnswer.Kind, nil, &linkAnswer.Sealed, func(b []byte) error { _, err := parseLinkAnswer(b); return err }},
	} {
		require.NoError(t, c.parse(encode(c.message)), name)
		for i, field := range c.fixed {
			good := *field
			for _, bad := range [][]byte{good[1:], append(bytes.Clone(good), 0), {}} {
				*field = bad
				require.Error(t, c.parse(encode(c.message)), "%s: field %d of %d bytes", name, i, len(bad))
			}
			*field = good
		}
		if c.sealed != nil {
			good := *c.sealed
			*c.sealed = make([]byte, maxSealed)
			require.NoError(t, c.parse(encode(c.message)), name)
			*c.sealed = make([]byte, maxSealed+1)
			require.Error(t, c.parse(encode(c.message)), name)
			*c.sealed = good
		}
		if c.kind != nil {
			*c.kind += 100
			require.Error(t, c.parse(encode(c.message)), "%s: another kind", name)
			*c.kind -= 100
		}
		require.NoError(t, c.parse(encode(c.message)), name)
	}
	// An answer either accepts and has an identity, or refuses and has none.
	for status, id := range map[Reason][]byte{0: nil, ReasonUsed: s.identity} {
		_, err := parseAnswerProof(encode(wireAnswerProof{Status: status, Identity: id, Signature: []byte("s")}))
		require.Error(t, err, status)
	}
	for status, id := range map[Reason][]byte{0: s.identity, ReasonUsed: nil} {
		_, err := parseAnswerProof(encode(wireAnswerProof{Status: status, Identity: id, Signature: []byte("s")}))
		require.NoError(t, err, status)
	}
	// The size of received data is checked before decoding, exact to the byte.
	whole := encode(wireOffer{Kind: kindOffer, Share: make([]byte, shareSize), Commit: make([]byte, hashSize)})
	require.NoError(t, decode(whole, len(whole), new(wireOffer)))
	require.ErrorContains(t, decode(whole, len(whole)-1, new(wireOffer)), "bytes long")
}

func TestIdentityIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Identity)
		fits   bool
	}{
		"the longest nickname":        {func(id *Identity) { id.Nickname = string(bytes.Repeat([]byte("n"), pointer.MaxNickname)) }, true},
		"a longer one":                {func(id *Identity) { id.Nickname = string(bytes.Repeat([]byte("n"), pointer.MaxNickname+1)) }, false},
		"one that is no UTF-8":        {func(id *Identity) { id.Nickname = "\xff" }, false},
		"so many keys":                {func(id *Identity) { id.Sealing = keysOf(pointer.MaxSealing, 32) }, true},
		"one more":                    {func(id *Identity) { id.Sealing = keysOf(pointer.MaxSealing+1, 32) }, false},
		"the longest key":             {func(id *Identity) { id.Sealing = keysOf(1, pointer.MaxSealingKey) }, true},
		"a longer key":                {func(id *Identity) { id.Sealing = keysOf(1, pointer.MaxSealingKey+1) }, false},
		"an empty key":                {func(id *Identity) { id.Sealing = keysOf(1, 0) }, false},
		"so many addresses":           {func(id *Identity) { id.Addresses = addressesOf(pointer.MaxAddresses, 9) }, true},
		"one address more":            {func(id *Identity) { id.Addresses = addressesOf(pointer.MaxAddresses+1, 9) }, false},
		"the longest address":         {func(id *Identity) { id.Addresses = addressesOf(1, pointer.MaxAddress) }, true},
		"a longer address":            {func(id *Identity) { id.Addresses = addressesOf(1, pointer.MaxAddress+1) }, false},
		"an empty address":            {func(id *Identity) { id.Addresses = addressesOf(1, 0) }, false},
		"no pointer":                  {func(id *Identity) { id.Pointer = pointer.Pointer{} }, false},
		"all bounds, and over theirs": {func(id *Identity) { id.Sealing = keysOf(pointer.MaxSealing, pointer.MaxSealingKey) }, false},
	} {
		id := newSelf(t, 1, "Alice").Identity
		c.change(&id)
		_, err := id.encode()
		require.Equal(t, c.fits, err == nil, name)
		// Untrusted data of the network is encoded.
		b := encode(wireIdentity{1, id.Pointer.Bytes(), id.Next.Bytes(), id.Sealing, id.Nickname, id.Addresses})
		got, err := parseIdentity(b)
		require.Equal(t, c.fits, err == nil, name)
		if c.fits {
			require.Equal(t, id, got, name)
		}
	}
	w := wireIdentity{Version: 2, Pointer: newKey(t, 1).Pointer().Bytes()}
	_, err := parseIdentity(encode(w))
	require.ErrorContains(t, err, "version 2")
}

func keysOf(n, size int) (keys []pointer.SealingKey) {
	for i := range n {
		keys = append(keys, pointer.SealingKey{KEM: uint16(i + 1), Key: make([]byte, size)})
	}
	return keys
}

func addressesOf(n, size int) (addresses [][]byte) {
	for range n {
		addresses = append(addresses, make([]byte, size))
	}
	return addresses
}

// wrongSigner signs with another key than its public key.
type wrongSigner struct {
	*pointer.Key
	by *pointer.Key
}

func (m wrongSigner) Sign(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return m.by.Sign(random, message, opts)
}

// The signature of a foreign signer (an agent, hardware) is verified before it
// is used. A message with a wrong signature is not sent.
func TestInvalidSignatureOfTheSignerIsNotUsed(t *testing.T) {
	wrong := newSelf(t, 1, "Alice")
	wrong.Key = wrongSigner{newKey(t, 1), newKey(t, 9)}
	_, err := wrong.sign(domainCode, codeStatement{Role: roleInvitee})
	require.ErrorContains(t, err, "signing with the identity")
	_, err = Invite(t.Context(), wrong, Terms{Expires: start.Add(time.Hour)}, (&savedStates{}).save)
	require.ErrorContains(t, err, "signing with the identity")

	m := newCodeScenario(t, theCode, theCode)
	m.bob.Key = wrongSigner{newKey(t, 2), newKey(t, 9)}
	m.invitee, err = AcceptCode(m.bob, mustCode(t, theCode), m.bobMarks.markUsed)
	require.NoError(t, err)
	m.stepInviter(t)
	require.ErrorContains(t, m.stepInvitee(t).err, "signing with the identity")
	_, ok := fetchMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), m.clock.now())
	require.False(t, ok)
}
