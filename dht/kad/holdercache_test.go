package kad

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

func TestHoldersAreCached(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 12)
		client := startClient(t, nodes[0])
		rec := sign(t, newKey(t), 1)
		ctx := within(t, 30*time.Second)
		_, err := client.Put(ctx, rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.NoError(t, client.Wait(ctx))
		require.Empty(t, client.holderCache.get(rec.Pointer()))
		r := dht.Resolver{Stores: []dht.Store{client}}
		for range 2 {
			res, err := r.Best(ctx, rec.Pointer(), dht.LevelFresh)
			require.NoError(t, err)
			require.Equal(t, dht.LevelFresh, res.Freshness)
			require.NoError(t, client.Wait(ctx))
			require.GreaterOrEqual(t, len(client.holderCache.get(rec.Pointer())), 5)
		}
		require.Empty(t, client.holderCache.get(newKey(t).Pointer()))
	})
}

// Malicious peers that surrounded a name at its last look-up are in the holder
// cache, answer first, and agree on the record that was the newest then. If no
// other peer names them, their agreement does not count.
func TestACachedMaliciousNeighbourhoodIsNotBelieved(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 24)
		k := newKey(t)
		old, newest := sign(t, k, 1), sign(t, k, 2)
		_, err := startClient(t, nodes...).PutAll(within(t, 20*time.Second), k.Pointer(), newest.Bytes())
		require.NoError(t, err)

		client := startClient(t, nodes[0])
		var once []*contact
		for range 12 {
			infos, err := parseAddrs(startMalicious(t, answerWith(routingKey(k.Pointer()), old.Bytes())))
			require.NoError(t, err)
			once = append(once, &contact{AddrInfo: infos[0]})
		}
		for range 5 {
			client.holderCache.put(k.Pointer(), once)
			res, err := (&dht.Resolver{Stores: []dht.Store{client}}).Best(within(t, 20*time.Second), k.Pointer(), dht.LevelFresh)
			require.NoError(t, err)
			require.Equal(t, newest.Bytes(), res.Record.Bytes())
			require.Equal(t, dht.LevelFresh, res.Freshness)
			require.NoError(t, client.Wait(within(t, 5*time.Second)))
			for _, p := range client.holderCache.get(k.Pointer()) {
				for _, c := range once {
					require.NotEqual(t, c.ID, p.ID, "a peer with an older record is not cached")
				}
			}
		}
	})
}

func TestTheHolderCacheIsBounded(t *testing.T) {
	var m holderCache
	var contacts []*contact
	for i := range 200 {
		contacts = append(contacts, &contact{AddrInfo: peer.AddrInfo{ID: peer.ID(fmt.Sprint(i))}})
	}
	first := newKey(t).Pointer()
	m.put(first, contacts)
	require.Len(t, m.get(first), cachedPeers)
	var ps []pointer.Pointer
	for range maxCached {
		ps = append(ps, newKey(t).Pointer())
		m.put(ps[len(ps)-1], contacts[:3])
		m.get(ps[0])
	}
	require.Empty(t, m.get(first), "the least recently used pointer is evicted")
	require.Len(t, m.get(ps[0]), 3)
	require.Len(t, m.entries, maxCached)
	require.Equal(t, maxCached, m.order.Len())
	many := &contact{}
	for i := range 2 * cachedAddrs {
		many.Addrs = append(many.Addrs, ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", i+1)))
	}
	last := newKey(t).Pointer()
	m.put(last, []*contact{many})
	require.Equal(t, many.Addrs[:cachedAddrs], m.get(last)[0].Addrs)
	require.Len(t, m.get(ps[0]), 3, "this pointer was used again")
	require.Empty(t, m.get(ps[1]), "this pointer is now the least recently used")
}

func TestPeersThatAreBehindAreRepaired(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 8)
		client := startClient(t, nodes...)
		k := newKey(t)
		older, newest := sign(t, k, 1), sign(t, k, 2)
		ctx := within(t, 30*time.Second)
		key := routingKey(k.Pointer())
		for i, n := range nodes {
			rec := newest
			if i >= 6 {
				continue // this peer has no record
			} else if i >= 4 {
				rec = older
			}
			require.NoError(t, client.putTo(ctx, peer.AddrInfo{ID: n.host.ID()}, key, rec.Bytes()))
		}
		held := func() (n int) {
			for _, node := range nodes {
				if client.peerHolds(ctx, peer.AddrInfo{ID: node.host.ID()}, key, newest) {
					n++
				}
			}
			return n
		}
		r := dht.Resolver{Stores: []dht.Store{client}}
		_, err := r.Best(ctx, k.Pointer(), dht.LevelOffline)
		require.Error(t, err)
		require.Equal(t, 4, held(), "offline sends no requests")
		res, err := r.Best(ctx, k.Pointer(), dht.LevelStrict)
		require.NoError(t, err)
		require.Equal(t, 4, res.Agreed)
		require.NoError(t, client.Wait(ctx))
		require.Equal(t, 8, held())
	})
}

func TestRepairsAreBounded(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 1)
		client := startClient(t, nodes...)
		k := newKey(t)
		rec := sign(t, k, 1)
		ctx := within(t, 30*time.Second)
		require.NoError(t, client.putTo(ctx, peer.AddrInfo{ID: nodes[0].host.ID()}, routingKey(k.Pointer()), rec.Bytes()))
		puts := make(chan struct{}, 100)
		var addrs []string
		for range 12 {
			addrs = append(addrs, startMalicious(t, func(s network.Stream, req *dht_pb.Message) {
				if req.GetType() == dht_pb.Message_PUT_VALUE {
					puts <- struct{}{}
				}
				send(s, dht_pb.NewMessage(req.GetType(), req.GetKey(), 0))
			})...)
		}
		_, err := client.Join(ctx, addrs)
		require.NoError(t, err)
		_, err = (&dht.Resolver{Stores: []dht.Store{client}}).Best(ctx, k.Pointer(), dht.LevelStrict)
		require.NoError(t, err)
		require.NoError(t, client.Wait(ctx))
		require.Len(t, puts, maxRepairs)
	})
}

// If the size of the network is known, only peers at the distance of the
// closest receive the record that they lack.
func TestOnlyTheNearAreRepaired(t *testing.T) {
	simulate(t, func(t *testing.T) {
		rec := sign(t, newKey(t), 1)
		target := sha256.Sum256([]byte(routingKey(rec.Pointer())))
		n := startNode(t, Config{})
		supposeSize(n, 200) // the closest 20 and their dead are within 27/200
		lacking := func(least, most int) *scripted {
			return startScripted(t, target, least, most, func(req *dht_pb.Message) *dht_pb.Message {
				return dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
			})
		}
		holder := startScripted(t, target, 3, 256, func(req *dht_pb.Message) *dht_pb.Message { return answerAsHolder(rec, req) })
		near, far := []*scripted{lacking(3, 256), lacking(3, 256)}, []*scripted{lacking(0, 1), lacking(0, 1)}
		for _, p := range append(append([]*scripted{holder}, near...), far...) {
			acquaint(t, n, p.AddrInfo)
		}
		found, answers, errs := collect(t.Context(), n, rec.Pointer())
		require.Len(t, found, 1)
		require.Equal(t, 5, answers)
		require.Empty(t, errs)
		require.NoError(t, n.Wait(t.Context()))
		for i := range 2 {
			require.Equal(t, 1, near[i].count(dht_pb.Message_PUT_VALUE))
			require.Zero(t, far[i].count(dht_pb.Message_PUT_VALUE))
		}
	})
}
