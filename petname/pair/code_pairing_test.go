package pair

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

const theCode = "742-tunnel-orbit-candy"

func mustCode(t require.TestingT, s string) Code {
	c, err := ParseCode(s)
	require.NoError(t, err)
	return c
}

// codeScenario is two sides with a code each, and the network between them.
type codeScenario struct {
	clock          *clock
	store          *loggingStore
	log            []string
	alice, bob     Self
	aliceMarks     *usedCodes
	bobMarks       *usedCodes
	inviter        *CodeInviter
	invitee        *CodeInvitee
	slot           slot
	inviterOutcome outcome
	inviteeOutcome outcome
}

type outcome struct {
	event Event
	err   error
}

func (o outcome) ended() bool { return o.event != (Event{}) || Final(o.err) }

func newCodeScenario(t require.TestingT, aliceCode, bobCode string) *codeScenario {
	m := &codeScenario{clock: newClock()}
	m.store = &loggingStore{Store: &dht.Memory{Now: m.clock.now}, log: &m.log}
	m.alice, m.bob = newSelf(t, 1, "Alice"), newSelf(t, 2, "Bob")
	m.aliceMarks, m.bobMarks = &usedCodes{log: &m.log}, &usedCodes{log: &m.log}
	var err error
	code := mustCode(t, aliceCode)
	m.inviter, err = InviteByCode(m.alice, code, m.aliceMarks.markUsed)
	require.NoError(t, err)
	m.invitee, err = AcceptCode(m.bob, mustCode(t, bobCode), m.bobMarks.markUsed)
	require.NoError(t, err)
	m.slot = code.slot(m.clock.now())
	m.store.names = map[pointer.Pointer]string{}
	for _, name := range []string{mailboxOffer, mailboxAcceptance, mailboxAnswer} {
		m.store.names[m.slot.mailboxKey(name).Pointer()] = name
	}
	return m
}

func (m *codeScenario) stepInviter(t require.TestingT) outcome {
	event, err := m.inviter.Step(context.Background(), m.store, m.clock.now())
	require.False(t, event != (Event{}) && err != nil)
	m.inviterOutcome = outcome{event, err}
	return m.inviterOutcome
}

func (m *codeScenario) stepInvitee(t require.TestingT) outcome {
	event, err := m.invitee.Step(context.Background(), m.store, m.clock.now())
	require.False(t, event != (Event{}) && err != nil)
	m.inviteeOutcome = outcome{event, err}
	return m.inviteeOutcome
}

// runToEnd steps both sides until they have ended, at the latest when the code expires.
func (m *codeScenario) runToEnd(t require.TestingT) {
	for range 200 {
		a, b := m.stepInviter(t), m.stepInvitee(t)
		if a.ended() && b.ended() {
			return
		}
		m.clock.after(15 * time.Second)
	}
	require.Fail(t, "it never ends")
}

func (m *codeScenario) requirePaired(t require.TestingT) {
	require.NoError(t, m.inviterOutcome.err)
	require.NoError(t, m.inviteeOutcome.err)
	a, b := m.inviterOutcome.event.Paired, m.inviteeOutcome.event.Paired
	require.Equal(t, m.bob.Identity, a.Peer)
	require.Equal(t, m.alice.Identity, b.Peer)
	require.Equal(t, ChannelCode, a.Channel)
	require.Equal(t, a.Transcript, b.Transcript, "both keep one evidence")
	transcript, err := ParseTranscript(a.Transcript)
	require.NoError(t, err)
	require.Equal(t, Transcript{ChannelCode, m.alice.Identity, m.bob.Identity}, transcript)
}

// requireNoWrongPairing requires that a side that paired has paired with the other honest
// side.
func (m *codeScenario) requireNoWrongPairing(t require.TestingT) {
	if p := m.inviterOutcome.event.Paired; p != nil {
		require.Equal(t, m.bob.Identity, p.Peer)
	}
	if p := m.inviteeOutcome.event.Paired; p != nil {
		require.Equal(t, m.alice.Identity, p.Peer)
	}
}

func TestCodePairsWhicheverSideStartsFirst(t *testing.T) {
	lawtest.Check(t, 30, func(t *rapid.T) {
		m := newCodeScenario(t, theCode, "742 TUNN orbi candy")
		m.clock.after(time.Duration(rapid.IntRange(0, 600).Draw(t, "start")) * time.Second)
		for range rapid.IntRange(0, 10).Draw(t, "steps of the invitee alone") {
			require.False(t, m.stepInvitee(t).ended())
			m.clock.after(10 * time.Second)
		}
		for range rapid.IntRange(0, 10).Draw(t, "steps of the inviter alone") {
			require.False(t, m.stepInviter(t).ended())
			m.clock.after(10 * time.Second)
		}
		m.runToEnd(t)
		m.requirePaired(t)
		require.Equal(t, m.inviterOutcome, m.stepInviter(t), "the outcome stays")
		require.Equal(t, m.inviteeOutcome, m.stepInvitee(t), "the outcome stays")
	})
}

func TestWrongCodeFailsOnBothSidesAndIsMarkedFirst(t *testing.T) {
	for _, heard := range []string{"742-tunnel-orbit-zoo", "742-tunnel-zoo-candy", "742-tunnel-candy-orbit"} {
		m := newCodeScenario(t, theCode, heard)
		m.runToEnd(t)
		require.ErrorIs(t, m.inviterOutcome.err, ErrWrongCode)
		require.ErrorIs(t, m.inviteeOutcome.err, ErrWrongCode)
		require.Equal(t, []string{
			"put offer", "mark taker 742-tunnel", "put take", "mark inviter 742-tunnel", "put answer",
		}, m.log, "each side notes that the code is used before it shows anything")
		require.NotContains(t, m.inviterOutcome.err.Error(), "orbit")
	}
}

// A used code stays marked for a day, much longer than its users retry it.
func TestUsedCodeIsMarkedForADay(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.runToEnd(t)
	m.requirePaired(t)
	for _, notes := range []*usedCodes{m.aliceMarks, m.bobMarks} {
		require.WithinRange(t, notes.until, start.Add(24*time.Hour), start.Add(24*time.Hour+CodeLife))
	}
}

// readOnlyStore is a network that can be read but not written.
type readOnlyStore struct{ dht.Store }

func (readOnlyStore) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, dht.ErrUnreachable
}

// If an offer cannot be put within its ten-minute slot, the inviter creates a new one for
// the next slot.
func TestLateOfferMovesToTheNextSlot(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	network := m.store.Store
	m.store.Store = readOnlyStore{network}
	require.ErrorIs(t, m.stepInviter(t).err, dht.ErrUnreachable)
	require.False(t, m.inviterOutcome.ended())
	m.clock.after(periodLength)
	m.store.Store = network
	m.runToEnd(t)
	m.requirePaired(t)
	require.Equal(t, m.slot.period+1, m.invitee.slot.period)
}

func TestNoMessageIsSentBeforeTheMarkIsDurable(t *testing.T) {
	full := errors.New("the disk is full")
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	m.bobMarks.fail = full
	puts := m.store.puts
	require.ErrorIs(t, m.stepInvitee(t).err, full)
	require.False(t, m.inviteeOutcome.ended(), "it can be tried again")
	require.Equal(t, puts, m.store.puts)
	m.bobMarks.fail = nil
	m.stepInvitee(t)
	m.aliceMarks.fail = full
	puts = m.store.puts
	require.ErrorIs(t, m.stepInviter(t).err, full)
	require.False(t, m.inviterOutcome.ended())
	require.Equal(t, puts, m.store.puts)
	m.aliceMarks.fail = nil
	m.runToEnd(t)
	m.requirePaired(t)
}

// guess returns the acceptance of an attacker that knows the slot and guesses the words.
func guess(t require.TestingT, m *codeScenario, words string) []byte {
	mallory, err := AcceptCode(newSelf(t, 9, "Mallory"), mustCode(t, "742-tunnel-"+words), (&usedCodes{}).markUsed)
	require.NoError(t, err)
	ok, err := mallory.acceptOffer(context.Background(), m.store, m.clock.now())
	require.NoError(t, err)
	require.True(t, ok)
	return mallory.acceptance
}

func TestInviterHandlesOneGuess(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	wrong, right := guess(t, m, "zoo-zoo"), guess(t, m, "orbit-candy")
	putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), wrong, 1, m.clock.now().Add(time.Hour))
	require.ErrorIs(t, m.stepInviter(t).err, ErrWrongCode)
	// 1. A second guess, even the right one, is not read.
	putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), right, 2, m.clock.now().Add(time.Hour))
	puts := m.store.puts
	require.ErrorIs(t, m.stepInviter(t).err, ErrWrongCode)
	require.Equal(t, puts, m.store.puts)
	// 2. Nor when the code is offered again, as after a crash.
	m.store.Store = &dht.Memory{Now: m.clock.now}
	again, err := InviteByCode(m.alice, mustCode(t, theCode), m.aliceMarks.markUsed)
	require.NoError(t, err)
	m.inviter = again
	m.stepInviter(t)
	putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), guess(t, m, "orbit-candy"), 1, m.clock.now().Add(time.Hour))
	require.ErrorIs(t, m.stepInviter(t).err, ErrCodeUsed)
}

func TestInviteeSendsOneConfirmation(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	m.stepInvitee(t)
	require.True(t, m.bobMarks.marks["taker 742-tunnel"])
	m.store.Store = &dht.Memory{Now: m.clock.now}
	m.clock.after(periodLength) // another offer, of an attacker that wants another guess
	mallory, err := InviteByCode(newSelf(t, 9, "Mallory"), mustCode(t, "742-tunnel-zoo-zoo"), (&usedCodes{}).markUsed)
	require.NoError(t, err)
	_, err = mallory.Step(context.Background(), m.store, m.clock.now())
	require.NoError(t, err)
	m.invitee, err = AcceptCode(m.bob, mustCode(t, theCode), m.bobMarks.markUsed)
	require.NoError(t, err)
	puts := m.store.puts
	require.ErrorIs(t, m.stepInvitee(t).err, ErrCodeUsed)
	require.Equal(t, puts, m.store.puts)
}

func TestOccupiedSlotRequiresANewCode(t *testing.T) {
	garbage := []byte("garbage")
	t.Run("by another offer", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		putMessage(t, m.store, m.slot.mailbox(mailboxOffer), garbage, 1, m.clock.now().Add(time.Minute))
		require.ErrorIs(t, m.stepInviter(t).err, ErrOccupied)
		require.True(t, Final(m.inviterOutcome.err))
		require.ErrorContains(t, m.inviterOutcome.err, "take a new code")
	})
	t.Run("by an offer of the last bucket", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		before := slot{m.slot.nameplate, m.slot.period - 1}
		putMessage(t, m.store, before.mailbox(mailboxOffer), garbage, 1, m.clock.now().Add(time.Minute))
		require.ErrorIs(t, m.stepInviter(t).err, ErrOccupied)
	})
	t.Run("by a message that waits for an offer", func(t *testing.T) {
		for _, name := range []string{mailboxAcceptance, mailboxAnswer} {
			m := newCodeScenario(t, theCode, theCode)
			putMessage(t, m.store, m.slot.mailbox(name), garbage, 1, m.clock.now().Add(time.Minute))
			require.ErrorIs(t, m.stepInviter(t).err, ErrOccupied)
		}
	})
	t.Run("by two offers at once", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		next := slot{m.slot.nameplate, m.slot.period - 1}
		putMessage(t, m.store, next.mailbox(mailboxOffer), garbage, 1, m.clock.now().Add(time.Minute))
		require.ErrorIs(t, m.stepInvitee(t).err, ErrOccupied)
		require.Empty(t, m.bobMarks.marks)
	})
	t.Run("by another invitee", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), garbage, 1, m.clock.now().Add(time.Minute))
		require.ErrorIs(t, m.stepInvitee(t).err, ErrOccupied)
		require.Empty(t, m.bobMarks.marks)
		require.ErrorIs(t, m.stepInviter(t).err, ErrTampered)
	})
	t.Run("and not by what has expired", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		for _, name := range []string{mailboxOffer, mailboxAcceptance, mailboxAnswer} {
			putMessage(t, m.store, m.slot.mailbox(name), garbage, 0, m.clock.now().Add(time.Second))
		}
		m.clock.after(2 * time.Second)
		m.runToEnd(t)
		m.requirePaired(t)
	})
}

func TestPairingWithoutAPeerTimesOut(t *testing.T) {
	m := newCodeScenario(t, theCode, "743-tunnel-orbit-candy")
	began := m.clock.now()
	m.runToEnd(t)
	require.ErrorIs(t, m.inviterOutcome.err, ErrTimeout)
	require.ErrorIs(t, m.inviteeOutcome.err, ErrTimeout)
	require.Less(t, m.clock.now().Sub(began), CodeLife+time.Minute)
	require.Empty(t, m.aliceMarks.marks)
	require.Empty(t, m.bobMarks.marks)
}

func TestLostOfferIsPutAgain(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	m.store.Store = &dht.Memory{Now: m.clock.now}
	m.stepInviter(t)
	m.stepInvitee(t)
	lost := &dht.Memory{Now: m.clock.now}
	message, ok := fetchMessage(t, m.store, m.slot.mailbox(mailboxOffer), m.clock.now())
	require.True(t, ok)
	putMessage(t, lost, m.slot.mailbox(mailboxOffer), message, 1, m.clock.now().Add(time.Minute))
	m.store.Store = lost // the acceptance is lost
	m.runToEnd(t)
	m.requirePaired(t)
}

func TestUnreachableNetworkIsRetried(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	away := func() {
		m.store.broken = dht.ErrUnreachable
		for _, o := range []outcome{m.stepInviter(t), m.stepInvitee(t)} {
			require.ErrorIs(t, o.err, dht.ErrUnreachable)
			require.False(t, o.ended())
		}
		m.store.broken = nil
	}
	away()
	m.stepInviter(t)
	away()
	m.stepInvitee(t)
	away()
	m.runToEnd(t)
	m.requirePaired(t)
}

func TestRunWaitsForTheClockAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &dht.Memory{}
		offer, err := InviteByCode(newSelf(t, 1, "Alice"), mustCode(t, theCode), (&usedCodes{}).markUsed)
		require.NoError(t, err)
		acceptance, err := AcceptCode(newSelf(t, 2, "Bob"), mustCode(t, theCode), (&usedCodes{}).markUsed)
		require.NoError(t, err)
		began := time.Now()
		done := make(chan outcome)
		go func() {
			event, err := Run(t.Context(), acceptance, store, nil, 2*time.Second)
			done <- outcome{event, err}
		}()
		event, err := Run(t.Context(), offer, store, nil, 2*time.Second)
		require.NoError(t, err)
		require.Equal(t, "Bob", event.Paired.Peer.Nickname)
		other := <-done
		require.NoError(t, other.err)
		require.Equal(t, "Alice", other.event.Paired.Peer.Nickname)
		require.LessOrEqual(t, time.Since(began), 10*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		lonely, err := AcceptCode(newSelf(t, 3, "Carol"), mustCode(t, "1-zoo-zoo-zoo"), (&usedCodes{}).markUsed)
		require.NoError(t, err)
		_, err = Run(ctx, lonely, store, nil, 2*time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestPairingNeedsItsParts(t *testing.T) {
	alice, bob := newSelf(t, 1, "Alice"), newSelf(t, 2, "Bob")
	code := mustCode(t, theCode)
	for why, try := range map[string]func() error{
		"no code":     func() error { _, err := InviteByCode(alice, Code{}, (&usedCodes{}).markUsed); return err },
		"no MarkUsed": func() error { _, err := AcceptCode(alice, code, nil); return err },
		"no key": func() error {
			_, err := AcceptCode(Self{Identity: alice.Identity}, code, (&usedCodes{}).markUsed)
			return err
		},
		"another's key": func() error {
			_, err := AcceptCode(Self{Key: bob.Key, Identity: alice.Identity}, code, (&usedCodes{}).markUsed)
			return err
		},
		"too much to say": func() error {
			id := alice.Identity
			id.Addresses = make([][]byte, pointer.MaxAddresses+1)
			_, err := AcceptCode(Self{Key: alice.Key, Identity: id}, code, (&usedCodes{}).markUsed)
			return err
		},
	} {
		require.Error(t, try(), why)
	}
}
