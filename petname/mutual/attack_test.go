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

// requireRefusal requires that a message ends the session of its recipient, and that
// the recipient sends an ABORT to the introducer.
func (h *testInvitee) requireRefusal(b []byte, reason Reason) {
	h.t.Helper()
	out, err := h.handle(alice.Pointer(), b)
	var ended *EndedError
	require.ErrorAs(h.t, err, &ended)
	require.Equal(h.t, reason, ended.Reason)
	require.Len(h.t, out, 1)
	_, kind, err := SessionOf(out[0].Bytes)
	require.NoError(h.t, err)
	require.Equal(h.t, KindAbort, kind)
	h.requireEnded(reason)
}

func revealing(i *Introducer, salt []byte, about pointer.Pointer, accept []byte) []byte {
	return encode(wire{Kind: KindReveal, Session: i.requests[1].Session, Salt: salt, About: about.Bytes(), Accept: accept})
}

// forge returns the consent of a key that Alice has, for a request to another party.
func forge(t testing.TB, key crypto.Signer, request message, secret *ecdh.PrivateKey, payload []byte) message {
	t.Helper()
	m, err := newAccept(key, request, make([]byte, nonceSize), secret.PublicKey().Bytes(), payloadHash(payload))
	require.NoError(t, err)
	return m
}

// An introducer that invents both keys (a man in the middle) is not detected. But it
// signs its statements: with the true keys, both transcripts prove that it lied.
func TestManInTheMiddleSignsTheEvidence(t *testing.T) {
	i1, toBob, err := Start(now, seeded("left"), alice, party(bob, "Bob W"), party(mallory, "Caro"), now.Add(life))
	require.NoError(t, err)
	left := &scenario{t: t, i: i1, bob: receives(t, bob, "bob", toBob[0].Bytes)}
	m, err := Receive(now, mallory.Pointer(), alice.Pointer(), toBob[1].Bytes)
	require.NoError(t, err)
	fake := &testInvitee{t: t, key: mallory, name: "mallory", v: m}
	queue := append(left.from(bob, left.bob.accept()), left.from(mallory, fake.accept())...)
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		switch next.To {
		case mallory.Pointer():
			out, err := fake.handle(next.from, next.Bytes)
			require.NoError(t, err)
			queue = append(queue, left.from(mallory, out)...)
		default:
			out, err := left.deliver(next)
			require.NoError(t, err)
			queue = append(queue, out...)
		}
	}
	require.Equal(t, Active, left.bob.phase(), "nothing that Bob can see tells the two apart")

	// Bob learns Carol's true key, and shows his transcript to others, without the
	// addresses.
	shown, err := Redact(left.bob.v.Transcript())
	require.NoError(t, err)
	s, err := Verify(shown)
	require.NoError(t, err)
	require.True(t, s.Redacted)
	require.Equal(t, alice.Pointer(), s.Request.By)
	require.Equal(t, "Caro", s.Request.Suggested)
	require.NotEqual(t, carol.Pointer(), s.Pointer)
	require.Equal(t, mallory.Pointer(), s.Pointer)
	require.NotContains(t, string(shown), "the address of")

	// Bob cannot invent such a statement of Alice: no other pointer opens her request.
	require.ErrorIs(t, verifyChanged(t, shown, func(w *wireTranscript) { w.About = dave.Pointer().Bytes() }), ErrInvalid)
}

// An introducer that replaces the pointer for one party only has to show Carol a proof
// of Bob that was made for another peer: she refuses it.
func TestPointerReplacedForOnePartyIsRefused(t *testing.T) {
	p := newScenario(t, "honest to carol")
	accepts := p.acceptBoth()
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	payload, err := encodePayload(pointer.Details{Nickname: "~carol"}, make([]byte, saltSize))
	require.NoError(t, err)

	// To Bob, Alice made a request that hides Mallory's pointer.
	salt := make([]byte, saltSize)
	lie, err := newRequest(now, alice, p.i.requests[1].session, 1, bob.Pointer(), party(mallory, "Caro"), salt, now.Add(life))
	require.NoError(t, err)
	deceived := receives(t, bob, "bob", lie.raw)
	out := deceived.accept()
	consent, err := openAccept(out[0].Bytes, bob.Pointer(), 1, lie)
	require.NoError(t, err)

	// Mallory answers Bob, and he proves his identity to her.
	out, err = deceived.handle(alice.Pointer(), revealing(p.i, salt, mallory.Pointer(), forge(t, mallory, p.i.requests[2], secret, payload).raw))
	require.NoError(t, err)
	require.Len(t, out, 1)
	bobsProof := out[0].Bytes

	// Carol receives the truth: Bob's pointer, and his consent. His proof names Mallory
	// and does not verify for her, and without a proof the session fails.
	out, err = p.carol.handle(alice.Pointer(), revealing(p.i, p.i.salts[2], bob.Pointer(), consent.raw))
	require.NoError(t, err)
	require.Len(t, out, 1)
	p.carol.requireRefusal(bobsProof, Invalid)
	deceived.requireRefusal(encode(wire{Kind: KindAuth, Session: lie.Session, Side: 2, Sealed: mustDecode(t, out[0].Bytes).Sealed}), Invalid)
	require.Len(t, accepts, 2)
}

func mustDecode(t testing.TB, b []byte) message {
	t.Helper()
	m, err := decode(b)
	require.NoError(t, err)
	return m
}

// A REVEAL has to open the request to the pointer that is hidden in it.
func TestRevealOfAnotherPointerIsRefused(t *testing.T) {
	for name, lie := range map[string]func(p *scenario, m *message){
		"another pointer":      func(_ *scenario, m *message) { m.About = mallory.Pointer().Bytes() },
		"another salt":         func(_ *scenario, m *message) { m.Salt = make([]byte, saltSize) },
		"the other's salt":     func(p *scenario, m *message) { m.Salt = p.i.salts[2] },
		"the introducer's own": func(_ *scenario, m *message) { m.About = alice.Pointer().Bytes() },
		"one's own":            func(_ *scenario, m *message) { m.About = bob.Pointer().Bytes() },
	} {
		p := newScenario(t, name)
		m := mustDecode(t, p.runUntil(KindReveal, bob).Bytes)
		lie(p, &m)
		p.bob.requireRefusal(encode(m.wire), Invalid)
	}
	// The pointer of the introducer or of the recipient is refused from the start.
	for _, about := range []*pointer.Key{alice, bob} {
		p := newScenario(t, "self")
		salt := make([]byte, saltSize)
		request, err := newRequest(now, alice, Session{1}, 1, bob.Pointer(), party(about, "x"), salt, now.Add(life))
		require.NoError(t, err)
		h := receives(t, bob, "bob", request.raw)
		h.accept()
		secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
		require.NoError(t, err)
		peer := request
		peer.Side = 2
		accept := forge(t, about, peer, secret, nil)
		h.requireRefusal(encode(wire{Kind: KindReveal, Session: request.Session, Salt: salt, About: about.Pointer().Bytes(), Accept: accept.raw}), Invalid)
		_ = p
	}
}

func TestRevealBeforeConsentIsRefused(t *testing.T) {
	p := newScenario(t, "too early")
	p.run(p.from(carol, p.carol.accept()), nil)
	early := revealing(p.i, p.i.salts[1], carol.Pointer(), p.i.accepts[2])
	p.bob.requireRefusal(early, Unexpected)
	_, err := p.bob.v.Accept(now, seeded("x"), bob, pointer.Details{})
	require.Error(t, err)
}

// Without Carol's consent, for this session and this request, Bob accepts no REVEAL.
func TestNoContactWithoutConsent(t *testing.T) {
	old := newScenario(t, "old session")
	old.run(old.acceptBoth(), nil)
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	for name, consent := range map[string]func(p *scenario) []byte{
		"made up by the introducer": func(p *scenario) []byte { return forge(t, alice, p.i.requests[2], secret, nil).raw },
		"under another's signature": func(p *scenario) []byte {
			m := forge(t, alice, p.i.requests[2], secret, nil)
			m.By = carol.Pointer().Bytes()
			return encode(m.wire)
		},
		"of another session":         func(*scenario) []byte { return old.i.accepts[2] },
		"of Bob himself":             func(p *scenario) []byte { return p.bob.v.accept.raw },
		"of Carol, for another side": func(p *scenario) []byte { return forge(t, carol, p.i.requests[1], secret, nil).raw },
		"of Carol, to another's request": func(p *scenario) []byte {
			r := p.i.requests[2]
			r.By = dave.Pointer().Bytes()
			r.by = dave.Pointer()
			return forge(t, carol, r, secret, nil).raw
		},
		"with another end": func(p *scenario) []byte {
			r := p.i.requests[2]
			r.Expires += 1000
			return forge(t, carol, r, secret, nil).raw
		},
		"a request": func(p *scenario) []byte { return p.i.requests[2].raw },
	} {
		p := newScenario(t, "new session")
		p.bob.accept()
		p.bob.requireRefusal(revealing(p.i, p.i.salts[1], carol.Pointer(), consent(p)), Invalid)
		require.Equal(t, Invited, p.carol.phase(), name)
	}
	// Her consent alone is not enough: the proof shows that she took part in the session.
	p := newScenario(t, "consent is not all")
	p.bob.accept()
	accept := forge(t, carol, p.i.requests[2], secret, nil)
	_, err = p.bob.handle(alice.Pointer(), revealing(p.i, p.i.salts[1], carol.Pointer(), accept.raw))
	require.NoError(t, err)
	require.Equal(t, Authenticated, p.bob.phase())
	require.Nil(t, p.bob.v.Transcript())
	p.bob.requireRefusal(encode(wire{Kind: KindActivate, Session: p.i.requests[1].Session, Side: 2, MAC: make([]byte, hashSize)}), Unexpected)
}

// The messages of another session prove nothing in this one, even if the introducer
// uses its ID again.
func TestReplayedSessionFails(t *testing.T) {
	old := newScenario(t, "same id")
	all := old.run(old.acceptBoth(), nil)
	fresh := newScenario(t, "another id")
	fresh.bob.accept()
	for _, m := range all {
		if m.To == bob.Pointer() {
			_, err := fresh.bob.handle(m.from, m.Bytes)
			require.ErrorIs(t, err, ErrOtherSession)
		}
	}
	require.Equal(t, Accepted, fresh.bob.phase())

	// Bob lost his state; the same request is received again, and he consents.
	again := newScenario(t, "same id")
	require.Equal(t, old.bob.v.request.raw, again.bob.v.request.raw)
	_, err := again.bob.v.Accept(now, seeded("fresh randomness"), bob, payloadOf("bob"))
	require.NoError(t, err)
	for n, m := range all {
		if m.To != bob.Pointer() {
			continue
		}
		out, err := again.bob.handle(m.from, m.Bytes)
		if k := mustDecode(t, m.Bytes).Kind; k == KindReveal {
			require.NoError(t, err)
			require.Len(t, out, 1)
			continue
		}
		require.Error(t, err, "message %d: Carol's proof is of the other keys", n)
		again.bob.requireEnded(Invalid)
		break
	}
}

func TestReflectedMessagesAreRefused(t *testing.T) {
	flip := func(m message) []byte { m.Side = otherSide(m.Side); return encode(m.wire) }
	for name, reflect := range map[string]func(m message) []byte{
		"as it is":   func(m message) []byte { return m.raw },
		"turned":     flip,
		"turned MAC": func(m message) []byte { m.Side = otherSide(m.Side); m.MAC = nil; return encode(m.wire) },
	} {
		p := newScenario(t, "reflect "+name)
		var own []byte
		p.run(p.acceptBoth(), func(_ int, m delivery) []delivery {
			if k := mustDecode(t, m.Bytes).Kind; m.from == bob.Pointer() && k == KindAuth {
				own = m.Bytes
			}
			if mustDecode(t, m.Bytes).Kind == KindAuth {
				return nil
			}
			return []delivery{m}
		})
		require.Equal(t, Authenticated, p.bob.phase())
		p.bob.requireRefusal(reflect(mustDecode(t, own)), Invalid)
	}
	for name, reflect := range map[string]func(m message) []byte{"as it is": func(m message) []byte { return m.raw }, "turned": flip} {
		p := newScenario(t, "reflect the last "+name)
		var own []byte
		p.run(p.acceptBoth(), func(_ int, m delivery) []delivery {
			if mustDecode(t, m.Bytes).Kind == KindActivate {
				if m.from == bob.Pointer() {
					own = m.Bytes
				}
				return nil
			}
			return []delivery{m}
		})
		p.bob.requireRefusal(reflect(mustDecode(t, own)), Invalid)
	}
}

// No bit of a message of Carol can be changed on its way, whatever the field.
func TestForwardedMessagesCannotBeChanged(t *testing.T) {
	for _, kind := range []Kind{KindReveal, KindAuth, KindActivate} {
		p := newScenario(t, "tamper")
		m := p.runUntil(kind, bob)
		state := p.bob.v.State()
		for at := range flips(m.Bytes) {
			b := bytes.Clone(m.Bytes)
			b[at] ^= 1 << (at % 8)
			v, err := RestoreInvitee(state)
			require.NoError(t, err)
			before, _ := v.Phase()
			_, err = v.Handle(now, alice.Pointer(), b)
			require.Error(t, err, "kind %d byte %d", kind, at)
			after, _ := v.Phase()
			require.Contains(t, []Phase{before, Ended}, after)
		}
		_, err := p.bob.handle(m.from, m.Bytes)
		require.NoError(t, err, "unchanged it is taken")
	}
	// Nor of the request, before it is received.
	p := newScenario(t, "tamper")
	for at := range p.bob.v.request.raw {
		b := bytes.Clone(p.bob.v.request.raw)
		b[at] ^= 1 << (at % 8)
		_, err := Receive(now, bob.Pointer(), alice.Pointer(), b)
		require.ErrorIs(t, err, ErrInvalid)
	}
}

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

func TestMessagesOutOfOrderAreRefused(t *testing.T) {
	for _, early := range []struct {
		kind  Kind
		phase func(p *scenario)
	}{
		{KindAuth, func(p *scenario) { p.bob.accept() }},
		{KindActivate, func(p *scenario) { p.bob.accept() }},
		{KindAuth, func(*scenario) {}},
		{KindAccept, func(*scenario) {}},
	} {
		p := newScenario(t, "order")
		early.phase(p)
		w := map[Kind]wire{
			KindAuth:     {Kind: KindAuth, Session: p.i.requests[1].Session, Side: 2, Sealed: make([]byte, 50)},
			KindActivate: {Kind: KindActivate, Session: p.i.requests[1].Session, Side: 2, MAC: make([]byte, hashSize)},
		}[early.kind]
		b := encode(w)
		if early.kind == KindAccept {
			b = encode(wire{Kind: KindAuth, Session: p.i.requests[1].Session, Side: 1, Sealed: make([]byte, 50)})
		}
		p.bob.requireRefusal(b, Unexpected)
	}
	// A second, different message of a kind is refused, too.
	p := newScenario(t, "second")
	p.runUntil(KindActivate, bob)
	p.bob.requireRefusal(encode(wire{Kind: KindAuth, Session: p.i.requests[1].Session, Side: 2, Sealed: make([]byte, 50)}), Unexpected)
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

// The introducer forwards each message once, in its order, from its sender only.
func TestIntroducerForwardsNothingElse(t *testing.T) {
	session := func(p *scenario) []byte { return p.i.requests[1].Session }
	for name, wrong := range map[string]func(p *scenario) []byte{
		"a proof before all consented": func(p *scenario) []byte {
			return encode(wire{Kind: KindAuth, Session: session(p), Side: 1, Sealed: make([]byte, 50)})
		},
		"a confirmation before the proof": func(p *scenario) []byte {
			return encode(wire{Kind: KindActivate, Session: session(p), Side: 1, MAC: make([]byte, hashSize)})
		},
		"a reveal":  func(p *scenario) []byte { return revealing(p.i, make([]byte, saltSize), dave.Pointer(), []byte{1}) },
		"a request": func(p *scenario) []byte { return p.i.requests[1].raw },
	} {
		p := newScenario(t, "introducer")
		p.run(p.from(bob, p.bob.accept()), nil)
		out, err := p.deliver(delivery{bob.Pointer(), Outgoing{alice.Pointer(), wrong(p)}})
		var ended *EndedError
		require.ErrorAs(t, err, &ended, name)
		require.Equal(t, Unexpected, ended.Reason)
		require.Len(t, out, 2)
	}
	p := newScenario(t, "stranger")
	_, err := p.deliver(delivery{dave.Pointer(), Outgoing{alice.Pointer(), encode(wire{Kind: KindDecline, Session: session(p)})}})
	require.ErrorIs(t, err, ErrOtherSession)
	_, err = p.deliver(delivery{bob.Pointer(), Outgoing{alice.Pointer(), encode(wire{Kind: KindDecline, Session: make([]byte, 32)})}})
	require.ErrorIs(t, err, ErrOtherSession)
	_, err = p.deliver(delivery{bob.Pointer(), Outgoing{alice.Pointer(), []byte("garbage")}})
	require.ErrorIs(t, err, ErrInvalid)
	phase, _ := p.i.Phase()
	require.Equal(t, Invited, phase, "none of them ends it")
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

func resigned(t testing.TB, request []byte, by *pointer.Key) []byte {
	t.Helper()
	m, err := openRequest(request)
	require.NoError(t, err)
	w := m.wire
	m, err = w.sign(by)
	require.NoError(t, err)
	return m.raw
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
