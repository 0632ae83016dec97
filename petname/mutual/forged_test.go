package mutual

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// An introducer that inserts its own ephemeral key, to read and replace sealed
// messages, needs Carol's signature on it.
func TestEphemeralKeysAreSigned(t *testing.T) {
	p := newScenario(t, "ephemeral")
	m := mustDecode(t, p.runUntil(KindReveal, bob).Bytes)
	accept := mustDecode(t, m.Accept)
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	accept.Ephemeral = secret.PublicKey().Bytes()
	m.Accept = encode(accept.wire)
	p.bob.requireRefusal(encode(m.wire), Invalid)
}

// An invitee that lies is detected by the introducer, or else by the peer.
func TestInviteeCannotClaimAnotherIdentity(t *testing.T) {
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	for name, consent := range map[string]func(p *scenario) []byte{
		"signed by another": func(p *scenario) []byte { return forge(t, dave, p.i.requests[2], secret, nil).raw },
		"in another's name": func(p *scenario) []byte {
			m := forge(t, carol, p.i.requests[2], secret, nil)
			m.By = dave.Pointer().Bytes()
			return encode(m.wire)
		},
		"for the other side": func(p *scenario) []byte { return forge(t, carol, p.i.requests[1], secret, nil).raw },
		"to another request": func(p *scenario) []byte {
			r := p.i.requests[2]
			r.raw = p.i.requests[1].raw
			return forge(t, carol, r, secret, nil).raw
		},
		"Bob's, passed off": func(p *scenario) []byte { return p.bob.v.accept.raw },
		"to a sender outside of the session": func(p *scenario) []byte {
			r := p.i.requests[2]
			r.by = dave.Pointer()
			r.By = r.by.Bytes()
			return forge(t, carol, r, secret, nil).raw
		},
	} {
		p := newScenario(t, "liar")
		p.bob.accept()
		out, err := p.deliver(delivery{carol.Pointer(), Outgoing{alice.Pointer(), consent(p)}})
		var ended *EndedError
		require.ErrorAs(t, err, &ended, name)
		require.Len(t, out, 2, "both are notified")
		phase, _ := p.i.Phase()
		require.Equal(t, Ended, phase)
		require.Nil(t, p.i.salts[1])
	}

	// Her proof is by another key, or for another payload than the one of her consent.
	for name, lie := range map[string]func(p *scenario, a sessionKeys, payload []byte) []byte{
		"another's signature": func(p *scenario, a sessionKeys, payload []byte) []byte {
			b, err := a.newAuth(seeded("lie"), dave, p.i.requests[2].session, 2, payload)
			require.NoError(t, err)
			return b
		},
		"another payload": func(p *scenario, a sessionKeys, _ []byte) []byte {
			other, err := encodePayload(pointer.Details{Nickname: "~another"}, make([]byte, saltSize))
			require.NoError(t, err)
			b, err := a.newAuth(seeded("lie"), carol, p.i.requests[2].session, 2, other)
			require.NoError(t, err)
			return b
		},
		"Bob's side": func(p *scenario, a sessionKeys, payload []byte) []byte {
			b, err := a.newAuth(seeded("lie"), carol, p.i.requests[2].session, 1, payload)
			require.NoError(t, err)
			return b
		},
	} {
		p := newScenario(t, "liar at last")
		p.runUntil(KindAuth, carol)
		require.Equal(t, Authenticated, p.bob.phase(), name)
		require.NotNil(t, p.carol.v.secret)
		honest, err := p.carol.v.keys.newAuth(seeded("truth"), carol, p.i.requests[2].session, 2, p.carol.v.payload)
		require.NoError(t, err)
		v, err := RestoreInvitee(p.bob.v.State())
		require.NoError(t, err)
		_, err = v.Handle(now, alice.Pointer(), honest)
		require.NoError(t, err, "the honest proof is accepted")
		p.bob.requireRefusal(lie(p, p.carol.v.keys, p.carol.v.payload), Invalid)
	}

	// An ephemeral key of low order would make the secret known to anyone.
	p := newScenario(t, "low order")
	p.bob.accept()
	of := sha256.Sum256(p.i.requests[2].raw)
	low, err := wire{Kind: KindAccept, Session: p.i.requests[2].Session, Side: 2, Expires: p.i.requests[2].Expires, To: alice.Pointer().Bytes(),
		Request: of[:], Nonce: make([]byte, nonceSize), Ephemeral: make([]byte, ephemeralSize), Payload: make([]byte, hashSize)}.sign(carol)
	require.NoError(t, err)
	p.bob.requireRefusal(revealing(p.i, p.i.salts[1], carol.Pointer(), low.raw), Invalid)
}

// No session is remembered for longer than sessions last, whatever the introducer's
// clock shows.
func TestRequestFromTheFutureIsRefused(t *testing.T) {
	for ahead, taken := range map[time.Duration]bool{0: true, maxSkew: true, maxSkew + time.Minute: false, 100 * 365 * 24 * time.Hour: false} {
		made := now.Add(ahead)
		_, out, err := Start(made, seeded("future"), alice, party(bob, "Bob"), party(carol, "Caro"), made.Add(maxLife))
		require.NoError(t, err)
		_, err = Receive(now, bob.Pointer(), alice.Pointer(), out[0].Bytes)
		if taken {
			require.NoError(t, err, ahead)
		} else {
			require.ErrorIs(t, err, ErrInvalid, ahead)
		}
	}
}

// verifyChanged verifies a transcript after a change.
func verifyChanged(t testing.TB, transcript []byte, change func(w *wireTranscript)) error {
	t.Helper()
	var w wireTranscript
	require.NoError(t, decodeInto(transcript, maxTranscript, &w))
	change(&w)
	_, err := Verify(encode(w))
	return err
}

func TestTranscriptCannotBeForged(t *testing.T) {
	p, q := newScenario(t, "evidence"), newScenario(t, "other evidence")
	p.run(p.acceptBoth(), nil)
	q.run(q.acceptBoth(), nil)
	transcript := p.bob.v.Transcript()
	require.NoError(t, verifyChanged(t, transcript, func(*wireTranscript) {}))
	require.NoError(t, verifyChanged(t, transcript, func(w *wireTranscript) { w.Payload = nil }))
	var from wireTranscript
	require.NoError(t, decodeInto(q.bob.v.Transcript(), maxTranscript, &from))
	var mirrored wireTranscript
	require.NoError(t, decodeInto(p.carol.v.Transcript(), maxTranscript, &mirrored))
	elsewhere, err := encodePayload(payloadOf("carol"), make([]byte, saltSize)) // the same, with another salt
	require.NoError(t, err)
	for name, change := range map[string]func(w *wireTranscript){
		"version":              func(w *wireTranscript) { w.Version = 2 },
		"request":              func(w *wireTranscript) { w.Request = from.Request },
		"request to other":     func(w *wireTranscript) { w.Request = mirrored.Request },
		"salt":                 func(w *wireTranscript) { w.Salt = from.Salt },
		"pointer":              func(w *wireTranscript) { w.About = mallory.Pointer().Bytes() },
		"own consent":          func(w *wireTranscript) { w.OwnAccept = from.OwnAccept },
		"their consent":        func(w *wireTranscript) { w.PeerAccept = from.PeerAccept },
		"consents turned":      func(w *wireTranscript) { w.OwnAccept, w.PeerAccept = w.PeerAccept, w.OwnAccept },
		"own proof":            func(w *wireTranscript) { w.OwnProof = from.OwnProof },
		"their proof":          func(w *wireTranscript) { w.PeerProof = from.PeerProof },
		"proofs turned":        func(w *wireTranscript) { w.OwnProof, w.PeerProof = w.PeerProof, w.OwnProof },
		"no proof":             func(w *wireTranscript) { w.PeerProof = nil },
		"payload":              func(w *wireTranscript) { w.Payload = elsewhere },
		"own payload":          func(w *wireTranscript) { w.Payload = mirrored.Payload },
		"an empty payload":     func(w *wireTranscript) { w.Payload = []byte{} },
		"another introducer":   func(w *wireTranscript) { w.Request = resigned(t, w.Request, trudy) },
		"another introduction": func(w *wireTranscript) { *w = from; w.OwnProof = mirrored.OwnProof },
	} {
		require.ErrorIs(t, verifyChanged(t, transcript, change), ErrInvalid, name)
	}
	for at := range flips(transcript) {
		b := bytes.Clone(transcript)
		b[at] ^= 1 << (at % 8)
		_, err := Verify(b)
		require.ErrorIs(t, err, ErrInvalid, "byte %d", at)
		_, err = Verify(transcript[:at])
		require.ErrorIs(t, err, ErrInvalid)
	}
}

// startTwice starts two offers with the same session, salts and hidden pointers, but
// different data about Carol. Only the hash of the request differs.
func startTwice(t testing.TB, name string) (first, second *scenario) {
	t.Helper()
	first = newScenario(t, name)
	i, out, err := Start(now, seeded(name), alice, party(bob, "Bob W"), party(carol, "Trudy"), now.Add(life))
	require.NoError(t, err)
	second = &scenario{t: t, i: i, bob: receives(t, bob, "bob", out[0].Bytes), carol: receives(t, carol, "carol", out[1].Bytes)}
	require.Equal(t, first.bob.v.request.session, second.bob.v.request.session)
	require.Equal(t, first.bob.v.request.Hidden, second.bob.v.request.Hidden)
	require.NotEqual(t, first.bob.v.request.raw, second.bob.v.request.raw)
	return first, second
}

// An introducer signs two requests, and a contact consents to one of them. The
// consent does not count for the other: not in the evidence, not in a stored
// session, and not for the introducer.
func TestConsentIsForOneRequest(t *testing.T) {
	p, q := startTwice(t, "two requests")
	p.run(p.acceptBoth(), nil)
	require.Equal(t, Active, p.bob.phase())
	require.NoError(t, verifyChanged(t, p.bob.v.Transcript(), func(*wireTranscript) {}))
	require.ErrorIs(t, verifyChanged(t, p.bob.v.Transcript(), func(w *wireTranscript) { w.Request = q.bob.v.request.raw }), ErrInvalid)

	p, q = startTwice(t, "two requests, at rest")
	p.bob.accept()
	var w wireInvitee
	require.NoError(t, decodeInto(p.bob.v.State(), maxState, &w))
	_, err := RestoreInvitee(encode(w))
	require.NoError(t, err)
	w.Request = q.bob.v.request.raw
	_, err = RestoreInvitee(encode(w))
	require.ErrorIs(t, err, ErrInvalid)

	p, q = startTwice(t, "two requests, at the introducer")
	out := p.bob.accept()
	_, err = q.i.Handle(now, bob.Pointer(), out[0].Bytes)
	var ended *EndedError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, Invalid, ended.Reason)
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
// is sent. A wrong signature changes nothing.
func TestInvalidSignatureOfTheSignerIsNotSent(t *testing.T) {
	_, _, err := Start(now, seeded("x"), wrongSigner{alice, dave}, party(bob, "Bob"), party(carol, "Caro"), now.Add(life))
	require.ErrorIs(t, err, ErrInvalid)
	p := newScenario(t, "foreign signer")
	_, err = p.bob.v.Accept(now, seeded("x"), wrongSigner{bob, dave}, payloadOf("bob"))
	require.ErrorIs(t, err, ErrInvalid)
	require.Equal(t, Invited, p.bob.phase())
	reveal := p.runUntil(KindReveal, bob)
	_, err = p.bob.v.Handle(now, reveal.from, reveal.Bytes)
	require.NoError(t, err)
	out, err := p.bob.v.Authenticate(now, seeded("x"), wrongSigner{bob, dave})
	require.ErrorIs(t, err, ErrInvalid)
	require.Empty(t, out)
	require.Equal(t, Revealed, p.bob.phase())
	_, err = p.bob.v.Authenticate(now, seeded("x"), bob)
	require.NoError(t, err)
}

// Every session has a bounded life, whatever the introducer signs. The bound
// applies to the signed times, to the millisecond, and to the evidence as well.
func TestSignedLifeOfARequestIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		life  time.Duration
		taken bool
	}{
		"the longest": {maxLife, true}, "the shortest": {time.Millisecond, true}, "over it": {maxLife + time.Millisecond, false},
		"a year": {365 * 24 * time.Hour, false}, "none": {0, false}, "negative": {-time.Millisecond, false},
	} {
		salt := make([]byte, saltSize)
		m, err := newRequest(now, alice, Session{1}, 1, bob.Pointer(), party(carol, "Caro"), salt, now.Add(c.life))
		require.NoError(t, err, name)
		_, err = OpenRequest(m.raw, now.Add(-time.Millisecond))
		if !c.taken {
			require.ErrorIs(t, err, ErrInvalid, name)
			_, err = Receive(now.Add(-time.Second), bob.Pointer(), alice.Pointer(), m.raw)
			require.ErrorIs(t, err, ErrInvalid, name)
			continue
		}
		require.NoError(t, err, name)
		_, err = Receive(now, bob.Pointer(), alice.Pointer(), m.raw)
		require.NoError(t, err, name)
	}
	own, err := newRequest(now, alice, Session{1}, 1, alice.Pointer(), party(carol, "Caro"), make([]byte, saltSize), now.Add(life))
	require.NoError(t, err)
	_, err = OpenRequest(own.raw, now)
	require.ErrorIs(t, err, ErrInvalid, "addressed to its own introducer")
}
