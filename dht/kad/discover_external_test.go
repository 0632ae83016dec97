//go:build external && linux

package kad

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

const inNamespace = "PETNAMES_TEST_NAMESPACE"

// Nodes and clients of a local network find each other by multicast without a
// given address. The test creates the network: a network namespace in which the
// process reaches no other network.
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
	out, err := exec.Command("unshare", "-n", "ip", "link").CombinedOutput()
	require.NoError(t, err, "unshare and ip have to make a network namespace, as root: %s", out)
	cmd := exec.Command("unshare", "-n", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
}

func started(t *testing.T, c Config) *Node {
	n, err := Start(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}
