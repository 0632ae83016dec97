package kad

import (
	"fmt"

	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// newHost makes a host that says nothing that isn't needed. What it runs to be
// reached is in services.
func (n *Node) newHost(c Config, key crypto.PrivKey) (host.Host, error) {
	options, err := n.hostOptions(c, key)
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", c.Listen, err)
	}
	return h, nil
}

func (n *Node) hostOptions(c Config, key crypto.PrivKey) ([]libp2p.Option, error) {
	options := []libp2p.Option{
		libp2p.UserAgent("petnames"),
		libp2p.Identity(key),
		libp2p.Transport(quic.NewTransport),
		libp2p.DisableMetrics(),
		libp2p.WithDialTimeout(n.dialing),
		// The limit for private addresses is another one.
		libp2p.SwarmOpts(swarm.WithDialTimeoutLocal(n.dialing)),
	}
	if n.network == IPFS {
		options = append(options, libp2p.Transport(tcp.NewTCPTransport))
	} else {
		options = append(options,
			// Two peers of a LAN hear of each other at one moment. Dialling each
			// other from the ports that they listen on, they would make one
			// connection between them in which both are the client, and fail.
			libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
			libp2p.DisableIdentifyAddressDiscovery(),
			// A few dead peers on a small network are no sign that UDP is blocked.
			libp2p.UDPBlackHoleSuccessCounter(nil),
			libp2p.IPv6BlackHoleSuccessCounter(nil),
		)
	}
	options = append(options, n.services(c.Listen)...)
	if n.server {
		resources, err := resources()
		if err != nil {
			return nil, err
		}
		options = append(options, libp2p.ResourceManager(resources), libp2p.ConnectionGater(gater{n.guard}))
	}
	if len(c.Listen) == 0 {
		options = append(options, libp2p.NoListenAddrs)
	} else {
		options = append(options, libp2p.ListenAddrStrings(c.Listen...))
	}
	if n.wire != nil {
		options = append(options, n.wire()...)
	}
	return options, nil
}

// publicFilters are the rules of the public network, as go-libp2p-kad-dht's
// dual DHT sets them for its WAN side.
func publicFilters(h host.Host) []kaddht.Option {
	return []kaddht.Option{
		kaddht.QueryFilter(kaddht.PublicQueryFilter),
		kaddht.RoutingTableFilter(kaddht.PublicRoutingTableFilter),
		kaddht.RoutingTablePeerDiversityFilter(kaddht.NewRTPeerDiversityFilter(h,
			amino.DefaultMaxPeersPerIPGroupPerCpl, amino.DefaultMaxPeersPerIPGroup)),
		kaddht.AddressFilter(func(addrs []ma.Multiaddr) []ma.Multiaddr {
			return ma.FilterAddrs(addrs, manet.IsPublicAddr)
		}),
	}
}

// PublicBootstrap lists the bootstrap peers of the public IPFS network, for
// Config.Bootstrap. Nothing dials them unless they are put there.
func PublicBootstrap() []string {
	var addrs []string
	for _, a := range kaddht.DefaultBootstrapPeers {
		addrs = append(addrs, a.String())
	}
	return addrs
}

// parseAddrs reads full multiaddrs, and puts those of one peer together.
func parseAddrs(addrs []string) ([]peer.AddrInfo, error) {
	var all []ma.Multiaddr
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("bootstrap address %q: %w", s, err)
		}
		if _, err := peer.AddrInfoFromP2pAddr(a); err != nil {
			return nil, fmt.Errorf("bootstrap address %q: %w (it must end in /p2p/ and a peer ID)", s, err)
		}
		all = append(all, a)
	}
	return peer.AddrInfosFromP2pAddrs(all...)
}

// Host is the libp2p host that the node runs on, for other protocols beside the
// DHT's. It ends with the node.
func (n *Node) Host() host.Host { return n.host }
