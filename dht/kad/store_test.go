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

// Other peers' records do not displace the node's own records while these use
// at most half of the room. Beyond that the node's own records are removed
// first, the furthest of them first.
func TestOwnRecordsHaveHalfOfTheRoom(t *testing.T) {
	const limit = 64 << 10
	s := testStore(limit)
	var own []string
	for i := 0; s.costOf(ownSource) < limit/2-1000; i++ {
		own = append(own, fmt.Sprint("own ", i))
		require.NoError(t, storeAs(t, s, ownSource, own[i], 400))
	}
	for i := range 500 {
		_ = storeAs(t, s, fmt.Sprintf("source %d", i%50), fmt.Sprint("foreign ", i), 400)
	}
	require.Greater(t, s.cost, limit-2000)
	for _, key := range own {
		require.True(t, holds(s, key), key)
	}
	for i := range 300 {
		own = append(own, fmt.Sprint("more own records ", i))
		_ = storeAs(t, s, ownSource, own[len(own)-1], 400)
		require.LessOrEqual(t, s.cost, limit)
	}
	require.InDelta(t, limit/2, s.costOf(ownSource), 1200)
	require.InDelta(t, limit/2, s.cost-s.costOf(ownSource), 1200)
	requireNearest(t, s, own)
}

// requireNearest checks that the store holds the keys nearest to the node, out
// of the given ones.
func requireNearest(t *testing.T, s *boundedStore, keys []string) {
	t.Helper()
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(distancePrefix(s, a), distancePrefix(s, b)) })
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

// The nearest records of one source stay. If two sources hold about the same
// amount, the nearest records of both stay. If one source holds over 4 KiB more
// than another, its records are removed first, however near they are.
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
		if key := fmt.Sprint("key ", i); distancePrefix(s, key) < 1<<63 {
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
	require.Greater(t, s.costOf("greedy"), s.costOf("modest")+costTolerance)

	s = testStore(60 << 10) // two times 7.5 times 4 KiB
	for i := range 200 {
		_ = storeAs(t, s, "near", near[i], 400)
		_ = storeAs(t, s, "far", far[i], 400)
	}
	require.InDelta(t, s.costOf("near"), s.costOf("far"), 2*costTolerance)
	require.GreaterOrEqual(t, s.costOf("near"), s.costOf("far")+costTolerance-1500, "the further of about equal ones lose")
}

// A put counts against the source from which it is expected. A provider record
// counts against the provider. Any other put counts as the node's own. finishPut
// reports a put without room, once.
func TestPutsCountAgainstTheirSource(t *testing.T) {
	s := testStore(1 << 20)
	value, err := proto.Marshal(record.MakePutRecord("key", []byte("value")))
	require.NoError(t, err)
	source := func(name string) string { return s.items[name].source.name }
	s.expectPut("key", "them")
	s.expectPut("key", "them too")
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/a"), value))
	require.Equal(t, "them too", source("/ipns/a"))
	require.False(t, s.finishPut("key"))
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/b"), value))
	require.Equal(t, "them too", source("/ipns/b"), "one of the two puts is still under way")
	require.False(t, s.finishPut("key"))
	require.Empty(t, s.pending)
	require.False(t, s.finishPut("key"), "no put is expected")
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/c"), value))
	require.Equal(t, ownSource, source("/ipns/c"))
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/providers/content/provider"), []byte{0xff}))
	require.Equal(t, "provider", source("/providers/content/provider"))

	// A record that the node stored stays the node's own record, even if a peer
	// puts the same record later.
	s.expectPut("key", "them")
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/c"), value))
	require.Equal(t, ownSource, source("/ipns/c"))
	s.finishPut("key")
	for i := range 5 {
		require.NoError(t, storeAs(t, s, ownSource, fmt.Sprint(i), 100))
	}
	require.NoError(t, s.Put(t.Context(), datastore.NewKey("/ipns/a"), value))
	require.Equal(t, ownSource, source("/ipns/a"), "though others hold less")

	s = testStore(100) // less than any record needs
	s.expectPut("key", "them")
	require.ErrorIs(t, s.Put(t.Context(), datastore.NewKey("/ipns/a"), value), errFull)
	require.True(t, s.finishPut("key"))
	require.False(t, s.finishPut("key"))
	require.Zero(t, s.cost)
}

// A full store looks for expired records once a minute, not at each put, and
// also after the clock is set back.
func TestAFullStoreLooksForExpiredRecordsOnceAMinute(t *testing.T) {
	start := time.Unix(1e9, 0)
	now := start
	s := newBoundedStore(1<<10, func() time.Time { return now })
	fill := func() {
		for i := range 3 {
			_ = storeAs(t, s, "source", fmt.Sprint(i), 600)
		}
	}
	fill()
	require.Equal(t, start, s.lastDrop)
	now = start.Add(dropEvery)
	fill()
	require.Equal(t, start, s.lastDrop)
	now = start.Add(dropEvery + 1)
	fill()
	require.Equal(t, now, s.lastDrop)
	now = start.Add(-time.Hour)
	fill()
	require.Equal(t, now, s.lastDrop)
}

// The store notes changed, removed and deleted records for the journal, and
// does not note unchanged ones.
func TestChangesAreNoted(t *testing.T) {
	s := testStore(8 << 10)
	for i := range 20 {
		_ = storeAs(t, s, "source", fmt.Sprint("before ", i), 100)
	}
	before := maps.Clone(s.items)
	s.changedKeys = map[string]bool{}
	for i := range 20 {
		_ = storeAs(t, s, fmt.Sprintf("source %d", i%2), fmt.Sprint("after ", i), 100)
	}
	dropped := 0
	for name := range before {
		require.Equal(t, s.items[name] == nil, s.changedKeys[name], "%s was dropped", name)
		if s.items[name] == nil {
			dropped++
		}
	}
	require.Positive(t, dropped)
	for name := range s.items {
		require.Equal(t, before[name] == nil, s.changedKeys[name], "%s was put", name)
	}
	for name := range s.items {
		s.changedKeys = map[string]bool{}
		for range 2 {
			require.NoError(t, s.Delete(context.Background(), datastore.NewKey(name)))
			require.Equal(t, map[string]bool{name: true}, s.changedKeys)
		}
	}
}
