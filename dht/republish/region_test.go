package republish

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// A book of many contacts needs far fewer walks than contacts, and each record
// reaches the 20 peers that are closest to it.
func TestFarFewerWalksThanRecords(t *testing.T) {
	names, peers, goal := lawtest.Size(600, 10000), lawtest.Size(300, 2000), lawtest.Size(50, 300)
	synctest.Test(t, func(t *testing.T) {
		m := newModel(peers, 3)
		b, home, recs := newHome(t, names, 6*24*time.Hour)
		k, stop := start(t, Config{Network: m, Contacts: b, Home: home})
		began := time.Now()
		for looked(k.Entries()) < names {
			advance(5 * time.Minute)
			require.Less(t, time.Since(began), 24*time.Hour)
		}
		walks, took := m.walkCount(), time.Since(began)
		stop()
		for i := 0; i < names; i += lawtest.Size(1, 7) { // counting them is slow
			require.Equal(t, replication, m.holders(recs[i]))
		}
		t.Logf("%d names in a network of %d peers: %d walks against %d (%.1f names a walk), in %s", names, peers, walks, names, float64(names)/float64(walks), took)
		require.Equal(t, walks, k.Status().Walks)
		require.LessOrEqual(t, walks, goal)
	})
}

// In networks of any size an exploration finds the closest 20 of every key in
// its region, or all there are.
func TestRegionHasTheClosestPeersOfItsKeys(t *testing.T) {
	for _, peers := range []int{1, 5, 19, 20, 21, 40, 100, 777, 3000} {
		t.Run(fmt.Sprint(peers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(peers, 5)
				k := New(Config{Network: m, Contacts: &book{}, Home: nil, Rand: rand.NewPCG(1, 2)})
				for i := range 30 {
					near := keyOf(testKey(i).Pointer())
					r, err := k.explore(t.Context(), near)
					require.NoError(t, err)
					require.True(t, r.contains(near))
					at := near
					for range 5 {
						var want, got []string
						for _, p := range m.closestTo(at) {
							want = append(want, p.ID)
						}
						for _, p := range r.closestPeers(at) {
							got = append(got, p.ID)
						}
						require.Equal(t, want, got)
						for i := r.bits; i < 256; i++ { // elsewhere in the region
							if m.rng.IntN(2) == 1 {
								at = sibling(at, i+1)
							}
						}
					}
				}
			})
		})
	}
}

// Attack: observers that see all requests of every peer key can link no two
// contacts to each other, nor one to a walk; a walk reveals no more of a contact
// than the bits that its region shares.
func TestClientsAreUnlinkable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers = 2000
		m := newModel(peers, 9)
		b, home, _ := newHome(t, 300, 6*24*time.Hour)
		_, stop := start(t, Config{Network: m, Contacts: b, Home: home})
		advance(3 * time.Hour)
		stop()
		named, most := 0, int(math.Log2(peers/replication))+4
		for _, s := range m.clients {
			require.True(t, s.closed)
			require.LessOrEqual(t, len(s.pointers), 1, "one peer key, two contacts")
			require.False(t, len(s.pointers) > 0 && len(s.keys) > 0, "one peer key, a walk and a contact")
			named += len(s.pointers)
			for i, place := range s.keys {
				require.LessOrEqual(t, s.bits[i], most)
				require.Equal(t, place.truncate(s.bits[i]), place, "more of a key than the bits of its region")
			}
		}
		require.GreaterOrEqual(t, named, 300)
	})
}

// Attack: peers are dense at one key, to make the exploration of the region around
// it endless.
func TestDensePeersDoNotExceedTheWalkLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 11)
		near := keyOf(testKey(0).Pointer())
		crowded := sibling(near, 6)
		var id [16]byte
		for n, crowd := uint64(0), 0; crowd < 800; n++ { // they share 12 bits, which two honest peers rarely do
			binary.BigEndian.PutUint64(id[:], n)
			if commonPrefix(sha256.Sum256(id[:]), crowded) >= 12 {
				m.join(Peer{ID: string(id[:])})
				crowd++
			}
		}
		k := New(Config{Network: m, Contacts: &book{}, Rand: rand.NewPCG(1, 2)})
		r, err := k.explore(t.Context(), near)
		require.NoError(t, err)
		require.True(t, r.contains(crowded), "else this tests nothing")
		require.LessOrEqual(t, m.walkCount(), maxWalks)
		require.Greater(t, m.walkCount(), maxWalks/2)
	})
}

func TestKeyPrefixes(t *testing.T) {
	p := keyOf(testKey(1).Pointer())
	require.Equal(t, 256, commonPrefix(p, p))
	for d := 1; d <= 256; d++ {
		require.Equal(t, d-1, commonPrefix(p, sibling(p, d)))
		require.Equal(t, p, sibling(sibling(p, d), d))
		require.GreaterOrEqual(t, commonPrefix(p, p.truncate(d)), d)
		require.Equal(t, p.truncate(d), p.truncate(d).truncate(d))
	}
	require.Equal(t, Key{}, p.truncate(0))
	require.Equal(t, p, p.truncate(256))
}
