package petname

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// introduced returns a signed introduction of about by by to to.
func introduced(t testing.TB, by, to, about string, change ...func(*introduce.Introduction)) []byte {
	t.Helper()
	i := introduce.Introduction{To: pointerOf(to), About: pointerOf(about), Next: commitment(about), Suggested: about, Expires: epoch.AddDate(0, 6, 0)}
	for _, c := range change {
		c(&i)
	}
	s, err := i.Sign(testKey(by), nil, epoch)
	require.NoError(t, err)
	return s.Bytes()
}

func mustAdd(t testing.TB, b *Book, name, who string) Contact {
	t.Helper()
	c, err := b.Add(mustName(name), link(who), Source{})
	require.NoError(t, err)
	return c
}

func inbox(t testing.TB, b *Book) []Suggestion {
	t.Helper()
	var all []Suggestion
	for s, err := range b.Inbox() {
		require.NoError(t, err)
		all = append(all, s)
	}
	return all
}

func receive(t testing.TB, b *Book, signed []byte) SuggestionID {
	t.Helper()
	id, fresh, err := b.receiveBytes(signed, "file")
	require.NoError(t, err)
	require.True(t, fresh)
	return id
}

func TestAnIntroductionNamesNobodyUntilItIsAccepted(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	signed := introduced(t, "alice", "me", "bob")
	id := receive(t, b, signed)

	n, err := b.Count()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = b.ByPointer(pointerOf("bob"))
	require.ErrorIs(t, err, ErrNotFound)
	waiting := inbox(t, b)
	require.Len(t, waiting, 1)
	s := waiting[0]
	require.Equal(t, Suggestion{ID: id, Kind: Introduced, Pointer: pointerOf("bob"), By: pointerOf("alice"), Next: commitment("bob"),
		Suggested: "bob", Channel: "file", At: s.At, Expires: epoch.AddDate(0, 6, 0), Evidence: signed, State: Pending}, s)

	c, err := b.Accept(id, mustName("my bob"), Acceptance{})
	require.NoError(t, err)
	require.Equal(t, "my bob", c.Name.String())
	require.Equal(t, commitment("bob"), c.Next)
	require.Len(t, c.Provenance, 1)
	require.Equal(t, "introduced", c.Provenance[0].Kind)
	require.Equal(t, pointerOf("alice").String(), c.Provenance[0].By)
	require.Empty(t, inbox(t, b))
	_, err = b.Accept(id, mustName("other"), Acceptance{})
	require.ErrorIs(t, err, ErrDecided)

	// Undone, it waits again.
	_, err = b.Undo()
	require.NoError(t, err)
	require.Len(t, inbox(t, b), 1)
}

func TestARepeatedStatementChangesNothing(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	signed := introduced(t, "alice", "me", "bob")
	id := receive(t, b, signed)
	_, err := b.Decline(id, false)
	require.NoError(t, err)
	for _, channel := range []string{"file", "drop"} {
		again, fresh, err := b.receiveBytes(signed, channel)
		require.NoError(t, err)
		require.False(t, fresh, "a replay")
		require.Equal(t, id, again)
	}
	require.Empty(t, inbox(t, b))
}

func TestOnlyStatementsOfContactsToTheOwnerAreAccepted(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	_, _, err := b.receiveBytes(introduced(t, "mallory", "me", "bob"), "file")
	require.ErrorIs(t, err, ErrUnknownSender)
	_, _, err = b.receiveBytes(introduced(t, "alice", "carol", "bob"), "file")
	require.ErrorIs(t, err, ErrWrongRecipient, "forwarded")
	_, _, err = b.receiveBytes(introduced(t, "alice", "me", "bob", func(i *introduce.Introduction) { i.Expires = epoch.Add(time.Second) }), "file")
	require.ErrorAs(t, err, new(*introduce.ExpiredError))
	tampered := introduced(t, "alice", "me", "bob")
	tampered[len(tampered)-1] ^= 1
	_, _, err = b.receiveBytes(tampered, "file")
	require.ErrorIs(t, err, introduce.ErrInvalid)
	_, err = b.Remove(pointerOf("alice"))
	require.NoError(t, err)
	_, _, err = b.receiveBytes(introduced(t, "alice", "me", "bob"), "file")
	require.ErrorIs(t, err, ErrUnknownSender, "a removed contact")
	require.Empty(t, inbox(t, b))
}

func TestAnIntroducerCannotFillTheInbox(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "dave", "dave")
	for i := range MaxInboxFrom {
		receive(t, b, introduced(t, "alice", "me", string(rune('a'+i%26))+string(rune('a'+i/26))))
	}
	_, _, err := b.receiveBytes(introduced(t, "alice", "me", "one more"), "drop")
	require.ErrorIs(t, err, ErrInboxFull)
	receive(t, b, introduced(t, "dave", "me", "dave's friend")) // others still can
	_, err = b.Decline(inbox(t, b)[0].ID, false)
	require.NoError(t, err)
	receive(t, b, introduced(t, "alice", "me", "one more"))
}

func TestARemovedContactIsNotBroughtBackByAnIntroduction(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "bob", "bob")
	_, err := b.Remove(pointerOf("bob"))
	require.NoError(t, err)
	receive(t, b, introduced(t, "alice", "me", "bob"))
	c, err := b.ByPointer(pointerOf("bob"))
	require.NoError(t, err)
	require.True(t, c.Name.IsZero())
	require.False(t, c.Removed.IsZero(), "and the inbox can say when it was removed")
}

func TestAPermanentDeclineEndsWithAPairing(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "dave", "dave")
	id := receive(t, b, introduced(t, "alice", "me", "bob"))
	_, err := b.Decline(id, true)
	require.NoError(t, err)
	_, _, err = b.receiveBytes(introduced(t, "dave", "me", "bob"), "drop")
	require.ErrorIs(t, err, ErrMuted)
	_, fresh, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("bob"), Channel: "code", Evidence: []byte("transcript")})
	require.NoError(t, err)
	require.True(t, fresh)
}

func TestARetractionTakesTheIntroductionOutAndKeepsItOut(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	signed := introduced(t, "alice", "me", "bob")
	_, i := opened(signed)
	retraction, err := introduce.Retraction{To: pointerOf("me"), ID: i.ID}.Sign(testKey("alice"), epoch)
	require.NoError(t, err)
	forged, err := introduce.Retraction{To: pointerOf("me"), ID: i.ID}.Sign(testKey("dave"), epoch)
	require.NoError(t, err)

	id := receive(t, b, signed)
	mustAdd(t, b, "dave", "dave")
	_, _, err = b.Receive(forged, "drop")
	require.NoError(t, err)
	require.Len(t, inbox(t, b), 1, "somebody else's retraction")
	receive(t, b, retraction.Bytes())
	require.Empty(t, inbox(t, b))
	_, err = b.Accept(id, mustName("bob"), Acceptance{})
	require.ErrorIs(t, err, ErrDecided)

	other := newTestBook(t)
	mustAdd(t, other, "alice", "alice")
	receive(t, other, retraction.Bytes()) // overtook it
	_, _, err = other.receiveBytes(signed, "drop")
	require.ErrorIs(t, err, ErrDecided)
}

func TestAReplacedContactIsStoredAsEvidence(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	lie := introduced(t, "alice", "me", "not bob")
	id := receive(t, b, lie)
	_, err := b.Accept(id, mustName("bob"), Acceptance{})
	require.NoError(t, err)
	met, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("bob"), Next: commitment("bob"), Channel: "link", Evidence: []byte("transcript")})
	require.NoError(t, err)
	_, err = b.Accept(met, mustName("bob"), Acceptance{})
	require.ErrorAs(t, err, new(*TakenError))
	c, err := b.Accept(met, mustName("bob"), Acceptance{Replaces: pointerOf("not bob")})
	require.NoError(t, err)
	require.Equal(t, pointerOf("bob"), c.Pointer)

	denial, err := introduce.Deny(subjectOf(lie), testKey("bob"), epoch)
	require.NoError(t, err)
	receive(t, b, denial.Bytes())
	all, err := b.Evidence(pointerOf("bob"))
	require.NoError(t, err)
	kinds := make(map[string]pointer.Pointer)
	for _, e := range all {
		kinds[e.Kind] = e.By
	}
	require.Equal(t, map[string]pointer.Pointer{"introduced": pointerOf("alice"), "paired": pointerOf("bob"), "denied": pointerOf("bob")}, kinds)
	proof, err := b.Contradictions(pointerOf("bob"))
	require.NoError(t, err)
	require.Len(t, proof, 1)
	found, err := introduce.OpenContradiction(proof[0].Bytes())
	require.NoError(t, err)
	require.Equal(t, pointerOf("alice"), found.Introduction().By)

	_, err = b.Undo()
	require.NoError(t, err)
	c, err = b.byName(mustName("bob"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("not bob"), c.Pointer, "undone in one step, as it was done, the first has its name again")
	require.Len(t, inbox(t, b), 1, "and the other waits")
	_, err = b.Undo()
	require.NoError(t, err)
	_, err = b.byName(mustName("bob"))
	require.ErrorIs(t, err, ErrNotFound)
}

// A denial of a key by another party than the contact is true of every key, and
// proves nothing against the introducer.
func TestADenialByAnotherPartyProvesNothing(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "mallory", "mallory")
	truth := introduced(t, "alice", "me", "bob")
	_, err := b.Accept(receive(t, b, truth), mustName("bob"), Acceptance{})
	require.NoError(t, err)
	met, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("another bob"), Channel: "link", Evidence: []byte("transcript")})
	require.NoError(t, err)
	denial, err := introduce.Deny(subjectOf(truth), testKey("mallory"), epoch)
	require.NoError(t, err)
	receive(t, b, denial.Bytes())
	proof, err := b.Contradictions(pointerOf("bob"))
	require.NoError(t, err)
	require.Empty(t, proof)
	_, err = b.Accept(met, mustName("bob"), Acceptance{Replaces: pointerOf("bob")})
	require.NoError(t, err)
	proof, err = b.Contradictions(pointerOf("another bob"))
	require.NoError(t, err)
	require.Empty(t, proof)
}

func TestEdgesForOneAudienceAreReadByItAlone(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "bob", "bob")
	_, err := b.ShareWith(pointerOf("alice"), pointerOf("bob"), mustName("bobby"))
	require.NoError(t, err)
	public, err := PublishableEdges(b.Edges())
	require.NoError(t, err)
	require.Empty(t, public)
	forAlice, err := PublishableEdges(b.EdgesWith(pointerOf("alice")))
	require.NoError(t, err)
	require.Equal(t, map[string]pointer.Edge{"bobby": {Pointer: pointerOf("bob")}}, forAlice)
	forBob, err := PublishableEdges(b.EdgesWith(pointerOf("bob")))
	require.NoError(t, err)
	require.Empty(t, forBob)

	_, err = b.Remove(pointerOf("alice"))
	require.NoError(t, err)
	mustAdd(t, b, "alice", "alice")
	forAlice, err = PublishableEdges(b.EdgesWith(pointerOf("alice")))
	require.NoError(t, err)
	require.Empty(t, forAlice, "they don't come back with her")
	_, err = b.Undo()
	require.NoError(t, err)
	_, err = b.Undo()
	require.NoError(t, err)
	forAlice, err = PublishableEdges(b.EdgesWith(pointerOf("alice")))
	require.NoError(t, err)
	require.Len(t, forAlice, 1, "but with the undoing of her removal")
	_, err = b.UnshareWith(pointerOf("alice"), mustName("bobby"))
	require.NoError(t, err)
	forAlice, err = PublishableEdges(b.EdgesWith(pointerOf("alice")))
	require.NoError(t, err)
	require.Empty(t, forAlice)
}

func TestSharedEdgesAreReplacedByNewerOnesOnly(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	told := func(version uint64, label string) []byte {
		e := introduce.Edges{To: pointerOf("me"), Version: version, Edges: map[string]pointer.Edge{label: {Pointer: pointerOf("bob")}}}
		signed, err := e.Sign(testKey("alice"), epoch)
		require.NoError(t, err)
		return signed.Bytes()
	}
	receive(t, b, told(2, "two"))
	_, fresh, err := b.receiveBytes(told(1, "one"), "drop")
	require.NoError(t, err)
	require.False(t, fresh, "an old one, played again")
	edges, err := b.EdgesFrom(pointerOf("alice"))
	require.NoError(t, err)
	require.Contains(t, edges.Edges, "two")
	receive(t, b, told(3, "three"))
	edges, err = b.EdgesFrom(pointerOf("alice"))
	require.NoError(t, err)
	require.Contains(t, edges.Edges, "three")
	edges, err = b.EdgesFrom(pointerOf("bob"))
	require.NoError(t, err)
	require.Empty(t, edges.Edges)
}

func TestDevicesAgreeOnTheInbox(t *testing.T) {
	books := testDevices(t, 2)
	a, z := books[0], books[1]
	z.now = clockFrom(epoch) // at the default time of its entries, the introduction would be dated in the future
	mustAdd(t, a, "alice", "alice")
	syncBooks(t, a, z)
	signed := introduced(t, "alice", "me", "bob")
	id := receive(t, a, signed)
	require.Equal(t, id, receive(t, z, signed), "both heard it")
	_, err := a.Decline(id, false)
	require.NoError(t, err)
	syncBooks(t, a, z)
	require.Empty(t, inbox(t, a))
	require.Empty(t, inbox(t, z))
	x, err := a.Suggestion(id.String()[:6])
	require.NoError(t, err)
	y, err := z.Suggestion(id.String())
	require.NoError(t, err)
	require.Equal(t, x, y)
}

func TestTheDigitsThatAreShownMeanOneSuggestion(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	var ids []SuggestionID
	for i := range 25 {
		id := receive(t, b, introduced(t, "alice", "me", string(rune('a'+i))))
		if i%2 == 0 {
			_, err := b.Decline(id, false)
			require.NoError(t, err)
		}
		ids = append(ids, id)
	}
	longer := false
	for _, id := range ids {
		digits, err := b.Digits(id, 1)
		require.NoError(t, err)
		longer = longer || len(digits) > 1
		s, err := b.Suggestion(digits)
		require.NoError(t, err)
		require.Equal(t, id, s.ID)
	}
	require.True(t, longer, "25 have more than ten first digits")
	digits, err := b.Digits(ids[0], 6)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(digits), 6)
}

// A recipient that knows a contact by an earlier key advances it by the
// succession in an introduction, if the pinned commitment proves it.
func TestASuccessionTravelsWithAnIntroduction(t *testing.T) {
	step, err := pointer.Succeed(pointerOf("bob"), testKey("next bob"), pointer.Commitment{}, testKey("bob"))
	require.NoError(t, err)
	knows := newTestBook(t)
	_, err = knows.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("bob"), Next: commitment("bob")}, Source{})
	require.NoError(t, err)
	none, err := knows.Succession(pointerOf("bob"))
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, knows.applySuccession(pointerOf("bob"), []pointer.Succession{step}, "test"))
	chain, err := knows.Succession(pointerOf("bob"))
	require.NoError(t, err)
	require.Equal(t, []pointer.Succession{step}, chain)

	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	_, err = b.Add(mustName("robert"), pointer.Link{Pointer: pointerOf("bob"), Next: commitment("bob")}, Source{})
	require.NoError(t, err)
	id := receive(t, b, introduced(t, "alice", "me", "next bob", func(i *introduce.Introduction) { i.Chain, i.Next = chain, pointer.Commitment{} }))
	c, err := b.byName(mustName("robert"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("next bob"), c.Pointer)
	s, err := b.Suggestion(id.String())
	require.NoError(t, err)
	require.Equal(t, c.Pointer, s.Pointer)
}

// A contact that rotates its key again and again has one share of the inbox.
func TestAContactThatRotatesHasOneShareOfTheInbox(t *testing.T) {
	b := newTestBook(t)
	steps := successionOf(t, 4)
	must(b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1")}, Source{}))
	mustAdd(t, b, "dave", "dave")
	for i := range 3 {
		for j := range MaxInboxFrom {
			_, _, err := b.receiveBytes(introduced(t, fmt.Sprint("trail ", i), "me", fmt.Sprint("x", i, "-", j)), "drop")
			if i > 0 {
				require.ErrorIs(t, err, ErrInboxFull)
				break
			}
			require.NoError(t, err)
		}
		require.NoError(t, b.applySuccession(steps[i].Old, steps[i:i+1], "test"))
		require.Equal(t, pointerOf(fmt.Sprint("trail ", i+1)), must(b.Lookup(mustName("alice"))))
	}
	require.Len(t, inbox(t, b), MaxInboxFrom)
	_, _, err := b.receiveBytes(introduced(t, "dave", "me", "erin"), "drop")
	require.NoError(t, err)
}

// An introduction of a party with its own commitment, through whose retired key the trail of a
// contact passes, is not about that contact, under its name neither.
func TestAnIntroductionOfAnotherPartyIsNotAboutAContact(t *testing.T) {
	w := edgeWorld(t, false)
	i := introduce.Introduction{To: w.book.Identity(), About: pointerOf("a"), Next: commitment("a"), Suggested: "alice", Expires: w.book.now().Add(24 * time.Hour)}
	s, err := i.Sign(testKey("c"), nil, w.book.now())
	require.NoError(t, err)
	id, isNew, err := w.book.Receive(s, "test")
	require.NoError(t, err)
	require.True(t, isNew)
	_, err = w.book.ByLink(pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")})
	require.ErrorIs(t, err, ErrNotFound)
	for _, name := range []string{"alice", "mallory"} {
		_, err = w.book.Accept(id, mustName(name), Acceptance{})
		require.ErrorAs(t, err, new(*ConflictError), name)
	}
}
