package kad

import (
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/petnames-go/petnames/pointer"
)

// Status is what a node is doing at the moment.
type Status struct {
	Peers   int      // in the routing table
	Held    int      // records, for others and of our own
	Bytes   int      // that they take
	Limit   int      // that they may take, with what they cost besides
	CutOffs []CutOff // peers that are kept out, the longest first
}

// Status says what the node is doing.
func (n *Node) Status() Status {
	s := Status{Peers: n.Peers(), CutOffs: n.limiter.listCutOffs(), Limit: maxHeld}
	s.Held, s.Bytes = n.store.size()
	return s
}

// keyText is a routing key for the log.
func keyText(key string) string {
	if p, err := pointer.FromBytes([]byte(strings.TrimPrefix(key, "/ipns/"))); err == nil {
		return p.String()
	}
	return "of another kind"
}

// hangUp ends all dealings with a peer.
func (n *Node) disconnectPeer(p peer.ID) {
	n.dht.RoutingTable().RemovePeer(p)
	_ = n.host.Network().ClosePeer(p)
}
