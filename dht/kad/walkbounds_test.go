package kad

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// A walk that receives more than the maximum number of contacts removes the
// furthest ones, but none that was asked. It ignores its own ID and duplicates.
func TestAWalkKeepsTheClosestNames(t *testing.T) {
	w := newWalk("self", modelKey, nil)
	var all []peer.ID
	for i := range maxContacts + 500 {
		all = append(all, peer.ID(fmt.Sprint("peer ", i)))
	}
	byPlace := append([]peer.ID(nil), all...)
	sortByDistance(modelTarget, byPlace)
	furthest := byPlace[len(byPlace)-1]
	w.add(peer.AddrInfo{ID: furthest})
	w.known[furthest].state = asking
	for _, id := range all {
		w.add(peer.AddrInfo{ID: id})
		w.add(peer.AddrInfo{ID: id})
		w.add(peer.AddrInfo{ID: "self"})
		require.LessOrEqual(t, len(w.contacts), maxContacts)
	}
	require.Equal(t, append(byPlace[:maxContacts-1:maxContacts-1], furthest), ids(w.contacts))
	require.Len(t, w.known, maxContacts)
}

// A walk sends at most as many requests at once as it has slots, not counting
// requests to peers that are as near as the closest are expected.
func TestRequestsAtOnceAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		size size
		want int
	}{"size unknown": {size{}, inFlight}, "all are near": {sizeOf(1), smallNetwork - 1}} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			now, most := 0, 0
			w := newWalk("self", modelKey, func(context.Context, peer.AddrInfo) (reply, error) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				now--
				return reply{}, nil
			})
			w.size = c.size
			for i := range smallNetwork - 1 {
				w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("peer ", i))})
			}
			require.NoError(t, w.run(t.Context(), func(event) bool { return true }))
			require.Equal(t, c.want, most, name)
			require.Len(t, w.live(), smallNetwork-1, name)
		})
	}
}

// A patient walk waits up to a second for late peers that would be among the
// closest. Another walk ends without them.
func TestAPatientWalkWaitsForTheClosest(t *testing.T) {
	for _, patient := range []bool{false, true} {
		for _, late := range []time.Duration{lastDeadline - time.Millisecond, lastDeadline + time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				w := newModelNetwork(rand.New(rand.NewPCG(1, 1)), 60, 0)
				for _, id := range w.peers {
					w.latency[id] = 50 * time.Millisecond
				}
				w.latency[w.peers[0]] = late
				walk := w.walk(w.peers...)
				walk.waitForLate = patient
				began := time.Now()
				require.NoError(t, walk.run(t.Context(), func(event) bool { return true }))
				live := ids(walk.live())
				require.Len(t, live, closest)
				if patient && late < lastDeadline {
					require.Equal(t, w.peers[:closest], live)
				} else {
					require.Equal(t, w.peers[1:closest+1], live)
				}
				if patient {
					require.Equal(t, min(late, lastDeadline), time.Since(began).Truncate(time.Millisecond))
				}
			})
		}
	}
}

// In addition to cached peers, a walk asks a few of the closest other peers for
// closer peers. Without cached peers it has no such additional peers.
func TestUncachedPeersAreAskedBesideCachedOnes(t *testing.T) {
	w := newWalk("self", modelKey, nil)
	for i := range 30 {
		w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("other ", i))})
	}
	require.Empty(t, w.uncached())
	var once []peer.AddrInfo
	for i := range 12 {
		once = append(once, peer.AddrInfo{ID: peer.ID(fmt.Sprint("once ", i))})
	}
	w.addCached(append(once, peer.AddrInfo{ID: "self"}, peer.AddrInfo{ID: "other 1"}))
	require.False(t, w.known["other 1"].cached)
	require.NotContains(t, w.known, peer.ID("self"))
	first := w.uncached()[0]
	first.state = failed
	uncached := w.uncached()
	require.Len(t, uncached, maxUncached)
	for i, c := range uncached {
		require.False(t, c.cached)
		require.NotEqual(t, failed, c.state)
		require.True(t, i == 0 || byDistance(uncached[i-1].ID, c.ID) < 0)
	}
}

// A put is done if at least 15 peers with ranks within the estimated 20 closest
// live peers have the record, and some of the very closest have named others.
func TestEnoughAcknowledgements(t *testing.T) {
	now := time.Now()
	type span struct{ from, to int }
	for name, c := range map[string]struct {
		acked  span
		change func(*putOperation, []*contact)
		want   bool
	}{
		"the first 15":                    {span{0, 15}, nil, true},
		"ranks 5 to 19":                   {span{4, 19}, nil, true},
		"ranks 6 to 20":                   {span{5, 20}, nil, false},
		"14":                              {span{0, 14}, nil, false},
		"the caller waits for all":        {span{0, 15}, func(d *putOperation, _ []*contact) { d.all = true }, false},
		"none was asked for closer peers": {span{0, 15}, func(_ *putOperation, cs []*contact) { set(cs[:4], func(c *contact) { c.closer = closerUnasked }) }, false},
		"one of 4 named others":           {span{0, 15}, func(_ *putOperation, cs []*contact) { set(cs[:3], func(c *contact) { c.closer = closerPending }) }, false},
		"two of 4 named others":           {span{0, 15}, func(_ *putOperation, cs []*contact) { set(cs[:2], func(c *contact) { c.closer = closerPending }) }, true},
		"the dead have no rank":           {span{5, 20}, func(_ *putOperation, cs []*contact) { set(cs[:5], func(c *contact) { c.state = failed }) }, true},
		"5 may live":                      {span{9, 24}, func(_ *putOperation, cs []*contact) { set(cs[4:9], func(c *contact) { c.state = candidate }) }, false},
		"5 instead may live":              {span{5, 20}, func(_ *putOperation, cs []*contact) { set(cs[:5], func(c *contact) { c.state = candidate }) }, true},
		"6 were just asked": {span{6, 21}, func(_ *putOperation, cs []*contact) {
			set(cs[:6], func(c *contact) { c.state, c.since = asking, now })
		}, false},
		"6 have been silent": {span{6, 21}, func(_ *putOperation, cs []*contact) {
			set(cs[:6], func(c *contact) { c.state, c.since = slow, now.Add(-answerTime) })
		}, true},
	} {
		w := newWalk("self", modelKey, nil)
		for i := range 30 {
			w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("peer ", i))})
		}
		set(w.contacts, func(c *contact) { c.state, c.closer = answered, closerDone })
		d := &putOperation{walk: w, acked: map[*contact]bool{}}
		d.receipt.Stored = c.acked.to - c.acked.from
		set(w.contacts[c.acked.from:c.acked.to], func(c *contact) { d.acked[c] = true })
		if c.change != nil {
			c.change(d, w.contacts)
		}
		require.Equal(t, c.want, d.enoughAcks(now), name)
	}
}

func set(cs []*contact, change func(*contact)) {
	for _, c := range cs {
		change(c)
	}
}

// The look-ups that bypass a group of Sybils aim at eight places of the region,
// one in each eighth of its radius. They start from all peers that may be
// alive.
func TestTheProbesCoverTheWholeRegion(t *testing.T) {
	w := newWalk("self", modelKey, nil)
	w.size = sizeOf(1000)
	for i := range 20 {
		w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("peer ", i))})
	}
	w.contacts[3].state = failed
	var mu sync.Mutex
	eighths := map[int]int{}
	w.probe = func(_ context.Context, target [sha256.Size]byte, seeds []peer.AddrInfo) []peer.AddrInfo {
		mu.Lock()
		defer mu.Unlock()
		offset := binary.BigEndian.Uint64(target[:]) ^ binary.BigEndian.Uint64(w.target[:])
		eighths[int(float64(offset)/(1<<64)*1000/nearPeers*probes)]++
		if len(seeds) != 19 {
			eighths[-1]++
		}
		return nil
	}
	w.startProbes(t.Context())
	w.requests.Wait()
	require.Equal(t, map[int]int{0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1}, eighths)
	require.Equal(t, probes, w.dense.pendingProbes)
	w.contacts = nil
	require.False(t, w.done(time.Now()), "the walk waits for them")
	for range probes {
		w.apply(<-w.events)
	}
	require.True(t, w.done(time.Now()))
	for _, peers := range []float64{1, 100, 10_000} {
		at := sha256.Sum256([]byte(keyNear(w.target, peers)))
		region := nearPeers / peers
		require.Less(t, float64(binary.BigEndian.Uint64(at[:])^binary.BigEndian.Uint64(w.target[:]))/(1<<64), max(region, 1./16)/8)
	}
}

// The paths of a strict look-up share no peer, and the walk after them asks
// none of their peers again.
func TestThePathsShareNoPeer(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{})
		w := newModelNetwork(rand.New(rand.NewPCG(11, 12)), 200, 0.2)
		var mu sync.Mutex
		asked := map[peer.ID]int{}
		g := &get{node: n, pointer: newKey(t).Pointer(), key: modelKey, level: dht.LevelStrict, walk: w.walk(w.sample(rand.New(rand.NewPCG(1, 3)), 30)...)}
		g.filter.walk = g.walk
		g.walk.ask = func(ctx context.Context, p peer.AddrInfo) (reply, error) {
			r, err := w.ask(ctx, p)
			if err == nil {
				mu.Lock()
				asked[p.ID]++
				mu.Unlock()
			}
			return r, err
		}
		yielded := map[string]int{}
		g.yield = func(a dht.Answer, _ error) bool {
			yielded[a.Peer]++
			return true
		}
		require.NoError(t, g.disjointPaths(t.Context()))
		require.GreaterOrEqual(t, len(yielded), paths*pathPeers)
		for id, times := range asked {
			require.Equal(t, 1, times, id)
			require.LessOrEqual(t, yielded[id.String()], 1)
		}
		require.NoError(t, g.walk.run(t.Context(), func(event) bool { return true }))
		for id, times := range asked {
			require.Equal(t, 1, times, id)
		}
		require.Len(t, g.walk.live(), closest)
	})
}

// The paths of a strict look-up end when the context is cancelled.
func TestDisjointPathsEndWithTheirContext(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{})
		w := newModelNetwork(rand.New(rand.NewPCG(13, 14)), 50, 1) // no peer answers
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(100*time.Millisecond, func() { cancel(stop) })
		g := &get{node: n, pointer: newKey(t).Pointer(), key: modelKey, level: dht.LevelStrict, walk: w.walk(w.peers...), yield: func(dht.Answer, error) bool { return true }}
		g.filter.walk = g.walk
		began := time.Now()
		require.ErrorIs(t, g.disjointPaths(ctx), stop)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
	})
}

// A walk asks a peer that is as near as the closest are expected immediately,
// even if all slots are in use.
func TestANearPeerNeedsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWalk("self", modelKey, func(context.Context, peer.AddrInfo) (reply, error) { return reply{}, nil })
		for i := range inFlight + 2 {
			w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("peer ", i))})
		}
		nearest := w.contacts[0]
		w.size = sizeOf(nearPeers / nearest.span) // no other peer is that near
		set(w.contacts[1:inFlight+1], func(c *contact) { c.state, c.closer = asking, closerPending })
		w.send(t.Context())
		w.requests.Wait()
		require.Equal(t, asking, nearest.state)
		require.Equal(t, candidate, w.contacts[inFlight+1].state)
	})
}

// Of n peers, the j-th by distance is expected at j/n of the key space. A peer
// that is nearer than that is not counted. A peer exactly there is counted.
func TestOnlyPeersWhereTheyAreExpectedAreCounted(t *testing.T) {
	s := sizeOf(1000)
	for name, c := range map[string]struct {
		spans []float64
		want  int
	}{
		"no peers":                   {nil, 0},
		"one at the key":             {[]float64{0}, 1},
		"where they are expected":    {[]float64{0.003, 0, 0.002, 0.001}, 4},
		"the second is too near":     {[]float64{0, 0.0009}, 1},
		"two of them at the key":     {[]float64{0, 0, 0.001, 0.002}, 3},
		"five at the key, one apart": {[]float64{0, 0, 0, 0, 0, 0.001}, 2},
	} {
		var peers []*contact
		for _, span := range c.spans {
			peers = append(peers, at(span))
		}
		require.Equal(t, c.want, s.countIndependent(peers), name)
		require.Equal(t, len(peers), size{}.countIndependent(peers), "of a network of unknown size, all")
	}
}

// A look-up near the key returns up to 60 peers that may be alive, the closest
// first.
func TestAProbeReturnsABoundedNumberOfPeers(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{})
		supposeSize(n, 200)
		var seeds []peer.AddrInfo
		for range 8 {
			seeds = append(seeds, startScripted(t, modelTarget, 5, 256, func(req *dht_pb.Message) *dht_pb.Message {
				return dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
			}).AddrInfo)
		}
		alive := slices.Clone(seeds)
		for range 100 {
			seeds = append(seeds, peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{silentAddr(t)}})
		}
		found := n.probeNear(t.Context(), modelTarget, seeds)
		require.Len(t, found, 3*closest)
		for _, p := range alive {
			require.True(t, slices.ContainsFunc(found, func(f peer.AddrInfo) bool { return f.ID == p.ID }))
		}
	})
}

// A peer that refused a record is alive. While one of the very closest is still
// asked for closer peers, a walk is not done.
func TestTheStateOfAPeerAfterAPut(t *testing.T) {
	w := newWalk("self", modelKey, nil)
	for i := range 4 {
		w.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint("peer ", i))})
	}
	for i, c := range []struct {
		err  error
		want state
	}{{nil, answered}, {errRefused, answered}, {dht.ErrUnreachable, failed}, {errMalformed, failed}} {
		w.apply(event{contact: w.contacts[i], put: true, err: c.err})
		require.Equal(t, c.want, w.contacts[i].state, i)
		require.Equal(t, closerUnasked, w.contacts[i].closer)
	}
	w.apply(event{contact: w.contacts[1], err: errRefused})
	require.Equal(t, answered, w.contacts[1].state, "it did live")
	require.Equal(t, closerDone, w.contacts[1].closer)

	now := time.Now()
	w.askClosest = 1
	require.True(t, w.done(now))
	w.contacts[0].closer = closerPending
	require.False(t, w.done(now))
	w.askClosest = 0
	require.True(t, w.done(now))
}

// If a path ends before a peer answers, the walk after the paths asks that peer
// again.
func TestAPeerThatItsPathLeftIsAskedAgain(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{})
		w := newModelNetwork(rand.New(rand.NewPCG(15, 16)), 100, 0)
		late := w.peers[2]
		w.latency[late] = lastDeadline - 50*time.Millisecond
		g := &get{node: n, pointer: newKey(t).Pointer(), key: modelKey, level: dht.LevelStrict, walk: w.walk(w.peers...), yield: func(dht.Answer, error) bool { return true }}
		g.filter.walk = g.walk
		require.NoError(t, g.disjointPaths(t.Context()))
		require.False(t, g.askedByPath[late])
		g.walk.waitForLate = true
		require.NoError(t, g.walk.run(t.Context(), func(event) bool { return true }))
		require.Contains(t, ids(g.walk.live()), late)
	})
}
