package libp2p

import (
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// A node keeps the ports that were bound when it joins another network.
func TestBound(t *testing.T) {
	addrs := []string{"/ip4/127.0.0.1/tcp/4001/p2p/x", "/ip4/127.0.0.1/udp/4002/quic-v1/p2p/x", "/ip4/127.0.0.1/tcp/4003/p2p/x"}
	require.Equal(t, []string{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4002/quic-v1", "/ip4/0.0.0.0/tcp/4003", "/ip4/1.2.3.4/tcp/9", "/dns/x"},
		bound([]string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0", "/ip4/1.2.3.4/tcp/9", "/dns/x"}, addrs))
	require.Equal(t, []string{"/ip6/::1/tcp/0"}, bound([]string{"/ip6/::1/tcp/0"}, addrs), "nothing of that kind")
}

// An address to listen on, or of a relay, that cannot be used is an AddressError
// of the node that listens. A client neither listens nor uses relays.
func TestAnAddressThatCannotBeUsedIsAnAddressError(t *testing.T) {
	const peer = "/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	const good = "/ip4/127.0.0.1/tcp/0"
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	for _, test := range []struct {
		o             Options
		kind, address string
	}{
		{Options{Listen: []string{good, "/ip4/300.0.0.1/tcp/0"}}, "listen", "/ip4/300.0.0.1/tcp/0"},
		{Options{Listen: []string{""}}, "listen", ""},
		{Options{Listen: []string{good}, Relays: []string{"relay.example"}}, "relay", "relay.example"},
		{Options{Listen: []string{good}, Relays: []string{"/ip4/127.0.0.1/tcp/1" + peer, "/ip4/127.0.0.1/tcp/1"}}, "relay", "/ip4/127.0.0.1/tcp/1"},
	} {
		_, err := New(test.o).Start(t.Context(), agent.NodeConfig{Network: "off", Key: key})
		var bad *agent.AddressError
		require.ErrorAs(t, err, &bad, "%+v", test.o)
		require.Equal(t, test.kind, bad.Kind)
		require.Equal(t, test.address, bad.Address)
		require.Contains(t, bad.Reason, test.kind)

		n, err := New(test.o).Start(t.Context(), agent.NodeConfig{Network: "off"})
		require.NoError(t, err)
		require.NoError(t, n.Close())
	}
}

// New does not keep the caller's slices.
func TestNewDoesNotKeepTheCallersSlices(t *testing.T) {
	o := Options{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Relays: []string{"x"}}
	tr := New(o).(*transport)
	o.Listen[0], o.Relays[0] = "bad", "bad"
	require.Equal(t, []string{"/ip4/127.0.0.1/tcp/0"}, tr.listen)
	require.Equal(t, []string{"x"}, tr.relays)
}

// The bootstrap peers are those of the public network alone.
func TestBootstrapIsOfThePublicNetwork(t *testing.T) {
	require.NotEmpty(t, New(Options{}).Bootstrap("ipfs"))
	require.Empty(t, New(Options{}).Bootstrap("lan"))
}
