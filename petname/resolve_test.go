package petname

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// world is a book and a store that everybody publishes to, in a time of its own.
type world struct {
	t        *testing.T
	now      time.Time
	store    *dht.Memory
	resolver *dht.Resolver
	book     *Book
	sequence map[string]uint64
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: epoch, book: newTestBook(t), sequence: map[string]uint64{}}
	now := func() time.Time { return w.now }
	w.store = &dht.Memory{Now: now, Source: dht.SourceNetwork}
	w.resolver = &dht.Resolver{Stores: []dht.Store{w.store}, Now: now}
	return w
}

func (w *world) sign(seed string, card *pointer.Card) pointer.Record {
	w.t.Helper()
	w.sequence[seed]++
	r, err := pointer.Sign(testKey(seed), pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: w.sequence[seed], Expires: w.now.Add(48 * time.Hour), TTL: time.Minute, Card: card})
	require.NoError(w.t, err)
	return r
}

// publish stores a record with edges: labels and targets.
func (w *world) publish(seed string, next pointer.Commitment, edges map[string]pointer.Edge) {
	w.t.Helper()
	r := w.sign(seed, &pointer.Card{Nickname: "I am " + seed, Next: next, Edges: edges})
	_, err := w.store.Put(w.t.Context(), r.Pointer(), r.Bytes())
	require.NoError(w.t, err)
}

func (w *world) resolve(path string) (Resolution, error) {
	return w.book.Resolve(w.t.Context(), w.resolver, path, dht.LevelFresh)
}

func (w *world) add(name, seed string) {
	w.t.Helper()
	_, err := w.book.Add(mustName(name), link(seed), Source{})
	require.NoError(w.t, err)
}

func edge(seed string) pointer.Edge { return pointer.Edge{Pointer: pointerOf(seed)} }

func edges(label, seed string) map[string]pointer.Edge {
	return map[string]pointer.Edge{label: edge(seed)}
}

// at requires an error at one part of a path, and the hops before it.
func at(t *testing.T, res Resolution, err error, part string, hops int) error {
	t.Helper()
	var path *PathError
	require.ErrorAs(t, err, &path)
	require.Equal(t, part, path.Part)
	require.Len(t, res.Hops, hops)
	require.Equal(t, err.Error(), name.Clean(err.Error()), "fit to be shown")
	return path.Err
}

// A label that is younger than the cached card is asked for before it is denied.
func TestALabelYoungerThanTheCacheIsFound(t *testing.T) {
	w := newWorld(t)
	w.add("ana", "a")
	w.publish("a", pointer.Commitment{}, nil)
	w.publish("b", pointer.Commitment{}, nil)
	_, err := w.book.Resolve(t.Context(), w.resolver, "ana", dht.LevelAny)
	require.NoError(t, err)
	w.publish("a", pointer.Commitment{}, edges("ben", "b"))
	res, err := w.book.Resolve(t.Context(), w.resolver, "ana/ben", dht.LevelAny)
	require.NoError(t, err)
	require.Equal(t, pointerOf("b"), res.Last().Pointer)
	require.Equal(t, uint64(2), res.Hops[0].Result.Record.Sequence())

	_, err = w.book.Resolve(t.Context(), w.resolver, "ana/nobody", dht.LevelAny)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, `"ana" shares no label of that name`)
	require.NotContains(t, err.Error(), "not in the book")

	// A contradiction in the newer card is reported.
	w.now = w.now.Add(time.Second)
	w.publish("a", commitment("a"), edges("ben", "b"))
	_, err = w.resolve("ana")
	require.NoError(t, err)
	w.publish("a", commitment("thief"), nil)
	_, err = w.book.Resolve(t.Context(), w.resolver, "ana/nobody", dht.LevelAny)
	require.ErrorAs(t, err, new(*DuplicityError))
}

// A path of any length up to the bound resolves from card to card; each hop has
// the pointer of its record.
func TestPathsOfOneToEightHops(t *testing.T) {
	w := newWorld(t)
	w.add("n1", "s1")
	for i := 1; i <= maxHops; i++ {
		w.publish(fmt.Sprint("s", i), commitment(fmt.Sprint(i)), edges(fmt.Sprint("n", i+1), fmt.Sprint("s", i+1)))
	}
	path := "n1"
	for i := 1; i <= maxHops; i++ {
		res, err := w.resolve(path)
		require.NoError(t, err)
		require.Equal(t, path, res.Path)
		require.Len(t, res.Hops, i)
		for j, hop := range res.Hops {
			require.Equal(t, fmt.Sprint("n", j+1), hop.Name)
			require.Equal(t, pointerOf(fmt.Sprint("s", j+1)), hop.Pointer)
			require.Equal(t, hop.Pointer, hop.Result.Record.Pointer())
			require.Equal(t, commitment(fmt.Sprint(j+1)), hop.Card.Next)
		}
		require.Equal(t, res.Hops[i-1], res.Last())
		path += fmt.Sprint("/n", i+1)
	}
	n := w.sequence["s1"]
	_, err := w.resolve(path)
	require.ErrorContains(t, err, "has 9 parts, over 8")
	require.Equal(t, n, w.sequence["s1"])
	// A path may start at a pointer, in the book or not, and at the owner's
	// own.
	for _, start := range []string{pointerOf("s1").String(), pointerOf("s2").String()} {
		res, err := w.resolve(start)
		require.NoError(t, err)
		require.Len(t, res.Hops, 1)
	}
	res, err := w.resolve("/ipns/" + pointerOf("s3").String())
	require.NoError(t, err)
	require.Equal(t, pointerOf("s3"), res.Last().Pointer)
	res, err = w.resolve(pointerOf("s3").String() + "/N4")
	require.NoError(t, err)
	require.Equal(t, pointerOf("s4"), res.Last().Pointer)
	w.publish("me", commitment("me"), edges("one", "s1"))
	res, err = w.resolve(pointerOf("me").String() + "/one/n2")
	require.NoError(t, err)
	require.Equal(t, pointerOf("s2"), res.Last().Pointer)
	w.publish("s8", commitment("8"), edges("back", "me"))
	res, err = w.resolve("n1/n2/n3/n4/n5/n6/n7/n8")
	require.NoError(t, err)
	require.Len(t, res.Hops, 8)
}

func TestPathsThatAreNone(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"", "/", "alice/", "/alice", "alice//bob", "alice/\x1b", "alice/" + pointerOf("a").String(), "alice/petname:x", strings.Repeat("x", 200), "alice/\u2044"} {
		res, err := w.book.Resolve(t.Context(), nil, path, dht.LevelAny) // no record is requested
		var bad *name.Error
		require.ErrorAs(t, err, &bad, "%q", path)
		require.Empty(t, res.Hops)
	}
	_, err := w.book.Resolve(t.Context(), nil, "nobody/bob", dht.LevelAny)
	require.ErrorIs(t, at(t, Resolution{}, err, "nobody", 0), ErrNotFound)
	w.add("alice", "a")
	must(w.book.Remove(pointerOf("a")))
	_, err = w.book.Resolve(t.Context(), nil, "alice", dht.LevelAny)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestPathsThatLeadNowhere(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "a")
	w.publish("a", commitment("a"), map[string]pointer.Edge{"bob": edge("b"), "Carol": edge("c"), "CAROL": edge("d"), "me": edge("a"), "bare": edge("bare"), "none": edge("none")})
	w.publish("b", commitment("b"), map[string]pointer.Edge{"alice": edge("a"), "bob": edge("b")})
	bare := w.sign("bare", nil)
	_, err := w.store.Put(t.Context(), bare.Pointer(), bare.Bytes())
	require.NoError(t, err)

	res, err := w.resolve("alice/nobody")
	require.ErrorIs(t, at(t, res, err, "nobody", 1), ErrNotFound)
	res, err = w.resolve("alice/carol") // two of them read like that: neither is taken
	require.ErrorIs(t, at(t, res, err, "carol", 1), ErrNotFound)
	require.ErrorContains(t, err, "2 labels")
	res, err = w.resolve("alice/Carol") // the exact spelling
	require.ErrorIs(t, at(t, res, err, "Carol", 1), dht.ErrNotFound)
	res, err = w.resolve("alice/none/bob")
	require.ErrorIs(t, at(t, res, err, "none", 1), dht.ErrNotFound)
	res, err = w.resolve("alice/bare/bob")
	require.ErrorIs(t, at(t, res, err, "bob", 2), ErrNotFound)
	require.Zero(t, res.Last().Card)
	for path, back := range map[string]string{"alice/me": `"alice"`, "alice/bob/alice": `"alice"`, "alice/bob/bob": `"alice/bob"`} {
		_, err = w.resolve(path)
		require.ErrorContains(t, err, "in a circle, back to "+back+", k51")
	}
	_, err = w.resolve("alice" + strings.Repeat("/bob", 10))
	require.ErrorIs(t, err, ErrPathTooLong)
	for _, path := range []string{"alice/me", "alice/bob/alice", "alice/bob/bob", "alice/bob/alice/bob"} {
		res, err = w.resolve(path)
		require.ErrorContains(t, err, "circle")
		require.LessOrEqual(t, len(res.Hops), 2)
	}
}

// A path is read back as it is shown: with arrows, isolates and the signs in place of those
// that foreign text may not have.
func TestPathIsReadAsItIsShown(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "a")
	w.add("שרה", "s")
	labels := []string{"bob (work)", "v1.2", "a \"b\"", "שלום", "~x", "one [two]"}
	all := map[string]pointer.Edge{"twins (1)": edge("x"), "twins [1": edge("y")}
	for _, label := range labels {
		all[label] = edge("b")
	}
	w.publish("a", commitment("a"), all)
	w.publish("s", commitment("s"), all)
	w.publish("b", commitment("b"), nil)
	for _, from := range []string{"alice", "שרה"} {
		n, err := name.Parse(from)
		require.NoError(t, err)
		for _, label := range labels {
			if !name.IsName(label) {
				continue
			}
			for _, style := range []name.Style{name.Plain, name.Terminal} {
				shown := style.Show(n.Edge(label))
				res, err := w.resolve(shown)
				require.NoError(t, err, shown)
				require.Equal(t, pointerOf("b"), res.Last().Pointer)
			}
			res, err := w.resolve(from + "/" + name.ShownLabel(label))
			require.NoError(t, err, label)
			require.Equal(t, pointerOf("b"), res.Last().Pointer)
		}
	}
	w.publish("me", commitment("me"), edges("choir", "b"))
	res, err := w.resolve("me ⇒ choir")
	require.NoError(t, err)
	require.Equal(t, pointerOf("b"), res.Last().Pointer)
	// Of two labels that are shown alike, none is taken.
	w.publish("a", commitment("a"), map[string]pointer.Edge{"c (1": edge("x"), "c (1 ": edge("y")})
	_, err = w.resolve("alice/c [1")
	require.ErrorIs(t, err, ErrNotFound)
}

// The first card of a contact pins its commitment, once; another one later is
// duplicity, at whatever hop.
func TestFirstCardPinsAndAnotherIsDuplicity(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "a")
	w.publish("a", commitment("a"), edges("bob", "b"))
	w.publish("b", commitment("b"), nil)
	n := entries(w.book)
	for range 3 {
		_, err := w.resolve("alice/bob")
		require.NoError(t, err)
		w.now = w.now.Add(time.Hour)
	}
	require.Equal(t, n+1, entries(w.book), "learnt once; bob isn't in the book")
	c := must(w.book.ByPointer(pointerOf("a")))
	require.Equal(t, commitment("a"), c.Next)
	require.Equal(t, "I am a", c.Nickname)
	require.Equal(t, "alice", c.Name.String())

	thief := commitment("thief")
	w.publish("a", thief, edges("bob", "b"))
	res, err := w.resolve("alice/bob")
	require.Equal(t, &DuplicityError{pointerOf("a"), commitment("a"), thief}, at(t, res, err, "alice", 1))
	// It is recorded, and stays an error when the true card is back, until the
	// owner confirms a card.
	require.Len(t, must(w.book.ByPointer(pointerOf("a"))).Contradictions, 1)
	w.publish("a", commitment("a"), edges("bob", "b"))
	res, err = w.resolve("alice/bob")
	require.Equal(t, &DuplicityError{pointerOf("a"), commitment("a"), thief}, at(t, res, err, "alice", 0))
	card := w.sign("a", &pointer.Card{Next: commitment("a")})
	must(w.book.Confirm(pointerOf("a"), Confirmation{Card: &card}))
	require.Equal(t, commitment("a"), must(w.book.ByPointer(pointerOf("a"))).Next)

	// The commitment of the edge is used if the book has none…
	w.publish("a", commitment("a"), map[string]pointer.Edge{"bob": {Pointer: pointerOf("b"), Next: thief}})
	res, err = w.resolve("alice/bob")
	var contradiction *ContradictionError
	require.ErrorAs(t, at(t, res, err, "bob", 2), &contradiction)
	require.Equal(t, thief, contradiction.Claims[0].Next)
	require.Equal(t, commitment("b"), contradiction.Claims[1].Next)
	// …and otherwise that of the book. The edge's must be equal to a claim…
	_, err = w.book.Add(mustName("robert"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{})
	require.NoError(t, err)
	res, err = w.resolve("alice/bob")
	require.ErrorAs(t, at(t, res, err, "bob", 1), &contradiction)
	// …and does not contradict what a card confirmed.
	_, err = w.resolve("robert")
	require.NoError(t, err)
	_, err = w.resolve("alice/bob")
	require.NoError(t, err)
	w.publish("a", commitment("a"), edges("bob", "b"))
	w.publish("b", thief, nil)
	res, err = w.resolve("alice/bob")
	require.Equal(t, &DuplicityError{pointerOf("b"), commitment("b"), thief}, at(t, res, err, "bob", 2))
}

// Two commitments from two devices end every path through the contact, before
// any record is requested.
func TestDuplicityOnRecordEndsPaths(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "a")
	w.add("carol", "c")
	w.publish("c", commitment("c"), edges("al", "a"))
	must(w.book.SharePublic(pointerOf("a"), mustName("al")))
	for _, next := range []string{"x", "y"} {
		_, err := w.book.Ledger().Append(marshal(act{Op: opLearn, Contact: pointerOf("a").Bytes(), Fact: &wireFact{Kind: "card", Next: commitment(next).Bytes()}}))
		require.NoError(t, err)
	}
	want := &DuplicityError{pointerOf("a"), commitment("x"), commitment("y")}
	res, err := w.book.Resolve(t.Context(), nil, "alice", dht.LevelAny)
	require.Equal(t, want, at(t, res, err, "alice", 0))
	res, err = w.resolve("carol/al")
	require.Equal(t, want, at(t, res, err, "al", 1))
	_, err = w.book.SharePublic(pointerOf("a"), mustName("al"))
	require.Equal(t, want, err, "nor is it shared")
	require.Empty(t, must(PublishableEdges(w.book.Edges())), "nor is it handed on")
}

// liar is a store that answers with other bytes than it was given.
type liar struct {
	dht.Store
	p    pointer.Pointer
	with []byte
}

func (l *liar) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		for a, err := range l.Store.Get(ctx, p) {
			if p == l.p {
				a.Record = l.with
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// Expired, forged and rolled-back records end a path at the hop where they come.
func TestBadRecordsAtEachHop(t *testing.T) {
	seeds := []string{"a", "b", "c"}
	labels := []string{"alice", "bob", "carol"}
	for i, seed := range seeds {
		fill := func(t *testing.T) *world {
			w := newWorld(t)
			w.add("alice", "a")
			w.publish("a", commitment("a"), edges("bob", "b"))
			w.publish("b", commitment("b"), edges("carol", "c"))
			w.publish("c", commitment("c"), nil)
			return w
		}
		t.Run("expired "+seed, func(t *testing.T) {
			w := fill(t)
			w.now = w.now.Add(49 * time.Hour)
			for _, other := range seeds {
				if other != seed {
					next := map[string]map[string]pointer.Edge{"a": edges("bob", "b"), "b": edges("carol", "c")}[other]
					w.publish(other, commitment(other), next)
				}
			}
			res, err := w.resolve("alice/bob/carol")
			var expired *pointer.ExpiredError
			require.ErrorAs(t, at(t, res, err, labels[i], i), &expired)
		})
		t.Run("forged "+seed, func(t *testing.T) {
			w := fill(t)
			forged := w.sign("mallory", &pointer.Card{Edges: map[string]pointer.Edge{"bob": edge("mallory"), "carol": edge("mallory")}})
			w.resolver.Stores = []dht.Store{&liar{w.store, pointerOf(seed), forged.Bytes()}}
			res, err := w.resolve("alice/bob/carol")
			require.ErrorIs(t, at(t, res, err, labels[i], i), dht.ErrRejected)
		})
		t.Run("rolled back "+seed, func(t *testing.T) {
			w := fill(t)
			var old []byte
			for a, err := range w.store.Get(t.Context(), pointerOf(seed)) {
				require.NoError(t, err)
				old = a.Record
			}
			next := map[string]map[string]pointer.Edge{"a": edges("bob", "b"), "b": edges("carol", "c")}[seed]
			w.publish(seed, commitment(seed), next)
			_, err := w.resolve("alice/bob/carol")
			require.NoError(t, err)
			w.now = w.now.Add(time.Hour)
			w.resolver.Stores = []dht.Store{&liar{w.store, pointerOf(seed), old}}
			res, err := w.resolve("alice/bob/carol")
			if err == nil { // the floor is served in its stead, and the older one never
				require.Equal(t, uint64(2), res.Hops[i].Result.Record.Sequence())
				return
			}
			var rollback *dht.RollbackError
			require.ErrorAs(t, at(t, res, err, labels[i], i), &rollback)
		})
	}
}

// wrong is a finder of records that mixes them up.
type wrong struct{ dht.Result }

func (w wrong) Best(context.Context, pointer.Pointer, dht.Level) (dht.Result, error) {
	return w.Result, nil
}

func TestARecordOfAnotherPointerIsRefused(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "a")
	res, err := w.book.Resolve(t.Context(), wrong{dht.Result{Record: w.sign("mallory", nil)}}, "alice", dht.LevelAny)
	require.ErrorContains(t, at(t, res, err, "alice", 0), "a record of "+pointerOf("mallory").String())
	_, err = w.book.Resolve(t.Context(), wrong{}, "alice", dht.LevelAny)
	require.Error(t, err, "no record at all")
}

func TestResolveOfflineAndCancelled(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "a")
	w.publish("a", commitment("a"), edges("bob", "b"))
	w.publish("b", commitment("b"), nil)
	res, err := w.book.Resolve(t.Context(), w.resolver, "alice", dht.LevelOffline)
	require.Error(t, at(t, res, err, "alice", 0), "nothing is at home yet")
	_, err = w.resolve("alice")
	require.NoError(t, err)
	res, err = w.book.Resolve(t.Context(), w.resolver, "alice/bob", dht.LevelOffline)
	require.Error(t, at(t, res, err, "bob", 1), "alice is at home now, and bob isn't")
	_, err = w.resolve("alice/bob")
	require.NoError(t, err)
	res, err = w.book.Resolve(t.Context(), w.resolver, "alice/bob", dht.LevelOffline)
	require.NoError(t, err)
	require.Equal(t, dht.LevelOffline, res.Last().Result.Freshness)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.resolver = &dht.Resolver{Stores: []dht.Store{w.store}, Now: func() time.Time { return w.now }}
	res, err = w.book.Resolve(ctx, w.resolver, "alice/bob", dht.LevelFresh)
	require.True(t, errors.Is(at(t, res, err, "alice", 0), context.Canceled), "%v", err)
}

// Not being able to look a pin up is no reason to go on without.
func TestNoPathWithoutTheBook(t *testing.T) {
	w := newWorld(t)
	w.publish("a", commitment("a"), edges("bob", "b"))
	w.publish("b", commitment("b"), nil)
	require.NoError(t, w.book.Close())
	_, err := w.resolve(pointerOf("a").String())
	require.Error(t, err)
	_, err = w.book.pinnedEdge(pointer.Edge{Pointer: pointerOf("b"), Next: commitment("thief")})
	require.Error(t, err)
}
