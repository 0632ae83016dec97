package pair

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// runSkewed steps both sides to their ends. The clock of the invitee differs by skew from
// that of the inviter. It returns how long that took.
func (m *codeScenario) runSkewed(t require.TestingT, skew time.Duration) time.Duration {
	began := m.clock.now()
	for range 500 {
		a := m.stepInviter(t)
		event, err := m.invitee.Step(context.Background(), m.store, m.clock.now().Add(skew))
		m.inviteeOutcome = outcome{event, err}
		if a.ended() && m.inviteeOutcome.ended() {
			return m.clock.now().Sub(began)
		}
		m.clock.after(2 * time.Second)
	}
	require.Fail(t, "it never ends")
	return 0
}

// A code pairs within seconds when the clocks of the two sides, and of the peers that
// store the messages, differ by up to 23 hours.
func TestCodePairsWithClocksApart(t *testing.T) {
	limit := int((clockTolerance - time.Hour) / time.Second)
	lawtest.Check(t, 30, func(t *rapid.T) {
		m := newCodeScenario(t, theCode, theCode)
		skew := time.Duration(rapid.OneOf(rapid.IntRange(-limit, limit), rapid.IntRange(-3600, 3600), rapid.SampledFrom([]int{900, -900})).Draw(t, "skew")) * time.Second
		// The peers have the clock of either side, or one between them.
		share := rapid.Float64Range(0, 1).Draw(t, "peers")
		m.store.Store = &dht.Memory{Now: func() time.Time { return m.clock.now().Add(time.Duration(share * float64(skew))) }}
		require.LessOrEqual(t, m.runSkewed(t, skew), 20*time.Second)
		m.requirePaired(t)
	})
}

// With clocks that differ by more than a day, in either direction, both sides end at once
// and name both times.
func TestCodeWithClocksYearsApartEndsWithTheReason(t *testing.T) {
	for skew, theirs := range map[time.Duration]string{
		-365 * 24 * time.Hour:      "2025-05-01 12:0",
		365 * 24 * time.Hour:       "2027-05-01 12:0",
		49 * time.Hour:             "2026-05-03 13:0",
		10 * 365 * 24 * time.Hour:  "2036-04-28 12:0",
		-50 * 365 * 24 * time.Hour: "1976-05-13 12:0",
	} {
		m := newCodeScenario(t, theCode, theCode)
		m.store.Store = &dht.Memory{Now: m.clock.now}
		m.stepInviter(t)
		m.stepInviter(t)
		requireBothEnd(t, m, skew, theirs, "2026-05-01 12:00 UTC", "2026-05-01 12:07 UTC")
	}
	// Without an invitee, the inviter's error at its end has its own time.
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	m.stepInviter(t)
	m.clock.after(CodeLife)
	err := m.stepInviter(t).err
	require.ErrorIs(t, err, ErrTimeout)
	require.ErrorContains(t, err, "2026-05-01 12:17 UTC")
}

// requireBothEnd steps an invitee with another clock, and then the inviter, and checks
// that both end with the times of both sides: theirs, which is the invitee's, and ours at
// each of the two steps.
func requireBothEnd(t *testing.T, m *codeScenario, skew time.Duration, theirs, oursFirst, oursThen string) {
	t.Helper()
	_, err := m.invitee.Step(t.Context(), m.store, m.clock.now().Add(skew))
	for _, ours := range []string{oursFirst, oursThen} {
		require.ErrorIs(t, err, ErrClocks)
		require.True(t, Final(err))
		require.ErrorContains(t, err, ours)
		require.ErrorContains(t, err, theirs)
		require.Empty(t, m.bobMarks.marks)
		if ours == oursFirst {
			err = m.stepInviter(t).err
		}
	}
}

// An inviter with a clock over a day behind that of the invitee and the peers can store no
// offer. Both sides end at once, and name both times.
func TestInviterFarBehindEndsWithTheReason(t *testing.T) {
	for skew, theirs := range map[time.Duration]string{
		26 * time.Hour:            "2026-05-02 14:1",
		365 * 24 * time.Hour:      "2027-05-01 12:1",
		40 * 365 * 24 * time.Hour: "2066-04-21 12:1",
	} {
		m := newCodeScenario(t, theCode, theCode)
		m.store.Store = &dht.Memory{Now: func() time.Time { return m.clock.now().Add(skew) }}
		for range 2 { // in two periods
			o := m.stepInviter(t)
			require.Error(t, o.err)
			require.False(t, o.ended())
			m.clock.after(periodLength)
		}
		m.clock.after(time.Minute - periodLength)
		requireBothEnd(t, m, skew, theirs, "2026-05-01 12:10 UTC", "2026-05-01 12:18 UTC")
		require.Empty(t, m.aliceMarks.marks)
	}
	// The invitee can find the notice in one period, and the inviter the answer in the next.
	m := newCodeScenario(t, theCode, theCode)
	m.store.Store = &dht.Memory{Now: func() time.Time { return m.clock.now().Add(48 * time.Hour) }}
	require.Error(t, m.stepInviter(t).err)
	_, err := m.invitee.Step(t.Context(), m.store, m.clock.now().Add(48*time.Hour))
	require.ErrorIs(t, err, ErrClocks)
	m.clock.after(periodLength)
	require.ErrorIs(t, m.stepInviter(t).err, ErrClocks)
	// Without an invitee it ends when the code does.
	m = newCodeScenario(t, theCode, theCode)
	m.store.Store = &dht.Memory{Now: func() time.Time { return m.clock.now().Add(48 * time.Hour) }}
	var last outcome
	for range 2 * int(CodeLife/time.Minute) {
		if last = m.stepInviter(t); last.ended() {
			break
		}
		m.clock.after(time.Minute)
	}
	require.ErrorIs(t, last.err, ErrTimeout)
	// A network that fails for a moment leaves a notice of the same slot: it pairs.
	m = newCodeScenario(t, theCode, theCode)
	m.store.Store = &dht.Memory{Now: func() time.Time { return m.clock.now().Add(48 * time.Hour) }}
	require.Error(t, m.stepInviter(t).err)
	m.store.Store.(*dht.Memory).Now = m.clock.now
	m.runToEnd(t)
	m.requirePaired(t)
}

// Either clock, or both, are set back or forward by 45 minutes while the code is in use. It
// pairs, and without the other side it ends within twice the life of a code.
func TestClocksSetDuringAPairing(t *testing.T) {
	for _, by := range []time.Duration{-45 * time.Minute, -20 * time.Hour, 45 * time.Minute} {
		for _, which := range []string{"inviter", "invitee", "both"} {
			m := newCodeScenario(t, theCode, theCode)
			m.store.Store = &dht.Memory{Now: m.clock.now}
			m.stepInviter(t)
			m.stepInviter(t)
			inviter, invitee := m.clock.now, m.clock.now
			shifted := func() time.Time { return m.clock.now().Add(by) }
			if which != "invitee" {
				inviter = shifted
			}
			if which != "inviter" {
				m.invitee.Step(t.Context(), m.store, m.clock.now())
				invitee = shifted
			}
			var a, b outcome
			for range 20 {
				m.clock.after(2 * time.Second)
				a.event, a.err = m.inviter.Step(t.Context(), m.store, inviter())
				b.event, b.err = m.invitee.Step(t.Context(), m.store, invitee())
			}
			if by > 0 && which == "inviter" { // the code has ended by its clock
				require.ErrorIs(t, a.err, ErrTimeout)
				continue
			}
			m.inviterOutcome, m.inviteeOutcome = a, b
			m.requirePaired(t)
		}
	}
	for name, side := range map[string]func(m *codeScenario) Stepper{
		"inviter": func(m *codeScenario) Stepper { return m.inviter },
		"invitee": func(m *codeScenario) Stepper { return m.invitee },
	} {
		m := newCodeScenario(t, theCode, theCode)
		s, back := side(m), -40*24*time.Hour
		_, err := s.Step(t.Context(), m.store, m.clock.now())
		require.NoError(t, err)
		_, err = s.Step(t.Context(), m.store, m.clock.now())
		require.NoError(t, err)
		for range 12 {
			m.clock.after(time.Minute)
			if _, err = s.Step(t.Context(), m.store, m.clock.now().Add(back)); Final(err) {
				break
			}
		}
		require.ErrorIs(t, err, ErrTimeout, name)
	}
}

// Attack: a party that knows the public half of a code states a time that is near. It is
// no reason of its own: like other garbage it ends the pairing, without a pair.
func TestForgedClocksPairNobody(t *testing.T) {
	for name, period := range map[string]int64{"near": periodOf(start), "far": 1, "negative": -1} {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), encode(wireNotice{Kind: kindClocks, Period: period}), 1, start.Add(time.Hour))
		err := m.stepInviter(t).err
		require.True(t, Final(err), name)
		require.Equal(t, name == "far", errors.Is(err, ErrClocks), name)
	}
}

// Attack: a party that knows the public half of a code forges the notice. Malformed ones,
// and those that lead to an empty slot, change nothing; nor does any notice where there
// is an offer near the invitee's own time.
func TestForgedNoticesDisturbNoPairing(t *testing.T) {
	for name, notice := range map[string][]byte{
		"garbage":        []byte("garbage"),
		"another kind":   encode(wireNotice{Kind: kindOffer, Period: 1}),
		"negative":       encode(wireNotice{Kind: kindNotice, Period: -1}),
		"far away":       encode(wireNotice{Kind: kindNotice, Period: maxPeriod}),
		"too far":        encode(wireNotice{Kind: kindNotice, Period: maxPeriod + 1}),
		"an empty slot":  encode(wireNotice{Kind: kindNotice, Period: periodOf(start) + 20}),
		"the right slot": encode(wireNotice{Kind: kindNotice, Period: periodOf(start)}),
	} {
		t.Run(name, func(t *testing.T) {
			m := newCodeScenario(t, theCode, theCode)
			putMessage(t, m.store, m.inviter.code.noticeMailbox(), notice, 1<<40, start.Add(time.Hour))
			m.runToEnd(t)
			m.requirePaired(t)
		})
	}
	// A forged notice and an offer of the forger: the invitee pairs with no other side.
	m := newCodeScenario(t, theCode, theCode)
	far := slot{m.slot.nameplate, m.slot.period + 20}
	putMessage(t, m.store, m.inviter.code.noticeMailbox(), encode(wireNotice{Kind: kindNotice, Period: far.period}), 1<<40, start.Add(time.Hour))
	mallory, err := InviteByCode(newSelf(t, 9, "Mallory"), mustCode(t, "742-tunnel-zoo-zoo"), (&usedCodes{}).markUsed)
	require.NoError(t, err)
	ahead := func() time.Time { return m.clock.now().Add(20 * periodLength) }
	_, err = mallory.Step(t.Context(), m.store, ahead())
	require.NoError(t, err)
	m.stepInvitee(t)
	_, err = mallory.Step(t.Context(), m.store, ahead())
	require.ErrorIs(t, err, ErrWrongCode)
	require.ErrorIs(t, m.stepInvitee(t).err, ErrWrongCode)
}

// The mailbox of the notice depends on the public half of a code, and on nothing else.
func TestNoticeDoesNotDependOnTheSecret(t *testing.T) {
	a, b := mustCode(t, "742-tunnel-orbit-candy").noticeMailbox(), mustCode(t, "742-tunnel-zoo-zoo").noticeMailbox()
	require.Equal(t, a.key.Pointer(), b.key.Pointer())
	require.NotEqual(t, a.key.Pointer(), mustCode(t, "743-tunnel-orbit-candy").noticeMailbox().key.Pointer())
}

// A link whose end has passed by the clock of the invitee fails with both times.
func TestExpiredInvitationNamesTheClock(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	inv := p.inviter.Invitation()
	_, err := ParseTicket(inv.Link(), inv.Expires.Add(time.Hour))
	require.ErrorIs(t, err, ErrExpired)
	require.ErrorContains(t, err, inv.Expires.Format(time.RFC3339))
	require.ErrorContains(t, err, clockText(inv.Expires.Add(time.Hour)))
}

// The attack: an invitation for ten minutes was made under a clock that was 20 years ahead,
// and lasts 20 years by the right clock. It is refused as expired, also after a restart; a
// clock that was set back by less than a day changes nothing.
func TestAnInvitationOfAFastClockIsRefusedWhenTheClockIsBack(t *testing.T) {
	for back, refused := range map[time.Duration]bool{20 * 365 * 24 * time.Hour: true, 25 * time.Hour: true, 23 * time.Hour: false, 0: false} {
		p := newLinkScenario(t, Terms{Made: start.Add(back), Expires: start.Add(back + 10*time.Minute)})
		p.resume(t)
		invitee := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link())
		p.stepInvitee(t, invitee)
		o := p.stepInviter(t)
		require.NoError(t, o.err)
		require.Equal(t, !refused, o.event.Accepted != nil, back)
		o = p.stepInvitee(t, invitee)
		if refused {
			requireReason(t, ReasonExpired, o)
		} else {
			require.NotNil(t, o.event.Paired)
		}
	}
	// A state of an older version has no such time.
	p := newLinkScenario(t, Terms{Expires: start.Add(20 * 365 * 24 * time.Hour)})
	p.resume(t)
	invitee := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link())
	p.stepInvitee(t, invitee)
	require.NotNil(t, p.stepInviter(t).event.Accepted)
}

// An invitation by link reaches the network when the clock of the inviter is behind that
// of the peers by less than a day.
func TestInvitationOfAClockBehindIsStored(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	p.store.Store = &dht.Memory{Now: func() time.Time { return p.clock.now().Add(23 * time.Hour) }}
	require.NoError(t, p.stepInviter(t).err)
}
