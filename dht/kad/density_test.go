package kad

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// simNetwork is a model of a network with routing tables as in Kademlia: at
// most 20 peers for each number of leading bits shared with the table's owner.
type simNetwork struct {
	honest []peer.ID
	sybils []peer.ID // name only one another
	tables map[peer.ID][]peer.ID
	places map[peer.ID][sha256.Size]byte
}

func newSimNetwork(r *rand.Rand, n, sybils int, key string) *simNetwork {
	w := &simNetwork{tables: map[peer.ID][]peer.ID{}}
	for i := range n {
		w.honest = append(w.honest, peer.ID(fmt.Sprintf("honest %d %d", i, r.Uint64())))
	}
	target := sha256.Sum256([]byte(key))
	sortByDistance(target, w.honest)
	limit := distanceOf(target, w.honest[0])
	for i := 0; len(w.sybils) < sybils; i++ {
		id := peer.ID(fmt.Sprintf("sybil %d %d", i, r.Uint64()))
		if d := distanceOf(target, id); bytes.Compare(d[:], limit[:]) < 0 {
			w.sybils = append(w.sybils, id)
		}
	}
	all := slices.Concat(w.honest, w.sybils) // the Sybils joined last
	w.places = map[peer.ID][sha256.Size]byte{}
	for _, id := range all {
		w.places[id] = sha256.Sum256([]byte(id))
	}
	for _, id := range w.honest {
		w.tables[id] = w.table(r, id, all)
	}
	return w
}

func (w *simNetwork) table(r *rand.Rand, self peer.ID, all []peer.ID) []peer.ID {
	all = slices.Clone(all)
	r.Shuffle(len(w.honest), func(i, j int) { all[i], all[j] = all[j], all[i] })
	at := sha256.Sum256([]byte(self))
	var table []peer.ID
	room := map[int]int{}
	for _, id := range all {
		bucket := sharedBits(at, w.places[id])
		if id != self && room[bucket] < closest {
			room[bucket]++
			table = append(table, id)
		}
	}
	return table
}

// walk returns a walk of a client. Its probes are similar walks.
func (w *simNetwork) walk(key string, size float64, table []peer.ID) *walk {
	target := sha256.Sum256([]byte(key))
	walk := newWalk("client", key, func(ctx context.Context, p peer.AddrInfo) (reply, error) {
		select {
		case <-time.After(time.Duration(20+len(p.ID)%7*20) * time.Millisecond):
		case <-ctx.Done():
			return reply{}, ctx.Err()
		}
		names := w.sybils
		if !slices.Contains(w.sybils, p.ID) {
			names = slices.Clone(w.tables[p.ID])
			sortByDistance(target, names)
		}
		var r reply
		for _, id := range names[:min(len(names), maxCloser)] {
			r.closer = append(r.closer, peer.AddrInfo{ID: id})
		}
		return r, nil
	})
	walk.size = sizeOf(size)
	walk.probe = func(ctx context.Context, target [sha256.Size]byte, seeds []peer.AddrInfo) []peer.AddrInfo {
		probe := w.walk(keyNear(target, size), 0, nil)
		probe.probe, probe.k, probe.slots = nil, probePeers, probeSlots
		for _, p := range seeds {
			probe.add(p)
		}
		_ = probe.run(ctx, func(event) bool { return true })
		var found []peer.AddrInfo
		for _, c := range probe.contacts {
			found = append(found, c.AddrInfo)
		}
		return found
	}
	nearest := slices.Clone(table)
	sortByDistance(target, nearest)
	for _, id := range nearest[:min(len(nearest), initialPeers)] {
		walk.add(peer.AddrInfo{ID: id})
	}
	return walk
}

func sizeOf(peers float64) size { return size{peers: peers, relError: 0.22} }

func TestSybilsDoNotHideTheRegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		reached, naive := 0, 0
		rounds := lawtest.Size(3, 10)
		for i := range rounds {
			key := fmt.Sprint("key ", i)
			network := newSimNetwork(r, 500, 45, key)
			table := network.table(r, "client", slices.Concat(network.honest, network.sybils))
			count := func(w *walk) (n int) {
				require.NoError(t, w.run(t.Context(), func(event) bool { return true }))
				for _, id := range network.honest[:closest] {
					if c := w.known[id]; c != nil && c.state == answered {
						n++
					}
				}
				return n
			}
			w := network.walk(key, 500, table)
			reached += count(w)
			require.NotNil(t, w.dense)
			require.False(t, w.surrounded(), "honest peers answered")
			require.LessOrEqual(t, w.asked, maxRegion+maxAsked/2)
			w = network.walk(key, 500, table)
			w.probe = nil
			naive += count(w)
		}
		t.Logf("of %d honest peers that are the closest: %d asked, %d by a walk without probes", rounds*closest, reached, naive)
		require.GreaterOrEqual(t, reached, rounds*closest*95/100)
		require.Less(t, naive, reached)
	})
}

func TestANormalRegionIsNotDense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		network := newSimNetwork(r, 500, 0, "")
		dense := 0
		for i := range 100 {
			w := network.walk(fmt.Sprint("key ", i), 500*(0.7+0.6*r.Float64()), network.table(r, peer.ID(fmt.Sprint("client ", i)), network.honest))
			require.NoError(t, w.run(t.Context(), func(event) bool { return true }))
			if w.dense != nil {
				dense++
			}
		}
		require.LessOrEqual(t, dense, 1)
	})
}

func TestSurroundedIsReportedIfOnlySybilsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		network := newSimNetwork(r, 500, 45, "key")
		w := network.walk("key", 500, network.sybils)
		require.NoError(t, w.run(t.Context(), func(event) bool { return true }))
		require.True(t, w.surrounded())
	})
}

func TestPeersOfOneAddressGroupAreBounded(t *testing.T) {
	w := newWalk("self", "key", nil)
	w.size, w.dense = sizeOf(1), &denseRegion{} // the whole space is near
	for i := range 60 {
		w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("sybil ", i)), Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/20.1.%d.1/udp/1/quic-v1", i))}})
		w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("local ", i)), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}})
	}
	for i := range 10 {
		w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("honest ", i)), Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip6/2a0%d::1/tcp/1", i))}})
	}
	kinds := map[string]int{}
	region := w.toAsk()
	for _, c := range region {
		kinds[string(c.ID[:5])]++
	}
	require.Equal(t, map[string]int{"sybil": maxPerGroup, "local": 60, "hones": 10}, kinds)
	for i := range 100 {
		w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("other ", i))})
	}
	require.Len(t, w.toAsk(), maxRegion)
}

func at(span float64) *contact { return &contact{span: span} }

// A record of IDs that are too near the key to be honest is released once. The
// answers that repeat it are held back.
func TestImplausibleAgreementIsHeldBack(t *testing.T) {
	w := newWalk("self", "key", nil)
	w.size = sizeOf(1000)
	g := agreementFilter{walk: w}
	old := dht.Answer{Record: []byte("old")}
	for i := range 10 {
		g.add(at(float64(i+1)/100_000), old)
	}
	require.Len(t, g.release(), 1, "the first answer with a record is released at once")
	g.add(at(0.002), dht.Answer{Record: []byte("new")})
	require.Len(t, g.release(), 1, "and so is another")
	for i := range 4 {
		g.add(at(0.003+float64(i)*0.003), dht.Answer{Record: []byte("new")})
	}
	require.Len(t, g.release(), 4, "agreement at expected distances counts")
	w.dense = &denseRegion{}
	require.Empty(t, g.finish(), "agreement in a dense region does not, even at the end")
}

func TestInADenseRegionAgreementWaitsForTheEnd(t *testing.T) {
	w := newWalk("self", "key", nil)
	w.size, w.dense = sizeOf(1000), &denseRegion{}
	g := agreementFilter{walk: w}
	for i := range 8 {
		g.add(at(0.002+float64(i)*0.002), dht.Answer{Record: []byte("old")})
	}
	require.Len(t, g.release(), 1)
	require.Len(t, g.finish(), 7)
}

// Cached peers that neither the routing table nor an uncached peer of this walk
// has named do not agree with one another, even at the end of a walk in which
// all other peers were silent.
func TestCachedPeersAloneDoNotAgree(t *testing.T) {
	for _, size := range []size{{}, sizeOf(1000)} {
		w := newWalk("self", "key", nil)
		w.size = size
		var peers []peer.AddrInfo
		for i := range 12 {
			peers = append(peers, peer.AddrInfo{ID: peer.ID(fmt.Sprint("once ", i))})
		}
		w.addCached(peers)
		g := agreementFilter{walk: w}
		for _, c := range w.contacts {
			g.add(c, dht.Answer{Record: []byte("old")})
		}
		require.Len(t, g.release(), 1, "the first answer is released")
		w.apply(event{contact: w.contacts[0], reply: reply{closer: peers}})
		require.Empty(t, g.release(), "cached peers cannot confirm one another")
		other := &contact{AddrInfo: peer.AddrInfo{ID: "other"}}
		w.apply(event{contact: other, reply: reply{closer: peers[:1]}})
		require.LessOrEqual(t, len(g.release()), 1)
		require.Empty(t, g.finish())
	}
}
