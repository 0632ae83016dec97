package kad

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// What the node stored itself is not crowded out by others as long as it takes
// no more than half of the room; beyond that it gives way to them, the furthest
// of it first.
func TestOwnRecordsHaveHalfOfTheRoom(t *testing.T) {
	const limit = 64 << 10
	s := testStore(limit)
	var own []string
	for i := 0; s.costOf(ours) < limit/2-1000; i++ {
		own = append(own, fmt.Sprint("own ", i))
		require.NoError(t, storeAs(t, s, ours, own[i], 400))
	}
	for i := range 500 {
		_ = storeAs(t, s, fmt.Sprintf("source %d", i%50), fmt.Sprint("foreign ", i), 400)
	}
	require.Greater(t, s.cost, limit-2000)
	for _, key := range own {
		require.True(t, holds(s, key), key)
	}
	for i := range 300 {
		own = append(own, fmt.Sprint("more of our own ", i))
		_ = storeAs(t, s, ours, own[len(own)-1], 400)
		require.LessOrEqual(t, s.cost, limit)
	}
	require.InDelta(t, limit/2, s.costOf(ours), 1200)
	require.InDelta(t, limit/2, s.cost-s.costOf(ours), 1200)
	requireNearest(t, s, own)
}

// requireNearest checks that of some keys those are held that lie nearest to
// the node.
func requireNearest(t *testing.T, s *heldStore, keys []string) {
	t.Helper()
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(farOff(s, a), farOff(s, b)) })
	held := 0
	for held < len(keys) && holds(s, keys[held]) {
		held++
	}
	require.Positive(t, held)
	require.Less(t, held, len(keys))
	for _, key := range keys[held:] {
		require.False(t, holds(s, key), "further than one that was dropped")
	}
}

// Of one source's records the nearest stay; of two sources that hold about as
// much, so do the nearest of both; and who holds more than another by more than
// 4 KiB loses first, however near its records are.
func TestTheFurthestOfTheLargestSourceGoesFirst(t *testing.T) {
	s := testStore(64 << 10)
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprint("key ", i))
		_ = storeAs(t, s, "one", keys[i], 400)
	}
	requireNearest(t, s, keys)

	s = testStore(64 << 10)
	var near, far []string
	for i := 0; len(near) < 200 || len(far) < 200; i++ {
		if key := fmt.Sprint("key ", i); farOff(s, key) < 1<<63 {
			near = append(near, key)
		} else {
			far = append(far, key)
		}
	}
	for i := range 30 {
		require.NoError(t, storeAs(t, s, "modest", far[i], 400))
	}
	for i := range 200 {
		_ = storeAs(t, s, "greedy", near[i], 400)
	}
	for i := range 30 {
		require.True(t, holds(s, far[i]), "it holds less")
	}
	require.Greater(t, s.costOf("greedy"), s.costOf("modest")+fair)

	s = testStore(60 << 10) // twice 7.5 times 4 KiB
	for i := range 200 {
		_ = storeAs(t, s, "near", near[i], 400)
		_ = storeAs(t, s, "far", far[i], 400)
	}
	require.InDelta(t, s.costOf("near"), s.costOf("far"), 2*fair)
	require.GreaterOrEqual(t, s.costOf("near"), s.costOf("far")+fair-1500, "the further of about equal ones lose")
}

// A put counts against the source that it is expected from, what names a
// provider against the provider, and any other is the node's own; one that there
// was no room for is reported where it is settled, once.
func TestPutsCountAgainstTheirSource(t *testing.T) {
	s := testStore(1 << 20)
	value, err := proto.Marshal(record.MakePutRecord("key", []byte("value")))
	require.NoError(t, err)
	source := func(name string) string { return s.items[name].source.name }
	s.expect("key", "them")
	s.expect("key", "them too")
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/a"), value))
	require.Equal(t, "them too", source("/ipns/a"))
	require.False(t, s.settle("key"))
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/b"), value))
	require.Equal(t, "them too", source("/ipns/b"), "one of the two is still on its way")
	require.False(t, s.settle("key"))
	require.Empty(t, s.pending)
	require.False(t, s.settle("key"), "nobody is expected")
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/c"), value))
	require.Equal(t, ours, source("/ipns/c"))
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/providers/content/provider"), []byte{0xff}))
	require.Equal(t, "provider", source("/providers/content/provider"))

	// Ours is ours, whoever puts it as well.
	s.expect("key", "them")
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/c"), value))
	require.Equal(t, ours, source("/ipns/c"))
	s.settle("key")
	for i := range 5 {
		require.NoError(t, storeAs(t, s, ours, fmt.Sprint(i), 100))
	}
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/a"), value))
	require.Equal(t, ours, source("/ipns/a"), "though others hold less")

	s = testStore(100) // less than any takes
	s.expect("key", "them")
	require.ErrorIs(t, s.Put(t.Context(), datastore.NewKey("/ipns/a"), value), errFull)
	require.True(t, s.settle("key"))
	require.False(t, s.settle("key"))
	require.Zero(t, s.cost)
}

// A full store looks for what has expired once a minute, not at each put; a
// clock that is set back does not keep it from it.
func TestTheExpiredAreLookedForOnceAMinute(t *testing.T) {
	start := time.Unix(1e9, 0)
	now := start
	s := newHeldStore(1<<10, func() time.Time { return now })
	fill := func() {
		for i := range 3 {
			_ = storeAs(t, s, "source", fmt.Sprint(i), 600)
		}
	}
	fill()
	require.Equal(t, start, s.collected)
	now = start.Add(collectEvery)
	fill()
	require.Equal(t, start, s.collected)
	now = start.Add(collectEvery + 1)
	fill()
	require.Equal(t, now, s.collected)
	now = start.Add(-time.Hour)
	fill()
	require.Equal(t, now, s.collected)
}

// What is changed, dropped or deleted is noted for the journal, and what is as
// it was is not.
func TestChangesAreNoted(t *testing.T) {
	s := testStore(8 << 10)
	for i := range 20 {
		_ = storeAs(t, s, "source", fmt.Sprint("before ", i), 100)
	}
	before := maps.Clone(s.items)
	s.changed = map[string]bool{}
	for i := range 20 {
		_ = storeAs(t, s, fmt.Sprintf("source %d", i%2), fmt.Sprint("after ", i), 100)
	}
	dropped := 0
	for name := range before {
		require.Equal(t, s.items[name] == nil, s.changed[name], "%s was dropped", name)
		if s.items[name] == nil {
			dropped++
		}
	}
	require.Positive(t, dropped)
	for name := range s.items {
		require.Equal(t, before[name] == nil, s.changed[name], "%s was put", name)
	}
	for name := range s.items {
		s.changed = map[string]bool{}
		for range 2 {
			require.NoError(t, s.Delete(context.Background(), datastore.NewKey(name)))
			require.Equal(t, map[string]bool{name: true}, s.changed)
		}
	}
}
