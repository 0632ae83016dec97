package kad

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// Why a bootstrap peer doesn't let us in is told, within the time: another
// network, a client, another peer than was meant, one that says nothing, none.
func TestRefusedSaysWhy(t *testing.T) {
	other := startNode(t, Config{Listen: loopback, Server: true, Protocol: "/other/kad/1.0.0"})
	client := startNode(t, Config{Listen: loopback})
	right := startNode(t, Config{Listen: loopback, Server: true})
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = mute.Close() })
	address, _, _ := strings.Cut(right.Addrs()[0], "/p2p/")
	for name, c := range map[string]struct{ addr, reason string }{
		"another network": {other.Addrs()[0], `serves "/other/kad/1.0.0", not /ipfs/lan/kad/1.0.0`},
		"a client":        {client.Addrs()[0], "no server of /ipfs/lan/kad/1.0.0"},
		"another peer":    {address + "/p2p/" + randomPeer(t).String(), "another peer answers there: " + right.ID()},
		"silent":          {fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", mute.Addr().(*net.TCPAddr).Port, randomPeer(t)), "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			n := startNode(t, Config{Bootstrap: []string{c.addr}})
			require.Less(t, time.Since(began), joinTimeout+2*time.Second)
			require.ErrorIs(t, n.Refused(), dht.ErrUnreachable)
			require.ErrorContains(t, n.Refused(), c.reason)
			require.ErrorContains(t, n.Refused(), c.addr[strings.LastIndex(c.addr, "/")+1:])
			t.Log(n.Refused())
		})
	}
	n := startNode(t, Config{Bootstrap: append(other.Addrs(), right.Addrs()...)})
	require.NoError(t, n.Refused(), "one is enough")
	require.NoError(t, right.Refused(), "nobody was asked")
}
