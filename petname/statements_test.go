package petname

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// introductionID is that of a signed introduction.
func introductionID(t testing.TB, signed []byte) introduce.ID {
	t.Helper()
	i, err := introduce.OpenIntroduction(signed, time.Time{})
	require.NoError(t, err)
	return i.ID
}

// retraction takes an introduction to me back, by a key.
func retraction(t testing.TB, by string, introduction []byte) []byte {
	t.Helper()
	b, err := introduce.Retraction{To: pointerOf("me"), ID: introductionID(t, introduction)}.Sign(testKey(by), epoch)
	require.NoError(t, err)
	return b
}

// sharedBy are edges that a key shares with me.
func sharedBy(t testing.TB, by string, version uint64, label, to string) []byte {
	t.Helper()
	b, err := introduce.Edges{To: pointerOf("me"), Version: version, Edges: map[string]pointer.Edge{label: {Pointer: pointerOf(to)}}}.Sign(testKey(by), epoch)
	require.NoError(t, err)
	return b
}

// statementsBy is a statement of each kind that a key signs, all to me.
func statementsBy(t testing.TB, by string) map[string][]byte {
	t.Helper()
	intro := introduced(t, by, "me", "bob")
	question, err := introduce.Question{To: pointerOf("me"), Subject: introduced(t, "dave", by, "me")}.Sign(testKey(by), epoch)
	require.NoError(t, err)
	denial, err := introduce.Deny(introduced(t, "dave", "me", "false"), testKey(by), epoch)
	require.NoError(t, err)
	return map[string][]byte{
		"introduction": intro, "retraction": retraction(t, by, introduced(t, by, "me", "carol")), "edges": sharedBy(t, by, 1, "bob", "bob"),
		"question": question, "denial": denial,
	}
}

// The attack: a thief has a key that a contact has left behind. What it signs is
// not the contact's word any more, of whatever kind.
func TestStatementsOfAnEarlierKeyAreRefused(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	for name, signed := range statementsBy(t, "a") { // while it is her key
		_, fresh, err := b.Receive(signed, "drop")
		require.NoError(t, err, name)
		require.True(t, fresh, name)
	}
	require.NoError(t, b.Succeed(pointerOf("a"), chain(step(t, "a"))))
	n := entries(b)
	for name, signed := range statementsBy(t, "a") {
		_, _, err := b.Receive(signed, "drop")
		require.ErrorIs(t, err, ErrStranger, name)
	}
	require.Equal(t, n, entries(b))
	for name, signed := range statementsBy(t, "next a") {
		_, fresh, err := b.Receive(signed, "drop")
		require.NoError(t, err, name)
		require.True(t, fresh, name)
	}
}

// A contact of whom two next keys are on record may be two: neither is heard.
func TestStatementsOfAContactInDuplicityAreRefused(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	require.NoError(t, b.Succeed(pointerOf("a"), chain(step(t, "a"))))
	books := testDevices(t, 2)
	pinnedAlice(t, books[0])
	pull(t, books[1], books[0])
	require.NoError(t, books[0].Succeed(pointerOf("a"), chain(step(t, "a"))))
	require.NoError(t, books[1].Succeed(pointerOf("a"), chain(stepTo(t, "a", "next a", commitment("other")))))
	sync(t, books...)
	for name, signed := range statementsBy(t, "next a") {
		_, _, err := b.Receive(signed, "drop")
		require.NoError(t, err, name)
		_, _, err = books[0].Receive(signed, "drop")
		require.ErrorIs(t, err, ErrStranger, name)
	}
}

// Of two introductions by one introducer, even about one pointer, a retraction
// takes out the one that it names.
func TestARetractionLeavesTheIntroducersOtherStatements(t *testing.T) {
	for _, about := range []string{"bob", "carol"} {
		for _, first := range []bool{false, true} {
			b := newTestBook(t)
			mustAdd(t, b, "alice", "alice")
			signed := [][]byte{introduced(t, "alice", "me", "bob"), introduced(t, "alice", "me", about)}
			if first {
				slices.Reverse(signed)
			}
			gone, stays := receive(t, b, signed[0]), receive(t, b, signed[1])
			receive(t, b, retraction(t, "alice", signed[0]))
			waiting := inbox(t, b)
			require.Len(t, waiting, 1)
			require.Equal(t, stays, waiting[0].ID)
			_, err := b.Accept(gone, mustName("gone"), Acceptance{})
			require.ErrorIs(t, err, ErrDecided)
			c, err := b.Accept(stays, mustName("stays"), Acceptance{})
			require.NoError(t, err)
			evidence, err := b.Evidence(c.Pointer)
			require.NoError(t, err)
			for _, e := range evidence {
				require.Equal(t, bytes.Equal(e.Statement, signed[0]), e.Retracted)
			}
		}
	}
}

// The key of an introducer may have gone on between an introduction and its
// retraction; which is hers then, and nobody else's.
func TestALaterKeyOfTheIntroducerRetracts(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	mustAdd(t, b, "dave", "dave")
	waits, accepted := introduced(t, "a", "me", "bob"), introduced(t, "a", "me", "carol")
	receive(t, b, waits)
	_, err := b.Accept(receive(t, b, accepted), mustName("carol"), Acceptance{})
	require.NoError(t, err)
	require.NoError(t, b.Succeed(pointerOf("a"), chain(step(t, "a"))))
	isRetracted := func() bool {
		evidence, err := b.Evidence(pointerOf("carol"))
		require.NoError(t, err)
		require.Len(t, evidence, 1)
		return evidence[0].Retracted
	}
	for _, signed := range [][]byte{waits, accepted} {
		_, _, err := b.Receive(retraction(t, "dave", signed), "drop")
		require.NoError(t, err)
	}
	require.Len(t, inbox(t, b), 1, "another's retraction")
	require.False(t, isRetracted())
	receive(t, b, retraction(t, "next a", accepted))
	require.Len(t, inbox(t, b), 1, "of another introduction")
	require.True(t, isRetracted())
	receive(t, b, retraction(t, "next a", waits))
	require.Empty(t, inbox(t, b))
	require.NotContains(t, dump(t, b), tablePending+" ", "nor is it among those that wait")
}

// One device has the introduction and the other its retraction: when they meet,
// nothing is left to accept, on either.
func TestARetractionThatAnotherDeviceReceivedCounts(t *testing.T) {
	books := testDevices(t, 2)
	mustAdd(t, books[0], "alice", "alice")
	mustAdd(t, books[0], "dave", "dave")
	sync(t, books...)
	signed, other := introduced(t, "alice", "me", "bob"), introduced(t, "alice", "me", "carol")
	id := receive(t, books[0], signed)
	receive(t, books[0], other)
	receive(t, books[1], retraction(t, "alice", signed))
	receive(t, books[1], retraction(t, "dave", other))
	sync(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
	for _, b := range books {
		waiting := inbox(t, b)
		require.Len(t, waiting, 1)
		require.Equal(t, pointerOf("carol"), waiting[0].Pointer)
		s, err := b.Suggestion(id.String())
		require.NoError(t, err)
		require.Equal(t, Withdrawn, s.State)
		_, err = b.Accept(id, mustName("bob"), Acceptance{})
		require.ErrorIs(t, err, ErrDecided)
	}
}

// Edges that a contact shares never go back to an older list: not by a replay,
// nor when the contact was removed and named again, nor by another device that
// heard less.
func TestSharedEdgesNeverGoBack(t *testing.T) {
	books := testDevices(t, 2)
	mustAdd(t, books[0], "alice", "alice")
	sync(t, books...)
	labels := func(b *Book) (all []string) {
		told, err := b.Told(pointerOf("alice"))
		require.NoError(t, err)
		for label := range told.Edges {
			all = append(all, label)
		}
		return all
	}
	receive(t, books[0], sharedBy(t, "alice", 3, "three", "bob"))
	receive(t, books[1], sharedBy(t, "alice", 2, "two", "bob"))
	sync(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
	b := books[0]
	n := entries(b)
	for name, old := range map[string][]byte{
		"the same": sharedBy(t, "alice", 3, "three", "bob"), "of the same version": sharedBy(t, "alice", 3, "other", "bob"),
		"older": sharedBy(t, "alice", 2, "two", "bob"), "the first": sharedBy(t, "alice", 1, "one", "bob"),
	} {
		_, fresh, err := b.Receive(old, "drop")
		require.NoError(t, err, name)
		require.False(t, fresh, name)
	}
	require.Equal(t, n, entries(b))
	for _, b := range books {
		require.Equal(t, []string{"three"}, labels(b))
	}
	_, err := b.Remove(pointerOf("alice"))
	require.NoError(t, err)
	require.Empty(t, labels(b), "nobody's")
	mustAdd(t, b, "alice", "alice")
	_, fresh, err := b.Receive(sharedBy(t, "alice", 2, "two", "bob"), "drop")
	require.NoError(t, err)
	require.False(t, fresh)
	require.Equal(t, []string{"three"}, labels(b))

	// A device that writes an old list down all the same turns nothing back, in
	// whatever order it is folded.
	_, err = books[1].Ledger().Append(marshal(act{Op: opHear, Statement: sharedBy(t, "alice", 1, "one", "bob"), Channel: "drop"}))
	require.NoError(t, err)
	sync(t, books...)
	for _, b := range books {
		require.Equal(t, []string{"three"}, labels(b))
		require.NoError(t, b.Ledger().Rebuild())
		require.Equal(t, []string{"three"}, labels(b))
	}
}

// Two devices that received different lists of one version come to one of them,
// whichever comes first.
func TestSharedEdgesOfOneVersionAreOneListOnAllDevices(t *testing.T) {
	one, other := sharedBy(t, "alice", 1, "one", "bob"), sharedBy(t, "alice", 1, "other", "bob")
	want, err := introduce.OpenEdges(slices.MinFunc([][]byte{one, other}, bytes.Compare))
	require.NoError(t, err)
	for _, signed := range [][2][]byte{{one, other}, {other, one}} {
		books := testDevices(t, 2)
		mustAdd(t, books[0], "alice", "alice")
		sync(t, books...)
		receive(t, books[0], signed[0])
		receive(t, books[1], signed[1])
		sync(t, books...)
		require.Equal(t, dump(t, books[0]), dump(t, books[1]))
		for _, b := range books {
			told, err := b.Told(pointerOf("alice"))
			require.NoError(t, err)
			require.Equal(t, want.Edges, told.Edges)
		}
	}
}

// What a key shared that the contact has left behind is not read any more: it may
// be a thief's.
func TestEdgesOfAnEarlierKeyAreNotRead(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	receive(t, b, sharedBy(t, "a", 5, "old", "bob"))
	require.NoError(t, b.Succeed(pointerOf("a"), chain(step(t, "a"))))
	for _, seed := range []string{"a", "next a"} {
		told, err := b.Told(pointerOf(seed))
		require.NoError(t, err)
		require.Empty(t, told.Edges)
	}
	receive(t, b, sharedBy(t, "next a", 1, "new", "bob"))
	told, err := b.Told(pointerOf("a"))
	require.NoError(t, err)
	require.Contains(t, told.Edges, "new")
}

// Of a contact with two next keys nothing is read that it shares, whichever of the
// two signed it; nor what another device wrote down and was shared with somebody
// else.
func TestEdgesThatMayNotBeMeantForMeAreNotRead(t *testing.T) {
	books := testDevices(t, 2)
	pinnedAlice(t, books[0])
	mustAdd(t, books[0], "dave", "dave")
	receive(t, books[0], sharedBy(t, "a", 1, "bob", "bob"))
	sync(t, books...)
	for _, b := range books {
		require.NoError(t, b.Learn(pointerOf("a"), pointer.Card{Next: commitment("a")}))
	}
	told, err := books[0].Told(pointerOf("a"))
	require.NoError(t, err)
	require.Contains(t, told.Edges, "bob")
	_, err = books[1].Ledger().Append(marshal(act{Op: opLearn, Contact: pointerOf("a").Bytes(), Fact: &wireFact{Kind: "link", By: "me", Channel: "api", Next: commitment("other").Bytes()}}))
	require.NoError(t, err)
	forAnother, err := introduce.Edges{To: pointerOf("carol"), Version: 1, Edges: map[string]pointer.Edge{"bob": {Pointer: pointerOf("bob")}}}.Sign(testKey("dave"), epoch)
	require.NoError(t, err)
	_, err = books[1].Ledger().Append(marshal(act{Op: opHear, Statement: forAnother, Channel: "drop"}))
	require.NoError(t, err)
	sync(t, books...)
	told, err = books[0].Told(pointerOf("a"))
	require.NoError(t, err)
	require.Empty(t, told.Edges)
	_, err = books[0].Told(pointerOf("dave"))
	require.ErrorIs(t, err, ErrNotForMe)
}

// The attack: an introduction that is dated ahead would wait, and have to be
// remembered, for as long as its maker likes.
func TestAnIntroductionFromTheFutureIsRefused(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	by := func(ahead time.Duration) []byte {
		made := epoch.Add(ahead)
		i := introduce.Introduction{To: pointerOf("me"), About: pointerOf("bob"), Expires: made.Add(introduce.MaxLife)}
		signed, err := i.Sign(testKey("alice"), nil, made)
		require.NoError(t, err)
		return signed
	}
	for _, ahead := range []time.Duration{24*time.Hour + time.Minute, 30 * 365 * 24 * time.Hour} {
		_, _, err := b.Receive(by(ahead), "drop")
		require.ErrorIs(t, err, introduce.ErrInvalid, ahead)
		require.Empty(t, inbox(t, b))
	}
	receive(t, b, by(24*time.Hour)) // a clock may be a day ahead
	require.Len(t, inbox(t, b), 1)
}

// A statement in another spelling is refused, and so can't be a second one.
func TestStatementsInAnotherEncodingAreRefused(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "a", "a")
	for name, signed := range statementsBy(t, "a") {
		spelling := slices.Concat([]byte{0xb8, signed[0] & 31}, signed[1:]) // the map's length in two bytes
		_, _, err := b.Receive(spelling, "drop")
		require.ErrorIs(t, err, introduce.ErrInvalid, name)
	}
}
