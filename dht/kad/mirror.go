package kad

import (
	"context"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/dht"
)

// The mirror of a key is the place in the other half of the key space that
// differs in the first bit only. If Sybils were in all routing tables before
// the honest peers, they fill, in each table, the bucket that contains the key.
// Then no peer outside the region knows an honest peer inside it, and no
// look-up finds any. But the Sybils fill no other bucket: a peer in the key's
// half of the space has a separate bucket for the other half. So the record of
// a key with a dense region is also stored at the key's mirror, since peers
// store and return records at any distance. To attack the mirror too, an
// attacker needs as many identities again.

// mirrorPeers returns the closest peers to the mirror of a walk's target that
// have answered. Their spans are distances from the mirror.
func (n *Node) mirrorPeers(ctx context.Context, w *walk) []*contact {
	target := w.target
	target[0] ^= 0x80
	m := n.newPlainWalk(keyNear(target, n.size().peers), dht_pb.Message_FIND_NODE)
	for _, id := range n.dht.RoutingTable().NearestPeers(kb.ID(m.target[:]), initialPeers) {
		m.add(peer.AddrInfo{ID: id})
	}
	_ = m.run(ctx, func(event) bool { return true }) // an incomplete walk is useful as well
	return m.nearest(closest, answered)
}

// askMirror asks the peers at the mirror for the record, except for those that
// answered the walk.
func (g *get) askMirror(ctx context.Context) {
	n := g.node
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	contacts := slices.DeleteFunc(n.mirrorPeers(ctx, g.walk), func(c *contact) bool {
		inWalk := g.walk.known[c.ID]
		return inWalk != nil && inWalk.state == answered
	})
	events := make(chan event, len(contacts))
	for _, c := range contacts {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, lastDeadline)
			defer cancel()
			r, err := n.query(ctx, c.AddrInfo, dht_pb.Message_GET_VALUE, g.key)
			events <- event{contact: c, reply: r, err: err}
		}()
	}
	for range contacts {
		e := <-events
		g.walk.asked++
		if g.stopped || ctx.Err() != nil {
			continue
		}
		if e.err != nil && !errors.Is(e.err, dht.ErrUnreachable) {
			n.log.Debug("no answer at the mirror", "peer", e.contact.ID, "error", e.err)
		}
		g.handleAnswer(e)
		// A record that only the mirror has is yielded immediately. It must not
		// arrive after the agreement of others on an older one.
		g.yieldAll(g.filter.release())
	}
}
