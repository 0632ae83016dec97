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

// Attackers who stood in everybody's tables before the honest did fill, in each
// table, the one bucket that the key lies in. Then no look-up gets past them to
// the honest peers of the region: nobody outside knows any. But they fill no
// other bucket. To whoever is in the other half of the space, half of it is
// theirs to see, and whoever is in the key's half knows the other one by a bucket
// of its own. So of a key that is surrounded, the record stands at its mirror
// too, in the other half: a peer stores and gives what it is sent, wherever it
// lies. To take the mirror as well takes as many identities again.

// mirror finds the closest peers to the mirror of a walk's target, each of whom
// has answered. How far they are apart is told by their spans from there.
func (n *Node) mirrorPeers(ctx context.Context, w *walk) []*contact {
	target := w.target
	target[0] ^= 0x80
	m := n.newPlainWalk(keyNear(target, n.size().peers), dht_pb.Message_FIND_NODE)
	for _, id := range n.dht.RoutingTable().NearestPeers(kb.ID(m.target[:]), initialPeers) {
		m.add(peer.AddrInfo{ID: id})
	}
	_ = m.run(ctx, func(event) bool { return true }) // what it found is what there is
	return m.nearest(closest, answered)
}

// mirrored asks the peers at the mirror for the record, except those that the
// walk has asked.
func (g *get) askMirror(ctx context.Context) {
	n := g.node
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	contacts := slices.DeleteFunc(n.mirrorPeers(ctx, g.walk), func(c *contact) bool {
		known := g.walk.known[c.ID]
		return known != nil && known.state == answered
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
		// A record that is new here passes at once: it must not come after the
		// agreement of others on an older one.
		g.yieldAll(g.filter.release())
	}
}
