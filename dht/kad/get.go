package kad

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/pb"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// routingKey is where a record lives (IPNS specification, "Routing record").
func routingKey(p pointer.Pointer) string { return "/ipns/" + string(p.Bytes()) }

// Get walks towards the pointer and yields what each peer answers, until the 20
// closest that live have answered. A server's own copy comes last, with
// [dht.SourceHome] and no peer. Answers are checked for size and key only.
func (n *Node) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		answer := dht.Answer{Source: dht.SourceNetwork}
		ctx, leave, err := n.enter(ctx)
		if err != nil {
			yield(answer, err)
			return
		}
		defer leave()
		if p.IsZero() {
			yield(answer, errors.New("kad: get: no pointer given"))
			return
		}
		key := routingKey(p)
		w := n.walk(key, dht_pb.Message_GET_VALUE)
		err = n.seed(ctx, w)
		stopped := false
		if err == nil {
			err = w.run(ctx, func(e event) bool {
				if e.late {
					return true
				}
				n.learn(ctx, e)
				a := dht.Answer{Record: e.reply.record, Source: dht.SourceNetwork, Peer: e.contact.ID.String(), Asked: w.asked}
				if e.err != nil {
					a.Record = nil
				}
				stopped = !yield(a, e.err)
				return !stopped
			})
			if err == nil && len(w.live()) == 0 {
				err = fmt.Errorf("%w: none of %d peers answered", dht.ErrUnreachable, w.asked)
			}
		}
		if stopped {
			return
		}
		if err != nil {
			answer.Asked = w.asked
			if !yield(answer, fmt.Errorf("kad: get: %w", err)) || ctx.Err() != nil {
				return
			}
		}
		if n.local == nil {
			return
		}
		if rec, err := n.local.Get(ctx, key); err == nil && rec != nil {
			yield(dht.Answer{Record: rec.GetValue(), Source: dht.SourceHome, Asked: w.asked}, nil)
		}
	}
}

// walk makes a walk that knows the size of the network, and looks for what
// surrounds its key.
func (n *Node) walk(key string, t dht_pb.Message_MessageType) *walk {
	w := n.bareWalk(key, t)
	w.size, w.probe = n.size(), n.probeNear
	return w
}

func (n *Node) bareWalk(key string, t dht_pb.Message_MessageType) *walk {
	return newWalk(n.host.ID(), key, func(ctx context.Context, p peer.AddrInfo) (reply, error) {
		return n.query(ctx, p, t, key)
	})
}

// seed gives the walk its first peers: from the routing table, and if that is
// empty, by joining anew.
func (n *Node) seed(ctx context.Context, w *walk) error {
	table := n.dht.RoutingTable()
	if table.Size() == 0 {
		if len(n.seeds) == 0 {
			return fmt.Errorf("%w: no peer is known; give a bootstrap address", dht.ErrUnreachable)
		}
		ctx, cancel := context.WithTimeout(ctx, joinTimeout)
		defer cancel()
		if _, err := n.join(ctx, n.seeds); err != nil {
			return err
		}
	}
	for _, id := range table.NearestPeers(kb.ID(w.target[:]), seedPeers) {
		w.hear(n.addressed(id))
	}
	return nil
}

// addressed gives a peer with the addresses that we know of it.
func (n *Node) addressed(id peer.ID) peer.AddrInfo {
	return peer.AddrInfo{ID: id, Addrs: n.host.Peerstore().Addrs(id)}
}

// learn tells the routing table what a request taught about a peer.
func (n *Node) learn(ctx context.Context, e event) {
	table := n.dht.RoutingTable()
	id := e.contact.ID
	switch {
	case e.late:
	case e.err == nil:
		if n.network == IPFS && !kaddht.PublicRoutingTableFilter(n.dht, id) {
			return
		}
		if added, err := table.TryAddPeer(id, true, true); err == nil && !added {
			table.UpdateLastSuccessfulOutboundQueryAt(id, time.Now())
		}
	case ctx.Err() == nil && errors.Is(e.err, dht.ErrUnreachable) && n.host.Network().Connectedness(id) != network.Connected:
		table.RemovePeer(id)
	}
}
