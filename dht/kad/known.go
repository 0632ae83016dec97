package kad

import (
	"context"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// maxGoodPeers and maxGoodAddrs bound the result of GoodPeers: peers, and addresses of
// each.
const (
	maxGoodPeers = 64
	maxGoodAddrs = 2
)

// entryPeers returns the peers by which the node enters the network: the bootstrap peers,
// and those of Config.Known at the addresses that the node may dial.
func (n *Node) entryPeers() []peer.AddrInfo { return slices.Concat(n.bootstrap, n.knownPeers()) }

func (n *Node) knownPeers() (out []peer.AddrInfo) {
	for _, k := range n.known {
		if addrs := ma.FilterAddrs(k.Addrs, n.MayDial); len(addrs) > 0 {
			out = append(out, peer.AddrInfo{ID: k.ID, Addrs: addrs})
		}
	}
	return out
}

// enter joins by the bootstrap peers or, if none of them answers, by the peers of
// Config.Known. If these do not answer either, the error is that of the bootstrap peers.
func (n *Node) enter(ctx context.Context) error {
	var named error
	if len(n.bootstrap) > 0 {
		if _, named = n.join(ctx, n.bootstrap); named == nil {
			return nil
		}
	}
	known := n.knownPeers()
	if len(known) == 0 {
		return named
	}
	connected, err := n.join(ctx, known)
	if err == nil {
		n.log.Info("no named peer answered: joined by peers known before", "peers", connected)
		return nil
	}
	if named != nil {
		return named
	}
	return err
}

// GoodPeers returns the peers in the routing table, which have answered this node, for the
// Config.Known of a later one: for each a list of its multiaddrs, at most two, that end in
// /p2p/ID. They are addresses at which the node reached the peer, or that the peer named
// if it came by itself. There are at most 64, without the bootstrap peers, in random order.
func (n *Node) GoodPeers() (peers [][]string) {
	for _, id := range shuffle(n.dht.RoutingTable().ListPeers()) {
		if slices.ContainsFunc(n.bootstrap, func(b peer.AddrInfo) bool { return b.ID == id }) {
			continue
		}
		var addrs []string
		for _, a := range n.addrsOf(id) {
			if text := a.String() + "/p2p/" + id.String(); n.MayDial(a) && len(addrs) < maxGoodAddrs && !slices.Contains(addrs, text) {
				addrs = append(addrs, text)
			}
		}
		if len(addrs) > 0 {
			peers = append(peers, addrs)
		}
		if len(peers) == maxGoodPeers {
			break
		}
	}
	return peers
}

// addrsOf returns the addresses at which the node reached a peer or, if it did not
// connect to it, those in the peerstore.
func (n *Node) addrsOf(id peer.ID) (reached []ma.Multiaddr) {
	for _, c := range n.host.Network().ConnsToPeer(id) {
		if c.Stat().Direction == network.DirOutbound {
			reached = append(reached, c.RemoteMultiaddr())
		}
	}
	if len(reached) > 0 {
		return reached
	}
	return n.host.Peerstore().Addrs(id)
}
