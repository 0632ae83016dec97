package kad

import (
	"testing"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/petnames-go/petnames/dht"
)

// startStockNetwork makes n stock servers that know the first one, and waits
// until it knows them.
func startStockNetwork(t *testing.T, n int) []*kaddht.IpfsDHT {
	t.Helper()
	nodes := []*kaddht.IpfsDHT{startStock(t, kaddht.ModeServer)}
	for len(nodes) < n {
		nodes = append(nodes, startStock(t, kaddht.ModeServer, stockAddrs(nodes[0].Host())...))
	}
	require.Eventually(t, func() bool { return nodes[0].RoutingTable().Size() == n-1 }, 10*time.Second, 5*time.Millisecond)
	for _, d := range nodes[1:] {
		require.Eventually(t, func() bool { return d.RoutingTable().Size() > 0 }, 10*time.Second, 5*time.Millisecond)
	}
	return nodes
}

func stockClient(t *testing.T, bootstrap ...string) *kaddht.IpfsDHT {
	t.Helper()
	d := startStock(t, kaddht.ModeClient, bootstrap...)
	require.Eventually(t, func() bool { return d.RoutingTable().Size() > 0 }, 10*time.Second, 5*time.Millisecond)
	return d
}

func TestStockNodesFindWhatWePut(t *testing.T) {
	simulate(t, func(t *testing.T) {
		stock := startStockNetwork(t, 6)
		ours := startNode(t, Config{Bootstrap: stockAddrs(stock[0].Host())})
		rec := sign(t, newKey(t), 3)
		receipt, err := ours.Put(within(t, 20*time.Second), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.Equal(t, dht.Receipt{Asked: 6, Stored: 6}, receipt)

		theirs := stockClient(t, stockAddrs(stock[5].Host())...)
		key := routingKey(rec.Pointer())
		got, err := theirs.GetValue(within(t, 20*time.Second), key)
		require.NoError(t, err)
		require.Equal(t, rec.Bytes(), got)
		values, err := theirs.SearchValue(within(t, 20*time.Second), key)
		require.NoError(t, err)
		var last []byte
		for v := range values {
			last = v
		}
		require.Equal(t, rec.Bytes(), last)
	})
}

func TestWeFindWhatStockNodesPut(t *testing.T) {
	simulate(t, func(t *testing.T) {
		stock := startStockNetwork(t, 6)
		theirs := stockClient(t, stockAddrs(stock[1].Host())...)
		rec := sign(t, newKey(t), 3)
		require.NoError(t, theirs.PutValue(within(t, 20*time.Second), routingKey(rec.Pointer()), rec.Bytes()))

		ours := startNode(t, Config{Bootstrap: stockAddrs(stock[4].Host())})
		found, answers, errs := collect(within(t, 20*time.Second), ours, rec.Pointer())
		require.Empty(t, errs)
		require.Equal(t, 6, answers)
		require.NotEmpty(t, found)
		for _, b := range found {
			require.Equal(t, rec.Bytes(), b)
		}
	})
}

func TestStockClientsUseOurServers(t *testing.T) {
	simulate(t, func(t *testing.T) {
		servers := startServers(t, 3)
		theirs := stockClient(t, servers[0].Addrs()...)
		rec := sign(t, newKey(t), 3)
		require.NoError(t, theirs.PutValue(within(t, 20*time.Second), routingKey(rec.Pointer()), rec.Bytes()))
		found, _, _ := collect(within(t, 20*time.Second), startClient(t, servers[2]), rec.Pointer())
		require.Len(t, found, 3)
		for _, b := range found {
			require.Equal(t, rec.Bytes(), b)
		}

		ours := sign(t, newKey(t), 1)
		_, err := servers[1].Put(within(t, 20*time.Second), ours.Pointer(), ours.Bytes())
		require.NoError(t, err)
		got, err := theirs.GetValue(within(t, 20*time.Second), routingKey(ours.Pointer()))
		require.NoError(t, err)
		require.Equal(t, ours.Bytes(), got)
	})
}

func TestQUICAndTCPAndOtherProtocols(t *testing.T) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		server := startNode(t, Config{Listen: []string{listen}, Server: true, Protocol: "/ours/kad/1.0.0"})
		require.Len(t, server.Addrs(), 1)
		require.Contains(t, server.Addrs()[0], "/p2p/"+server.ID())
		client := startNode(t, Config{Bootstrap: server.Addrs(), Protocol: "/ours/kad/1.0.0", DialTimeout: 10 * time.Second})
		require.Equal(t, 1, client.Peers())
		rec := sign(t, newKey(t), 1)
		receipt, err := client.Put(within(t, 10*time.Second), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.Equal(t, dht.Receipt{Asked: 1, Stored: 1}, receipt)

		stranger := startNode(t, Config{})
		connected, err := stranger.Join(within(t, 10*time.Second), server.Addrs())
		require.ErrorIs(t, err, dht.ErrUnreachable, "another protocol is another network")
		require.Zero(t, connected)
	}
}

// A peer can add bytes to a record that it carries, and unmodified peers store the
// greater of two such copies. The name still resolves to what its owner signed, and
// a repeated put reports that the peers have the record.
func TestCopiesWithAddedBytesSilenceNoName(t *testing.T) {
	simulate(t, func(t *testing.T) {
		stock := startStockNetwork(t, 6)
		ours := startNode(t, Config{Bootstrap: stockAddrs(stock[0].Host())})
		rec := sign(t, newKey(t), 3)
		_, err := ours.Put(within(t, 20*time.Second), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)

		unknown := protowire.AppendVarint(protowire.AppendTag(rec.Bytes(), 99, protowire.VarintType), 1)
		oldField := protowire.AppendVarint(protowire.AppendTag(rec.Bytes(), 5, protowire.VarintType), 77)
		for name, carried := range map[string][]byte{"an unknown field": unknown, "an old sequence": oldField} {
			attacker := stockClient(t, stockAddrs(stock[1].Host())...)
			require.NoError(t, attacker.PutValue(within(t, 20*time.Second), routingKey(rec.Pointer()), carried), name)

			resolver := &dht.Resolver{Stores: []dht.Store{startNode(t, Config{Bootstrap: stockAddrs(stock[2].Host())})}}
			res, err := resolver.Best(within(t, 20*time.Second), rec.Pointer(), dht.LevelStrict)
			require.NoError(t, err, name)
			require.Equal(t, rec.Bytes(), res.Record.Bytes(), name)
			require.Equal(t, 6, res.Agreed, name)

			receipt, err := ours.Put(within(t, 20*time.Second), rec.Pointer(), rec.Bytes())
			require.NoError(t, err, name)
			require.Equal(t, dht.Receipt{Asked: 6, Stored: 6}, receipt, name)
		}
	})
}
