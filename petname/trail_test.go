package petname

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// The attacks of this file: mallory commits to a key of alice, whose public half is known,
// and signs with that key, which she stole, a step from her own key to it and a step from it
// to a further key of hers. So her trail passes through a pointer of alice.

// mallorysSteps are the steps from m over alice's key to "thief".
func mallorysSteps(t tb, m, key string) []pointer.Succession {
	return chain(stepTo(t, m, key, mustCommit("thief")), stepTo(t, key, "thief", commitment("thief")))
}

// addMallory adds the contact with key m and records her commitment to a key of alice.
func addMallory(t *testing.T, b *Book, name, m, key string) {
	t.Helper()
	_, err := b.Add(mustName(name), pointer.Link{Pointer: pointerOf(m)}, Source{})
	require.NoError(t, err)
	require.NoError(t, b.learnCard(pointerOf(m), pointer.Card{Next: mustCommit(key)}))
}

// edgeWorld is a book with carol, who shares the first key of alice with its commitment.
// Alice, who is not in the book, is at her second key; mallory has stolen the first one.
func edgeWorld(t *testing.T, removed bool) *world {
	w := newWorld(t)
	w.add("carol", "c")
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{"al": {Pointer: pointerOf("a"), Next: commitment("a")}})
	w.put("a", &pointer.Card{Next: commitment("a"), Succession: chain(step(t, "a")), Successor: pointerOf("next a")})
	w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(step(t, "a"))})
	addMallory(t, w.book, "mallory", "m", "a")
	w.put("thief", &pointer.Card{Next: commitment("thief"), Succession: mallorysSteps(t, "m", "a")})
	w.put("m", &pointer.Card{Next: mustCommit("a"), Succession: mallorysSteps(t, "m", "a")})
	_, err := w.resolve("mallory")
	require.NoError(t, err)
	require.Equal(t, pointerOf("thief"), must(w.book.byName(mustName("mallory"))).Pointer, "the attack")
	if removed {
		_, err = w.book.Remove(pointerOf("m"))
		require.NoError(t, err)
	}
	return w
}

func TestAnEdgeWithACommitmentIsNoContactWhoseTrailPassesThroughIt(t *testing.T) {
	for _, removed := range []bool{false, true} {
		w := edgeWorld(t, removed)
		entriesBefore := entries(w.book)
		for _, path := range []string{"carol/al", pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}.String()} {
			res, err := w.resolve(path)
			require.NoError(t, err, path)
			require.Equal(t, pointerOf("next a"), res.Last().Pointer, path)
			require.Zero(t, res.Last().Unproven, path)
		}
		require.Equal(t, entriesBefore, entries(w.book), "what is received of alice is not about mallory")
		shown, err := Render(pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}.String(), w.book)
		require.NoError(t, err)
		require.NotContains(t, shown.Text, "mallory")
	}
}

func TestAPointerIsNoRemovedContactWhoseTrailPassesThroughIt(t *testing.T) {
	w := edgeWorld(t, true)
	res, err := w.resolve(pointerOf("a").String())
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), res.Last().Pointer)
	require.Equal(t, pointerOf("next a"), res.Last().Unproven, "no commitment is known")
	for _, p := range []string{"a", "thief"} {
		_, err = w.book.ByPointer(pointerOf(p))
		require.ErrorIs(t, err, ErrNotFound)
	}
	require.False(t, must(w.book.ByPointer(pointerOf("m"))).Removed.IsZero())
}

// A bare pointer or edge leads to the record of the pointer, which a named contact left. What is
// received there is not about that contact, whose own private labels are not followed either.
func TestAPointerIsNoContactWhoseTrailLeftIt(t *testing.T) {
	w := edgeWorld(t, false)
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{"al": {Pointer: pointerOf("a")}})
	before := entries(w.book)
	for _, path := range []string{pointerOf("a").String(), "/ipns/" + pointerOf("a").String(), pointer.Link{Pointer: pointerOf("a"), Nickname: "Alice"}.String(), "carol/al"} {
		res, err := w.resolve(path)
		require.NoError(t, err, path)
		require.Equal(t, pointerOf("a"), res.Last().Pointer, path)
		require.Equal(t, pointerOf("next a"), res.Last().Unproven, path)
	}
	require.Equal(t, before, entries(w.book))
	_, _, err := w.book.receiveBytes(sharedBy(t, "thief", 1, "x", "evil"), "test")
	require.NoError(t, err)
	w.publish("evil", pointer.Commitment{}, nil)
	res, err := w.resolve("mallory/x")
	require.NoError(t, err)
	require.Equal(t, pointerOf("evil"), res.Last().Pointer)
	_, err = w.resolve(pointerOf("a").String() + "/x")
	require.ErrorIs(t, err, ErrNotFound)
	shown, err := Render(pointerOf("a").String(), w.book)
	require.NoError(t, err)
	require.NotContains(t, shown.Text, "mallory")
	var conflict *ConflictError
	_, err = w.book.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a")}, Source{})
	require.ErrorAs(t, err, &conflict)
	require.ErrorContains(t, err, "came to "+pointerOf("a").String()+" and left it")
}

// A contact is named for a pointer that it left if the key of that pointer signed the step,
// and not for a link with another commitment.
func TestALinkMeansAContactByProvenSteps(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	require.NoError(t, b.learnCard(pointerOf("next a"), pointer.Card{Next: commitment("next a")}))
	require.NoError(t, b.applySuccession(pointerOf("next a"), chain(unsigned(t, "next a", "next next a", commitment("next next a"))), "test"))
	means := func(l pointer.Link) bool { return must(b.byName(mustName("alice"))).Means(l) }
	require.Equal(t, pointerOf("next next a"), must(b.byName(mustName("alice"))).Pointer)
	require.True(t, means(link("a")))
	require.True(t, means(link("next next a")))
	require.False(t, means(link("next a")), "its key signed no step")
	require.False(t, means(link("b")))

	require.NoError(t, b.applySuccession(pointerOf("next a"), chain(step(t, "next a")), "test"))
	require.True(t, means(link("next a")))
	require.True(t, means(pointer.Link{Pointer: pointerOf("next a"), Next: commitment("next a")}))
	require.False(t, means(pointer.Link{Pointer: pointerOf("next a"), Next: mustCommit("thief")}))
}

// An introduction by carol, and alice's own links, name alice although mallory's trail has
// her key. Beside a named mallory the owner is asked to remove her, and not to rename her.
func TestATrailThroughAKeyTakesNoNameOfItsOwner(t *testing.T) {
	introduced := Source{Kind: string(Introduced), By: pointerOf("c").String(), Channel: "test"}
	for _, c := range []struct {
		what    string
		source  Source
		seed    string
		arrived pointer.Pointer // after a resolve
	}{
		{"an introduction", introduced, "a", pointerOf("a")}, // a third party's claim moves nothing without the owner
		{"a link", Source{}, "a", pointerOf("next a")},
		{"a link that replaces", Source{ReplacePin: true}, "a", pointerOf("next a")},
		{"a newer link", Source{}, "next a", pointerOf("next a")},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := edgeWorld(t, false)
			l := pointer.Link{Pointer: pointerOf(c.seed), Next: commitment(c.seed)}
			_, err := w.book.Add(mustName("alice"), l, c.source)
			if c.seed == "a" {
				var conflict *ConflictError
				require.ErrorAs(t, err, &conflict)
				require.Equal(t, pointerOf("m"), conflict.Contacts[0].ID)
				_, err = w.book.Remove(pointerOf("m"))
				require.NoError(t, err)
				_, err = w.book.Add(mustName("alice"), l, c.source)
			}
			require.NoError(t, err)
			alice := must(w.book.byName(mustName("alice")))
			require.Equal(t, l.Pointer, alice.ID)
			require.Equal(t, l.Pointer, alice.Pointer)
			require.Empty(t, alice.Contradictions)
			require.Equal(t, l.Next, alice.Next)
			_, err = w.resolve("alice")
			require.NoError(t, err)
			require.Equal(t, c.arrived, must(w.book.byName(mustName("alice"))).Pointer)
		})
	}
}

// The theft of alice's current key, after she was removed: her confirmed pin counts when the
// owner adds her again, or accepts an introduction.
func TestAPinCountsAfterARemovalAlthoughAnotherTrailHasTheKey(t *testing.T) {
	for what, again := range map[string]func(b *Book) error{
		"bare": func(b *Book) error {
			_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a")}, Source{})
			return err
		},
		"link": func(b *Book) error {
			_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{})
			return err
		},
		"introduction": func(b *Book) error {
			_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")},
				Source{Kind: string(Introduced), By: pointerOf("c").String(), Channel: "test"})
			return err
		},
		"undo": func(b *Book) error { _, err := b.Undo(); return err },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			addMallory(t, w.book, "bad", "m", "a")
			_, err := w.book.Remove(pointerOf("m"))
			require.NoError(t, err)
			confirmedAlice(t, w.book)
			steps := mallorysSteps(t, "m", "a")
			require.NoError(t, w.book.applySuccession(pointerOf("m"), steps, "test"))
			_, err = w.book.Remove(pointerOf("a"))
			require.NoError(t, err)
			require.NoError(t, again(w.book))
			alice := must(w.book.byName(mustName("alice")))
			require.Equal(t, pointerOf("a"), alice.Pointer)
			require.Equal(t, commitment("a"), alice.Next)
			require.Equal(t, Confirmed, alice.Pin)

			w.put("a", &pointer.Card{Next: mustCommit("thief"), Succession: steps, Successor: pointerOf("thief")})
			w.put("thief", &pointer.Card{Next: commitment("thief"), Succession: steps})
			_, err = w.resolve("alice")
			require.ErrorAs(t, err, new(*DuplicityError))
			_, err = w.book.Confirm(pointerOf("a"), Confirmation{Next: commitment("a")})
			require.NoError(t, err)
			w.put("a", &pointer.Card{Next: commitment("a"), Succession: chain(step(t, "a"))})
			w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(step(t, "a"))})
			_, err = w.resolve("alice")
			require.NoError(t, err)
			require.Equal(t, pointerOf("next a"), must(w.book.byName(mustName("alice"))).Pointer, "the owner gets back")
		})
	}
}

// Two removed contacts are at alice's second key, and the id of mallory's is the smaller:
// she chooses her key.
func TestARemovedContactContinuesUnderItsFormerNameAlone(t *testing.T) {
	m := "m"
	for i := 0; bytes.Compare(pointerOf(m).Bytes(), pointerOf("a").Bytes()) > 0; i++ {
		m = fmt.Sprint("m", i)
	}
	b := newTestBook(t)
	addMallory(t, b, "bad", m, "next a")
	_, err := b.Remove(pointerOf(m))
	require.NoError(t, err)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	require.NoError(t, b.applySuccession(pointerOf(m), mallorysSteps(t, m, "next a")[:1], "test"))
	require.NoError(t, b.learnCard(pointerOf("next a"), pointer.Card{Next: commitment("next a")}))
	_, err = b.Remove(pointerOf("a"))
	require.NoError(t, err)

	bare := pointer.Link{Pointer: pointerOf("next a")}
	alice, err := b.Add(mustName("Alice"), bare, Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), alice.ID, "with her pins")
	require.Equal(t, Confirmed, alice.Pin)
	require.Equal(t, commitment("next a"), alice.Next)

	_, err = b.Undo()
	require.NoError(t, err)
	alice, err = b.Add(mustName("alice"), pointer.Link{Pointer: bare.Pointer, Next: commitment("next a")}, Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), alice.ID, "also after an undo")

	_, err = b.Remove(pointerOf("a"))
	require.NoError(t, err)
	alice, err = b.Add(mustName("another"), bare, Source{})
	require.NoError(t, err)
	require.Equal(t, bare.Pointer, alice.ID, "under another name it is another contact")
	require.Zero(t, alice.Next)
}

// The owner adds the new key of a contact as a contact of its own, and a step to it is
// recorded for the removed one: a removal and an addition keep pins and decisions.
func TestDecisionsStayWithTheContactThatTheyAreAbout(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	_, err := b.Remove(pointerOf("a"))
	require.NoError(t, err)
	_, err = b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("next a"), Next: commitment("next a")}, Source{})
	require.NoError(t, err)
	require.NoError(t, b.learnCard(pointerOf("next a"), pointer.Card{Next: commitment("next a")}))
	require.ErrorAs(t, b.learnCard(pointerOf("next a"), pointer.Card{Next: mustCommit("thief")}), new(*DuplicityError))
	_, err = b.Confirm(pointerOf("next a"), Confirmation{Next: commitment("next a")})
	require.NoError(t, err)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(unsigned(t, "a", "next a", mustCommit("thief"))), "test"))

	_, err = b.Remove(pointerOf("next a"))
	require.NoError(t, err)
	alice, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("next a")}, Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), alice.ID)
	require.Equal(t, Confirmed, alice.Pin)
	require.Equal(t, commitment("next a"), alice.Next)
	require.Len(t, alice.Rejected, 1)
}

// Mallory stays at alice's key. What is received of alice on a path with her commitment
// contradicts nothing that is on record about mallory, and is not recorded.
func TestAPathPastATrailThatEndsThereRecordsNothing(t *testing.T) {
	w := newWorld(t)
	w.add("carol", "c")
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{"al": {Pointer: pointerOf("a"), Next: commitment("a")}})
	addMallory(t, w.book, "mallory", "m", "a")
	require.NoError(t, w.book.applySuccession(pointerOf("m"), mallorysSteps(t, "m", "a")[:1], "test"))
	require.Equal(t, pointerOf("a"), must(w.book.byName(mustName("mallory"))).Pointer)
	before := entries(w.book)
	w.put("a", &pointer.Card{Next: commitment("a")}) // alice has not rotated
	res, err := w.resolve("carol/al")
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), res.Last().Pointer)
	w.put("a", &pointer.Card{Next: commitment("a"), Succession: chain(step(t, "a")), Successor: pointerOf("next a")})
	w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(step(t, "a"))})
	res, err = w.resolve("carol/al")
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), res.Last().Pointer)
	require.Equal(t, before, entries(w.book))
	require.Empty(t, must(w.book.byName(mustName("mallory"))).Contradictions)
}

// Likewise beside a removed contact with alice's key, whose pins count on these paths.
func TestAPathBesideATrailToARemovedContactRecordsNothing(t *testing.T) {
	w := newWorld(t)
	w.add("carol", "c")
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{"al": {Pointer: pointerOf("a"), Next: commitment("a")}})
	confirmedAlice(t, w.book)
	_, err := w.book.Remove(pointerOf("a"))
	require.NoError(t, err)
	addMallory(t, w.book, "mallory", "m", "a")
	require.NoError(t, w.book.applySuccession(pointerOf("m"), mallorysSteps(t, "m", "a")[:1], "test"))
	w.put("a", &pointer.Card{Next: commitment("a")})
	before := entries(w.book)
	for _, path := range []string{"carol/al", pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}.String()} {
		res, err := w.resolve(path)
		require.NoError(t, err, path)
		require.Equal(t, pointerOf("a"), res.Last().Pointer, path)
	}
	require.Equal(t, before, entries(w.book))
	require.Empty(t, must(w.book.byName(mustName("mallory"))).Contradictions)
}

// A successor that a step on record names for mallory at alice's key is none of alice.
func TestAPathPastATrailShowsNoSuccessorOfIt(t *testing.T) {
	w := newWorld(t)
	w.add("carol", "c")
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{"al": {Pointer: pointerOf("a"), Next: commitment("a")}})
	addMallory(t, w.book, "mallory", "m", "a")
	require.NoError(t, w.book.applySuccession(pointerOf("m"), chain(stepTo(t, "m", "a", pointer.Commitment{})), "test"))
	_, err := w.book.Add(mustName("mallory"), pointer.Link{Pointer: pointerOf("a"), Next: mustCommit("thief")}, Source{})
	require.NoError(t, err)
	require.NoError(t, w.book.applySuccession(pointerOf("a"), chain(unsigned(t, "a", "thief", commitment("thief"))), "test"))
	require.Equal(t, pointerOf("thief"), must(w.book.byName(mustName("mallory"))).Unproven, "the attack")
	w.put("a", &pointer.Card{Next: commitment("a")})
	res, err := w.resolve("carol/al")
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), res.Last().Pointer)
	require.Zero(t, res.Last().Unproven)
}

// The owner named mallory alice once, by mistake. Her removed contact is continued neither by a
// link with the true commitment, nor at a pointer that it left, nor beside another one.
func TestARemovedContactIsNotContinuedInDoubt(t *testing.T) {
	bare := pointer.Link{Pointer: pointerOf("next a")}
	for what, c := range map[string]struct {
		steps int
		link  pointer.Link
		other bool // another removed contact with the name is there
	}{
		"true commitment": {1, pointer.Link{Pointer: bare.Pointer, Next: commitment("next a")}, false},
		"left":            {2, bare, false},
		"two":             {1, bare, true},
	} {
		t.Run(what, func(t *testing.T) {
			b := newTestBook(t)
			for _, m := range map[bool][]string{false: {"m"}, true: {"m", "m2"}}[c.other] {
				addMallory(t, b, "alice", m, "next a")
				require.NoError(t, b.applySuccession(pointerOf(m), mallorysSteps(t, m, "next a")[:c.steps], "test"))
				_, err := b.Remove(pointerOf(m))
				require.NoError(t, err)
			}
			alice, err := b.Add(mustName("alice"), c.link, Source{})
			require.NoError(t, err)
			require.Equal(t, bare.Pointer, alice.ID)
			require.Equal(t, bare.Pointer, alice.Pointer)
			require.Equal(t, c.link.Next, alice.Next)
		})
	}
}
