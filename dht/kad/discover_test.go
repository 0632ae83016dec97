package kad

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
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
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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
	require.Positive(t, client.Peers())

	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	record, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour), TTL: time.Minute})
	require.NoError(t, err)
	_, err = client.Put(ctx, record.Pointer(), record.Bytes())
	require.NoError(t, err)
	other := started(t, Config{Discover: true})
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

	n := started(t, Config{})
	d := &discovery{node: n, found: make(chan struct{}), slots: make(chan struct{}, maxFound)}
	for range maxFound { // as many dials as may be are under way
		d.slots <- struct{}{}
	}
	d.HandlePeerFound(infos[0])
	d.HandlePeerFound(peer.AddrInfo{ID: n.host.ID()})
	require.Empty(t, n.host.Peerstore().Addrs(infos[0].ID), "dialled past the bound")
}
