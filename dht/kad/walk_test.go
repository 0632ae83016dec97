package kad

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/dht"
)

// modelNetwork is a network in virtual time: the peers that each peer names,
// and the latency of each live peer.
type modelNetwork struct {
	peers   []peer.ID // by distance to the key
	dead    map[peer.ID]bool
	latency map[peer.ID]time.Duration // of a request, including the dial
	lists   map[peer.ID][]peer.ID     // the peers that each peer names
}

const modelKey = "/ipns/a key"

var modelTarget = sha256.Sum256([]byte(modelKey))

func byDistance(a, b peer.ID) int {
	x, y := distanceOf(modelTarget, a), distanceOf(modelTarget, b)
	return bytes.Compare(x[:], y[:])
}

// sortByDistance sorts peers by their distance from a target, and hashes each
// once.
func sortByDistance(target [sha256.Size]byte, peers []peer.ID) {
	type placed struct {
		distance [sha256.Size]byte
		id       peer.ID
	}
	all := make([]placed, len(peers))
	for i, id := range peers {
		all[i] = placed{distanceOf(target, id), id}
	}
	slices.SortFunc(all, func(a, b placed) int { return bytes.Compare(a.distance[:], b.distance[:]) })
	for i, p := range all {
		peers[i] = p.id
	}
}

// newModelNetwork returns a network of n peers. Each knows the peers closest to
// itself and some others. A share of the peers is dead.
func newModelNetwork(r *rand.Rand, n int, dead float64) *modelNetwork {
	w := &modelNetwork{dead: map[peer.ID]bool{}, latency: map[peer.ID]time.Duration{}, lists: map[peer.ID][]peer.ID{}}
	for i := range n {
		w.peers = append(w.peers, peer.ID(fmt.Sprintf("peer %d %d", i, r.Uint64())))
	}
	sortByDistance(modelTarget, w.peers)
	for i, id := range w.peers {
		w.dead[id] = r.Float64() < dead
		w.latency[id] = time.Duration(20+r.IntN(280)) * time.Millisecond
		// A peer's answer: the closest to the key of those it knows. The
		// nearer it is, the more of its neighbourhood it knows.
		var ranks []int
		for rank := max(0, i-30); rank < min(n, i+30); rank++ {
			ranks = append(ranks, rank)
		}
		for range 60 {
			ranks = append(ranks, r.IntN(n))
		}
		slices.Sort(ranks)
		ranks = slices.DeleteFunc(slices.Compact(ranks), func(rank int) bool { return rank == i })
		for _, rank := range ranks[:min(maxCloser, len(ranks))] {
			w.lists[id] = append(w.lists[id], w.peers[rank])
		}
	}
	return w
}

func (w *modelNetwork) ask(ctx context.Context, p peer.AddrInfo) (reply, error) {
	latency := w.latency[p.ID]
	if w.dead[p.ID] {
		latency = time.Hour
	}
	select {
	case <-time.After(latency):
	case <-ctx.Done():
		return reply{}, fmt.Errorf("%w: %w", dht.ErrUnreachable, ctx.Err())
	}
	var r reply
	for _, id := range w.lists[p.ID] {
		r.closer = append(r.closer, peer.AddrInfo{ID: id})
	}
	return r, nil
}

func (w *modelNetwork) walk(seeds ...peer.ID) *walk {
	walk := newWalk("self", modelKey, w.ask)
	for _, id := range seeds {
		walk.add(peer.AddrInfo{ID: id})
	}
	return walk
}

// closestLive returns the peers that a walk should find. In a small network
// these are all live peers.
func (w *modelNetwork) closestLive() []peer.ID {
	var ids []peer.ID
	for _, id := range w.peers {
		if !w.dead[id] && (len(ids) < closest || len(w.peers) < smallNetwork) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *modelNetwork) sample(r *rand.Rand, n int) []peer.ID {
	ids := slices.Clone(w.peers)
	r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:min(n, len(ids))]
}

func ids(cs []*contact) []peer.ID {
	var out []peer.ID
	for _, c := range cs {
		out = append(out, c.ID)
	}
	return out
}

func TestAWalkFindsTheClosestLivePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		var took []time.Duration
		missed := 0
		for range 40 {
			w := newModelNetwork(r, 300, 0.25)
			walk := w.walk(w.sample(r, initialPeers)...)
			began := time.Now()
			require.NoError(t, walk.run(t.Context(), func(event) bool { return true }))
			took = append(took, time.Since(began))
			found := ids(walk.live())
			require.Len(t, found, closest)
			for _, id := range w.closestLive() {
				if !slices.Contains(found, id) {
					missed++
				}
			}
			require.LessOrEqual(t, walk.asked, maxAsked)
		}
		slices.Sort(took)
		t.Logf("300 peers, a quarter dead: p50 %v, p90 %v; %d of %d missed", took[20], took[36], missed, 40*closest)
		// Not all can be found, since dead peers displace live ones in the lists.
		require.LessOrEqual(t, missed, 40*closest*3/100)
		require.Less(t, took[36], requestTimeout)
	})
}

func TestAllPeersOfASmallNetworkAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for n := range 30 {
			w := newModelNetwork(r, n+1, 0.3)
			w.dead[w.peers[0]] = false
			walk := w.walk(w.peers...)
			began := time.Now()
			require.NoError(t, walk.run(t.Context(), func(event) bool { return true }))
			require.Equal(t, w.closestLive(), ids(walk.live()), "of %d", n+1)
			require.LessOrEqual(t, time.Since(began), 3*lastDeadline)
		}
	})
}

func TestALateAnswerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newModelNetwork(rand.New(rand.NewPCG(5, 6)), 3, 0)
		w.latency[w.peers[0]] = softDeadline + 400*time.Millisecond
		walk := w.walk(w.peers...)
		require.NoError(t, walk.run(t.Context(), func(event) bool { return true }))
		require.Equal(t, w.peers, ids(walk.live()))
	})
}

func TestAWalkWithoutLivePeersEndsAtTheLastDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newModelNetwork(rand.New(rand.NewPCG(7, 8)), 9, 1)
		walk := w.walk(w.peers...)
		began := time.Now()
		require.NoError(t, walk.run(t.Context(), func(e event) bool {
			if !e.late {
				require.ErrorIs(t, e.err, dht.ErrUnreachable)
			}
			return true
		}))
		require.Empty(t, walk.live())
		require.Equal(t, requestTimeout, time.Since(began))
	})
}

func TestHostileListsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Each peer answers immediately and names 20 new peers that are closer than
		// all before, without an end.
		near := make([]peer.ID, 20000)
		for i := range near {
			near[i] = peer.ID(fmt.Sprint("sybil ", i))
		}
		sortByDistance(modelTarget, near)
		slices.Reverse(near)
		var next atomic.Int64
		walk := newWalk("self", modelKey, func(context.Context, peer.AddrInfo) (reply, error) {
			var r reply
			for range maxCloser {
				r.closer = append(r.closer, peer.AddrInfo{ID: near[next.Add(1)]})
			}
			return r, nil
		})
		walk.add(peer.AddrInfo{ID: "first"})
		err := walk.run(t.Context(), func(event) bool { return true })
		require.ErrorIs(t, err, errWalkLimit)
		require.Equal(t, maxAsked, walk.asked)
		require.LessOrEqual(t, len(walk.known), maxContacts)
	})
}

func TestAWalkOfSlowAnswersEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Each answers just before the soft deadline and names one closer peer.
		names := make([]peer.ID, 500)
		for i := range names {
			names[i] = peer.ID(fmt.Sprint("trickle ", i))
		}
		sortByDistance(modelTarget, names)
		slices.Reverse(names)
		next := map[peer.ID]peer.ID{}
		for i := range names[1:] {
			next[names[i]] = names[i+1]
		}
		walk := newWalk("self", modelKey, func(ctx context.Context, p peer.AddrInfo) (reply, error) {
			select {
			case <-time.After(softDeadline - time.Millisecond):
			case <-ctx.Done():
				return reply{}, ctx.Err()
			}
			return reply{closer: []peer.AddrInfo{{ID: next[p.ID]}}}, nil
		})
		walk.add(peer.AddrInfo{ID: names[0]})
		began := time.Now()
		err := walk.run(t.Context(), func(event) bool { return true })
		require.ErrorIs(t, err, errWalkLimit)
		require.Equal(t, maxWalk, time.Since(began))
	})
}

func TestAWalkEndsWhenItsCallbackReturnsFalse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newModelNetwork(rand.New(rand.NewPCG(9, 10)), 100, 0.5)
		walk := w.walk(w.peers...)
		events := 0
		require.NoError(t, walk.run(t.Context(), func(event) bool { events++; return events < 5 }))
		require.Equal(t, 5, events)

		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		began := time.Now()
		time.AfterFunc(200*time.Millisecond, func() { cancel(stop) })
		err := w.walk(w.peers...).run(ctx, func(event) bool { return true })
		require.ErrorIs(t, err, stop)
		require.Equal(t, 200*time.Millisecond, time.Since(began))
	})
}

// For any behaviour of the peers, a walk ends within its bounds, and its live
// peers are in order and the closest of the peers that answered.
func TestWalkLaws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(1, 120).Draw(rt, "peers")
		dead := rapid.Float64Range(0, 1).Draw(rt, "dead")
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			w := newModelNetwork(r, n, dead)
			walk := w.walk(w.sample(r, 1+r.IntN(initialPeers))...)
			spoke := map[peer.ID]bool{}
			err := walk.run(t.Context(), func(e event) bool {
				if e.err == nil && !e.late {
					spoke[e.contact.ID] = true
				}
				return true
			})
			require.NoError(t, err)
			live := ids(walk.live())
			require.True(t, slices.IsSortedFunc(live, byDistance))
			require.Equal(t, min(len(spoke), walk.wanted()), len(live))
			for _, id := range live {
				require.True(t, spoke[id])
				require.False(t, w.dead[id])
			}
			for id := range spoke {
				require.True(t, slices.Contains(live, id) || byDistance(id, live[len(live)-1]) > 0)
			}
		})
	})
}

func TestRequiredAcks(t *testing.T) {
	for found, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 3, 4: 3, 8: 6, 19: 15, 20: 15, 100: 15} {
		require.Equal(t, want, requiredAcks(found), "of %d", found)
	}
}
