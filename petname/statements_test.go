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

// introductionID returns the ID of a signed introduction.
func introductionID(t testing.TB, signed []byte) introduce.ID {
	t.Helper()
	_, i := opened(signed)
	return i.ID
}

// retraction returns a retraction of an introduction to the owner, signed by a
// key.
func retraction(t testing.TB, by string, introduction []byte) []byte {
	t.Helper()
	s, err := introduce.Retraction{To: pointerOf("me"), ID: introductionID(t, introduction)}.Sign(testKey(by), epoch)
	require.NoError(t, err)
	return s.Bytes()
}

// sharedBy returns edges that a key shares with the owner.
func sharedBy(t testing.TB, by string, version uint64, label, to string) []byte {
	t.Helper()
	s, err := introduce.Edges{To: pointerOf("me"), Version: version, Edges: map[string]pointer.Edge{label: {Pointer: pointerOf(to)}}}.Sign(testKey(by), epoch)
	require.NoError(t, err)
	return s.Bytes()
}

// statementsBy returns a statement of each kind that a key signs, all addressed
// to the owner.
func statementsBy(t testing.TB, by string) map[string][]byte {
	t.Helper()
	intro := introduced(t, by, "me", "bob")
	question, err := introduce.Question{To: pointerOf("me"), Subject: subjectOf(introduced(t, "dave", by, "me"))}.Sign(testKey(by), epoch)
	require.NoError(t, err)
	denial, err := introduce.Deny(subjectOf(introduced(t, "dave", "me", "false")), testKey(by), epoch)
	require.NoError(t, err)
	return map[string][]byte{
		"introduction": intro, "retraction": retraction(t, by, introduced(t, by, "me", "carol")), "edges": sharedBy(t, by, 1, "bob", "bob"),
		"question": question.Bytes(), "denial": denial.Bytes(),
	}
}

// Attack: a thief has a former key of a contact. Statements of any kind that
// this key signs are no longer accepted as the contact's.
func TestStatementsOfAnEarlierKeyAreRefused(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	for name, signed := range statementsBy(t, "a") { // signed while it is her current key
		_, fresh, err := b.receiveBytes(signed, "drop")
		require.NoError(t, err, name)
		require.True(t, fresh, name)
	}
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	n := entries(b)
	for name, signed := range statementsBy(t, "a") {
		_, _, err := b.receiveBytes(signed, "drop")
		require.ErrorIs(t, err, ErrUnknownSender, name)
	}
	require.Equal(t, n, entries(b))
	for name, signed := range statementsBy(t, "next a") {
		_, fresh, err := b.receiveBytes(signed, "drop")
		require.NoError(t, err, name)
		require.True(t, fresh, name)
	}
}

// A contact with two next keys on record may be two parties: the book accepts
// statements of neither key.
func TestStatementsOfAContactInDuplicityAreRefused(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	books := testDevices(t, 2)
	pinnedAlice(t, books[0])
	pull(t, books[1], books[0])
	require.NoError(t, books[0].applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	require.NoError(t, books[1].applySuccession(pointerOf("a"), chain(stepTo(t, "a", "next a", commitment("other"))), "test"))
	syncBooks(t, books...)
	for name, signed := range statementsBy(t, "next a") {
		_, _, err := b.receiveBytes(signed, "drop")
		require.NoError(t, err, name)
		_, _, err = books[0].receiveBytes(signed, "drop")
		require.ErrorIs(t, err, ErrSenderInDoubt, name)
	}
}

// Of two introductions by one introducer, even about one pointer, a retraction
// removes only the one that it names.
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

// The key of an introducer may be rotated between an introduction and its
// retraction. The next key can retract the introduction, and no other contact
// can.
func TestALaterKeyOfTheIntroducerRetracts(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	mustAdd(t, b, "dave", "dave")
	waits, accepted := introduced(t, "a", "me", "bob"), introduced(t, "a", "me", "carol")
	receive(t, b, waits)
	_, err := b.Accept(receive(t, b, accepted), mustName("carol"), Acceptance{})
	require.NoError(t, err)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	isRetracted := func() bool {
		evidence, err := b.Evidence(pointerOf("carol"))
		require.NoError(t, err)
		require.Len(t, evidence, 1)
		return evidence[0].Retracted
	}
	for _, signed := range [][]byte{waits, accepted} {
		_, _, err := b.receiveBytes(retraction(t, "dave", signed), "drop")
		require.NoError(t, err)
	}
	require.Len(t, inbox(t, b), 1, "another's retraction")
	require.False(t, isRetracted())
	receive(t, b, retraction(t, "next a", accepted))
	require.Len(t, inbox(t, b), 1, "of another introduction")
	require.True(t, isRetracted())
	receive(t, b, retraction(t, "next a", waits))
	require.Empty(t, inbox(t, b))
	require.NotContains(t, dump(t, b), tablePending+" ", "and it is not pending, either")
}

// One device has received the introduction and another its retraction. After
// they synchronize, neither has a suggestion to accept.
func TestARetractionThatAnotherDeviceReceivedCounts(t *testing.T) {
	books := testDevices(t, 2)
	mustAdd(t, books[0], "alice", "alice")
	mustAdd(t, books[0], "dave", "dave")
	syncBooks(t, books...)
	signed, other := introduced(t, "alice", "me", "bob"), introduced(t, "alice", "me", "carol")
	id := receive(t, books[0], signed)
	receive(t, books[0], other)
	receive(t, books[1], retraction(t, "alice", signed))
	receive(t, books[1], retraction(t, "dave", other))
	syncBooks(t, books...)
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

// The book accepts evidence in a suggestion only if it verifies, a contact request
// only as a request, and the zero Statement not at all. Nothing is written.
func TestWhatWasNotVerifiedIsRefused(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	n, view := entries(b), dump(t, b)
	for name, signed := range map[string][]byte{"introduction": introduced(t, "alice", "me", "bob"), "question": statementsBy(t, "alice")["question"]} {
		s := must(introduce.Open(signed))
		w := fromIntroduction(s, Introduced, "file")
		if s.Kind() == introduce.KindQuestion {
			w = fromQuestion(s, "file")
		}
		suggestion := must(suggestionState{Content: &w}.suggestion(w.id(), epoch))
		suggestion.Evidence[len(suggestion.Evidence)-1] ^= 1
		_, fresh, err := b.Suggest(suggestion)
		require.ErrorIs(t, err, introduce.ErrInvalid, name)
		require.False(t, fresh, name)
	}
	_, _, err := b.Receive(introduce.Statement{}, "file")
	require.ErrorIs(t, err, introduce.ErrInvalid)
	for name, signed := range statementsBy(t, "sam") {
		if name != "introduction" {
			_, _, err := b.receiveStrangerBytes(signed, "doorstep", mustNotBeAsked(t))
			require.ErrorIs(t, err, introduce.ErrInvalid, name)
		}
	}
	require.Equal(t, n, entries(b))
	require.Equal(t, view, dump(t, b))
}

// Decline returns a suggestion as the book reads it afterwards, also if another
// device received its retraction.
func TestDeclineReturnsTheSuggestionAsItIsRead(t *testing.T) {
	for _, never := range []bool{false, true} {
		books := testDevices(t, 2)
		mustAdd(t, books[0], "alice", "alice")
		syncBooks(t, books...)
		signed := introduced(t, "alice", "me", "bob")
		id := receive(t, books[0], signed)
		receive(t, books[1], retraction(t, "alice", signed))
		syncBooks(t, books...)
		for range 2 { // declining again changes nothing
			s, err := books[0].Decline(id, never)
			require.NoError(t, err)
			require.Equal(t, Declined, s.State)
			read, err := books[0].Suggestion(id.String())
			require.NoError(t, err)
			require.Equal(t, read, s)
		}
	}
}

// A contact's shared edges are never replaced by an older list: not by a
// replay, not after the contact was removed and added again, and not by another
// device with older data.
func TestSharedEdgesAreNeverReplacedByOlderOnes(t *testing.T) {
	books := testDevices(t, 2)
	mustAdd(t, books[0], "alice", "alice")
	syncBooks(t, books...)
	labels := func(b *Book) (all []string) {
		told, err := b.EdgesFrom(pointerOf("alice"))
		require.NoError(t, err)
		for label := range told.Edges {
			all = append(all, label)
		}
		return all
	}
	receive(t, books[0], sharedBy(t, "alice", 3, "three", "bob"))
	receive(t, books[1], sharedBy(t, "alice", 2, "two", "bob"))
	syncBooks(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
	b := books[0]
	n := entries(b)
	for name, old := range map[string][]byte{
		"the same": sharedBy(t, "alice", 3, "three", "bob"), "of the same version": sharedBy(t, "alice", 3, "other", "bob"),
		"older": sharedBy(t, "alice", 2, "two", "bob"), "the first": sharedBy(t, "alice", 1, "one", "bob"),
	} {
		_, fresh, err := b.receiveBytes(old, "drop")
		require.NoError(t, err, name)
		require.False(t, fresh, name)
	}
	require.Equal(t, n, entries(b))
	for _, b := range books {
		require.Equal(t, []string{"three"}, labels(b))
	}
	_, err := b.Remove(pointerOf("alice"))
	require.NoError(t, err)
	require.Empty(t, labels(b), "without a contact there are no edges")
	mustAdd(t, b, "alice", "alice")
	_, fresh, err := b.receiveBytes(sharedBy(t, "alice", 2, "two", "bob"), "drop")
	require.NoError(t, err)
	require.False(t, fresh)
	require.Equal(t, []string{"three"}, labels(b))

	// An old list in an act of another device replaces nothing, in whatever
	// order the acts are folded.
	_, err = books[1].Ledger().Append(marshal(act{Op: opStatement, Statement: sharedBy(t, "alice", 1, "one", "bob"), Channel: "drop"}))
	require.NoError(t, err)
	syncBooks(t, books...)
	for _, b := range books {
		require.Equal(t, []string{"three"}, labels(b))
		require.NoError(t, b.Ledger().Rebuild())
		require.Equal(t, []string{"three"}, labels(b))
	}
}

// Two devices that received different lists of one version agree on one of
// them, in whatever order the lists arrive.
func TestSharedEdgesOfOneVersionAreOneListOnAllDevices(t *testing.T) {
	one, other := sharedBy(t, "alice", 1, "one", "bob"), sharedBy(t, "alice", 1, "other", "bob")
	list, err := introduce.Open(slices.MinFunc([][]byte{one, other}, bytes.Compare))
	require.NoError(t, err)
	want, is := list.Edges()
	require.True(t, is)
	for _, signed := range [][2][]byte{{one, other}, {other, one}} {
		books := testDevices(t, 2)
		mustAdd(t, books[0], "alice", "alice")
		syncBooks(t, books...)
		receive(t, books[0], signed[0])
		receive(t, books[1], signed[1])
		syncBooks(t, books...)
		require.Equal(t, dump(t, books[0]), dump(t, books[1]))
		for _, b := range books {
			told, err := b.EdgesFrom(pointerOf("alice"))
			require.NoError(t, err)
			require.Equal(t, want.Edges, told.Edges)
		}
	}
}

// Edges that a former key of a contact shared are not read: they may be a
// thief's.
func TestEdgesOfAnEarlierKeyAreNotRead(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	receive(t, b, sharedBy(t, "a", 5, "old", "bob"))
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	for _, seed := range []string{"a", "next a"} {
		told, err := b.EdgesFrom(pointerOf(seed))
		require.NoError(t, err)
		require.Empty(t, told.Edges)
	}
	receive(t, b, sharedBy(t, "next a", 1, "new", "bob"))
	told, err := b.EdgesFrom(pointerOf("a"))
	require.NoError(t, err)
	require.Contains(t, told.Edges, "new")
}

// The book reads no shared edges of a contact with two next keys, whichever key
// signed them. It also reads no edges that another device recorded and that are
// addressed to another party.
func TestEdgesOfAnUncertainKeyOrForAnotherPartyAreNotRead(t *testing.T) {
	books := testDevices(t, 2)
	pinnedAlice(t, books[0])
	mustAdd(t, books[0], "dave", "dave")
	receive(t, books[0], sharedBy(t, "a", 1, "bob", "bob"))
	syncBooks(t, books...)
	for _, b := range books {
		require.NoError(t, b.learnCard(pointerOf("a"), pointer.Card{Next: commitment("a")}))
	}
	told, err := books[0].EdgesFrom(pointerOf("a"))
	require.NoError(t, err)
	require.Contains(t, told.Edges, "bob")
	_, err = books[1].Ledger().Append(marshal(act{Op: opLearn, Contact: pointerOf("a").Bytes(), Fact: &wireFact{Kind: "link", By: "me", Channel: "api", Next: commitment("other").Bytes()}}))
	require.NoError(t, err)
	forAnother, err := introduce.Edges{To: pointerOf("carol"), Version: 1, Edges: map[string]pointer.Edge{"bob": {Pointer: pointerOf("bob")}}}.Sign(testKey("dave"), epoch)
	require.NoError(t, err)
	_, err = books[1].Ledger().Append(marshal(act{Op: opStatement, Statement: forAnother.Bytes(), Channel: "drop"}))
	require.NoError(t, err)
	syncBooks(t, books...)
	told, err = books[0].EdgesFrom(pointerOf("a"))
	require.NoError(t, err)
	require.Empty(t, told.Edges)
	_, err = books[0].EdgesFrom(pointerOf("dave"))
	require.ErrorIs(t, err, ErrWrongRecipient)
}

// Attack: an introduction with a date in the future would wait, and have to be
// remembered, for as long as its introducer likes.
func TestAnIntroductionFromTheFutureIsRefused(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	by := func(ahead time.Duration) []byte {
		made := epoch.Add(ahead)
		i := introduce.Introduction{To: pointerOf("me"), About: pointerOf("bob"), Expires: made.Add(introduce.MaxLife)}
		signed, err := i.Sign(testKey("alice"), nil, made)
		require.NoError(t, err)
		return signed.Bytes()
	}
	for _, ahead := range []time.Duration{24*time.Hour + time.Minute, 30 * 365 * 24 * time.Hour} {
		_, _, err := b.receiveBytes(by(ahead), "drop")
		require.ErrorIs(t, err, introduce.ErrInvalid, ahead)
		require.Empty(t, inbox(t, b))
	}
	receive(t, b, by(24*time.Hour)) // a clock may be a day ahead
	require.Len(t, inbox(t, b), 1)
}

// A statement in another encoding is refused, and so cannot count as a second
// statement.
func TestStatementsInAnotherEncodingAreRefused(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "a", "a")
	for name, signed := range statementsBy(t, "a") {
		spelling := slices.Concat([]byte{0xb8, signed[0] & 31}, signed[1:]) // the map's length in two bytes
		_, _, err := b.receiveBytes(spelling, "drop")
		require.ErrorIs(t, err, introduce.ErrInvalid, name)
	}
}
