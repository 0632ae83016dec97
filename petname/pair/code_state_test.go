package pair

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// savedCode is a SaveCode in memory.
type savedCode struct {
	state []byte
	fail  error
}

func (s *savedCode) save(_ context.Context, state []byte) error {
	if s.fail == nil {
		s.state = bytes.Clone(state)
	}
	return s.fail
}

// restartInviter replaces the inviter by one of the state that was saved last, as a process
// does that starts again. Without a state the code is lost.
func (m *codeScenario) restartInviter(t require.TestingT, saved *savedCode) {
	if saved.state == nil {
		return
	}
	var err error
	m.inviter, err = ResumeInviteByCode(m.alice, saved.state, m.aliceMarks.markUsed)
	require.NoError(t, err)
	m.inviter.SaveWith(saved.save)
}

// restartInvitee is restartInviter for the invitee, whose owner enters the code again.
func (m *codeScenario) restartInvitee(t require.TestingT, saved *savedCode) {
	code := m.invitee.code
	var err error
	if saved.state == nil {
		m.invitee, err = AcceptCode(m.bob, code, m.bobMarks.markUsed)
	} else {
		m.invitee, err = ResumeAcceptCode(m.bob, saved.state, code, m.bobMarks.markUsed)
	}
	require.NoError(t, err)
	m.invitee.SaveWith(saved.save)
}

// A pairing by code ends well wherever either side was broken off, and how often.
func TestAPairingByCodeIsContinuedAfterRestarts(t *testing.T) {
	lawtest.Check(t, 60, func(t *rapid.T) {
		m := newCodeScenario(t, theCode, theCode)
		var a, b savedCode
		m.inviter.SaveWith(a.save)
		m.invitee.SaveWith(b.save)
		for range 200 {
			switch rapid.IntRange(0, 3).Draw(t, "act") {
			case 0:
				m.restartInviter(t, &a)
			case 1:
				m.restartInvitee(t, &b)
			case 2:
				m.stepInviter(t)
			case 3:
				m.stepInvitee(t)
			}
			if m.inviterOutcome.ended() && m.inviteeOutcome.ended() {
				break
			}
			m.clock.after(time.Second)
		}
		m.runToEnd(t)
		m.requirePaired(t)
	})
}

// A side that paired with the other long gone is of use to it: the inviter answered, and
// the invitee comes back after an hour, and the other way round.
func TestAnHourLater(t *testing.T) {
	for _, first := range []string{"invitee", "inviter"} {
		m := newCodeScenario(t, theCode, theCode)
		var a, b savedCode
		m.inviter.SaveWith(a.save)
		m.invitee.SaveWith(b.save)
		m.stepInviter(t)
		m.stepInvitee(t)
		if first == "inviter" {
			require.NotNil(t, m.stepInviter(t).event.Paired)
		}
		m.clock.after(time.Hour)
		m.restartInviter(t, &a)
		m.restartInvitee(t, &b)
		m.stepInviter(t)
		m.stepInvitee(t)
		m.requirePaired(t)
	}
}

// Attack: a guess is tested, and the inviter starts again before or after its answer. It
// handles no second acceptance, with whatever state.
func TestARestartedInviterHandlesOneGuess(t *testing.T) {
	m := newCodeScenario(t, theCode, "742-tunnel-orbit-zoo")
	var a savedCode
	m.inviter.SaveWith(a.save)
	m.stepInviter(t)
	right := guess(t, m, "orbit-candy")
	m.stepInvitee(t)
	require.ErrorIs(t, m.stepInviter(t).err, ErrWrongCode)
	m.restartInviter(t, &a)
	require.ErrorIs(t, m.stepInviter(t).err, ErrCodeUsed)

	// A right guess in the place of the wrong one does not help.
	putMessage(t, m.store.Store, m.slot.mailbox(mailboxAcceptance), right, 9, m.clock.now().Add(time.Hour))
	m.restartInviter(t, &a)
	require.Error(t, m.stepInviter(t).err)
	require.Nil(t, m.inviterOutcome.event.Paired)
}

// Attack: the invitee is made to accept twice. Other secret words are no continuation: the
// code stays used. What is continued is the same message.
func TestAResumedInviteeMakesNoSecondGuess(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	var b savedCode
	m.invitee.SaveWith(b.save)
	m.stepInviter(t)
	m.stepInvitee(t)
	sent, ok := fetchMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), m.clock.now())
	require.True(t, ok)
	_, err := ResumeAcceptCode(m.bob, b.state, mustCode(t, "742-tunnel-orbit-zoo"), m.bobMarks.markUsed)
	require.ErrorIs(t, err, ErrState)
	m.restartInvitee(t, &b)
	m.stepInvitee(t)
	again, ok := fetchMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), m.clock.now())
	require.True(t, ok)
	require.Equal(t, sent, again)
}

// A state is of one side, identity and code, and nothing is sent that is not saved.
func TestStatesOfCodesAreChecked(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	var a, b savedCode
	m.inviter.SaveWith(a.save)
	m.invitee.SaveWith(b.save)
	m.stepInviter(t)
	offered := a.state
	m.stepInvitee(t)
	m.stepInviter(t)
	for _, state := range [][]byte{nil, {}, b.state, offered[:len(offered)-1], append(bytes.Clone(offered), 0)} {
		_, err := ResumeInviteByCode(m.alice, state, m.aliceMarks.markUsed)
		require.ErrorIs(t, err, ErrState)
	}
	for _, state := range [][]byte{nil, a.state, offered} {
		_, err := ResumeAcceptCode(m.bob, state, mustCode(t, theCode), m.bobMarks.markUsed)
		require.ErrorIs(t, err, ErrState)
	}
	_, err := ResumeInviteByCode(m.bob, offered, m.aliceMarks.markUsed)
	require.ErrorIs(t, err, ErrState, "another identity, as after a rotation")
	_, err = ResumeAcceptCode(m.alice, b.state, mustCode(t, theCode), m.bobMarks.markUsed)
	require.ErrorIs(t, err, ErrState)
	for i := range a.state { // no damaged state panics or pairs with another
		damaged := bytes.Clone(a.state)
		damaged[i] ^= 1
		if side, err := ResumeInviteByCode(m.alice, damaged, m.aliceMarks.markUsed); err == nil && side.paired != nil {
			require.Equal(t, m.bob.Identity, side.paired.Peer)
		}
	}

	m = newCodeScenario(t, theCode, theCode)
	m.invitee.SaveWith((&savedCode{fail: errors.New("disk full")}).save)
	m.stepInviter(t)
	require.ErrorContains(t, m.stepInvitee(t).err, "disk full")
	_, sent := fetchMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), m.clock.now())
	require.False(t, sent)
}
