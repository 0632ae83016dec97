package exchange

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// An introducer that introduces a key of its own as that of another signs the proof of it. The
// deceived party has the proof in its book.
func TestAFalseIntroductionIsProvable(t *testing.T) {
	alice, bob, _ := three(t)
	network := alice.network
	mallory := newPerson(t, alice.clock, network, "mallory") // a key of Alice, which she introduces as Carol
	alice.knows(t, mallory)
	mallory.knows(t, alice)
	_, _, err := alice.IntroduceBoth(context.Background(), alice.key, mutual.Party{Pointer: pointerOf("bob")},
		mutual.Party{Pointer: pointerOf("mallory"), Suggested: "Carol"}, time.Time{})
	require.NoError(t, err)
	bob.accepts(t, bob.receivesOffer(t))
	mallory.accepts(t, mallory.receivesOffer(t))
	for range 3 {
		for _, p := range []*person{alice, bob, mallory} {
			p.fetch(t)
		}
	}
	s := bob.inbox(t)[0]
	name, err := name.Parse("carol")
	require.NoError(t, err)
	_, err = bob.book.Accept(s.ID, name, petname.Acceptance{})
	require.NoError(t, err)

	// Bob pairs with Carol, and finds that her key is another.
	evidence, err := bob.book.Evidence(s.Pointer)
	require.NoError(t, err)
	require.Len(t, evidence, 1)
	require.Equal(t, string(petname.Acquainted), evidence[0].Kind)
	shown, err := mutual.Redact(evidence[0].Statement)
	require.NoError(t, err)
	proof, err := mutual.Verify(shown)
	require.NoError(t, err)
	require.Equal(t, pointerOf("alice"), proof.Request.By)
	require.Equal(t, "Carol", proof.Request.Suggested)
	require.NotEqual(t, pointerOf("carol"), proof.Pointer)
}

// Messages of a contact that belong to no session, or to that of another party, are refused,
// and delay nothing.
func TestMessagesOfNoSessionAreRefused(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	m := alice.offers(t, bob, carol)
	offer := bob.receivesOffer(t)
	carols := carol.receivesOffer(t)
	send := func(from, to *person, body []byte) {
		_, err := from.sendMessage(ctx, from.key, pointerOf(to.name), message{Kind: kindMutual, Body: body})
		require.NoError(t, err)
	}
	send(alice, bob, []byte("garbage"))
	send(alice, bob, carols.Evidence) // to Carol, in Bob's session: it ends the session
	send(bob, alice, offer.Evidence)  // of a session that Alice started
	report := bob.fetch(t)
	require.Len(t, report.Refused, 2)
	require.Equal(t, mutual.Unexpected, bob.onlyMutual(t).Reason)
	require.Empty(t, bob.inbox(t))
	report = alice.fetch(t)
	require.Len(t, report.Refused, 1)
	require.Equal(t, mutual.Ended, alice.onlyMutual(t).Phase)
	require.Equal(t, m.Session, alice.onlyMutual(t).Session)

	// A removed contact is not polled.
	_, err := carol.book.Remove(pointerOf("alice"))
	require.NoError(t, err)
	alice.offers(t, bob, carol)
	report = carol.fetch(t)
	require.Empty(t, report.Fresh)
	require.Zero(t, report.Polled)
	require.Equal(t, m.Session, carol.onlyMutual(t).Session, "the second session is not stored")
}

func TestOneIntroducerHasBoundedSessions(t *testing.T) {
	alice, bob, carol := three(t)
	var last Mutual
	for range maxOffers + 2 {
		last = alice.offers(t, bob, carol)
	}
	for range 6 {
		bob.fetch(t)
		alice.fetch(t)
		carol.fetch(t)
	}
	require.Len(t, bob.inbox(t), maxOffers)
	all, err := bob.Mutuals()
	require.NoError(t, err)
	require.Len(t, all, maxOffers)
	started, err := alice.Mutuals()
	require.NoError(t, err)
	declined := 0
	for _, m := range started {
		if m.Reason == mutual.Declined {
			declined++
		}
		if m.Session == last.Session {
			require.Equal(t, mutual.Declined, m.Reason, "the introducer is notified")
		}
	}
	require.Equal(t, 2, declined)
}

func TestOffersOverTheBoundFillNoTable(t *testing.T) {
	alice, _, carol := three(t)
	for i := range maxOffers + maxDeclines + 4 {
		_, out, err := mutual.Start(carol.clock.now, rand.Reader, carol.key, mutual.Party{Pointer: pointerOf("alice"), Suggested: "x"},
			mutual.Party{Pointer: pointerOf(string(rune('A' + i))), Suggested: "y"}, carol.clock.now.Add(IntroductionLifetime))
		require.NoError(t, err)
		_, _ = alice.handleMutual(pointerOf("carol"), out[0].Bytes, &Report{})
	}
	require.Len(t, alice.rows(t, tableOutbox, pointerOf("carol").Bytes()), maxDeclines)
	all, err := alice.Mutuals()
	require.NoError(t, err)
	require.Len(t, all, maxOffers)
}

func TestAnOfferWaitsWhileTheInboxIsFull(t *testing.T) {
	alice, bob, carol := three(t)
	for i := range petname.MaxInboxFrom {
		b, err := introduce.Introduction{To: pointerOf("carol"), About: pointerOf(string(rune('A' + i))), Suggested: "x",
			Expires: alice.clock.now.Add(IntroductionLifetime)}.Sign(alice.key, nil, alice.clock.now)
		require.NoError(t, err)
		_, _, err = carol.book.Receive(b, "drop")
		require.NoError(t, err)
	}
	alice.offers(t, bob, carol)
	for range 2 {
		report := carol.fetch(t)
		require.Empty(t, report.Fresh)
		require.Len(t, report.Refused, 1)
		require.ErrorIs(t, report.Refused[0].Err, petname.ErrInboxFull)
		require.Equal(t, 1, alice.fetch(t).Waiting[pointerOf("carol")], "it is not acknowledged")
	}
	_, err := carol.book.Decline(carol.inbox(t)[0].ID, false)
	require.NoError(t, err)
	carol.receivesOffer(t)
	require.NotContains(t, alice.fetch(t).Waiting, pointerOf("carol"))
}

// An offer that the book refuses leaves no stored session.
func TestAnOfferByAnUnknownSenderLeavesNoSession(t *testing.T) {
	_, _, carol := three(t)
	_, out, err := mutual.Start(carol.clock.now, rand.Reader, testKey("mallory"), mutual.Party{Pointer: pointerOf("carol"), Suggested: "x"},
		mutual.Party{Pointer: pointerOf("bob"), Suggested: "y"}, carol.clock.now.Add(IntroductionLifetime))
	require.NoError(t, err)
	stop, err := carol.handleMutual(pointerOf("mallory"), out[0].Bytes, &Report{})
	require.ErrorIs(t, err, petname.ErrUnknownSender)
	require.False(t, stop)
	all, err := carol.Mutuals()
	require.NoError(t, err)
	require.Empty(t, all)
}

// The keys and addresses that a contact sent when it paired are not replaced by those of a
// mutual introduction.
func TestAnIntroductionDoesNotReplaceDataFromAPairing(t *testing.T) {
	alice, bob, carol := three(t)
	paired := pointer.Details{Sealing: identityOf(alice).Sealing, Addresses: [][]byte{{1}}}
	require.NoError(t, bob.putKnown(pointerOf("carol"), paired))
	alice.offers(t, bob, carol)
	bob.accepts(t, bob.receivesOffer(t))
	carol.accepts(t, carol.receivesOffer(t))
	for range 3 {
		for _, p := range []*person{alice, bob, carol} {
			p.fetch(t)
		}
	}
	require.Equal(t, mutual.Active, bob.onlyMutual(t).Phase)
	require.Len(t, bob.inbox(t), 1)
	now, err := bob.knownDetails(pointerOf("carol"))
	require.NoError(t, err)
	require.Equal(t, paired, now)
}
