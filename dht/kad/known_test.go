package kad

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// A node whose bootstrap peers are gone enters the network by peers of before, at its
// start and again when its routing table is empty. The peers of before are those that a
// node of the same network had, without the bootstrap peers.
func TestKnownPeersAreAskedWhenTheNamedOnesAreSilent(t *testing.T) {
	servers := startServers(t, 3)
	hub := servers[0].Addrs()
	first := startNode(t, Config{Bootstrap: hub, DialTimeout: 10 * time.Second})
	var known []string
	for _, addrs := range first.GoodPeers() {
		require.LessOrEqual(t, len(addrs), maxGoodAddrs)
		known = append(known, addrs...)
	}
	require.ElementsMatch(t, append(servers[1].Addrs(), servers[2].Addrs()...), known)

	second := startNode(t, Config{Bootstrap: hub, Known: known, DialTimeout: 10 * time.Second})
	require.NoError(t, second.JoinError())

	require.NoError(t, servers[0].Close())
	third := startNode(t, Config{Bootstrap: hub, Known: append(known, hub...), DialTimeout: 10 * time.Second})
	require.NoError(t, third.JoinError())
	require.Equal(t, 2, third.Peers())
	for _, id := range third.dht.RoutingTable().ListPeers() {
		third.dht.RoutingTable().RemovePeer(id)
	}
	record := sign(t, newKey(t), 1)
	_, err := third.Put(within(t, time.Minute), record.Pointer(), record.Bytes())
	require.NotErrorIs(t, err, dht.ErrUnreachable)
	require.NotZero(t, third.Peers())

	require.NoError(t, servers[1].Close())
	require.NoError(t, servers[2].Close())
	none := startNode(t, Config{Bootstrap: hub, Known: known, DialTimeout: 10 * time.Second})
	require.ErrorIs(t, none.JoinError(), dht.ErrUnreachable)
	require.Contains(t, none.JoinError().Error(), servers[0].ID(), "the peer that the owner named")
	_, err = Start(t.Context(), Config{Known: []string{"x"}})
	require.Error(t, err)
}

// Attack: the file of the peers of before names services of this machine, which the
// network of the owner does not lead to, and names to resolve. None is dialled; in a
// network of this machine the address is.
func TestKnownPeersAreDialledAsTheWordOfOthers(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	asked := make(chan struct{}, 8)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked <- struct{}{}
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	const id = "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	var known []string
	for _, a := range []string{"/ip4/127.0.0.1/tcp/", "/dns4/localhost/tcp/", "/ip6/::ffff:127.0.0.1/tcp/", "/ip4/127.0.0.1/tcp/1" + id + "/p2p-circuit/ip4/127.0.0.1/tcp/"} {
		known = append(known, a+port+id)
	}
	record := sign(t, newKey(t), 1)
	for _, reach := range []Reach{ReachPublic, ReachLAN, ReachHost} {
		n := startNode(t, Config{Reach: reach, Known: known, Timeout: 5 * time.Second})
		require.Zero(t, n.Peers())
		_, err := n.Put(within(t, time.Minute), record.Pointer(), record.Bytes())
		require.Error(t, err)
		require.Equal(t, reach == ReachHost, len(asked) > 0, "%v", reach)
		for _, k := range n.knownPeers() {
			for _, a := range k.Addrs {
				require.True(t, strings.HasPrefix(a.String(), "/ip4/127.0.0.1/tcp/"+port) || strings.HasPrefix(a.String(), "/ip6/::ffff"), a)
			}
		}
	}
}
