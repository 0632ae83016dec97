package kad

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// built returns the plan of the host of a configuration. The host is not
// started, since one of the public network would search for a router.
func built(t *testing.T, c Config) hostPlan {
	t.Helper()
	n, err := configure(c)
	require.NoError(t, err)
	key, _, err := readKey(peerKey(t))
	require.NoError(t, err)
	plan, err := n.planHost(c, key, newInbound(1))
	require.NoError(t, err)
	require.NoError(t, plan.ResourceManager.Close())
	return plan
}

// A server of the public network runs all services that a peer behind a home
// router needs. Other nodes run none of them.
func TestReachabilityServicesOfEachKindOfNode(t *testing.T) {
	everywhere := []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0"}
	for name, c := range map[string]struct {
		Config
		public bool
	}{
		"server of IPFS":           {Config{Network: IPFS, Server: true, Listen: everywhere}, true},
		"loopback server of IPFS":  {Config{Network: IPFS, Server: true, Listen: loopback}, false},
		"client of IPFS":           {Config{Network: IPFS}, false},
		"listening client of IPFS": {Config{Network: IPFS, Listen: everywhere}, false},
		"server of a LAN":          {Config{Network: LAN, Server: true, Listen: everywhere, Discover: true}, false},
		"server of private peers":  {Config{Server: true, Listen: everywhere}, false},
		"client":                   {Config{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := built(t, c.Config)
			require.Equal(t, c.public, h.Relay, "reaches and is reached by relays")
			require.Equal(t, c.public, h.AutoRelayOpts != nil)
			require.Equal(t, c.public, h.EnableHolePunching)
			require.Equal(t, c.public, h.EnableAutoNATv2)
			require.Equal(t, c.public, h.EnableNATService)
			require.Equal(t, c.public, !h.Private)
			require.Equal(t, c.public, h.NATManager != nil)
			require.Equal(t, c.Server, h.ConnectionGater.(gater).limiter != nil, "peers are cut off")
			onIPFS := c.Network == IPFS
			require.Equal(t, onIPFS, h.AddressDiscovery)
			require.Equal(t, onIPFS, h.UDPBlackHoleSuccessCounter != nil)
			require.Equal(t, onIPFS, h.IPv6BlackHoleSuccessCounter != nil)
			require.Equal(t, onIPFS, h.TCP == nil, "ports are reused")
		})
	}
	static := built(t, Config{Network: IPFS, Server: true, Listen: everywhere, Relays: []string{"/ip4/203.0.113.1/tcp/1/p2p/" + randomPeer(t).String()}})
	require.NotNil(t, static.AutoRelayOpts)
	_, err := configure(Config{Relays: []string{"/ip4/203.0.113.1/tcp/1"}})
	require.Error(t, err)
}

// A host on loopback serves only the DHT and libp2p's identify and ping.
func TestALoopbackHostRunsNoReachabilityServices(t *testing.T) {
	n := startNode(t, Config{Listen: loopback, Server: true})
	for _, p := range n.host.Mux().Protocols() {
		for _, unwanted := range []string{"autonat", "dcutr", "circuit", "relay"} {
			require.False(t, strings.Contains(string(p), unwanted), p)
		}
	}
}

// The relay candidates are peers of the routing table with a public address, not
// more than requested.
func TestRelaysComeFromTheTable(t *testing.T) {
	n := startNode(t, Config{}) // a server would dial them to maintain its table
	public := map[peer.ID]bool{}
	for i := range 6 {
		id := randomPeer(t)
		addr := ma.StringCast("/ip4/192.168.1.7/tcp/1")
		if i%2 == 0 {
			addr = ma.StringCast("/ip4/8.8.8.8/tcp/1")
			public[id] = true
		}
		n.host.Peerstore().AddAddr(id, addr, peerstore.PermanentAddrTTL)
		_, err := n.dht.RoutingTable().TryAddPeer(id, true, false)
		require.NoError(t, err)
	}
	got := 0
	for info := range n.relayCandidates(t.Context(), 10) {
		require.True(t, public[info.ID])
		got++
	}
	require.Equal(t, 3, got)
	for range n.relayCandidates(t.Context(), 2) {
		got--
	}
	require.Equal(t, 1, got)

	early := &Node{dhtStarted: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, more := <-early.relayCandidates(ctx, 1)
	require.False(t, more)
}
