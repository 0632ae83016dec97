package kad

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// address returns the address of the i-th client.
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{8, 8, byte(i), 1}) }

// requireNotCutOff checks that no peer has cut off the node or counts many strikes
// against it.
func requireNotCutOff(t testing.TB, n *Node, peers []*Node) {
	t.Helper()
	for _, p := range peers {
		require.Empty(t, p.Status().CutOffs)
		p.limiter.mu.Lock()
		strikes := p.limiter.accounts.of(n.host.ID().String(), time.Now()).strikes.used(time.Now())
		p.limiter.mu.Unlock()
		require.Less(t, strikes, float64(defaultLimits.strikes.burst)*3/4)
	}
}

// requirePuts checks that the node's own records are stored by its peers.
func requirePuts(t testing.TB, n *Node, peers int) {
	t.Helper()
	rec := sign(t, newKey(t), 1)
	receipt, err := n.Put(within(t, time.Minute), rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	require.Equal(t, peers, receipt.Stored)
}

// Clients of a node that put more than its peers accept do not get the node cut off:
// 40 clients at once, or a few at 32 puts a second. Some of their puts are stored, and
// those of the node itself all are.
func TestPutsOfClientsAreBelowWhatPeersAccept(t *testing.T) {
	for name, pause := range map[string]time.Duration{"at once": 0, "32 a second": time.Second / 32} {
		t.Run(name, func(t *testing.T) {
			if pause > 0 {
				lawtest.NeedsLong(t)
			}
			simulate(t, func(t *testing.T) {
				const clients, each = 40, 59
				nodes := startServers(t, 4)
				n, peers := nodes[0], nodes[1:]
				now := time.Now()
				var mu sync.Mutex
				stored, refused := 0, 0
				var wg sync.WaitGroup
				slots := make(chan struct{}, 64)
				for i := range clients * each {
					rec := sign(t, newKey(t), 1)
					slots <- struct{}{}
					wg.Go(func() {
						defer func() { <-slots }()
						receipt, err := n.ForClient(address(i%clients)).Put(within(t, time.Minute), rec.Pointer(), rec.Bytes())
						mu.Lock()
						defer mu.Unlock()
						if receipt.Stored > 0 {
							stored++
						} else {
							require.Error(t, err)
							require.ErrorIs(t, err, errBusy)
							refused++
						}
					})
					if pause > 0 {
						wg.Wait()
						time.Sleep(pause)
					}
				}
				wg.Wait()
				took := time.Since(now)
				t.Logf("%d stored, %d refused in %v", stored, refused, took)
				requireNotCutOff(t, n, peers)
				require.Greater(t, stored, hopStores.burst/2-64)
				require.Positive(t, refused)
				requirePuts(t, n, len(peers))
			})
		})
	}
}

// Records of clients that the peers refuse, because they have newer ones, do not get the
// node cut off.
func TestRefusedPutsOfClientsAreBounded(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 4)
		n, peers := nodes[0], nodes[1:]
		var wg sync.WaitGroup
		slots := make(chan struct{}, 32)
		for i := range 3 * defaultLimits.strikes.burst {
			key := newKey(t)
			newer := sign(t, key, 2)
			for _, p := range peers {
				require.NoError(t, p.local.Put(t.Context(), routingKey(key.Pointer()), record.MakePutRecord(routingKey(key.Pointer()), newer.Bytes())))
			}
			older := sign(t, key, 1)
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				receipt, err := n.ForClient(address(i)).Put(within(t, time.Minute), key.Pointer(), older.Bytes())
				require.Error(t, err)
				require.Zero(t, receipt.Stored)
			})
		}
		wg.Wait()
		requireNotCutOff(t, n, peers)
		requirePuts(t, n, len(peers))
	})
}

// Look-ups of clients use at most what peers accept, and leave room for those of the
// node.
func TestTheBudgetOfANextHop(t *testing.T) {
	var h nextHops
	now := time.Now()
	send := func(store, client bool) (n int) {
		for h.take("p", store, client, now) == nil {
			if n++; n == 10_000 {
				break
			}
		}
		return n
	}
	stores := send(true, true)
	require.Equal(t, hopStores.burst/2, stores)
	require.NoError(t, h.take("p", true, false, now), "of the node itself")
	require.ErrorIs(t, h.take("p", true, true, now), errBusy)
	require.NoError(t, h.take("q", true, true, now), "another peer")
	requests := send(false, true)
	require.Equal(t, hopRequests.burst/2, stores+1+requests)
	require.Equal(t, 10_000, send(false, false))
	require.Less(t, stores+hopStores.burst/2, defaultLimits.stores.burst)
	require.Less(t, hopRequests.burst, defaultLimits.requests.burst)
	for range 10 { // what is left after minutes is what a peer has accepted again
		now = now.Add(time.Minute)
		require.LessOrEqual(t, send(true, true), int(60*hopStores.perSecond)+1)
		require.Less(t, 60*hopStores.perSecond, 60*defaultLimits.stores.perSecond)
	}
	for range hopRefusals.burst {
		h.refused("r", now)
	}
	require.ErrorIs(t, h.take("r", true, true, now), errBusy)
	require.NoError(t, h.take("r", false, true, now))
	require.NoError(t, h.take("r", true, true, now.Add(3*time.Second)))
	for i := range 2 * maxAccounts {
		_ = h.take(randomPeer(t), true, true, now)
		require.LessOrEqual(t, len(h.hops.byName), maxAccounts, i)
	}
}

// One client that sends without end leaves a half of the budget to the others, of these
// the next one a quarter, and so on; what it may send later is a half of what is refilled.
func TestOneClientUsesNoMoreThanItsShareOfANextHop(t *testing.T) {
	var h nextHops
	now := time.Now()
	send := func(client string, store bool) (n int) {
		for h.takeShare("p", client, store, now) == nil && h.take("p", store, true, now) == nil {
			n++
		}
		return n
	}
	all := hopStores.burst / 2
	first := send("client 8.8.8.0/24", true)
	require.InDelta(t, all/2, first, 1)
	require.Zero(t, send("client 8.8.8.0/24", true))
	require.InDelta(t, all/4, send("client 8.8.9.0/24", true), 1)
	require.NoError(t, h.takeShare("q", "client 8.8.8.0/24", true, now), "another peer")
	require.NoError(t, h.take("p", true, false, now), "of the node itself")
	now = now.Add(time.Hour)
	require.InDelta(t, all/2, send("client 8.8.8.0/24", true), 1)
	sent := 0
	for range 20 {
		now = now.Add(10 * time.Second)
		sent += send("client 8.8.8.0/24", true)
		require.Positive(t, send("client 8.8.7.0/24", true))
	}
	require.LessOrEqual(t, sent, int(200*hopStores.perSecond/2)+20)
	h = nextHops{}
	require.InDelta(t, hopRequests.burst/4, send("client", false), 1)
}

// What clients bring is held as theirs: it is removed before the records of peers with
// less room and before the node's own, and is the node's own no longer after a put by a
// client.
func TestRecordsOfClientsAreHeldAsTheirs(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{Listen: loopback, Server: true})
		own, theirs := sign(t, newKey(t), 1), sign(t, newKey(t), 1)
		put := func(s dht.Store, rec pointer.Record) {
			_, err := s.Put(within(t, time.Minute), rec.Pointer(), rec.Bytes())
			require.ErrorIs(t, err, dht.ErrUnreachable) // no peer
		}
		put(n, own)
		source := func(of pointer.Record) string {
			for _, h := range n.store.items {
				if n.store.parseValue(h.name, h.value).key == routingKey(of.Pointer()) {
					return h.source.name
				}
			}
			return "none"
		}
		for client, want := range map[string]string{"8.8.8.8": "client 8.8.8.0/24", "::ffff:8.8.9.8": "client 8.8.9.0/24", "10.1.2.3": "client 10.1.2.3",
			"127.0.0.5": "client 127.0.0.5", "2a00:1450:4001::1": "client 2a00:1450:4001::/48"} {
			rec := sign(t, newKey(t), 1)
			put(n.ForClient(netip.MustParseAddr(client)), rec)
			require.Equal(t, want, source(rec))
		}
		put(n.ForClient(netip.Addr{}), theirs)
		require.Equal(t, "client", source(theirs))
		put(n.ForClient(address(1)), own)
		require.Equal(t, ownSource, source(own), "it was the node's before")
		require.Empty(t, n.store.pending)

		n.store.limit = 64 << 10
		for i := range 300 {
			put(n.ForClient(address(2)), sign(t, newKey(t), uint64(i)+1))
		}
		require.Equal(t, ownSource, source(own))
		require.NotEqual(t, "none", source(theirs), "the flood of one client removes its own")
	})
}

// The repair of peers after a look-up for a client is for the client as well.
func TestRepairsForClientsUseTheirBudget(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 4)
		n, peers := nodes[0], nodes[1:]
		var recs []pointer.Record
		for range hopStores.burst/2 + 50 { // two peers are behind
			rec := sign(t, newKey(t), 1)
			key := routingKey(rec.Pointer())
			require.NoError(t, peers[0].local.Put(t.Context(), key, record.MakePutRecord(key, rec.Bytes())))
			recs = append(recs, rec)
		}
		for i, rec := range recs {
			for _, err := range n.ForClient(address(i)).Get(within(t, time.Minute), rec.Pointer()) {
				require.NoError(t, err)
			}
		}
		require.NoError(t, n.Wait(within(t, time.Minute)))
		n.hops.mu.Lock()
		defer n.hops.mu.Unlock()
		for id, h := range n.hops.hops.byName {
			require.LessOrEqual(t, h.stores.used(time.Now()), float64(hopStores.burst/2)+1, fmt.Sprint(id))
		}
	})
}
