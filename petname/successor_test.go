package petname

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

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
		c, err := w.book.byName(mustName("alice"))
		require.NoError(t, err)
		require.Equal(t, pointerOf("next a"), c.Pointer)
	}

	// By a link to the new pointer: its card proves the succession.
	w := newWorld(t)
	confirmedAlice(t, w.book)
	lost, err := pointer.Succeed(pointerOf("a"), testKey("next a"), commitment("next a"), nil)
	require.NoError(t, err)
	w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(lost)})
	_, err = w.resolve(pointerOf("next a").String())
	require.NoError(t, err)
	res, err := w.resolve("alice")
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), res.Last().Pointer)

	// By an edge that pins it, for a pointer that is not in the book.
	w = newWorld(t)
	w.add("carol", "c")
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{"al": {Pointer: pointerOf("a"), Next: commitment("a")}})
	w.put("a", &pointer.Card{Next: commitment("a"), Succession: chain(step(t, "a"))})
	w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(step(t, "a"))})
	res, err = w.resolve("carol/al")
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), res.Last().Pointer)
	require.Equal(t, []pointer.Pointer{pointerOf("a")}, res.Last().Former)

	// The edge's claim alone advances nothing.
	w.put("a", &pointer.Card{Succession: chain(step(t, "a"))})
	res, err = w.resolve("carol/al")
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), res.Last().Pointer)
	require.Equal(t, pointerOf("next a"), res.Last().Unproven)
}

// The attack: a thief of the old key publishes another successor. If a
// commitment was pinned it is an error; otherwise the old record stays, the
// claim is shown, and nothing in the card is pinned.
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
		if name == "chain, next" { // recorded
			require.ErrorAs(t, err, new(*ContradictionError), name)
			require.NotEqual(t, view, dump(t, w.book))
		} else {
			require.ErrorAs(t, err, new(*SuccessionError), name)
		}
		require.Equal(t, pointerOf("a"), must(w.book.ByPointer(pointerOf("a"))).Pointer)
		view = dump(t, w.book)

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

	// An unknown pointer that claims to be alice's successor stays unknown.
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

// endless is a network in which each key has a successor, made when it is asked for.
type endless struct {
	t       *testing.T
	numbers map[pointer.Pointer]int
	asked   int
}

func (e *endless) Best(ctx context.Context, p pointer.Pointer, _ dht.Level) (dht.Result, error) {
	e.asked++
	i, seed := e.numbers[p], func(i int) string { return fmt.Sprint("endless ", i) }
	e.numbers[pointerOf(seed(i+1))] = i + 1
	card := &pointer.Card{Next: mustCommit(seed(i + 1)), Succession: chain(stepTo(e.t, seed(i), seed(i+1), mustCommit(seed(i+2))))}
	if i == 0 {
		card = &pointer.Card{Edges: map[string]pointer.Edge{"on": {Pointer: pointerOf(seed(1)), Next: mustCommit(seed(2))}}}
	}
	r, err := pointer.Sign(testKey(seed(i)), pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: epoch.Add(time.Hour), Card: card})
	return dht.Result{Record: r}, err
}

// The attack: a store generates endless keys, each the proven successor of the
// one before. No entry of the book bounds the chain, so Resolve does.
func TestASuccessionWithoutEndIsLeft(t *testing.T) {
	b := newTestBook(t)
	_, err := b.Add(mustName("eve"), link("endless 0"), Source{})
	require.NoError(t, err)
	e := &endless{t: t, numbers: map[pointer.Pointer]int{pointerOf("endless 1"): 1}}
	_, err = b.Resolve(t.Context(), e, "eve/on", dht.LevelAny)
	require.ErrorAs(t, err, new(*SuccessionError))
	require.ErrorContains(t, err, "over 64 keys long")
	require.Less(t, e.asked, 100)
}

// An edge with an old pointer resolves to the contact's current pointer in the
// book. The attack: a thief of the old key publishes a new record for it, or
// the record has expired.
func TestAnEdgeToAnOldKeyLeadsToTheNewOne(t *testing.T) {
	w := newWorld(t)
	pinnedAlice(t, w.book)
	w.add("carol", "c")
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{
		"al": {Pointer: pointerOf("a"), Next: commitment("a")}, "bare": edge("a"), "lie": {Pointer: pointerOf("a"), Next: commitment("thief")}})
	require.NoError(t, w.book.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(step(t, "a"))})
	for _, old := range []func(){
		func() {},
		func() { w.put("a", nil) },
		func() { w.put("a", &pointer.Card{Next: commitment("thief")}) },
		func() { w.put("a", &pointer.Card{Successor: pointerOf("thief")}) },
	} {
		old()
		for _, path := range []string{"carol/al", "carol/bare", "carol/lie", pointerOf("a").String()} {
			res, err := w.resolve(path)
			require.NoError(t, err)
			require.Equal(t, pointerOf("next a"), res.Last().Pointer)
		}
	}
}

// A label in a card that names a successor is not resolved, proven or not: the record may be the
// last one of its key, and its owner may have withdrawn the label since. The labels of the
// successor's card are.
func TestACardThatNamesASuccessorHasNoLabels(t *testing.T) {
	w := newWorld(t)
	w.add("zoe", "z")
	last := pointer.Card{Next: commitment("a"), Successor: pointerOf("next a"), Succession: chain(step(t, "a"))}
	last.Edges = map[string]pointer.Edge{"doc": edge("z")}
	w.put("a", &last)
	w.put("next a", &pointer.Card{Next: commitment("next a"), Succession: chain(step(t, "a")), Edges: edges("new", "z")})
	w.publish("z", pointer.Commitment{}, nil)
	_, err := w.resolve(pointerOf("a").String() + "/doc")
	require.ErrorIs(t, err, ErrNotFound, "not proven")
	_, err = w.resolve(pointerOf("a").String() + "/new")
	require.ErrorIs(t, err, ErrNotFound, "not proven")

	pinnedAlice(t, w.book)
	_, err = w.resolve("alice/doc")
	require.ErrorIs(t, err, ErrNotFound)
	res, err := w.resolve("alice/new")
	require.NoError(t, err)
	require.Equal(t, pointerOf("z"), res.Last().Pointer)
}
