package kad

import (
	"context"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// services are the host's options for being reached. A server of the public
// network has what a peer behind a home router needs: it asks the router to map
// its port, has others try whether it can be reached (AutoNAT v1 and v2) and
// does the same for them, and while it can't, is reached by way of relays, over
// connections that hole punching then makes direct. Peers of a LAN and of
// private networks have addresses that work as they are, and nobody to ask; and
// who only asks questions, or listens on this machine alone, needs no way in.
// They run none of it.
func (n *Node) setReachability(listen []string, plan *hostPlan) {
	if n.network != IPFS || !n.server || !slices.ContainsFunc(listen, isNotLoopback) {
		plan.Private = true
		return
	}
	plan.Relay, plan.EnableHolePunching = true, true
	plan.EnableNATService, plan.EnableAutoNATv2 = true, true
	plan.NATManager = basichost.NewNATManager
	plan.AutoRelayOpts = []autorelay.Option{autorelay.WithPeerSource(n.relayCandidates)}
	if len(n.staticRelays) > 0 {
		plan.AutoRelayOpts = []autorelay.Option{autorelay.WithStaticRelays(n.staticRelays)}
	}
}

// beyond says whether listening on an address makes sense to others than this
// machine.
func isNotLoopback(addr string) bool {
	a, err := ma.NewMultiaddr(addr)
	return err == nil && !manet.IsIPLoopback(a)
}

var _ autorelay.PeerSource = (*Node)(nil).relayCandidates

// relays gives peers to try as relays: those of the routing table that have a
// public address. Most servers of the public network are willing.
func (n *Node) relayCandidates(ctx context.Context, num int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	go func() {
		defer close(out)
		select {
		case <-n.dhtStarted: // the host is there before the DHT
		case <-ctx.Done():
			return
		}
		for _, id := range shuffle(n.dht.RoutingTable().ListPeers()) {
			info := n.host.Peerstore().PeerInfo(id)
			if num == 0 {
				return
			}
			if !slices.ContainsFunc(info.Addrs, func(a ma.Multiaddr) bool { return manet.IsPublicAddr(a) }) {
				continue
			}
			select {
			case out <- info:
				num--
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
