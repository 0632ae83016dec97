package kad

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// dialPolicy decides what the hosts of a node dial and resolve. Peers that the owner
// named, as in Config.Bootstrap, are dialled at all of their addresses, and the names
// in these addresses are resolved. Of all others only dialable addresses are, and no
// name, whoever brought it into the peerstore: an answer, identify, or a provider
// record. It is safe for concurrent use.
type dialPolicy struct {
	mu    sync.Mutex
	reach Reach
	peers map[peer.ID]bool // named by the owner
	names map[string]bool  // DNS names in their addresses, lower case
}

// maxNames bounds the names that records of the owner's names lead to.
const maxNames = 256

func newDialPolicy(reach Reach) *dialPolicy {
	return &dialPolicy{reach: reach, peers: map[peer.ID]bool{}, names: map[string]bool{}}
}

// allow adds peers that the owner named.
func (d *dialPolicy) allow(infos []peer.AddrInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, info := range infos {
		d.peers[info.ID] = true
		for _, a := range info.Addrs {
			if name := nameOf(a); name != "" {
				d.names[name] = true
			}
		}
	}
}

// currentReach returns the Reach for addresses that others named.
func (d *dialPolicy) currentReach() Reach {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reach
}

// widen lowers the Reach to that of the address at which a name of the owner led into
// the network.
func (d *dialPolicy) widen(a ma.Multiaddr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reach = min(d.reach, reachOf(a))
}

// mayResolve reports whether a name may be resolved.
func (d *dialPolicy) mayResolve(a ma.Multiaddr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[nameOf(a)]
}

// mayDialPeer reports whether a peer may be dialled at any address.
func (d *dialPolicy) mayDialPeer(p peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peers[p]
}

// nameOf returns the first DNS name of an address, "" if there is none.
func nameOf(a ma.Multiaddr) string {
	for _, c := range a {
		switch c.Code() {
		case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
			return strings.ToLower(strings.TrimSuffix(c.Value(), "."))
		}
	}
	return ""
}

// ownerResolver resolves the names of a policy, and those that they lead to. Other
// names have no addresses.
type ownerResolver struct {
	policy *dialPolicy
	inner  network.MultiaddrDNSResolver
}

var _ network.MultiaddrDNSResolver = ownerResolver{}

// ResolveDNSAddr implements network.MultiaddrDNSResolver.
func (r ownerResolver) ResolveDNSAddr(ctx context.Context, expected peer.ID, a ma.Multiaddr, recursion, most int) ([]ma.Multiaddr, error) {
	if !r.policy.mayResolve(a) {
		return nil, nil
	}
	all, err := r.inner.ResolveDNSAddr(ctx, expected, a, recursion, most)
	r.policy.mu.Lock()
	defer r.policy.mu.Unlock()
	for _, a := range all {
		if name := nameOf(a); name != "" && len(r.policy.names) < maxNames {
			r.policy.names[name] = true
		}
	}
	return all, err
}

// ResolveDNSComponent implements network.MultiaddrDNSResolver.
func (r ownerResolver) ResolveDNSComponent(ctx context.Context, a ma.Multiaddr, most int) ([]ma.Multiaddr, error) {
	if !r.policy.mayResolve(a) {
		return nil, nil
	}
	return r.inner.ResolveDNSComponent(ctx, a, most)
}

// gater is the connection gater. It refuses connections from and to peers that are
// cut off, and dials of addresses that the node may not dial. It counts the handshakes of each
// address.
type gater struct {
	node    *Node
	limiter *limiter // nil: no peer is cut off
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g gater) InterceptPeerDial(p peer.ID) bool {
	return g.limiter == nil || g.limiter.mayConnect(p)
}

// InterceptAddrDial implements connmgr.ConnectionGater. Names are resolved before it
// is called.
func (g gater) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	return g.node.dials.mayDialPeer(p) || dialableByRelay(a, g.node.reach())
}

// InterceptAccept implements connmgr.ConnectionGater.
func (g gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	if conn, ok := c.(io.Closer); ok {
		g.node.handshakes.begin(c.RemoteMultiaddr(), conn, wallTime())
	}
	return true
}

// InterceptSecured implements connmgr.ConnectionGater: the peer has proven its key.
func (g gater) InterceptSecured(direction network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	if direction == network.DirInbound && c != nil {
		g.node.handshakes.end(c.RemoteMultiaddr())
	}
	return g.InterceptPeerDial(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
