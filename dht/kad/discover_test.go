package kad

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

const inNamespace = "PETNAMES_TEST_NAMESPACE"

// Nodes and clients of a local network find one another by multicast, with no
// address given. The network is one that this test makes: a network namespace,
// where the process can reach nobody else.
func TestPeersOfALocalNetworkAreFound(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		runInNamespace(t)
		return
	}
	for _, args := range [][]string{
		{"link", "add", "v0", "type", "veth", "peer", "name", "v1"},
		{"addr", "add", "192.168.77.1/24", "dev", "v0"},
		{"link", "set", "lo", "up"}, {"link", "set", "v0", "up"}, {"link", "set", "v1", "up"},
	} {
		out, err := exec.Command("ip", args...).CombinedOutput()
		require.NoError(t, err, "ip %v: %s", args, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	listen := []string{"/ip4/192.168.77.1/tcp/0"}
	a := started(t, Config{Listen: listen, Server: true, Discover: true})
	b := started(t, Config{Listen: listen, Server: true, Discover: true})
	for _, n := range []*Node{a, b} {
		select {
		case <-n.discovery.found:
		case <-ctx.Done():
			t.Fatal("the nodes did not find each other")
		}
	}
	client := started(t, Config{Discover: true})
	require.Eventually(t, func() bool { return client.Peers() > 0 }, time.Minute, time.Millisecond)

	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	record, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour), TTL: time.Minute})
	require.NoError(t, err)
	_, err = client.Put(ctx, record.Pointer(), record.Bytes())
	require.NoError(t, err)
	other := started(t, Config{Discover: true})
	require.Eventually(t, func() bool { return other.Peers() > 0 }, time.Minute, time.Millisecond)
	best, err := (&dht.Resolver{Stores: []dht.Store{other}}).Best(ctx, record.Pointer(), dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, record.Bytes(), best.Record.Bytes())
}

func runInNamespace(t *testing.T) {
	if runtime.GOOS != "linux" || exec.Command("unshare", "-n", "ip", "link").Run() != nil {
		t.Skip("takes a network namespace, made with unshare and ip by root, which this machine doesn't give")
	}
	cmd := exec.Command("unshare", "-n", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
}

func started(t *testing.T, c Config) *Node {
	n, err := Start(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// An announcement is anybody's: what it says of addresses is held to be that,
// and a flood of them makes no more than a bounded number of dials.
func TestHostileAnnouncementsAreBounded(t *testing.T) {
	id := "12D3KooWCLgnRGMct224q5qXf5AHVgwEhycGmWh7bP63PNowVP4n"
	for name, texts := range map[string][]string{
		"nothing": nil, "empty": {""}, "no prefix": {"/ip4/127.0.0.1/tcp/1/p2p/" + id}, "bare prefix": {"dnsaddr="},
		"no address": {"dnsaddr=\x00\xff"}, "no peer": {"dnsaddr=/ip4/127.0.0.1/tcp/1"},
	} {
		require.Empty(t, announced(texts), name)
	}
	infos := announced([]string{"junk", "dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/" + id, "dnsaddr=/ip4/127.0.0.1/tcp/2/p2p/" + id})
	require.Len(t, infos, 1)
	require.Len(t, infos[0].Addrs, 2)

	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{})
		d := &discovery{node: n, found: make(chan struct{}), slots: make(chan struct{}, maxFound)}
		dialled := func(info peer.AddrInfo) bool {
			d.HandlePeerFound(info)
			require.NoError(t, n.Wait(t.Context()))
			return len(n.host.Peerstore().Addrs(info.ID)) > 0
		}
		for range maxFound { // as many dials as may be are under way
			d.slots <- struct{}{}
		}
		require.False(t, dialled(infos[0]), "past the bound")
		<-d.slots
		d.HandlePeerFound(peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()})
		require.Len(t, d.slots, maxFound-1, "it does not dial itself")
		require.True(t, dialled(infos[0]), "one of them has ended")
		require.Len(t, d.slots, maxFound-1)

		// Of a flood at once, some are dialled, and the others passed over.
		for range maxFound - 1 {
			<-d.slots
		}
		began := time.Now()
		var flood []peer.AddrInfo
		for range 3 * maxFound {
			flood = append(flood, peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{silentAddr(t)}})
			d.HandlePeerFound(flood[len(flood)-1])
		}
		require.NoError(t, n.Wait(t.Context()))
		tried := 0
		for _, info := range flood {
			if len(n.host.Peerstore().Addrs(info.ID)) > 0 {
				tried++
			}
		}
		require.Equal(t, maxFound, tried)
		require.GreaterOrEqual(t, time.Since(began), retryAfter, "each is tried once more")
		select {
		case <-d.found:
			t.Fatal("nobody was found")
		default:
		}
		server := startServers(t, 1)[0]
		require.True(t, dialled(peer.AddrInfo{ID: server.host.ID(), Addrs: server.host.Addrs()}))
		<-d.found
		require.Equal(t, 1, n.Peers())
	})
}
