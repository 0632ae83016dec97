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

// setReachability plans the services that make a host reachable. A server of
// the public network has those that a peer behind a home router needs: it asks
// the router to map its port, lets peers test whether it is reachable (AutoNAT
// v1 and v2) and tests them, and while it is unreachable uses relays, whose
// connections hole punching replaces by direct ones. Other hosts have none of
// it: peers of a LAN or a private network have usable addresses and no public
// peers to ask, and clients, and servers that listen on loopback only, need not
// be reachable.
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

// isNotLoopback reports whether other machines can reach an address.
func isNotLoopback(addr string) bool {
	a, err := ma.NewMultiaddr(addr)
	return err == nil && !manet.IsIPLoopback(a)
}

var _ autorelay.PeerSource = (*Node)(nil).relayCandidates

// relayCandidates sends up to num peers to try as relays: peers of the routing
// table with a public address. Most servers of the public network are relays.
func (n *Node) relayCandidates(ctx context.Context, num int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	go func() {
		defer close(out)
		select {
		case <-n.dhtStarted: // the host starts before the DHT
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
