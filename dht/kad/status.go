package kad

import (
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/petnames-go/petnames/pointer"
)

// Status is the state of a node at one time.
type Status struct {
	Peers   int      // in the routing table
	Held    int      // stored records, including the node's own
	Bytes   int      // of these records
	Limit   int      // of the memory for stored records, in bytes
	CutOffs []CutOff // current cut-offs, latest end first
}

// Status returns the node's current state.
func (n *Node) Status() Status {
	s := Status{Peers: n.Peers(), CutOffs: n.limiter.listCutOffs(), Limit: maxHeld}
	s.Held, s.Bytes = n.store.size()
	return s
}

// keyText returns a routing key as text for the log.
func keyText(key string) string {
	if p, err := pointer.FromBytes([]byte(strings.TrimPrefix(key, "/ipns/"))); err == nil {
		return p.String()
	}
	return "of another kind"
}

// disconnectPeer closes all connections with a peer and removes it from the
// routing table.
func (n *Node) disconnectPeer(p peer.ID) {
	n.dht.RoutingTable().RemovePeer(p)
	_ = n.host.Network().ClosePeer(p)
}
