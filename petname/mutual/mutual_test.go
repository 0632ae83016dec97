package mutual

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
)

func TestBothConsentAndLearnEachOther(t *testing.T) {
	p := starts(t, "both")
	p.run(p.accepts(), nil)
	phase, _ := p.i.Phase()
	require.Equal(t, Active, phase)
	for _, side := range []struct {
		me, other *home
		suggested string
	}{{p.bob, p.carol, "Caro"}, {p.carol, p.bob, "Bob W"}} {
		require.Equal(t, Active, side.me.phase())
		s, err := Verify(side.me.v.Transcript())
		require.NoError(t, err)
		require.Equal(t, side.other.key.Pointer(), s.Pointer)
		require.Equal(t, payloadOf(side.other.name), s.Payload)
		require.Equal(t, side.suggested, s.Request.Suggested)
		require.Equal(t, alice.Pointer(), s.Request.By)
		require.Equal(t, side.me.key.Pointer(), s.Request.To)
		require.Equal(t, now, s.Request.Made)
		require.Equal(t, now.Add(life), s.Request.Expires)
	}
}

// Before both consented neither is told anything of the other, and afterwards
// the introducer passes on what it can't read.
func TestNothingIsToldBeforeBothConsent(t *testing.T) {
	p := starts(t, "before")
	shown := func(b []byte, of *home) bool {
		public := of.key.Pointer().Bytes()
		return bytes.Contains(b, public[len(public)-32:]) || bytes.Contains(b, []byte(of.name))
	}
	require.False(t, shown(p.carol.v.request.raw, p.bob))
	require.False(t, shown(p.bob.v.request.raw, p.carol))

	first := p.run(p.from(bob, p.bob.accept()), nil)
	require.Len(t, first, 1, "one consent alone makes the introducer say nothing to anybody")
	require.Equal(t, alice.Pointer(), first[0].To)

	private := func(b []byte, of *home) bool {
		pl := payloadOf(of.name)
		return bytes.Contains(b, pl.Addresses[0]) || bytes.Contains(b, []byte(pl.Nickname)) || bytes.Contains(b, pl.Sealing[0].Key) || bytes.Contains(b, pl.Next.Bytes())
	}
	all := append(first, p.run(p.from(carol, p.carol.accept()), nil)...)
	require.Equal(t, Active, p.bob.phase())
	for _, m := range all {
		require.False(t, private(m.Bytes, p.bob) || private(m.Bytes, p.carol))
	}
}

// A guess at the pointer can't be checked against the request: two requests
// about one pointer have nothing in common, and the salt isn't in them.
func TestARequestDoesNotConfirmAGuess(t *testing.T) {
	a, b := starts(t, "one"), starts(t, "two")
	require.NotEqual(t, a.bob.v.request.Hidden, b.bob.v.request.Hidden)
	require.NotContains(t, string(a.bob.v.request.raw), string(a.i.salts[1]))
	require.False(t, told(a.bob.v.request, b.i.salts[1], carol.Pointer()))
	require.True(t, told(a.bob.v.request, a.i.salts[1], carol.Pointer()))
	require.False(t, told(a.carol.v.request, a.i.salts[1], carol.Pointer()))
}

func TestALockedHomeProvesLater(t *testing.T) {
	p := starts(t, "locked")
	// All the others do is done, and Bob takes it in without his key.
	var toBob []sent
	p.run(p.accepts(), func(_ int, m sent) []sent {
		if m.To == bob.Pointer() {
			toBob = append(toBob, m)
			return nil
		}
		return []sent{m}
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

func TestADeclineEndsItForBothAtAnyTime(t *testing.T) {
	for n := range 13 {
		p := starts(t, "decline")
		queue := p.accepts()
		declined := false
		p.run(queue, func(at int, m sent) []sent {
			if at == n && p.bob.phase() != Active {
				declined = true
				out := p.bob.v.Decline()
				p.bob.ended(Declined)
				return append(p.from(bob, out), m)
			}
			return []sent{m}
		})
		if !declined {
			continue
		}
		p.bob.ended(Declined)
		if p.carol.phase() != Active {
			p.carol.ended(Declined)
		}
	}
	p := starts(t, "at once")
	out := p.from(bob, p.bob.v.Decline())
	p.run(append(out, p.from(carol, p.carol.accept())...), nil)
	p.bob.ended(Declined)
	p.carol.ended(Declined)
	_, err := p.bob.v.Accept(now, seeded("x"), bob, pointer.Details{})
	require.ErrorAs(t, err, new(*EndedError))
}

func TestEverySideExpiresByItself(t *testing.T) {
	for n := range 14 {
		p := starts(t, "expire")
		p.run(p.accepts(), func(at int, m sent) []sent {
			if at >= n {
				return nil
			}
			return []sent{m}
		})
		end := now.Add(life)
		require.False(t, p.bob.v.Expire(end.Add(-time.Millisecond)))
		for _, h := range []*home{p.bob, p.carol} {
			if h.phase() == Active {
				require.False(t, h.v.Expire(end), "what is done is done")
				continue
			}
			require.True(t, h.v.Expire(end))
			h.ended(Expired)
		}
		p.i.Expire(end)
		phase, _ := p.i.Phase()
		require.Contains(t, []Phase{Active, Ended}, phase)
	}
	// A message that comes too late ends it, too, and is not taken.
	p := starts(t, "late")
	m := p.until(KindReveal, bob)
	_, err := p.bob.v.Handle(now.Add(life), m.from, m.Bytes)
	var ended *EndedError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, Expired, ended.Reason)
	_, err = Receive(now.Add(life), bob.Pointer(), alice.Pointer(), p.bob.v.request.raw)
	require.ErrorAs(t, err, &ended, "so that an old request can't be played again")
}

func TestAWithdrawalEndsItForAll(t *testing.T) {
	p := starts(t, "withdraw")
	m := p.until(KindAuth, bob)
	p.run(append(p.from(alice, p.i.Withdraw()), m), nil)
	p.bob.ended(Withdrawn)
	p.carol.ended(Withdrawn)
}

// Whatever one message is lost, there is nobody who has somebody that hasn't
// verified them; and but for the very last messages, nobody has anybody.
func TestALostMessageLeavesNoHalfOpenContact(t *testing.T) {
	p := starts(t, "count")
	total := len(p.run(p.accepts(), nil))
	require.Equal(t, 12, total) // ACCEPT and REVEAL twice; AUTH and ACTIVATE twice, each in two steps
	for lost := range total {
		p := starts(t, "lost")
		var kind Kind
		p.run(p.accepts(), func(n int, m sent) []sent {
			if n == lost {
				kind = mustDecode(t, m.Bytes).Kind
				return nil
			}
			return []sent{m}
		})
		if kind != KindActivate {
			require.NotEqual(t, Active, p.bob.phase(), "lost %d", lost)
			require.NotEqual(t, Active, p.carol.phase(), "lost %d", lost)
			continue
		}
		require.True(t, p.bob.phase() == Active || p.carol.phase() == Active, "lost %d", lost)
		for _, pair := range [][2]*home{{p.bob, p.carol}, {p.carol, p.bob}} {
			me, peer := pair[0], pair[1]
			if me.phase() == Active {
				require.True(t, peer.phase() == Active || peer.phase() == Authenticated && peer.v.auths[me.v.request.Side] != nil, "lost %d", lost)
			}
		}
	}
}

func TestWhatComesTwiceIsTakenOnce(t *testing.T) {
	p := starts(t, "twice")
	once := starts(t, "twice")
	n := len(once.run(once.accepts(), nil))
	all := p.run(p.accepts(), func(_ int, m sent) []sent { return []sent{m, m} })
	require.Len(t, all, n)
	require.Equal(t, Active, p.bob.phase())
	require.Equal(t, once.bob.v.Transcript(), p.bob.v.Transcript())
	// And all of it once more, after the end.
	for _, m := range all {
		out, err := p.deliver(m)
		require.NoError(t, err)
		require.Empty(t, out)
	}
	require.Equal(t, Active, p.carol.phase())
}

// However messages are lost, doubled and turned around: who is Active has the
// right one, whom they consented to, and who has verified them.
func TestNoScheduleMakesAHalfOpenContact(t *testing.T) {
	quickly(t, 25)
	stale := starts(t, "stale")
	old := stale.run(stale.accepts(), nil)
	rapid.Check(t, func(rt *rapid.T) {
		p := starts(t, "schedule")
		queue := append(p.accepts(), old...)
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
		for _, pair := range [][2]*home{{p.bob, p.carol}, {p.carol, p.bob}} {
			me, peer := pair[0], pair[1]
			if me.phase() != Active {
				continue
			}
			s, err := Verify(me.v.Transcript())
			require.NoError(rt, err)
			require.Equal(rt, peer.key.Pointer(), s.Pointer)
			require.Equal(rt, me.v.request.session, s.Request.Session)
		}
	})
}

func TestWhatCannotBeOfferedIsNot(t *testing.T) {
	for name, change := range map[string]func(a, b *Party, expires *time.Time){
		"nobody":       func(a, _ *Party, _ *time.Time) { a.Pointer = pointer.Pointer{} },
		"one twice":    func(a, b *Party, _ *time.Time) { a.Pointer = b.Pointer },
		"oneself":      func(a, _ *Party, _ *time.Time) { a.Pointer = alice.Pointer() },
		"for ever":     func(_, _ *Party, e *time.Time) { *e = now.Add(MaxLife + time.Second) },
		"ended":        func(_, _ *Party, e *time.Time) { *e = now },
		"a long name":  func(a, _ *Party, _ *time.Time) { a.Suggested = strings.Repeat("x", MaxText+1) },
		"a long note":  func(_, b *Party, _ *time.Time) { b.Note = strings.Repeat("x", MaxNote+1) },
		"not in UTF-8": func(a, _ *Party, _ *time.Time) { a.Note = "\xff" },
	} {
		a, b, expires := party(bob, "Bob"), party(carol, "Carol"), now.Add(life)
		change(&a, &b, &expires)
		_, _, err := Start(now, seeded("bad"), alice, a, b, expires)
		require.Error(t, err, name)
	}
}

func TestAPayloadIsBounded(t *testing.T) {
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
		p := starts(t, "bounds")
		_, err := p.bob.v.Accept(now, seeded("x"), bob, pl)
		require.ErrorIs(t, err, ErrInvalid, name)
		require.Equal(t, Invited, p.bob.phase())
	}
	for size, fits := range map[int]bool{saltSize: true, saltSize - 1: false, saltSize + 1: false, 0: false} {
		_, err := encodePayload(payloadOf("bob"), make([]byte, size))
		require.Equal(t, fits, err == nil, size)
	}
	// The largest there is fits every bound: a message's, and the transcript's.
	i, out, err := Start(now, seeded("large"), alice, Party{bob.Pointer(), strings.Repeat("x", MaxText), strings.Repeat("x", MaxNote)},
		Party{carol.Pointer(), strings.Repeat("x", MaxText), strings.Repeat("x", MaxNote)}, now.Add(life))
	require.NoError(t, err)
	p := &play{t: t, i: i, bob: receives(t, bob, "bob", out[0].Bytes), carol: receives(t, carol, "carol", out[1].Bytes)}
	var queue []sent
	for _, h := range []*home{p.bob, p.carol} {
		o, err := h.v.Accept(now, seeded(h.name), h.key, big(payloadOf(h.name)))
		require.NoError(t, err)
		queue = append(queue, p.from(h.key, o)...)
	}
	for _, m := range p.run(queue, nil) {
		require.LessOrEqual(t, len(m.Bytes), MaxMessage)
	}
	require.Equal(t, Active, p.bob.phase())
	require.Equal(t, Active, p.carol.phase())
}

func TestOnlyTheKeyThatWasAskedConsents(t *testing.T) {
	p := starts(t, "key")
	_, err := p.bob.v.Accept(now, seeded("x"), carol, pointer.Details{})
	require.Error(t, err)
	_, err = p.bob.v.Accept(now, seeded("x"), nil, pointer.Details{})
	require.Error(t, err)
	_, err = Receive(now, carol.Pointer(), alice.Pointer(), p.bob.v.request.raw)
	require.ErrorIs(t, err, ErrNotMine)
	_, err = Receive(now, bob.Pointer(), dave.Pointer(), p.bob.v.request.raw)
	require.ErrorIs(t, err, ErrNotMine)
}
