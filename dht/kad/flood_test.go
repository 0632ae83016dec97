package kad

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// largeRecord returns a record of about the maximum size.
func largeRecord(t testing.TB) (key string, value []byte) {
	t.Helper()
	k := newKey(t)
	rec, err := pointer.Sign(k, pointer.Fields{
		Value: "/ipfs/bafkqaaa/" + strings.Repeat("x", 9<<10), Sequence: 1, Expires: time.Now().Add(time.Hour), TTL: time.Minute,
	})
	require.NoError(t, err)
	return routingKey(k.Pointer()), rec.Bytes()
}

// A node that real peers flood with records of full size stays within its bound,
// by its own count and in the heap. It still has the record that an honest peer
// stored before, and serves honest peers during the flood and afterwards.
func TestFloodIsBounded(t *testing.T) {
	simulate(t, func(t *testing.T) {
		const (
			limit    = 2 << 20
			flooders = 6
			each     = 150 // 8 MB in total
		)
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		n := startNode(t, Config{Listen: loopback, Server: true})
		n.store.limit = limit
		honest := newKey(t)
		before := sign(t, honest, 1)
		client := startClient(t, n)
		_, err := client.Put(within(t, 10*time.Second), honest.Pointer(), before.Bytes())
		require.NoError(t, err)

		from := heap()
		var wg sync.WaitGroup
		for range flooders {
			s := newRawPeer(t, n)
			type flood struct {
				key   string
				value []byte
			}
			var all []flood
			for range each {
				key, value := largeRecord(t)
				all = append(all, flood{key, value})
			}
			wg.Go(func() {
				ctx := within(t, 30*time.Second)
				for _, f := range all {
					s.ask(ctx, storing(f.key, f.value))
				}
				_ = s.Close()
			})
		}
		_, err = client.Put(within(t, 10*time.Second), honest.Pointer(), sign(t, honest, 2).Bytes())
		require.NoError(t, err, "during the flood")
		wg.Wait()
		grown := int64(heap()) - int64(from)
		status := n.Status()
		t.Logf("%d of %d records held, %d bytes of them; the heap grew by %d bytes; %d cut off", status.Held, flooders*each, status.Bytes, grown, len(status.CutOffs))
		require.LessOrEqual(t, status.Bytes, limit)
		require.Greater(t, status.Bytes, limit/2, "the flood was too small to test anything")
		require.Less(t, grown, int64(3*limit))
		_, answers, errs := collect(within(t, 10*time.Second), startClient(t, n), honest.Pointer())
		require.Empty(t, errs)
		require.Equal(t, 1, answers)
		rec, err := n.local.Get(t.Context(), routingKey(honest.Pointer()))
		require.NoError(t, err)
		held, err := pointer.Open(honest.Pointer(), rec.GetValue(), time.Now())
		require.NoError(t, err)
		require.EqualValues(t, 2, held.Sequence())
		for _, c := range status.CutOffs {
			t.Log(c)
		}
	})
}

// Connections that send nothing keep no other out: a handshake may take 15 seconds.
func TestSilentConnectionsShutNobodyOut(t *testing.T) {
	node := startNode(t, Config{Listen: loopback, Server: true})
	address, err := manet.ToNetAddr(node.host.Addrs()[0])
	require.NoError(t, err)
	for range 150 {
		c, err := net.Dial(address.Network(), address.String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
	}
	client := startNode(t, Config{DialTimeout: 10 * time.Second})
	require.NoError(t, client.host.Connect(within(t, time.Minute), peer.AddrInfo{ID: node.host.ID(), Addrs: node.host.Addrs()}))
}
