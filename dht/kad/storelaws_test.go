package kad

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// The records of these tests are not signed: the store relies on its caller to
// verify them.

// storeAs puts a record as a put from a source.
func storeAs(t testing.TB, s *boundedStore, source, key string, size int) error {
	t.Helper()
	value, err := proto.Marshal(record.MakePutRecord(key, make([]byte, size)))
	require.NoError(t, err)
	if source != ownSource {
		s.expectPut(key, source)
		defer s.finishPut(key)
	}
	return s.Put(context.Background(), datastore.NewKey("/ipns/"+fmt.Sprintf("%x", key)), value)
}

func holds(s *boundedStore, key string) bool {
	has, _ := s.Has(context.Background(), datastore.NewKey("/ipns/"+fmt.Sprintf("%x", key)))
	return has
}

func testStore(limit int) *boundedStore {
	s := newBoundedStore(limit, time.Now)
	s.setNode(peer.ID("the node"))
	return s
}

// distancePrefix returns the first 8 bytes of a key's distance from the store's
// node.
func distancePrefix(s *boundedStore, key string) uint64 {
	d := sha256.Sum256([]byte(key))
	return binary.BigEndian.Uint64(d[:8]) ^ binary.BigEndian.Uint64(s.self[:8])
}

// A flood from one source evicts only records of that source, however near to
// the node its keys are.
func TestAFloodEvictsItsOwnRecords(t *testing.T) {
	s := testStore(1 << 20)
	var honest []string
	for i := range 400 {
		key := fmt.Sprintf("honest %d", i)
		honest = append(honest, key)
		require.NoError(t, storeAs(t, s, fmt.Sprintf("publisher %d", i%200), key, 400))
	}
	require.NoError(t, storeAs(t, s, ownSource, "own record", 400))
	refused := 0
	for flooder := range 8 {
		for i := range 4000 {
			key := ""
			for j := 0; ; j++ { // search for a key in the nearest sixteenth
				if key = fmt.Sprintf("flood %d %d %d", flooder, i, j); distancePrefix(s, key) < 1<<60 {
					break
				}
			}
			if storeAs(t, s, fmt.Sprintf("flooder %d", flooder), key, 400) != nil {
				refused++
			}
		}
	}
	for _, key := range honest {
		require.True(t, holds(s, key), key)
	}
	require.True(t, holds(s, "own record"))
	require.LessOrEqual(t, s.cost, 1<<20)
	require.NotZero(t, refused, "a record that would be removed immediately is refused, not acknowledged")
}

// If each record has its own source, the worst case, the records nearest to the
// node stay.
func TestWithManySourcesTheNearestRecordsStay(t *testing.T) {
	s := testStore(256 << 10)
	var near []string
	for i := range 20_000 {
		key := fmt.Sprintf("record %d", i)
		if distancePrefix(s, key) < 1<<64/20_000*100 { // about 100 of them
			near = append(near, key)
		}
		_ = storeAs(t, s, fmt.Sprintf("source %d", i), key, 400)
	}
	require.Greater(t, len(near), 50)
	for _, key := range near {
		require.True(t, holds(s, key), key)
	}
}

// A source cannot cause the removal of another source's record by putting it
// again.
func TestARecordCountsAgainstTheSmallestSource(t *testing.T) {
	s := testStore(1 << 20)
	require.NoError(t, storeAs(t, s, "honest", "contested", 400))
	require.NoError(t, storeAs(t, s, "flooder", "contested too", 400))
	for i := range 500 {
		require.NoError(t, storeAs(t, s, "flooder", fmt.Sprint(i), 400))
	}
	require.NoError(t, storeAs(t, s, "flooder", "contested", 400))
	require.NoError(t, storeAs(t, s, "honest", "contested too", 400)) // in either order
	for i := range 5000 {
		_ = storeAs(t, s, "flooder", fmt.Sprint("more ", i), 400)
	}
	require.True(t, holds(s, "contested"))
	require.True(t, holds(s, "contested too"))
}

// Expired records are not served. They are removed before any other record, and
// their removal is written to the journal.
func TestExpiredRecordsAreRemovedFirst(t *testing.T) {
	now := time.Now()
	s := newBoundedStore(64<<10, func() time.Time { return now })
	k := newKey(t)
	key := routingKey(k.Pointer())
	value, err := proto.Marshal(record.MakePutRecord(key, sign(t, k, 1).Bytes())) // for an hour
	require.NoError(t, err)
	dskey := datastore.NewKey("/ipns/mortal")
	require.NoError(t, s.Put(t.Context(), dskey, value))
	got, err := s.Get(t.Context(), dskey)
	require.NoError(t, err)
	require.Equal(t, value, got)
	now = now.Add(2 * time.Hour)
	_, err = s.Get(t.Context(), dskey)
	require.ErrorIs(t, err, datastore.ErrNotFound)
	for i := range 1000 {
		_ = storeAs(t, s, "flooder", fmt.Sprint(i), 400)
	}
	require.NotContains(t, s.items, "/ipns/mortal")
}

// The laws of the store: after any sequence of operations its sums are correct,
// it is within its bound, and a source below its share has lost nothing to other
// sources.
func TestBoundedStoreLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 128 << 10
		s := newBoundedStore(limit, time.Now)
		s.setNode(peer.ID("the node"))
		sources := rapid.IntRange(1, 6).Draw(t, "sources")
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			name := fmt.Sprintf("/ipns/%d", rapid.IntRange(0, 150).Draw(t, "key"))
			if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
				require.NoError(t, s.Delete(context.Background(), datastore.NewKey(name)))
				continue
			}
			from := ownSource
			if i := rapid.IntRange(0, sources).Draw(t, "source"); i > 0 {
				from = fmt.Sprint("source ", i)
			}
			before := map[string]int{}
			for _, src := range s.sources {
				before[src.name] = src.cost
			}
			r := s.parseValue(name, bytes.Repeat([]byte{0xff}, rapid.IntRange(0, 2000).Draw(t, "size")))
			charged := from
			if old := s.items[name]; old != nil {
				charged = old.source.name
			}
			_ = s.insert(&r.heldRecord, from)
			share := limit/2/(len(before)+1) - costTolerance // half may be the node's own records
			for other, cost := range before {
				if other != from && other != charged && cost < share {
					require.Equal(t, cost, s.costOf(other), "%s lost something to %s", other, from)
				}
			}
		}
		cost, size, items := 0, 0, 0
		for name, src := range s.sources {
			require.NotEmpty(t, src.items)
			of := 0
			for i, h := range src.items {
				require.Equal(t, i, h.heapIndex)
				require.Same(t, h, s.items[h.name])
				require.Same(t, src, h.source)
				of += h.cost()
				size += len(h.value)
				items++
			}
			require.Equal(t, of, src.cost)
			require.Equal(t, name == ownSource, src.heapIndex < 0)
			cost += of
		}
		require.Equal(t, cost, s.cost)
		require.Equal(t, size, s.bytes)
		require.Len(t, s.items, items)
		require.LessOrEqual(t, s.cost, limit)
	})
}

// The store implements the datastore operations that kad-dht uses.
func TestBoundedStoreQuery(t *testing.T) {
	s := testStore(1 << 20)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 50 {
		require.NoError(t, storeAs(t, s, "a", fmt.Sprint(i), random.IntN(300)))
	}
	results, err := s.Query(t.Context(), query.Query{Prefix: "/ipns"})
	require.NoError(t, err)
	all, err := results.Rest()
	require.NoError(t, err)
	require.Len(t, all, 50)
	size, err := s.GetSize(t.Context(), datastore.NewKey(all[0].Key))
	require.NoError(t, err)
	require.Equal(t, len(all[0].Value), size)
	b, err := s.Batch(t.Context())
	require.NoError(t, err)
	require.NoError(t, b.Delete(t.Context(), datastore.NewKey(all[0].Key)))
	require.NoError(t, b.Commit(t.Context()))
	records, _ := s.size()
	require.Equal(t, 49, records)
	require.Error(t, s.Put(t.Context(), datastore.NewKey("/ipns/long"), make([]byte, maxRequest+1)))
}
