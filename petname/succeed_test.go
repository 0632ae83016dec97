package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// step is the honest succession of one of the test keys: the key "next a"
// follows "a", and commits to "next next a".
func step(t tb, seed string) pointer.Succession {
	t.Helper()
	return stepTo(t, seed, "next "+seed, commitment("next "+seed))
}

func stepTo(t tb, old, next string, commits pointer.Commitment) pointer.Succession {
	t.Helper()
	s, err := pointer.Succeed(pointerOf(old), testKey(next), commits, testKey(old))
	require.NoError(t, err)
	return s
}

func chain(steps ...pointer.Succession) []pointer.Succession { return steps }

// pinnedAlice has the book know alice by a link with its commitment.
func pinnedAlice(t *testing.T, b *Book) {
	t.Helper()
	_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{})
	require.NoError(t, err)
}

// A contact moves with its keys: name, history, edges and the way back from the
// old pointer stay.
func TestAContactMovesToTheKeyItCommittedTo(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	_, err := b.SharePublic(pointerOf("a"), mustName("al"))
	require.NoError(t, err)
	two := chain(step(t, "a"), step(t, "next a"))
	require.NoError(t, b.Succeed(pointerOf("a"), two))
	last := pointerOf("next next a")

	for _, text := range []string{"alice", pointerOf("a").String(), pointerOf("next a").String(), last.String()} {
		c, err := b.Find(text)
		require.NoError(t, err, text)
		require.Equal(t, mustName("alice"), c.Name)
		require.Equal(t, pointerOf("a"), c.ID)
		require.Equal(t, last, c.Pointer)
		require.Equal(t, commitment("next next a"), c.Next)
		require.Len(t, c.Provenance, 2)
		require.Equal(t, "succession", c.Provenance[1].Kind)
		require.Equal(t, last, c.Provenance[1].Pointer)
	}
	p, err := b.Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, last, p)
	public, err := b.PublicEdges()
	require.NoError(t, err)
	require.Equal(t, map[string]pointer.Edge{"al": {Pointer: last, Next: commitment("next next a")}}, public)

	n := entries(b)
	require.NoError(t, b.Succeed(pointerOf("a"), two), "known already")
	require.NoError(t, b.Succeed(pointerOf("next a"), two[1:]))
	require.Equal(t, n, entries(b))

	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, view, dump(t, b))

	// What is known of each pointer is compared with what was pinned for it.
	for seed, next := range map[string]pointer.Commitment{"a": commitment("a"), "next a": commitment("next a"), "next next a": commitment("next next a")} {
		c, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf(seed), Next: next}, Source{})
		require.NoError(t, err)
		require.Equal(t, last, c.Pointer)
		_, err = b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf(seed), Next: commitment("thief")}, Source{})
		require.Equal(t, &DuplicityError{pointerOf(seed), next, commitment("thief")}, err)
	}
	_, err = b.Add(mustName("alice two"), pointer.Link{Pointer: last}, Source{})
	require.Equal(t, &NamedError{mustName("alice"), last}, err)

	c, err := b.Rename(last, mustName("Alice"), Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), c.ID)
	c, err = b.Remove(pointerOf("next a"))
	require.NoError(t, err)
	require.False(t, c.Removed.IsZero())
	public, err = b.PublicEdges()
	require.NoError(t, err)
	require.Empty(t, public)
	c, err = b.Add(mustName("alice"), pointer.Link{Pointer: last}, Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), c.ID)
}

// The attack: a thief of today's key, of tomorrow's, or of none, says who comes
// next. Nobody moves, and nothing is written.
func TestWhatOpensNoPinnedCommitmentMovesNobody(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	_, err := b.Add(mustName("bob"), link("b"), Source{}) // nothing pinned
	require.NoError(t, err)
	unsigned := step(t, "a")
	unsigned.NewSignature = make([]byte, 64)
	view, n := dump(t, b), entries(b)
	for name, steps := range map[string][]pointer.Succession{
		"by the old key alone":           chain(stepTo(t, "a", "thief", commitment("thief"))),
		"unsigned by the new key":        chain(unsigned),
		"on from the true key, unopened": chain(step(t, "a"), stepTo(t, "next a", "thief", commitment("thief"))),
		"in a circle":                    chain(step(t, "a"), stepTo(t, "next a", "a", commitment("a"))),
	} {
		var succession *SuccessionError
		require.ErrorAs(t, b.Succeed(pointerOf("a"), steps), &succession, name)
		require.Equal(t, pointerOf("a"), succession.Pointer)
	}
	// Of whom nothing was pinned, or who isn't in the book: no word counts.
	require.NoError(t, b.Succeed(pointerOf("b"), chain(step(t, "b"))))
	require.NoError(t, b.Succeed(pointerOf("c"), chain(step(t, "c"))))
	require.NoError(t, b.Succeed(pointerOf("a"), chain(step(t, "c"))))
	require.NoError(t, b.Succeed(pointerOf("a"), nil))
	require.Equal(t, n, entries(b))
	require.Equal(t, view, dump(t, b))
}

// One who commits to my own key can't move into my place.
func TestNobodyMovesToMe(t *testing.T) {
	b := newTestBook(t)
	_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: mustCommit("me")}, Source{})
	require.NoError(t, err)
	require.ErrorIs(t, b.Succeed(pointerOf("a"), chain(stepTo(t, "a", "me", commitment("me")))), ErrOwnPointer)
}

// A new key that commits to two next ones is caught, on one device at once, and
// on two when they meet, which are of one mind then.
func TestTwoSuccessionsAreDuplicity(t *testing.T) {
	books := testDevices(t, 2)
	pinnedAlice(t, books[0])
	pull(t, books[1], books[0])
	one, other := step(t, "a"), stepTo(t, "a", "next a", commitment("other"))
	require.NoError(t, books[0].Succeed(pointerOf("a"), chain(one)))
	want := &DuplicityError{pointerOf("next a"), commitment("next a"), commitment("other")}
	require.Equal(t, want, books[0].Succeed(pointerOf("a"), chain(other)))
	require.Equal(t, want, books[0].Learn(pointerOf("next a"), pointer.Card{Next: commitment("other")}))

	require.NoError(t, books[1].Succeed(pointerOf("a"), chain(other)))
	sync(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
	for _, b := range books {
		c, err := b.ByName(mustName("alice"))
		require.NoError(t, err)
		require.True(t, c.Duplicity)
		require.Equal(t, pointerOf("a"), c.Pointer, "neither of the two is taken")
		require.Len(t, c.Provenance, 3, "the evidence is kept")
		_, err = b.Resolve(t.Context(), &dht.Resolver{}, "alice", dht.LevelAny)
		require.ErrorAs(t, err, new(*DuplicityError))
		checkBijection(t, b, []string{"alice"})
	}
}

// Somebody whom I named before and after the move, on one device or on two, has
// two names: a conflict, which removing one of them settles.
func TestAContactThatMovesOntoAnotherIsAConflict(t *testing.T) {
	for _, keep := range []string{"a", "next a"} {
		books := testDevices(t, 2)
		pinnedAlice(t, books[0])
		pull(t, books[1], books[0])
		_, err := books[1].Add(mustName("alice two"), link("next a"), Source{})
		require.NoError(t, err)

		n := entries(books[1])
		var conflict *ConflictError
		require.ErrorAs(t, books[1].Succeed(pointerOf("a"), chain(step(t, "a"))), &conflict)
		require.Len(t, conflict.Contacts, 2)
		require.Equal(t, n, entries(books[1]))

		require.NoError(t, books[0].Succeed(pointerOf("a"), chain(step(t, "a"))))
		sync(t, books...)
		require.Equal(t, dump(t, books[0]), dump(t, books[1]))
		b := books[0]
		for _, name := range []string{"alice", "alice two"} {
			_, err := b.Lookup(mustName(name))
			require.ErrorAs(t, err, &conflict, name)
			require.Len(t, conflict.Contacts, 1)
			require.Len(t, conflict.Contacts[0].Conflict.Pointers, 1)
		}
		require.Len(t, contacts(t, b), 2)
		_, err = b.Add(mustName("alice"), link("next a"), Source{})
		require.ErrorAs(t, err, &conflict, "naming picks neither")
		public, err := b.PublicEdges()
		require.NoError(t, err)
		require.Empty(t, public)

		gone := map[string]string{"a": "next a", "next a": "a"}[keep]
		_, err = b.Remove(pointerOf(gone))
		require.NoError(t, err)
		c, err := b.ByPointer(pointerOf("next a"))
		require.NoError(t, err)
		require.Nil(t, c.Conflict)
		require.Equal(t, pointerOf(keep), c.ID)
		require.Equal(t, pointerOf("next a"), c.Pointer)
		p, err := b.Lookup(c.Name)
		require.NoError(t, err)
		require.Equal(t, c.Pointer, p)
		checkBijection(t, b, []string{"alice", "alice two"})

		_, err = b.Undo() // and it is a conflict again
		require.NoError(t, err)
		require.Len(t, contacts(t, b), 2)
		_, err = b.Lookup(c.Name)
		require.ErrorAs(t, err, &conflict)
	}
}

// Forgetting the link that pinned the commitment forgets what rested on it.
func TestUndoingThePinUndoesTheMove(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	require.NoError(t, b.Succeed(pointerOf("a"), chain(step(t, "a"))))
	_, err := b.Undo()
	require.NoError(t, err)
	_, err = b.Lookup(mustName("alice"))
	require.ErrorIs(t, err, ErrNotFound)
	c, err := b.Add(mustName("anna"), link("a"), Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), c.Pointer)
	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, view, dump(t, b))
}

// Resolving follows a succession that the old card carries, or that its
// successor's does; and moves the contact. The old key may be lost by then.
func TestResolvingFollowsASuccession(t *testing.T) {
	for name, last := range map[string]*pointer.Card{
		"in the old card": {Next: commitment("a"), Succession: chain(step(t, "a")), Successor: pointerOf("next a")},
		"named alone":     {Next: commitment("a"), Successor: pointerOf("next a")},
	} {
		w := newWorld(t)
		pinnedAlice(t, w.book)
		w.put("a", last)
		w.put("next a", &pointer.Card{Nickname: "Al", Next: commitment("next a"), Succession: chain(step(t, "a"))})
		for range 2 {
			res, err := w.resolve("alice")
			require.NoError(t, err, name)
			require.Equal(t, pointerOf("next a"), res.Last().Pointer)
			require.Equal(t, "Al", res.Last().Card.Nickname)
			require.True(t, res.Last().Unproven.IsZero())
		}
		c, err := w.book.ByName(mustName("alice"))
		require.NoError(t, err)
		require.Equal(t, pointerOf("next a"), c.Pointer)
	}

	// By a link to the new pointer: its card proves whom it succeeds.
	w := newWorld(t)
	pinnedAlice(t, w.book)
	lost, err := pointer.Succeed(pointerOf("a"), testKey("next a"), commitment("next a"), nil)
	require.NoError(t, err)
	w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(lost)})
	_, err = w.resolve(pointerOf("next a").String())
	require.NoError(t, err)
	res, err := w.resolve("alice")
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), res.Last().Pointer)

	// By an edge that pins it, for somebody who isn't in my book.
	w = newWorld(t)
	w.add("carol", "c")
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{"al": {Pointer: pointerOf("a"), Next: commitment("a")}})
	w.put("a", &pointer.Card{Succession: chain(step(t, "a"))})
	w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(step(t, "a"))})
	res, err = w.resolve("carol/al")
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), res.Last().Pointer)
	require.Equal(t, []pointer.Pointer{pointerOf("a")}, res.Last().Former)
}

// The attack: a thief of the old key publishes a successor of his own. Where a
// commitment was pinned it is an error; where none was, the old record stays,
// the claim is shown, and nothing that the card says is pinned.
func TestResolvingFollowsNoThief(t *testing.T) {
	for name, last := range map[string]*pointer.Card{
		"chain":       {Next: commitment("a"), Succession: chain(stepTo(t, "a", "thief", commitment("thief")))},
		"chain, next": {Next: commitment("thief"), Succession: chain(stepTo(t, "a", "thief", commitment("thief")))},
		"named alone": {Next: commitment("a"), Successor: pointerOf("thief")},
	} {
		w := newWorld(t)
		pinnedAlice(t, w.book)
		w.add("unpinned", "b")
		w.put("a", last)
		w.put("thief", &pointer.Card{Next: commitment("thief"), Succession: chain(stepTo(t, "a", "thief", commitment("thief")))})
		view := dump(t, w.book)
		_, err := w.resolve("alice")
		require.ErrorAs(t, err, new(*SuccessionError), name)
		require.Equal(t, view, dump(t, w.book))

		stolen := stepTo(t, "b", "thief", commitment("thief"))
		w.put("b", &pointer.Card{Next: mustCommit("thief"), Succession: chain(stolen)})
		for range 2 { // the second time, too: what a card pins for itself proves nothing
			res, err := w.resolve("unpinned")
			require.NoError(t, err)
			require.Equal(t, pointerOf("b"), res.Last().Pointer)
			require.Equal(t, pointerOf("thief"), res.Last().Unproven)
		}
		require.Equal(t, view, dump(t, w.book))
	}

	// A stranger who claims to be alice's successor is a stranger.
	w := newWorld(t)
	pinnedAlice(t, w.book)
	w.put("thief", &pointer.Card{Next: commitment("thief"), Succession: chain(stepTo(t, "a", "thief", commitment("thief")))})
	res, err := w.resolve(pointerOf("thief").String())
	require.NoError(t, err)
	require.Equal(t, pointerOf("thief"), res.Last().Pointer)
	p, err := w.book.Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), p)
}

func (w *world) put(seed string, card *pointer.Card) {
	w.t.Helper()
	r := w.sign(seed, card)
	_, err := w.store.Put(w.t.Context(), r.Pointer(), r.Bytes())
	require.NoError(w.t, err)
}

// My own key goes on by steps that hang together and are signed; who I was stays
// me, and is nobody's contact.
func TestMyOwnPointersStayMine(t *testing.T) {
	b := newTestBook(t)
	for name, steps := range map[string][]pointer.Succession{
		"from another": chain(step(t, "a")),
		"with a gap":   chain(step(t, "me"), step(t, "next next me")),
		"unsigned":     chain(func() pointer.Succession { s := step(t, "me"); s.NewSignature = make([]byte, 64); return s }()),
	} {
		require.ErrorAs(t, b.Rotated(steps), new(*SuccessionError), name)
		require.Equal(t, pointerOf("me"), b.Identity())
	}
	require.NoError(t, b.Rotated(chain(step(t, "me"), step(t, "next me"))))
	require.Equal(t, pointerOf("next next me"), b.Identity())
	for _, seed := range []string{"me", "next me", "next next me"} {
		_, err := b.Add(mustName("myself"), link(seed), Source{})
		require.ErrorIs(t, err, ErrOwnPointer, seed)
	}
}
