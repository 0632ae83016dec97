package mutual

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func TestBothPartiesConsentAndLearnEachOther(t *testing.T) {
	p := newScenario(t, "both")
	p.run(p.acceptBoth(), nil)
	phase, _ := p.i.Phase()
	require.Equal(t, Active, phase)
	for _, side := range []struct {
		self, peer *testInvitee
		suggested  string
	}{{p.bob, p.carol, "Caro"}, {p.carol, p.bob, "Bob W"}} {
		require.Equal(t, Active, side.self.phase())
		s, err := Verify(side.self.v.Transcript())
		require.NoError(t, err)
		require.Equal(t, side.peer.key.Pointer(), s.Pointer)
		require.Equal(t, payloadOf(side.peer.name), s.Payload)
		require.Equal(t, side.suggested, s.Request.Suggested)
		require.Equal(t, alice.Pointer(), s.Request.By)
		require.Equal(t, side.self.key.Pointer(), s.Request.To)
		require.Equal(t, now, s.Request.Made)
		require.Equal(t, now.Add(life), s.Request.Expires)
	}
}

// Before both consented neither party learns anything of the other, and afterwards
// the introducer cannot read what it forwards.
func TestNothingIsRevealedBeforeBothConsent(t *testing.T) {
	p := newScenario(t, "before")
	shown := func(b []byte, of *testInvitee) bool {
		public := of.key.Pointer().Bytes()
		return bytes.Contains(b, public[len(public)-32:]) || bytes.Contains(b, []byte(of.name))
	}
	require.False(t, shown(p.carol.v.request.raw, p.bob))
	require.False(t, shown(p.bob.v.request.raw, p.carol))

	first := p.run(p.from(bob, p.bob.accept()), nil)
	require.Len(t, first, 1, "nothing is sent after one consent")
	require.Equal(t, alice.Pointer(), first[0].To)

	private := func(b []byte, of *testInvitee) bool {
		pl := payloadOf(of.name)
		return bytes.Contains(b, pl.Addresses[0]) || bytes.Contains(b, []byte(pl.Nickname)) || bytes.Contains(b, pl.Sealing[0].Key) || bytes.Contains(b, pl.Next.Bytes())
	}
	all := append(first, p.run(p.from(carol, p.carol.accept()), nil)...)
	require.Equal(t, Active, p.bob.phase())
	for _, m := range all {
		require.False(t, private(m.Bytes, p.bob) || private(m.Bytes, p.carol))
	}
}

// A guess of the pointer cannot be verified against the request: two requests about
// one pointer have nothing in common, and they do not contain the salt.
func TestRequestDoesNotConfirmAGuess(t *testing.T) {
	a, b := newScenario(t, "one"), newScenario(t, "two")
	require.NotEqual(t, a.bob.v.request.Hidden, b.bob.v.request.Hidden)
	require.NotContains(t, string(a.bob.v.request.raw), string(a.i.salts[1]))
	require.False(t, revealsPointer(a.bob.v.request, b.i.salts[1], carol.Pointer()))
	require.True(t, revealsPointer(a.bob.v.request, a.i.salts[1], carol.Pointer()))
	require.False(t, revealsPointer(a.carol.v.request, a.i.salts[1], carol.Pointer()))
}

func TestLockedIdentityAuthenticatesLater(t *testing.T) {
	p := newScenario(t, "locked")
	// Bob receives all messages of the others without his key.
	var toBob []delivery
	p.run(p.acceptBoth(), func(_ int, m delivery) []delivery {
		if m.To == bob.Pointer() {
			toBob = append(toBob, m)
			return nil
		}
		return []delivery{m}
	})
	require.Len(t, toBob, 2) // REVEAL, AUTH
	for _, m := range toBob {
		out, err := p.bob.v.Handle(now, m.from, m.Bytes)
		require.NoError(t, err)
		require.Empty(t, out)
		p.bob.restart()
	}
	require.True(t, p.bob.v.NeedsKey())
	_, err := p.bob.v.Authenticate(now, seeded("x"), carol)
	require.Error(t, err, "another's key")
	_, err = p.bob.v.Authenticate(now, seeded("x"), nil)
	require.ErrorContains(t, err, "key is needed")
	out, err := p.bob.v.Authenticate(now, seeded("x"), bob)
	require.NoError(t, err)
	require.Len(t, out, 2, "proof and confirmation")
	p.bob.restart()
	p.run(p.from(bob, out), nil)
	require.Equal(t, Active, p.bob.phase())
	require.Equal(t, Active, p.carol.phase())
}

func TestDeclineEndsTheSessionForBothAtAnyTime(t *testing.T) {
	for n := range 13 {
		p := newScenario(t, "decline")
		queue := p.acceptBoth()
		declined := false
		p.run(queue, func(at int, m delivery) []delivery {
			if at == n && p.bob.phase() != Active {
				declined = true
				out := p.bob.v.Decline()
				p.bob.requireEnded(Declined)
				return append(p.from(bob, out), m)
			}
			return []delivery{m}
		})
		if !declined {
			continue
		}
		p.bob.requireEnded(Declined)
		if p.carol.phase() != Active {
			p.carol.requireEnded(Declined)
		}
	}
	p := newScenario(t, "at once")
	out := p.from(bob, p.bob.v.Decline())
	p.run(append(out, p.from(carol, p.carol.accept())...), nil)
	p.bob.requireEnded(Declined)
	p.carol.requireEnded(Declined)
	_, err := p.bob.v.Accept(now, seeded("x"), bob, pointer.Details{})
	require.ErrorAs(t, err, new(*EndedError))
}

func TestEverySideExpiresOnItsOwn(t *testing.T) {
	for n := range 14 {
		p := newScenario(t, "expire")
		p.run(p.acceptBoth(), func(at int, m delivery) []delivery {
			if at >= n {
				return nil
			}
			return []delivery{m}
		})
		end := now.Add(life)
		require.False(t, p.bob.v.Expire(end.Add(-time.Millisecond)))
		for _, h := range []*testInvitee{p.bob, p.carol} {
			if h.phase() == Active {
				require.False(t, h.v.Expire(end), "what is done is done")
				continue
			}
			require.True(t, h.v.Expire(end))
			h.requireEnded(Expired)
		}
		p.i.Expire(end)
		phase, _ := p.i.Phase()
		require.Contains(t, []Phase{Active, Ended}, phase)
	}
	// A message that is received too late ends the session, too, and is not processed.
	p := newScenario(t, "late")
	m := p.runUntil(KindReveal, bob)
	_, err := p.bob.v.Handle(now.Add(life), m.from, m.Bytes)
	var ended *EndedError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, Expired, ended.Reason)
	_, err = Receive(now.Add(life), bob.Pointer(), alice.Pointer(), p.bob.v.request.raw)
	require.ErrorAs(t, err, &ended, "so that an old request can't be played again")
}

func TestWithdrawalEndsTheSessionForAll(t *testing.T) {
	p := newScenario(t, "withdraw")
	m := p.runUntil(KindAuth, bob)
	p.run(append(p.from(alice, p.i.Withdraw()), m), nil)
	p.bob.requireEnded(Withdrawn)
	p.carol.requireEnded(Withdrawn)
}

// Whichever message is lost, no party is Active whose peer has not verified it. If it is
// not one of the last messages, no party is Active.
func TestLostMessageLeavesNoHalfOpenContact(t *testing.T) {
	p := newScenario(t, "count")
	total := len(p.run(p.acceptBoth(), nil))
	require.Equal(t, 12, total) // ACCEPT and REVEAL twice; AUTH and ACTIVATE twice, each in two steps
	for lost := range total {
		p := newScenario(t, "lost")
		var kind Kind
		p.run(p.acceptBoth(), func(n int, m delivery) []delivery {
			if n == lost {
				kind = mustDecode(t, m.Bytes).Kind
				return nil
			}
			return []delivery{m}
		})
		if kind != KindActivate {
			require.NotEqual(t, Active, p.bob.phase(), "lost %d", lost)
			require.NotEqual(t, Active, p.carol.phase(), "lost %d", lost)
			continue
		}
		require.True(t, p.bob.phase() == Active || p.carol.phase() == Active, "lost %d", lost)
		for _, pair := range [][2]*testInvitee{{p.bob, p.carol}, {p.carol, p.bob}} {
			self, peer := pair[0], pair[1]
			if self.phase() == Active {
				require.True(t, peer.phase() == Active || peer.phase() == Authenticated && peer.v.auths[self.v.request.Side] != nil, "lost %d", lost)
			}
		}
	}
}

func TestDuplicateMessagesAreHandledOnce(t *testing.T) {
	p := newScenario(t, "twice")
	once := newScenario(t, "twice")
	n := len(once.run(once.acceptBoth(), nil))
	all := p.run(p.acceptBoth(), func(_ int, m delivery) []delivery { return []delivery{m, m} })
	require.Len(t, all, n)
	require.Equal(t, Active, p.bob.phase())
	require.Equal(t, once.bob.v.Transcript(), p.bob.v.Transcript())
	// And all of them once more, after the end.
	for _, m := range all {
		out, err := p.deliver(m)
		require.NoError(t, err)
		require.Empty(t, out)
	}
	require.Equal(t, Active, p.carol.phase())
}

// For any loss, duplication and reordering of messages, a party that is Active has the
// pointer that it consented to, and its peer has verified it.
func TestNoScheduleLeavesAHalfOpenContact(t *testing.T) {
	stale := newScenario(t, "stale")
	old := stale.run(stale.acceptBoth(), nil)
	lawtest.Check(t, 25, func(rt *rapid.T) {
		p := newScenario(t, "schedule")
		queue := append(p.acceptBoth(), old...)
		for step := 0; len(queue) > 0 && step < 60; step++ {
			at := rapid.IntRange(0, len(queue)-1).Draw(rt, "which")
			m := queue[at]
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				queue = append(queue[:at:at], queue[at+1:]...) // lost
			case 1:
				m.from = rapid.SampledFrom([]*pointer.Key{alice, bob, carol, dave}).Draw(rt, "from").Pointer()
				m.To = rapid.SampledFrom([]*pointer.Key{alice, bob, carol}).Draw(rt, "to").Pointer()
				out, _ := p.deliver(m)
				queue = append(queue, out...)
			default:
				queue = append(queue[:at:at], queue[at+1:]...)
				out, _ := p.deliver(m)
				queue = append(queue, out...)
			}
		}
		for _, pair := range [][2]*testInvitee{{p.bob, p.carol}, {p.carol, p.bob}} {
			self, peer := pair[0], pair[1]
			if self.phase() != Active {
				continue
			}
			s, err := Verify(self.v.Transcript())
			require.NoError(rt, err)
			require.Equal(rt, peer.key.Pointer(), s.Pointer)
			require.Equal(rt, self.v.request.session, s.Request.Session)
		}
	})
}

func TestStartRefusesInvalidParties(t *testing.T) {
	for name, change := range map[string]func(a, b *Party, expires *time.Time){
		"no party":     func(a, _ *Party, _ *time.Time) { a.Pointer = pointer.Pointer{} },
		"one twice":    func(a, b *Party, _ *time.Time) { a.Pointer = b.Pointer },
		"oneself":      func(a, _ *Party, _ *time.Time) { a.Pointer = alice.Pointer() },
		"for ever":     func(_, _ *Party, e *time.Time) { *e = now.Add(maxLife + time.Second) },
		"ended":        func(_, _ *Party, e *time.Time) { *e = now },
		"a long name":  func(a, _ *Party, _ *time.Time) { a.Suggested = strings.Repeat("x", maxText+1) },
		"a long note":  func(_, b *Party, _ *time.Time) { b.Note = strings.Repeat("x", maxNote+1) },
		"not in UTF-8": func(a, _ *Party, _ *time.Time) { a.Note = "\xff" },
	} {
		a, b, expires := party(bob, "Bob"), party(carol, "Carol"), now.Add(life)
		change(&a, &b, &expires)
		_, _, err := Start(now, seeded("bad"), alice, a, b, expires)
		require.Error(t, err, name)
	}
}

func TestPayloadIsBounded(t *testing.T) {
	big := func(p pointer.Details) pointer.Details {
		p.Sealing = []pointer.SealingKey{{KEM: 1, Key: make([]byte, 32)}, {KEM: 2, Key: make([]byte, 1216)}}
		p.Addresses = nil
		for range pointer.MaxAddresses {
			p.Addresses = append(p.Addresses, make([]byte, pointer.MaxAddress))
		}
		p.Nickname = strings.Repeat("n", pointer.MaxNickname)
		return p
	}
	for name, pl := range map[string]pointer.Details{
		"keys":      {Sealing: make([]pointer.SealingKey, pointer.MaxSealing+1)},
		"an empty":  {Sealing: []pointer.SealingKey{{KEM: 1}}},
		"addresses": {Addresses: [][]byte{{1}, {1}, {1}, {1}, {1}, {1}, {1}, {1}, {1}}},
		"long":      {Addresses: [][]byte{make([]byte, pointer.MaxAddress+1)}},
		"nickname":  {Nickname: strings.Repeat("x", pointer.MaxNickname+1)},
		"all":       {Sealing: []pointer.SealingKey{{KEM: 1, Key: make([]byte, pointer.MaxSealingKey)}, {KEM: 2, Key: make([]byte, pointer.MaxSealingKey)}}},
	} {
		p := newScenario(t, "bounds")
		_, err := p.bob.v.Accept(now, seeded("x"), bob, pl)
		require.ErrorIs(t, err, ErrInvalid, name)
		require.Equal(t, Invited, p.bob.phase())
	}
	for size, fits := range map[int]bool{saltSize: true, saltSize - 1: false, saltSize + 1: false, 0: false} {
		_, err := encodePayload(payloadOf("bob"), make([]byte, size))
		require.Equal(t, fits, err == nil, size)
	}
	// The largest payload fits the bounds of a message and of the transcript.
	i, out, err := Start(now, seeded("large"), alice, Party{bob.Pointer(), strings.Repeat("x", maxText), strings.Repeat("x", maxNote)},
		Party{carol.Pointer(), strings.Repeat("x", maxText), strings.Repeat("x", maxNote)}, now.Add(life))
	require.NoError(t, err)
	p := &scenario{t: t, i: i, bob: receives(t, bob, "bob", out[0].Bytes), carol: receives(t, carol, "carol", out[1].Bytes)}
	var queue []delivery
	for _, h := range []*testInvitee{p.bob, p.carol} {
		o, err := h.v.Accept(now, seeded(h.name), h.key, big(payloadOf(h.name)))
		require.NoError(t, err)
		queue = append(queue, p.from(h.key, o)...)
	}
	for _, m := range p.run(queue, nil) {
		require.LessOrEqual(t, len(m.Bytes), maxMessage)
	}
	require.Equal(t, Active, p.bob.phase())
	require.Equal(t, Active, p.carol.phase())
}

func TestOnlyTheRecipientsKeyConsents(t *testing.T) {
	p := newScenario(t, "key")
	_, err := p.bob.v.Accept(now, seeded("x"), carol, pointer.Details{})
	require.Error(t, err)
	_, err = p.bob.v.Accept(now, seeded("x"), nil, pointer.Details{})
	require.Error(t, err)
	_, err = Receive(now, carol.Pointer(), alice.Pointer(), p.bob.v.request.raw)
	require.ErrorIs(t, err, ErrOtherSession)
	_, err = Receive(now, bob.Pointer(), dave.Pointer(), p.bob.v.request.raw)
	require.ErrorIs(t, err, ErrOtherSession)
}
