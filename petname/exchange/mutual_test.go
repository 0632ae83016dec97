package exchange

import (
	"context"
	"crypto"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// offers starts a mutual introduction of a and b by p.
func (p *person) offers(t testing.TB, a, b *person) Mutual {
	t.Helper()
	m, sent, err := p.IntroduceBoth(context.Background(), p.key, mutual.Party{Pointer: pointerOf(a.name), Suggested: "The " + a.name, Note: "from the choir"},
		mutual.Party{Pointer: pointerOf(b.name), Suggested: "The " + b.name}, time.Time{})
	require.NoError(t, err)
	require.Equal(t, Stored, sent)
	return m
}

// receivesOffer fetches, and returns the only offer.
func (p *person) receivesOffer(t testing.TB) petname.Suggestion {
	t.Helper()
	report := p.fetch(t)
	require.Empty(t, report.Refused)
	require.Len(t, report.Fresh, 1)
	require.Equal(t, petname.Mutual, report.Fresh[0].Kind)
	return report.Fresh[0]
}

func (p *person) accepts(t testing.TB, offer petname.Suggestion) {
	t.Helper()
	_, _, err := p.AcceptMutual(context.Background(), p.key, offer.ID)
	require.NoError(t, err)
}

// onlyMutual returns the only session of p.
func (p *person) onlyMutual(t testing.TB) Mutual {
	t.Helper()
	all, err := p.Mutuals()
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

// requireAcquainted requires that the inbox has the other party of a session only.
func (p *person) requireAcquainted(t testing.TB, other *person) petname.Suggestion {
	t.Helper()
	all := p.inbox(t)
	require.Len(t, all, 1)
	s := all[0]
	require.Equal(t, petname.Acquainted, s.Kind)
	require.Equal(t, pointerOf(other.name), s.Pointer)
	require.Equal(t, pointerOf("alice"), s.By)
	require.Equal(t, other.next(), s.Next)
	require.Equal(t, other.name, s.Nickname)
	require.Equal(t, "The "+other.name, s.Suggested)
	summary, err := mutual.Verify(s.Evidence)
	require.NoError(t, err)
	require.Len(t, summary.Payload.Sealing, len(other.sealing))
	known, err := p.knownDetails(pointerOf(other.name))
	require.NoError(t, err)
	require.Equal(t, summary.Payload.Sealing, known.Sealing, "it can be sent to before there is a card")
	require.Equal(t, summary.Payload.Addresses, known.Addresses)
	_, err = p.book.ByPointer(pointerOf(other.name))
	require.ErrorIs(t, err, petname.ErrNotFound, "it adds no contact")
	return s
}

func TestTwoContactsAreIntroducedToEachOther(t *testing.T) {
	alice, bob, carol := three(t)
	m := alice.offers(t, bob, carol)
	require.Equal(t, [2]pointer.Pointer{pointerOf("bob"), pointerOf("carol")}, m.Parties)
	offer := bob.receivesOffer(t)
	require.True(t, offer.Pointer.IsZero())
	require.Equal(t, "The carol", offer.Suggested)
	bob.accepts(t, offer)
	require.Empty(t, bob.inbox(t), "the offer is decided on")
	carol.accepts(t, carol.receivesOffer(t))
	// Each is the only party online when it acts, and restarts after it.
	for range 3 {
		for _, p := range []*person{alice, bob, carol} {
			p.fetch(t)
			p.reopen(t)
		}
	}
	bob.requireAcquainted(t, carol)
	s := carol.requireAcquainted(t, bob)
	require.Equal(t, mutual.Active, alice.onlyMutual(t).Phase)
	for range 2 {
		for _, p := range []*person{alice, bob, carol} {
			report := p.fetch(t)
			require.Empty(t, report.Fresh)
			require.Empty(t, report.Mutual)
			require.Empty(t, report.Refused)
			require.Empty(t, report.Waiting)
		}
	}
	name, err := name.Parse("bob")
	require.NoError(t, err)
	c, err := carol.book.Accept(s.ID, name, petname.Acceptance{})
	require.NoError(t, err)
	require.Equal(t, bob.next(), c.Next)
}

// No two parties are online at the same time, and days pass between their steps.
func TestPartiesNeedNotBeOnlineAtTheSameTime(t *testing.T) {
	alice, bob, carol := three(t)
	alice.offers(t, bob, carol)
	days := func() { alice.clock.now = alice.clock.now.Add(30 * time.Hour) }
	days()
	bob.accepts(t, bob.receivesOffer(t))
	days()
	carol.accepts(t, carol.receivesOffer(t))
	for range 4 {
		for _, p := range []*person{alice, bob, carol} {
			days()
			p.fetch(t)
		}
	}
	bob.requireAcquainted(t, carol)
	carol.requireAcquainted(t, bob)
}

func TestALockedHomeAuthenticatesWhenItsKeyIsAvailable(t *testing.T) {
	alice, bob, carol := three(t)
	alice.offers(t, bob, carol)
	bob.accepts(t, bob.receivesOffer(t))
	carol.accepts(t, carol.receivesOffer(t))
	alice.fetch(t)
	carol.fetch(t)
	alice.fetch(t)
	for range 3 {
		report, err := bob.Sync(context.Background(), nil)
		require.NoError(t, err)
		require.Empty(t, report.Errs)
		bob.reopen(t)
	}
	require.Equal(t, mutual.Revealed, bob.onlyMutual(t).Phase)
	require.Empty(t, bob.inbox(t))
	for range 3 {
		for _, p := range []*person{bob, alice, carol} {
			p.fetch(t)
		}
	}
	bob.requireAcquainted(t, carol)
	carol.requireAcquainted(t, bob)
}

func TestADeclineEndsTheSessionOfTheOtherParty(t *testing.T) {
	for _, late := range []bool{false, true} {
		alice, bob, carol := three(t)
		alice.offers(t, bob, carol)
		offer := bob.receivesOffer(t)
		carols := carol.receivesOffer(t)
		carol.accepts(t, carols)
		if late {
			bob.accepts(t, offer)
			alice.fetch(t)
			bob.fetch(t)
		}
		_, _, err := bob.DeclineMutual(context.Background(), bob.key, offer.ID)
		require.NoError(t, err)
		for range 3 {
			for _, p := range []*person{alice, carol, bob} {
				p.fetch(t)
			}
		}
		for _, p := range []*person{alice, bob, carol} {
			m := p.onlyMutual(t)
			require.Equal(t, mutual.Ended, m.Phase)
			require.Equal(t, mutual.Declined, m.Reason)
			require.Empty(t, p.inbox(t))
		}
		s, err := carol.book.Suggestion(carols.ID.String())
		require.NoError(t, err)
		require.Equal(t, petname.Withdrawn, s.State)
		s, err = bob.book.Suggestion(offer.ID.String())
		require.NoError(t, err)
		require.Equal(t, petname.Declined, s.State)
		_, _, err = bob.AcceptMutual(context.Background(), bob.key, offer.ID)
		require.ErrorAs(t, err, new(*mutual.EndedError))
	}
}

func TestAWithdrawnOfferLeavesTheInbox(t *testing.T) {
	alice, bob, carol := three(t)
	m := alice.offers(t, bob, carol)
	bob.receivesOffer(t)
	carol.accepts(t, carol.receivesOffer(t))
	_, _, err := alice.WithdrawMutual(context.Background(), alice.key, m.Session)
	require.NoError(t, err)
	bob.fetch(t)
	carol.fetch(t)
	require.Empty(t, bob.inbox(t))
	require.Equal(t, mutual.Withdrawn, carol.onlyMutual(t).Reason)
	_, _, err = alice.WithdrawMutual(context.Background(), alice.key, mutual.Session{1})
	require.ErrorIs(t, err, petname.ErrNotFound)
}

// An expired session is deleted by every party, and its messages are no longer accepted.
func TestAnExpiredSessionIsDeleted(t *testing.T) {
	alice, bob, carol := three(t)
	alice.offers(t, bob, carol)
	offer := bob.receivesOffer(t)
	bob.accepts(t, offer)
	alice.fetch(t)
	carols := carol.receivesOffer(t)
	alice.clock.now = alice.clock.now.Add(IntroductionLifetime)
	_, _, err := carol.AcceptMutual(context.Background(), carol.key, carols.ID)
	require.ErrorAs(t, err, new(*mutual.EndedError))
	for _, p := range []*person{alice, bob, carol} {
		p.publish(t)
		p.fetch(t)
		all, err := p.Mutuals()
		require.NoError(t, err)
		require.Empty(t, all)
		require.Empty(t, p.inbox(t))
	}
	// A replay of the request is refused, although the session is deleted.
	_, err = alice.sendMessage(context.Background(), alice.key, pointerOf("bob"), message{Kind: kindMutual, Body: offer.Evidence})
	require.NoError(t, err)
	report := bob.fetch(t)
	require.Len(t, report.Refused, 1)
	require.Empty(t, report.Fresh)
	require.Empty(t, bob.inbox(t))
}

func TestAcceptingAgainChangesNothing(t *testing.T) {
	alice, bob, carol := three(t)
	alice.offers(t, bob, carol)
	offer := bob.receivesOffer(t)
	bob.accepts(t, offer)
	before := bob.onlyMutual(t)
	bob.accepts(t, offer)
	require.Equal(t, before, bob.onlyMutual(t))
	require.Empty(t, alice.fetch(t).Refused)
	require.Equal(t, [2]bool{true, false}, alice.onlyMutual(t).Consented)

	var nobody crypto.Signer
	carols := carol.receivesOffer(t)
	_, _, err := carol.AcceptMutual(context.Background(), nobody, carols.ID)
	require.Error(t, err)
	require.Len(t, carol.inbox(t), 1, "nothing was decided")
	_, _, err = carol.AcceptMutual(context.Background(), bob.key, carols.ID)
	require.Error(t, err, "the key of another owner")
	require.Equal(t, mutual.Invited, carol.onlyMutual(t).Phase)
}

// crashesAfterHandling handles the messages of a party, and restarts before the channel is
// stored.
func (p *person) crashesAfterHandling(t testing.TB, party string) {
	t.Helper()
	ctx := context.Background()
	c, err := p.openChannel(ctx, p.key, pointerOf(party))
	require.NoError(t, err)
	polled, err := c.Poll(ctx, p.network, p.clock.Now())
	require.NoError(t, err)
	var lost Report
	for _, m := range polled.Messages {
		_, err := p.handle(ctx, pointerOf(party), m, &lost)
		require.NoError(t, err)
	}
	p.reopen(t)
}

func TestACrashBeforeTheChannelIsStoredChangesNothing(t *testing.T) {
	alice, bob, carol := three(t)
	alice.offers(t, bob, carol)
	for _, p := range []*person{bob, carol} {
		p.crashesAfterHandling(t, "alice")
		require.Empty(t, p.fetch(t).Refused)
		require.Len(t, p.inbox(t), 1)
		p.accepts(t, p.inbox(t)[0])
	}
	for range 4 {
		alice.crashesAfterHandling(t, "bob")
		alice.crashesAfterHandling(t, "carol")
		require.Empty(t, alice.fetch(t).Refused)
		for _, p := range []*person{bob, carol} {
			p.crashesAfterHandling(t, "alice")
			require.Empty(t, p.fetch(t).Refused)
		}
	}
	bob.requireAcquainted(t, carol)
	carol.requireAcquainted(t, bob)
	require.Equal(t, mutual.Active, alice.onlyMutual(t).Phase)
	require.Empty(t, alice.fetch(t).Waiting)
}

// When a session is over, its queued messages are not sent. Other messages are
// sent.
func TestAnEndedSessionRemovesOnlyItsOwnMessages(t *testing.T) {
	alice, bob, carol := three(t)
	ended, active := alice.offers(t, bob, carol), alice.offers(t, carol, bob)
	var left []mutual.Session
	for _, session := range []mutual.Session{ended.Session, active.Session} {
		i, err := alice.loadIntroducer(session)
		require.NoError(t, err)
		require.NoError(t, alice.update(func(tx tx) error { return tx.enqueueAll(i.Withdraw()) }))
	}
	require.NoError(t, alice.deleteSession(tableIntroducers, ended.Session[:], ended.Session))
	for _, b := range alice.rows(t, tableOutbox, nil) {
		m, err := decodeMessage(b)
		require.NoError(t, err)
		session, _, err := mutual.SessionOf(m.Body)
		require.NoError(t, err)
		left = append(left, session)
	}
	require.Equal(t, []mutual.Session{active.Session, active.Session}, left)
	require.Equal(t, active.Session, alice.onlyMutual(t).Session)
}

// Consent to an expired offer is not recorded in the book.
func TestConsentAfterTheExpiryIsNotRecorded(t *testing.T) {
	alice, bob, carol := three(t)
	alice.offers(t, bob, carol)
	offer := bob.receivesOffer(t)
	bob.clock.now = offer.Expires.Add(time.Hour)
	entries := func() (n int) {
		for _, err := range bob.book.Log() {
			require.NoError(t, err)
			n++
		}
		return n
	}
	before := entries()
	_, _, err := bob.AcceptMutual(context.Background(), bob.key, offer.ID)
	require.ErrorAs(t, err, new(*mutual.EndedError))
	require.Equal(t, before, entries())
}
