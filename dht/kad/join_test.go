package kad

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// JoinError reports in time why a bootstrap peer could not be used: it belongs to
// another network, is a client, is another peer than expected, is silent, or does
// not exist.
func TestJoinErrorReportsTheReason(t *testing.T) {
	simulate(t, func(t *testing.T) {
		other := startNode(t, Config{Listen: loopback, Server: true, Protocol: "/other/kad/1.0.0"})
		client := startNode(t, Config{Listen: loopback})
		right := startNode(t, Config{Listen: loopback, Server: true})
		address, _, _ := strings.Cut(right.Addrs()[0], "/p2p/")
		for name, c := range map[string]struct{ addr, reason string }{
			"another network": {other.Addrs()[0], `serves "/other/kad/1.0.0", not /ipfs/lan/kad/1.0.0`},
			"a client":        {client.Addrs()[0], "no server of /ipfs/lan/kad/1.0.0"},
			"another peer":    {address + "/p2p/" + randomPeer(t).String(), "another peer answers there: " + right.ID()},
			"silent":          {silentAddr(t).String() + "/p2p/" + randomPeer(t).String(), "no answer"},
		} {
			began := time.Now()
			n := startNode(t, Config{Bootstrap: []string{c.addr}})
			require.LessOrEqual(t, time.Since(began), n.joinTimeout(), name)
			require.ErrorIs(t, n.JoinError(), dht.ErrUnreachable, name)
			require.ErrorContains(t, n.JoinError(), c.reason, name)
			require.ErrorContains(t, n.JoinError(), c.addr[strings.LastIndex(c.addr, "/")+1:], name)
		}
		n := startNode(t, Config{Bootstrap: append(other.Addrs(), right.Addrs()...)})
		require.NoError(t, n.JoinError(), "one is enough")
		require.NoError(t, right.JoinError(), "no peer was asked")
	})
}
