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

// refuses requires that a message ends the session for who gets it, and that
// the introducer is told.
func (h *home) refuses(b []byte, why Reason) {
	h.t.Helper()
	out, err := h.take(alice.Pointer(), b)
	var ended *EndedError
	require.ErrorAs(h.t, err, &ended)
	require.Equal(h.t, why, ended.Reason)
	require.Len(h.t, out, 1)
	_, kind, err := SessionOf(out[0].Bytes)
	require.NoError(h.t, err)
	require.Equal(h.t, KindAbort, kind)
	h.ended(why)
}

func revealing(i *Introducer, salt []byte, about pointer.Pointer, accept []byte) []byte {
	return encode(wire{Kind: KindReveal, Session: i.requests[1].Session, Salt: salt, About: about.Bytes(), Accept: accept})
}

// forge signs the consent of a key that Alice has, to a request made to
// somebody else.
func forge(t testing.TB, key crypto.Signer, request message, secret *ecdh.PrivateKey, payload []byte) message {
	t.Helper()
	m, err := newAccept(key, request, make([]byte, nonceSize), secret.PublicKey().Bytes(), payloadHash(payload))
	require.NoError(t, err)
	return m
}

// An introducer who makes up both keys (a man in the middle) isn't noticed by
// anybody: whose a key is, is its word. But it had to sign that word: when the
// true keys are known, both transcripts prove who lied, and about what.
func TestAManInTheMiddleSignsTheProofOfItsLie(t *testing.T) {
	i1, toBob, err := Start(now, seeded("left"), alice, party(bob, "Bob W"), party(mallory, "Caro"), now.Add(life))
	require.NoError(t, err)
	left := &play{t: t, i: i1, bob: receives(t, bob, "bob", toBob[0].Bytes)}
	m, err := Receive(now, mallory.Pointer(), alice.Pointer(), toBob[1].Bytes)
	require.NoError(t, err)
	fake := &home{t: t, key: mallory, name: "mallory", v: m}
	queue := append(left.from(bob, left.bob.accept()), left.from(mallory, fake.accept())...)
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		switch next.To {
		case mallory.Pointer():
			out, err := fake.take(next.from, next.Bytes)
			require.NoError(t, err)
			queue = append(queue, left.from(mallory, out)...)
		default:
			out, err := left.deliver(next)
			require.NoError(t, err)
			queue = append(queue, out...)
		}
	}
	require.Equal(t, Active, left.bob.phase(), "nothing that Bob can see tells the two apart")

	// Bob meets Carol, whose code shows her key, and shows his transcript around,
	// without the addresses.
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

	// Nor can Bob make up such a lie of Alice's: no other pointer fits her signature.
	require.ErrorIs(t, changed(t, shown, func(w *wireTranscript) { w.About = dave.Pointer().Bytes() }), ErrInvalid)
}

// An introducer that swaps the pointer on one side only has to show Bob's proof,
// made for another, to Carol: she notices.
func TestAPointerSwappedOnOneSideIsNoticed(t *testing.T) {
	p := starts(t, "honest to carol")
	accepts := p.accepts()
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	payload, err := encodePayload(pointer.Details{Nickname: "~carol"}, make([]byte, saltSize))
	require.NoError(t, err)

	// To Bob, Alice had made a request that hides Mallory's pointer.
	salt := make([]byte, saltSize)
	lie, err := newRequest(now, alice, p.i.requests[1].session, 1, bob.Pointer(), party(mallory, "Caro"), salt, now.Add(life))
	require.NoError(t, err)
	deceived := receives(t, bob, "bob", lie.raw)
	out := deceived.accept()
	consent, err := openAccept(out[0].Bytes, bob.Pointer(), 1, lie)
	require.NoError(t, err)

	// Mallory answers Bob, and he proves himself to her.
	out, err = deceived.take(alice.Pointer(), revealing(p.i, salt, mallory.Pointer(), forge(t, mallory, p.i.requests[2], secret, payload).raw))
	require.NoError(t, err)
	require.Len(t, out, 1)
	bobsProof := out[0].Bytes

	// Carol is told the truth: Bob's pointer, and his consent. His proof, which
	// names Mallory, doesn't hold for her; and without it nothing comes of it.
	out, err = p.carol.take(alice.Pointer(), revealing(p.i, p.i.salts[2], bob.Pointer(), consent.raw))
	require.NoError(t, err)
	require.Len(t, out, 1)
	p.carol.refuses(bobsProof, Invalid)
	deceived.refuses(encode(wire{Kind: KindAuth, Session: lie.Session, Side: 2, Sealed: mustDecode(t, out[0].Bytes).Sealed}), Invalid)
	require.Len(t, accepts, 2)
}

func mustDecode(t testing.TB, b []byte) message {
	t.Helper()
	m, err := decode(b)
	require.NoError(t, err)
	return m
}

// The introducer is bound to whom it meant when it asked.
func TestAnotherPointerThanTheHiddenOneIsRefused(t *testing.T) {
	for name, lie := range map[string]func(p *play, m *message){
		"another pointer":      func(_ *play, m *message) { m.About = mallory.Pointer().Bytes() },
		"another salt":         func(_ *play, m *message) { m.Salt = make([]byte, saltSize) },
		"the other's salt":     func(p *play, m *message) { m.Salt = p.i.salts[2] },
		"the introducer's own": func(_ *play, m *message) { m.About = alice.Pointer().Bytes() },
		"one's own":            func(_ *play, m *message) { m.About = bob.Pointer().Bytes() },
	} {
		p := starts(t, name)
		m := mustDecode(t, p.until(KindReveal, bob).Bytes)
		lie(p, &m)
		p.bob.refuses(encode(m.wire), Invalid)
	}
	// Not even when it was the introducer's own, or one's own, from the start.
	for _, about := range []*pointer.Key{alice, bob} {
		p := starts(t, "self")
		salt := make([]byte, saltSize)
		request, err := newRequest(now, alice, Session{1}, 1, bob.Pointer(), party(about, "x"), salt, now.Add(life))
		require.NoError(t, err)
		h := receives(t, bob, "bob", request.raw)
		h.accept()
		secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
		require.NoError(t, err)
		theirs := request
		theirs.Side = 2
		accept := forge(t, about, theirs, secret, nil)
		h.refuses(encode(wire{Kind: KindReveal, Session: request.Session, Salt: salt, About: about.Pointer().Bytes(), Accept: accept.raw}), Invalid)
		_ = p
	}
}

func TestARevealBeforeConsentIsRefused(t *testing.T) {
	p := starts(t, "too early")
	p.run(p.from(carol, p.carol.accept()), nil)
	early := revealing(p.i, p.i.salts[1], carol.Pointer(), p.i.accepts[2])
	p.bob.refuses(early, Unexpected)
	_, err := p.bob.v.Accept(now, seeded("x"), bob, pointer.Details{})
	require.Error(t, err)
}

// Without Carol's consent, for this session and this request, Bob is told
// nothing that he takes.
func TestNobodyIsAddedWithoutConsent(t *testing.T) {
	old := starts(t, "old session")
	old.run(old.accepts(), nil)
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	for name, consent := range map[string]func(p *play) []byte{
		"made up by the introducer": func(p *play) []byte { return forge(t, alice, p.i.requests[2], secret, nil).raw },
		"under another's signature": func(p *play) []byte {
			m := forge(t, alice, p.i.requests[2], secret, nil)
			m.By = carol.Pointer().Bytes()
			return encode(m.wire)
		},
		"of another session":         func(*play) []byte { return old.i.accepts[2] },
		"of Bob himself":             func(p *play) []byte { return p.bob.v.accept.raw },
		"of Carol, for another side": func(p *play) []byte { return forge(t, carol, p.i.requests[1], secret, nil).raw },
		"of Carol, to another's request": func(p *play) []byte {
			r := p.i.requests[2]
			r.By = dave.Pointer().Bytes()
			r.by = dave.Pointer()
			return forge(t, carol, r, secret, nil).raw
		},
		"with another end": func(p *play) []byte {
			r := p.i.requests[2]
			r.Expires += 1000
			return forge(t, carol, r, secret, nil).raw
		},
		"a request": func(p *play) []byte { return p.i.requests[2].raw },
	} {
		p := starts(t, "new session")
		p.bob.accept()
		p.bob.refuses(revealing(p.i, p.i.salts[1], carol.Pointer(), consent(p)), Invalid)
		require.Equal(t, Invited, p.carol.phase(), name)
	}
	// Her consent alone is none: she proves in the session that she took part.
	p := starts(t, "consent is not all")
	p.bob.accept()
	accept := forge(t, carol, p.i.requests[2], secret, nil)
	_, err = p.bob.take(alice.Pointer(), revealing(p.i, p.i.salts[1], carol.Pointer(), accept.raw))
	require.NoError(t, err)
	require.Equal(t, Authenticated, p.bob.phase())
	require.Nil(t, p.bob.v.Transcript())
	p.bob.refuses(encode(wire{Kind: KindActivate, Session: p.i.requests[1].Session, Side: 2, MAC: make([]byte, hashSize)}), Unexpected)
}

// What was said in another session says nothing in this one, not even when the
// introducer uses its id again.
func TestReplayedSessionsEndInNothing(t *testing.T) {
	old := starts(t, "same id")
	all := old.run(old.accepts(), nil)
	fresh := starts(t, "another id")
	fresh.bob.accept()
	for _, m := range all {
		if m.To == bob.Pointer() {
			_, err := fresh.bob.take(m.from, m.Bytes)
			require.ErrorIs(t, err, ErrNotMine)
		}
	}
	require.Equal(t, Accepted, fresh.bob.phase())

	// Bob lost his state; the very same request comes again, and he consents.
	again := starts(t, "same id")
	require.Equal(t, old.bob.v.request.raw, again.bob.v.request.raw)
	_, err := again.bob.v.Accept(now, seeded("fresh randomness"), bob, payloadOf("bob"))
	require.NoError(t, err)
	for n, m := range all {
		if m.To != bob.Pointer() {
			continue
		}
		out, err := again.bob.take(m.from, m.Bytes)
		if k := mustDecode(t, m.Bytes).Kind; k == KindReveal {
			require.NoError(t, err)
			require.Len(t, out, 1)
			continue
		}
		require.Error(t, err, "message %d: Carol's proof is of the other keys", n)
		again.bob.ended(Invalid)
		break
	}
}

func TestOnesOwnMessagesProveNothing(t *testing.T) {
	flip := func(m message) []byte { m.Side = other(m.Side); return encode(m.wire) }
	for name, reflect := range map[string]func(m message) []byte{
		"as it is":   func(m message) []byte { return m.raw },
		"turned":     flip,
		"turned MAC": func(m message) []byte { m.Side = other(m.Side); m.MAC = nil; return encode(m.wire) },
	} {
		p := starts(t, "reflect "+name)
		var own []byte
		p.run(p.accepts(), func(_ int, m sent) []sent {
			if k := mustDecode(t, m.Bytes).Kind; m.from == bob.Pointer() && k == KindAuth {
				own = m.Bytes
			}
			if mustDecode(t, m.Bytes).Kind == KindAuth {
				return nil
			}
			return []sent{m}
		})
		require.Equal(t, Authenticated, p.bob.phase())
		p.bob.refuses(reflect(mustDecode(t, own)), Invalid)
	}
	for name, reflect := range map[string]func(m message) []byte{"as it is": func(m message) []byte { return m.raw }, "turned": flip} {
		p := starts(t, "reflect the last "+name)
		var own []byte
		p.run(p.accepts(), func(_ int, m sent) []sent {
			if mustDecode(t, m.Bytes).Kind == KindActivate {
				if m.from == bob.Pointer() {
					own = m.Bytes
				}
				return nil
			}
			return []sent{m}
		})
		p.bob.refuses(reflect(mustDecode(t, own)), Invalid)
	}
}

// Addresses, sealing keys, nonces, ephemeral keys, whatever: no bit of a message
// of Carol's can be changed on the way.
func TestWhatIsPassedOnCannotBeChanged(t *testing.T) {
	for _, kind := range []Kind{KindReveal, KindAuth, KindActivate} {
		p := starts(t, "tamper")
		m := p.until(kind, bob)
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
		_, err := p.bob.take(m.from, m.Bytes)
		require.NoError(t, err, "unchanged it is taken")
	}
	// And not the request, before it is taken.
	p := starts(t, "tamper")
	for at := range p.bob.v.request.raw {
		b := bytes.Clone(p.bob.v.request.raw)
		b[at] ^= 1 << (at % 8)
		_, err := Receive(now, bob.Pointer(), alice.Pointer(), b)
		require.ErrorIs(t, err, ErrInvalid)
	}
}

// An introducer that puts its own ephemeral key, and so could read and replace
// what is sealed, needs Carol's signature on it.
func TestEphemeralKeysAreSigned(t *testing.T) {
	p := starts(t, "ephemeral")
	m := mustDecode(t, p.until(KindReveal, bob).Bytes)
	accept := mustDecode(t, m.Accept)
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	accept.Ephemeral = secret.PublicKey().Bytes()
	m.Accept = encode(accept.wire)
	p.bob.refuses(encode(m.wire), Invalid)
}

func TestOrderIsHeld(t *testing.T) {
	for _, early := range []struct {
		kind  Kind
		phase func(p *play)
	}{
		{KindAuth, func(p *play) { p.bob.accept() }},
		{KindActivate, func(p *play) { p.bob.accept() }},
		{KindAuth, func(*play) {}},
		{KindAccept, func(*play) {}},
	} {
		p := starts(t, "order")
		early.phase(p)
		w := map[Kind]wire{
			KindAuth:     {Kind: KindAuth, Session: p.i.requests[1].Session, Side: 2, Sealed: make([]byte, 50)},
			KindActivate: {Kind: KindActivate, Session: p.i.requests[1].Session, Side: 2, MAC: make([]byte, hashSize)},
		}[early.kind]
		b := encode(w)
		if early.kind == KindAccept {
			b = encode(wire{Kind: KindAuth, Session: p.i.requests[1].Session, Side: 1, Sealed: make([]byte, 50)})
		}
		p.bob.refuses(b, Unexpected)
	}
	// A second, other message of a kind is no better.
	p := starts(t, "second")
	p.until(KindActivate, bob)
	p.bob.refuses(encode(wire{Kind: KindAuth, Session: p.i.requests[1].Session, Side: 2, Sealed: make([]byte, 50)}), Unexpected)
}

// An invitee that lies is found out by the introducer, or else by the other.
func TestAnInviteeCannotBeSomebodyElse(t *testing.T) {
	secret, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	for name, consent := range map[string]func(p *play) []byte{
		"signed by another": func(p *play) []byte { return forge(t, dave, p.i.requests[2], secret, nil).raw },
		"in another's name": func(p *play) []byte {
			m := forge(t, carol, p.i.requests[2], secret, nil)
			m.By = dave.Pointer().Bytes()
			return encode(m.wire)
		},
		"for the other side": func(p *play) []byte { return forge(t, carol, p.i.requests[1], secret, nil).raw },
		"to another request": func(p *play) []byte {
			r := p.i.requests[2]
			r.raw = p.i.requests[1].raw
			return forge(t, carol, r, secret, nil).raw
		},
		"Bob's, passed off": func(p *play) []byte { return p.bob.v.accept.raw },
		"to who asked nobody": func(p *play) []byte {
			r := p.i.requests[2]
			r.by = dave.Pointer()
			r.By = r.by.Bytes()
			return forge(t, carol, r, secret, nil).raw
		},
	} {
		p := starts(t, "liar")
		p.bob.accept()
		out, err := p.deliver(sent{carol.Pointer(), Outgoing{alice.Pointer(), consent(p)}})
		var ended *EndedError
		require.ErrorAs(t, err, &ended, name)
		require.Len(t, out, 2, "both are told")
		phase, _ := p.i.Phase()
		require.Equal(t, Ended, phase)
		require.Nil(t, p.i.salts[1])
	}

	// Her proof is by another key, or of something else than she consented to tell.
	for name, lie := range map[string]func(p *play, a agreed, payload []byte) []byte{
		"another's signature": func(p *play, a agreed, payload []byte) []byte {
			b, err := a.auth(seeded("lie"), dave, p.i.requests[2].session, 2, payload)
			require.NoError(t, err)
			return b
		},
		"another payload": func(p *play, a agreed, _ []byte) []byte {
			other, err := encodePayload(pointer.Details{Nickname: "~somebody else"}, make([]byte, saltSize))
			require.NoError(t, err)
			b, err := a.auth(seeded("lie"), carol, p.i.requests[2].session, 2, other)
			require.NoError(t, err)
			return b
		},
		"Bob's side": func(p *play, a agreed, payload []byte) []byte {
			b, err := a.auth(seeded("lie"), carol, p.i.requests[2].session, 1, payload)
			require.NoError(t, err)
			return b
		},
	} {
		p := starts(t, "liar at last")
		p.until(KindAuth, carol)
		require.Equal(t, Authenticated, p.bob.phase(), name)
		require.NotNil(t, p.carol.v.secret)
		honest, err := p.carol.v.agreed.auth(seeded("truth"), carol, p.i.requests[2].session, 2, p.carol.v.payload)
		require.NoError(t, err)
		v, err := RestoreInvitee(p.bob.v.State())
		require.NoError(t, err)
		_, err = v.Handle(now, alice.Pointer(), honest)
		require.NoError(t, err, "the honest proof is accepted")
		p.bob.refuses(lie(p, p.carol.v.agreed, p.carol.v.payload), Invalid)
	}

	// An ephemeral key of low order would make a secret that everybody knows.
	p := starts(t, "low order")
	p.bob.accept()
	of := sha256.Sum256(p.i.requests[2].raw)
	low, err := wire{Kind: KindAccept, Session: p.i.requests[2].Session, Side: 2, Expires: p.i.requests[2].Expires, To: alice.Pointer().Bytes(),
		Request: of[:], Nonce: make([]byte, nonceSize), Ephemeral: make([]byte, ephemeralSize), Payload: make([]byte, hashSize)}.sign(carol)
	require.NoError(t, err)
	p.bob.refuses(revealing(p.i, p.i.salts[1], carol.Pointer(), low.raw), Invalid)
}

// Nobody has to remember a session for longer than sessions last, whatever the
// introducer's clock says.
func TestARequestFromTheFutureIsRefused(t *testing.T) {
	for ahead, taken := range map[time.Duration]bool{0: true, maxSkew: true, maxSkew + time.Minute: false, 100 * 365 * 24 * time.Hour: false} {
		made := now.Add(ahead)
		_, out, err := Start(made, seeded("future"), alice, party(bob, "Bob"), party(carol, "Caro"), made.Add(MaxLife))
		require.NoError(t, err)
		_, err = Receive(now, bob.Pointer(), alice.Pointer(), out[0].Bytes)
		if taken {
			require.NoError(t, err, ahead)
		} else {
			require.ErrorIs(t, err, ErrInvalid, ahead)
		}
	}
}

// The introducer passes on what is due, once, from the one whom it is due from.
func TestTheIntroducerPassesOnNothingElse(t *testing.T) {
	session := func(p *play) []byte { return p.i.requests[1].Session }
	for name, wrong := range map[string]func(p *play) []byte{
		"a proof before all consented": func(p *play) []byte {
			return encode(wire{Kind: KindAuth, Session: session(p), Side: 1, Sealed: make([]byte, 50)})
		},
		"a confirmation before the proof": func(p *play) []byte {
			return encode(wire{Kind: KindActivate, Session: session(p), Side: 1, MAC: make([]byte, hashSize)})
		},
		"a reveal":  func(p *play) []byte { return revealing(p.i, make([]byte, saltSize), dave.Pointer(), []byte{1}) },
		"a request": func(p *play) []byte { return p.i.requests[1].raw },
	} {
		p := starts(t, "introducer")
		p.run(p.from(bob, p.bob.accept()), nil)
		out, err := p.deliver(sent{bob.Pointer(), Outgoing{alice.Pointer(), wrong(p)}})
		var ended *EndedError
		require.ErrorAs(t, err, &ended, name)
		require.Equal(t, Unexpected, ended.Reason)
		require.Len(t, out, 2)
	}
	p := starts(t, "stranger")
	_, err := p.deliver(sent{dave.Pointer(), Outgoing{alice.Pointer(), encode(wire{Kind: KindDecline, Session: session(p)})}})
	require.ErrorIs(t, err, ErrNotMine)
	_, err = p.deliver(sent{bob.Pointer(), Outgoing{alice.Pointer(), encode(wire{Kind: KindDecline, Session: make([]byte, 32)})}})
	require.ErrorIs(t, err, ErrNotMine)
	_, err = p.deliver(sent{bob.Pointer(), Outgoing{alice.Pointer(), []byte("garbage")}})
	require.ErrorIs(t, err, ErrInvalid)
	phase, _ := p.i.Phase()
	require.Equal(t, Invited, phase, "none of them ends it")
}

// changed verifies a transcript that somebody wrote anew.
func changed(t testing.TB, transcript []byte, change func(w *wireTranscript)) error {
	t.Helper()
	var w wireTranscript
	require.NoError(t, decodeInto(transcript, MaxTranscript, &w))
	change(&w)
	_, err := Verify(encode(w))
	return err
}

func TestATranscriptCannotBeMadeUp(t *testing.T) {
	p, q := starts(t, "evidence"), starts(t, "other evidence")
	p.run(p.accepts(), nil)
	q.run(q.accepts(), nil)
	transcript := p.bob.v.Transcript()
	require.NoError(t, changed(t, transcript, func(*wireTranscript) {}))
	require.NoError(t, changed(t, transcript, func(w *wireTranscript) { w.Payload = nil }))
	var from wireTranscript
	require.NoError(t, decodeInto(q.bob.v.Transcript(), MaxTranscript, &from))
	var mirrored wireTranscript
	require.NoError(t, decodeInto(p.carol.v.Transcript(), MaxTranscript, &mirrored))
	elsewhere, err := encodePayload(payloadOf("carol"), make([]byte, saltSize)) // the same, under another salt
	require.NoError(t, err)
	for name, change := range map[string]func(w *wireTranscript){
		"version":              func(w *wireTranscript) { w.Version = 2 },
		"request":              func(w *wireTranscript) { w.Request = from.Request },
		"request to other":     func(w *wireTranscript) { w.Request = mirrored.Request },
		"salt":                 func(w *wireTranscript) { w.Salt = from.Salt },
		"pointer":              func(w *wireTranscript) { w.About = mallory.Pointer().Bytes() },
		"my consent":           func(w *wireTranscript) { w.Mine = from.Mine },
		"their consent":        func(w *wireTranscript) { w.Theirs = from.Theirs },
		"consents turned":      func(w *wireTranscript) { w.Mine, w.Theirs = w.Theirs, w.Mine },
		"my proof":             func(w *wireTranscript) { w.MyProof = from.MyProof },
		"their proof":          func(w *wireTranscript) { w.TheirProof = from.TheirProof },
		"proofs turned":        func(w *wireTranscript) { w.MyProof, w.TheirProof = w.TheirProof, w.MyProof },
		"no proof":             func(w *wireTranscript) { w.TheirProof = nil },
		"payload":              func(w *wireTranscript) { w.Payload = elsewhere },
		"own payload":          func(w *wireTranscript) { w.Payload = mirrored.Payload },
		"an empty payload":     func(w *wireTranscript) { w.Payload = []byte{} },
		"another introducer":   func(w *wireTranscript) { w.Request = resigned(t, w.Request, trudy) },
		"another introduction": func(w *wireTranscript) { *w = from; w.MyProof = mirrored.MyProof },
	} {
		require.ErrorIs(t, changed(t, transcript, change), ErrInvalid, name)
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

// again starts two offers with the same session, salts and hidden pointers, but
// different data about Carol. Only the hash of the request differs.
func again(t testing.TB, name string) (first, second *play) {
	t.Helper()
	first = starts(t, name)
	i, out, err := Start(now, seeded(name), alice, party(bob, "Bob W"), party(carol, "Trudy"), now.Add(life))
	require.NoError(t, err)
	second = &play{t: t, i: i, bob: receives(t, bob, "bob", out[0].Bytes), carol: receives(t, carol, "carol", out[1].Bytes)}
	require.Equal(t, first.bob.v.request.session, second.bob.v.request.session)
	require.Equal(t, first.bob.v.request.Hidden, second.bob.v.request.Hidden)
	require.NotEqual(t, first.bob.v.request.raw, second.bob.v.request.raw)
	return first, second
}

// An introducer signs two requests, and a contact consents to one of them. The
// consent does not count for the other: not in the evidence, not in a stored
// session, and not for the introducer.
func TestAConsentIsForOneRequest(t *testing.T) {
	p, q := again(t, "two requests")
	p.run(p.accepts(), nil)
	require.Equal(t, Active, p.bob.phase())
	require.NoError(t, changed(t, p.bob.v.Transcript(), func(*wireTranscript) {}))
	require.ErrorIs(t, changed(t, p.bob.v.Transcript(), func(w *wireTranscript) { w.Request = q.bob.v.request.raw }), ErrInvalid)

	p, q = again(t, "two requests, at rest")
	p.bob.accept()
	var w wireInvitee
	require.NoError(t, decodeInto(p.bob.v.State(), maxState, &w))
	_, err := RestoreInvitee(encode(w))
	require.NoError(t, err)
	w.Request = q.bob.v.request.raw
	_, err = RestoreInvitee(encode(w))
	require.ErrorIs(t, err, ErrInvalid)

	p, q = again(t, "two requests, at the introducer")
	out := p.bob.accept()
	_, err = q.i.Handle(now, bob.Pointer(), out[0].Bytes)
	var ended *EndedError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, Invalid, ended.Reason)
}

// misled signs with another key than its public key.
type misled struct {
	*pointer.Key
	by *pointer.Key
}

func (m misled) Sign(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return m.by.Sign(random, message, opts)
}

// The signature of a foreign signer (an agent, hardware) is verified before it
// is sent. A wrong signature changes nothing.
func TestAWrongSignatureOfTheSignerIsNotSent(t *testing.T) {
	_, _, err := Start(now, seeded("x"), misled{alice, dave}, party(bob, "Bob"), party(carol, "Caro"), now.Add(life))
	require.ErrorIs(t, err, ErrInvalid)
	p := starts(t, "foreign signer")
	_, err = p.bob.v.Accept(now, seeded("x"), misled{bob, dave}, payloadOf("bob"))
	require.ErrorIs(t, err, ErrInvalid)
	require.Equal(t, Invited, p.bob.phase())
	reveal := p.until(KindReveal, bob)
	_, err = p.bob.v.Handle(now, reveal.from, reveal.Bytes)
	require.NoError(t, err)
	out, err := p.bob.v.Authenticate(now, seeded("x"), misled{bob, dave})
	require.ErrorIs(t, err, ErrInvalid)
	require.Empty(t, out)
	require.Equal(t, Revealed, p.bob.phase())
	_, err = p.bob.v.Authenticate(now, seeded("x"), bob)
	require.NoError(t, err)
}

// Every session has a bounded life, whatever the introducer signs. The bound
// applies to the signed times, to the millisecond, and to the evidence as well.
func TestASignedRequestsLifeIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		life  time.Duration
		taken bool
	}{
		"the longest": {MaxLife, true}, "the shortest": {time.Millisecond, true}, "over it": {MaxLife + time.Millisecond, false},
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
