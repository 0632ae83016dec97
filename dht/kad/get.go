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

// Get is GetAt for [dht.LevelFresh].
func (n *Node) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return n.GetAt(ctx, p, dht.LevelFresh)
}

// GetAt walks towards the pointer and yields what each peer answers, until the
// 20 closest that live have answered (of a network of under 40 peers all, of a
// crowded region up to 80, and those at the mirror of its key). A server's own copy comes last, with
// [dht.SourceHome] and no peer. Answers are checked for size and key only.
//
// At [dht.LevelAny] every answer is yielded when it comes. Above it, answers
// that only repeat a record are held back for as long as their number says
// little: see gate. At [dht.LevelStrict] three walks that share no peer find
// the region, so that it takes liars on all three ways to hide it.
//
// Above LevelAny, those of the closest that answered with an older record or
// none are sent the best one that came: a few, in the background, after the
// iteration ended; see [Node.Wait].
func (n *Node) GetAt(ctx context.Context, p pointer.Pointer, level dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		answer := dht.Answer{Source: dht.SourceNetwork}
		ctx, leave, err := n.begin(ctx)
		if err != nil {
			yield(answer, err)
			return
		}
		defer leave()
		if p.IsZero() {
			yield(answer, errors.New("kad: get: no pointer given"))
			return
		}
		g := &get{node: n, pointer: p, key: routingKey(p), level: level, yield: yield}
		err = g.run(ctx)
		if g.stopped {
			return
		}
		if n.ctx.Err() != nil { // the requests may have ended before the walk, as if nobody were left
			err = errClosed
		}
		if err != nil {
			answer.Asked = g.asked
			if !yield(answer, fmt.Errorf("kad: get: %w", err)) || ctx.Err() != nil {
				return
			}
		}
		if n.local == nil {
			return
		}
		if rec, err := n.local.Get(ctx, g.key); err == nil && rec != nil {
			yield(dht.Answer{Record: rec.GetValue(), Source: dht.SourceHome, Asked: g.asked}, nil)
		}
	}
}

// get is one look-up.
type get struct {
	node    *Node
	pointer pointer.Pointer
	key     string
	level   dht.Level
	yield   func(dht.Answer, error) bool
	walk    *walk
	filter  agreementFilter
	holders holders
	yielded map[peer.ID]bool // by a path of strict, whose answer was yielded
	asked   int
	stopped bool // by the consumer
}

// run walks, and leaves the rest of the work in the background.
func (g *get) run(ctx context.Context) error {
	n := g.node
	working, done, err := n.begin(context.Background()) // requests outlive the call, some
	if err != nil {
		return err
	}
	working, cancel := context.WithCancel(working)
	end := func() {
		cancel()
		g.walk.requests.Wait()
		done()
	}
	goesOn := false
	defer func() {
		if !goesOn { // whatever the caller's loop did: panic, or end its goroutine
			end()
		}
	}()
	g.walk = n.newWalk(g.key, dht_pb.Message_GET_VALUE)
	g.filter.walk = g.walk
	if g.level == dht.LevelAny {
		g.walk.slots, g.walk.extra = anySlots, anyExtra
	}
	g.holders.open = func(b []byte) (pointer.Record, error) { return pointer.Open(g.pointer, b, n.now()) }
	if err = n.addInitialPeers(ctx, g.walk); err == nil {
		if g.level == dht.LevelStrict {
			err = g.disjointPaths(ctx)
		} else {
			g.walk.addCached(n.holderCache.get(g.pointer))
		}
	}
	if err == nil && !g.stopped {
		err = g.runWalk(ctx, working)
	}
	g.asked = max(g.asked, g.walk.asked)
	if err != nil || g.level == dht.LevelAny {
		g.cacheHolders()
		return err
	}
	goesOn = true
	go func() {
		defer end()
		g.finish(working)
	}()
	return nil
}

// follow runs the walk itself.
func (g *get) runWalk(ctx, working context.Context) error {
	bounded, cancel := context.WithTimeoutCause(ctx, maxWalk, errWalkLimit)
	defer cancel()
	err := g.walk.loop(bounded, working, func(e event) bool {
		switch {
		case e.late || e.contact == nil:
		case g.yielded[e.contact.ID]:
			if e.err == nil {
				g.holders.add(e.contact, e.reply.record)
			}
		default:
			g.updateTable(ctx, e)
			g.handleAnswer(e)
		}
		return !g.stopped && g.yieldAll(g.filter.release())
	})
	if err == nil && !g.stopped && len(g.walk.live()) == 0 {
		err = fmt.Errorf("%w: none of %d peers answered", dht.ErrUnreachable, g.walk.asked)
	}
	if !g.stopped && ctx.Err() == nil && g.walk.dense != nil {
		g.askMirror(bounded)
	}
	if !g.stopped && ctx.Err() == nil {
		g.yieldAll(g.filter.finish())
	}
	if err == nil && !g.stopped && g.walk.surrounded() {
		err = dht.ErrSurrounded
	}
	return err
}

// learn teaches the table, except about peers that are only remembered: asking
// them must not make them known.
func (g *get) updateTable(ctx context.Context, e event) {
	if !e.contact.cached || e.err != nil {
		g.node.updateTable(ctx, e)
	}
}

// answer yields what a peer said, or gives it to the gate.
func (g *get) handleAnswer(e event) {
	a := dht.Answer{Record: e.reply.record, Source: dht.SourceNetwork, Peer: e.contact.ID.String(), Asked: max(g.asked, g.walk.asked)}
	if e.err != nil {
		a.Record = nil
	} else {
		g.holders.add(e.contact, a.Record)
	}
	if countsAgreement(g.level) && e.err == nil && a.Record != nil {
		g.filter.add(e.contact, a)
		return
	}
	g.stopped = !g.yield(a, e.err)
}

// release yields answers that were held back.
func (g *get) yieldAll(answers []dht.Answer) bool {
	for _, a := range answers {
		if !g.stopped {
			g.stopped = !g.yield(a, nil)
		}
	}
	return !g.stopped
}

// walk makes a walk that knows the size of the network, and looks for what
// surrounds its key.
func (n *Node) newWalk(key string, t dht_pb.Message_MessageType) *walk {
	w := n.newPlainWalk(key, t)
	w.size, w.probe = n.size(), n.probeNear
	return w
}

func (n *Node) newPlainWalk(key string, t dht_pb.Message_MessageType) *walk {
	w := newWalk(n.host.ID(), key, func(ctx context.Context, p peer.AddrInfo) (reply, error) {
		return n.query(ctx, p, t, key)
	})
	w.timeout = n.timeout
	return w
}

// seed gives the walk its first peers: from the routing table, and if that is
// empty, by joining anew.
func (n *Node) addInitialPeers(ctx context.Context, w *walk) error {
	table := n.dht.RoutingTable()
	if table.Size() == 0 {
		if len(n.bootstrap) == 0 {
			return fmt.Errorf("%w: no peer is known; give a bootstrap address", dht.ErrUnreachable)
		}
		ctx, cancel := context.WithTimeout(ctx, joinTimeout)
		defer cancel()
		if _, err := n.join(ctx, n.bootstrap); err != nil {
			return err
		}
	}
	for _, id := range table.NearestPeers(kb.ID(w.target[:]), initialPeers) {
		w.add(n.addrInfo(id))
	}
	return nil
}

// addressed gives a peer with the addresses that we know of it.
func (n *Node) addrInfo(id peer.ID) peer.AddrInfo {
	return peer.AddrInfo{ID: id, Addrs: n.host.Peerstore().Addrs(id)}
}

// learn tells the routing table what a request taught about a peer.
func (n *Node) updateTable(ctx context.Context, e event) {
	if e.late || e.contact == nil {
		return
	}
	table := n.dht.RoutingTable()
	id := e.contact.ID
	switch {
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
