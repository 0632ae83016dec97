package mutual

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A stored session is accepted only in the form in which it was written: with
// the parts of its phase, from one session.
func TestChangedStateOfAnInviteeIsRefused(t *testing.T) {
	p, q := startTwice(t, "state")
	states := map[Phase][]byte{Invited: p.bob.v.State()}
	p.run(p.acceptBoth(), func(_ int, m delivery) []delivery {
		states[p.bob.phase()] = p.bob.v.State()
		return []delivery{m}
	})
	states[Active] = p.bob.v.State()
	q.run(q.acceptBoth(), nil)
	elsewhere := func(b []byte) []byte { // the same message, from another session
		m := mustDecode(t, b)
		m.Session = make([]byte, hashSize)
		return encode(m.wire)
	}
	// Bob proves immediately if his key is available, so the session is created
	// without it.
	r := newScenario(t, "revealed")
	reveal := r.runUntil(KindReveal, bob)
	_, err := r.bob.v.Handle(now, reveal.from, reveal.Bytes)
	require.NoError(t, err)
	states[Revealed] = r.bob.v.State()
	r.bob.v.Decline()
	states[Ended] = r.bob.v.State()
	require.Len(t, states, int(Ended))

	refused := func(phase Phase, reason string, change func(w *wireInvitee)) {
		t.Helper()
		var w wireInvitee
		require.NoError(t, decodeInto(states[phase], maxState, &w))
		require.Equal(t, phase, w.Phase)
		_, err := RestoreInvitee(encode(w))
		require.NoError(t, err)
		change(&w)
		_, err = RestoreInvitee(encode(w))
		require.ErrorIs(t, err, ErrInvalid, "%s: %s", phase, reason)
	}
	for phase := range states {
		refused(phase, "another version", func(w *wireInvitee) { w.Version = 2 })
		refused(phase, "no such reason", func(w *wireInvitee) { w.Reason = maxReason + 1 })
		refused(phase, "a reason too many, or none", func(w *wireInvitee) { w.Reason = Declined - w.Reason })
		for other := Phase(0); other <= Ended+1; other++ {
			if other == phase {
				continue
			}
			refused(phase, "as "+other.String(), func(w *wireInvitee) {
				if w.Phase, w.Reason = other, 0; other == Ended {
					w.Reason = Declined
				}
				if phase == Ended || phase == Invited { // these two phases have the same parts
					w.Payload = []byte("something")
				}
			})
		}
	}
	for _, phase := range []Phase{Accepted, Revealed, Authenticated} {
		refused(phase, "another secret", func(w *wireInvitee) { w.Secret = bytes.Repeat([]byte{7}, 32) })
		refused(phase, "a short secret", func(w *wireInvitee) { w.Secret = w.Secret[1:] })
		refused(phase, "another payload", func(w *wireInvitee) {
			b, err := encodePayload(payloadOf("bob"), make([]byte, saltSize))
			require.NoError(t, err)
			w.Payload = b
		})
		refused(phase, "Carol's consent", func(w *wireInvitee) { w.Accept = p.i.accepts[2] })
		refused(phase, "no consent", func(w *wireInvitee) { w.Accept = nil })
	}
	for _, phase := range []Phase{Revealed, Authenticated} {
		refused(phase, "a reveal of another session", func(w *wireInvitee) { w.Reveal = elsewhere(w.Reveal) })
		refused(phase, "another message for a reveal", func(w *wireInvitee) { w.Reveal = w.Accept })
	}
	refused(Authenticated, "a proof of another session", func(w *wireInvitee) { w.OwnAuth = elsewhere(w.OwnAuth) })
	refused(Authenticated, "the other's proof, of another session", func(w *wireInvitee) {
		var later wireInvitee
		require.NoError(t, decodeInto(states[Authenticated], maxState, &later))
		require.NotEmpty(t, later.PeerAuth)
		w.PeerAuth = elsewhere(later.PeerAuth)
	})
	refused(Active, "a transcript of another request", func(w *wireInvitee) { w.Transcript = q.bob.v.Transcript() })
	refused(Active, "a transcript that was redacted of its proof", func(w *wireInvitee) {
		var of wireTranscript
		require.NoError(t, decodeInto(w.Transcript, maxTranscript, &of))
		of.PeerProof = of.OwnProof
		w.Transcript = encode(of)
	})
}

func TestChangedStateOfAnIntroducerIsRefused(t *testing.T) {
	p := newScenario(t, "state")
	states := map[Phase][]byte{Invited: p.i.State()}
	p.run(p.acceptBoth(), func(_ int, m delivery) []delivery {
		if phase, _ := p.i.Phase(); phase == Revealed && p.i.auths[1] != nil && p.i.auths[2] != nil {
			states[phase] = p.i.State()
		}
		return []delivery{m}
	})
	states[Active] = p.i.State()
	q := newScenario(t, "ended")
	q.i.Withdraw()
	states[Ended] = q.i.State()
	refused := func(phase Phase, reason string, change func(w *wireIntroducer)) {
		t.Helper()
		var w wireIntroducer
		require.NoError(t, decodeInto(states[phase], maxState, &w))
		_, err := RestoreIntroducer(encode(w))
		require.NoError(t, err)
		change(&w)
		_, err = RestoreIntroducer(encode(w))
		require.ErrorIs(t, err, ErrInvalid, "%s: %s", phase, reason)
	}
	request := func(session Session, expires time.Time) []byte {
		m, err := newRequest(now, alice, session, 2, carol.Pointer(), party(bob, "Bob W"), p.i.salts[2], expires)
		require.NoError(t, err)
		return m.raw
	}
	session := p.i.requests[1].session
	for phase := range states {
		refused(phase, "another version", func(w *wireIntroducer) { w.Version = 2 })
		refused(phase, "no such reason", func(w *wireIntroducer) { w.Reason = maxReason + 1 })
		refused(phase, "requests turned", func(w *wireIntroducer) { w.Requests[0], w.Requests[1] = w.Requests[1], w.Requests[0] })
		refused(phase, "a short hash", func(w *wireIntroducer) { w.Auths[0] = make([]byte, hashSize-1) })
		refused(phase, "a confirmation without a proof", func(w *wireIntroducer) { w.Auths[0], w.Activate[0] = nil, make([]byte, hashSize) })
		for other := Phase(0); other <= Ended+1; other++ {
			if other != phase {
				refused(phase, "as "+other.String(), func(w *wireIntroducer) {
					if w.Phase, w.Reason = other, 0; other == Ended {
						w.Reason = Declined
					}
				})
			}
		}
	}
	q = newScenario(t, "salts")
	for name, second := range map[string][]byte{"of another session": request(Session{1}, now.Add(life)), "with another end": request(session, now.Add(life+time.Hour)),
		"to the same": p.i.requests[1].raw} {
		refused(Ended, "a request "+name, func(w *wireIntroducer) { w.Requests[0], w.Requests[1] = p.i.requests[1].raw, second })
	}
	for _, phase := range []Phase{Invited, Revealed} {
		refused(phase, "another salt", func(w *wireIntroducer) { w.Salts[0] = q.i.salts[1] })
		refused(phase, "salts turned", func(w *wireIntroducer) { w.Salts[0], w.Salts[1] = w.Salts[1], w.Salts[0] })
		refused(phase, "one salt", func(w *wireIntroducer) { w.Salts[1] = nil })
	}
	refused(Revealed, "the consent of the other", func(w *wireIntroducer) { w.Accepts[0] = w.Accepts[1] })
	refused(Revealed, "one consent", func(w *wireIntroducer) { w.Accepts[0] = nil })
	refused(Active, "one confirmation", func(w *wireIntroducer) { w.Activate[1] = nil })
	refused(Invited, "a proof before the consents", func(w *wireIntroducer) { w.Auths[0] = make([]byte, hashSize) })
}
