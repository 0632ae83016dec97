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
)

// A book of many names needs far fewer walks than names, and each record
// reaches the 20 peers that are closest to it.
func TestABookCostsFarFewerWalksThanNames(t *testing.T) {
	names, peers, goal := size(600, 10000), size(300, 2000), size(50, 300)
	synctest.Test(t, func(t *testing.T) {
		m := newModel(peers, 3)
		b, home, recs := kept(t, names, 6*24*time.Hour)
		k, stop := start(t, Config{Network: m, Contacts: b, Home: home})
		began := time.Now()
		for looked(k.Entries()) < names {
			pass(5 * time.Minute)
			require.Less(t, time.Since(began), 24*time.Hour)
		}
		walks, took := m.walked(), time.Since(began)
		stop()
		for i := 0; i < names; i += size(1, 7) { // counting them is slow
			require.Equal(t, closest, m.holders(recs[i]))
		}
		t.Logf("%d names in a network of %d peers: %d walks against %d (%.1f names a walk), in %s", names, peers, walks, names, float64(names)/float64(walks), took)
		require.Equal(t, walks, k.Status().Walks)
		require.LessOrEqual(t, walks, goal)
	})
}

// In networks of any size an exploration finds the closest 20 of every place in
// its region, or all there are.
func TestARegionHasTheClosestOfItsPlaces(t *testing.T) {
	for _, peers := range []int{1, 5, 19, 20, 21, 40, 100, 777, 3000} {
		t.Run(fmt.Sprint(peers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(peers, 5)
				k := New(Config{Network: m, Contacts: &book{}, Home: nil, Rand: rand.NewPCG(1, 2)})
				for i := range 30 {
					near := placeOf(testKey(i).Pointer())
					r, err := k.explore(t.Context(), near)
					require.NoError(t, err)
					require.True(t, r.holds(near))
					at := near
					for range 5 {
						var want, got []string
						for _, p := range m.around(at) {
							want = append(want, p.ID)
						}
						for _, p := range r.nearest(at) {
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

// Attack: observers that see all that every peer key says can link no two
// contacts to each other, nor any to a walk; a walk tells no more of a contact
// than the bits that its region shares.
func TestStrangersAreNotLinked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers = 2000
		m := newModel(peers, 9)
		b, home, _ := kept(t, 300, 6*24*time.Hour)
		_, stop := start(t, Config{Network: m, Contacts: b, Home: home})
		pass(3 * time.Hour)
		stop()
		named, most := 0, int(math.Log2(peers/closest))+4
		for _, s := range m.strangers {
			require.True(t, s.closed)
			require.LessOrEqual(t, len(s.pointers), 1, "one peer key, two contacts")
			require.False(t, len(s.pointers) > 0 && len(s.places) > 0, "one peer key, a walk and a contact")
			named += len(s.pointers)
			for i, place := range s.places {
				require.LessOrEqual(t, s.bits[i], most)
				require.Equal(t, place.first(s.bits[i]), place, "more of a place than its region's bits")
			}
		}
		require.GreaterOrEqual(t, named, 300)
	})
}

// Attack: peers crowd at one place, to make the exploration of the region around
// it endless.
func TestACrowdBoundsTheWalks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(500, 11)
		near := placeOf(testKey(0).Pointer())
		crowded := sibling(near, 6)
		var id [16]byte
		for n, crowd := uint64(0), 0; crowd < 800; n++ { // they share 12 bits, which two honest peers rarely do
			binary.BigEndian.PutUint64(id[:], n)
			if common(sha256.Sum256(id[:]), crowded) >= 12 {
				m.join(Peer{ID: string(id[:])})
				crowd++
			}
		}
		k := New(Config{Network: m, Contacts: &book{}, Rand: rand.NewPCG(1, 2)})
		r, err := k.explore(t.Context(), near)
		require.NoError(t, err)
		require.True(t, r.holds(crowded), "else this tests nothing")
		require.LessOrEqual(t, m.walked(), maxWalks)
		require.Greater(t, m.walked(), maxWalks/2)
	})
}

func TestPlaces(t *testing.T) {
	p := placeOf(testKey(1).Pointer())
	require.Equal(t, 256, common(p, p))
	for d := 1; d <= 256; d++ {
		require.Equal(t, d-1, common(p, sibling(p, d)))
		require.Equal(t, p, sibling(sibling(p, d), d))
		require.GreaterOrEqual(t, common(p, p.first(d)), d)
		require.Equal(t, p.first(d), p.first(d).first(d))
	}
	require.Equal(t, Place{}, p.first(0))
	require.Equal(t, p, p.first(256))
}
