package mutual

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"testing"

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

func resigned(t testing.TB, request []byte, by *pointer.Key) []byte {
	t.Helper()
	m, err := openRequest(request)
	require.NoError(t, err)
	w := m.wire
	m, err = w.sign(by)
	require.NoError(t, err)
	return m.raw
}
