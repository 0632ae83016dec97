package kad

import (
	"fmt"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
	manet "github.com/multiformats/go-multiaddr/net"
)

// newHost returns a started host with only the protocols that the node needs;
// see setReachability.
func (n *Node) newHost(c Config, key crypto.PrivKey) (host.Host, error) {
	in := newInbound(maxInbound)
	plan, err := n.planHost(c, key, in)
	if err != nil {
		return nil, err
	}
	h, err := plan.start()
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", c.Listen, err)
	}
	if n.server {
		h.Network().Notify(in.notifiee())
	}
	return h, nil
}

// planHost returns the parts of the host for a configuration.
func (n *Node) planHost(c Config, key crypto.PrivKey, in *inbound) (hostPlan, error) {
	plan := hostPlan{PeerKey: key, DialTimeout: n.dialTimeout, Resolver: swarm.ResolverFromMaDNS{Resolver: madns.DefaultResolver}}
	for _, listen := range c.Listen {
		a, err := ma.NewMultiaddr(listen)
		if err != nil {
			return hostPlan{}, fmt.Errorf("listen on %q: %w", listen, err)
		}
		plan.ListenAddrs = append(plan.ListenAddrs, a)
	}
	if n.network == IPFS {
		plan.AddressDiscovery = true
		plan.UDPBlackHoleSuccessCounter = &swarm.BlackHoleSuccessCounter{N: 100, MinSuccesses: 5, Name: "UDP"}
		plan.IPv6BlackHoleSuccessCounter = &swarm.BlackHoleSuccessCounter{N: 100, MinSuccesses: 5, Name: "IPv6"}
	} else {
		// Two peers of a LAN can find each other at the same time. If both dialled
		// from the port on which they listen, TCP would make one connection in
		// which both are the client, and the handshake would fail.
		plan.TCP = []tcp.Option{tcp.DisableReuseport()}
		// There are no black hole counters, because a few dead peers in a small
		// network do not show that UDP is blocked.
	}
	n.setReachability(c.Listen, &plan)
	if n.adjustHost != nil {
		n.adjustHost(&plan)
	}
	plan.Resolver = ownerResolver{n.dials, plan.Resolver}
	plan.ConnectionGater = gater{node: n}
	var err error
	if n.server {
		plan.ConnectionGater = gater{n, n.limiter}
		var r network.ResourceManager
		if r, err = resources(); err == nil {
			plan.ResourceManager = newTransients(r, in.sourceOf)
		}
	} else {
		plan.ResourceManager, err = clientResources()
	}
	return plan, err
}

// publicFilters returns the filters of the public network, as
// go-libp2p-kad-dht's dual DHT sets them for its WAN side.
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

// PublicBootstrap returns the multiaddrs of the bootstrap peers of the public
// IPFS network, for Config.Bootstrap. The package does not dial them by itself.
func PublicBootstrap() []string {
	var addrs []string
	for _, a := range kaddht.DefaultBootstrapPeers {
		addrs = append(addrs, a.String())
	}
	return addrs
}

// parseAddrs parses multiaddrs that end in /p2p/…, and groups them by peer.
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

// Host returns the libp2p host of the node, on which an application can run
// other protocols. Unless the caller supplied it in Config.Host, it ends with
// the node.
func (n *Node) Host() host.Host { return n.host }
