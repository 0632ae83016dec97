package kad

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// A host that is put together here speaks the protocols, and dials and listens
// with the transports, of the host that package libp2p makes with the options
// of the same meaning. It is no relay for others.
func TestAHostIsLikeThatOfLibp2p(t *testing.T) {
	everywhere := []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	noRelay := autorelay.WithPeerSource(func(ctx context.Context, num int) <-chan peer.AddrInfo {
		none := make(chan peer.AddrInfo)
		close(none)
		return none
	})
	private := []libp2p.Option{libp2p.DisableRelay(), libp2p.ForceReachabilityPrivate()}
	for name, c := range map[string]struct {
		Config
		public  bool
		options []libp2p.Option
	}{
		"server of a LAN": {Config{Server: true, Listen: everywhere}, false, append(private,
			libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), libp2p.DisableIdentifyAddressDiscovery())},
		"client of a LAN": {Config{}, false, append(private, libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), libp2p.NoListenAddrs)},
		"client of IPFS":  {Config{Network: IPFS}, false, append(private, libp2p.Transport(tcp.NewTCPTransport), libp2p.NoListenAddrs)},
		"server of IPFS": {Config{Network: IPFS, Server: true, Listen: everywhere}, true, []libp2p.Option{
			libp2p.Transport(tcp.NewTCPTransport), libp2p.EnableRelay(),
			libp2p.EnableAutoRelayWithPeerSource(func(ctx context.Context, num int) <-chan peer.AddrInfo { return nil }),
			libp2p.EnableHolePunching(), libp2p.EnableNATService(), libp2p.EnableAutoNATv2(),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := configure(c.Config)
			require.NoError(t, err)
			key, id, err := readKey(peerKey(t))
			require.NoError(t, err)
			plan, err := n.planHost(c.Config, key, newInbound(1))
			require.NoError(t, err)
			if c.public { // listening on loopback alone, and without a search for a router
				plan.Private, plan.Relay, plan.EnableHolePunching = false, true, true
				plan.EnableNATService, plan.EnableAutoNATv2, plan.AutoRelayOpts = true, true, []autorelay.Option{noRelay}
			}
			h, err := plan.start()
			require.NoError(t, err)
			defer func() { require.NoError(t, h.Close()) }()
			require.Equal(t, id, h.ID())
			options := append(c.options, libp2p.UserAgent("petnames"), libp2p.Transport(quic.NewTransport), libp2p.DisableMetrics())
			if len(c.Listen) > 0 {
				options = append(options, libp2p.ListenAddrStrings(c.Listen...))
			}
			other, err := libp2p.New(options...)
			require.NoError(t, err)
			defer func() { require.NoError(t, other.Close()) }()
			require.Eventually(t, func() bool { return fmt.Sprint(abilities(h)) == fmt.Sprint(abilities(other)) }, 10*time.Second, 10*time.Millisecond,
				"%v\n%v", abilities(h), abilities(other))
			require.NotContains(t, abilities(h), "/libp2p/circuit/relay/0.2.0/hop")
			require.Equal(t, c.public, slices.Contains(abilities(h), "/libp2p/autonat/2/dial-request"))
		})
	}
}

func TestTheServiceLimitsAreThoseOfLibp2p(t *testing.T) {
	ours, theirs := rcmgr.DefaultLimits, rcmgr.DefaultLimits
	setServiceLimits(&ours)
	libp2p.SetDefaultServiceLimits(&theirs)
	require.Equal(t, theirs.Scale(1<<30, 4096), ours.Scale(1<<30, 4096))
	require.NotEqual(t, rcmgr.DefaultLimits.Scale(1<<30, 4096), ours.Scale(1<<30, 4096))
}

// A host whose address is taken is no host, and leaves nothing open.
func TestAHostThatCannotListenIsClosed(t *testing.T) {
	taken := startNode(t, Config{Listen: loopback, Server: true})
	addr := taken.host.Network().ListenAddresses()[0].String()
	for _, network := range []Network{LAN, IPFS} {
		n, err := configure(Config{Network: network, Server: true})
		require.NoError(t, err)
		key, _, err := readKey(peerKey(t))
		require.NoError(t, err)
		plan, err := n.planHost(Config{Listen: []string{addr}}, key, newInbound(1))
		require.NoError(t, err)
		plan.EnableAutoNATv2 = network == IPFS
		closed := false
		plan.ResourceManager = closing{plan.ResourceManager, &closed}
		_, err = plan.start()
		require.Error(t, err)
		require.True(t, closed)
	}
}

type closing struct {
	network.ResourceManager
	closed *bool
}

func (c closing) Close() error {
	*c.closed = true
	return c.ResourceManager.Close()
}

// abilities lists the protocols and transports of a host.
func abilities(h host.Host) []string {
	var all []string
	for _, p := range h.Mux().Protocols() {
		all = append(all, string(p))
	}
	slices.Sort(all)
	id := "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	for _, addr := range []string{
		"/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/1/ws", "/ip4/8.8.8.8/udp/1/quic-v1/webtransport",
		"/ip4/8.8.8.8/udp/1/webrtc-direct", "/ip4/8.8.8.8/tcp/1" + id + "/p2p-circuit",
	} {
		s := h.Network().(*swarm.Swarm)
		all = append(all, fmt.Sprintf("%s %T %T", addr, s.TransportForDialing(ma.StringCast(addr)), s.TransportForListening(ma.StringCast(addr))))
	}
	return append(all, fmt.Sprint(len(h.Network().ListenAddresses())))
}
