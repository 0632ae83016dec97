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

// routingKey returns the DHT key of a pointer's record (IPNS specification,
// "Routing record").
func routingKey(p pointer.Pointer) string { return "/ipns/" + string(p.Bytes()) }

// Get is [Node.GetAt] with [dht.LevelFresh].
func (n *Node) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return n.GetAt(ctx, p, dht.LevelFresh)
}

// GetAt walks towards the pointer's key and yields the answer of each peer,
// until the 20 closest live peers have answered. In a network of fewer than 40
// known peers it asks all of them; in a dense region it asks up to 80, and the
// closest peers to the mirror of the key. A server yields its own copy last,
// with [dht.SourceHome] and no peer. Only the size and the key of a record are
// checked; the caller verifies it.
//
// At [dht.LevelAny] every answer is yielded when it arrives. At higher levels
// an answer that only repeats a record is delayed while it proves little; see
// agreementFilter. At [dht.LevelStrict] three walks that share no peer find the
// region, so that an attacker must have peers on all three paths to hide it.
//
// At levels above LevelAny, a few of the closest peers that answered with an
// older record or none receive the best record, in the background after the
// iteration; see [Node.Wait].
//
// An error that is yielded with a peer is that peer's and does not end the
// look-up. An error without a peer is of the whole look-up, for example
// [dht.ErrUnreachable] if no peer answered, or [dht.ErrSurrounded] if almost no
// peers at expected distances in a dense region answered.
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
		if n.ctx.Err() != nil { // requests cancelled by Close look like unreachable peers
			err = errClosed
		}
		if err != nil {
			answer.Asked = g.asked
			if !yield(answer, fmt.Errorf("kad: get: %w", err)) || ctx.Err() != nil {
				return
			}
		}
		if held := n.Held(ctx, p); held != nil {
			yield(dht.Answer{Record: held, Source: dht.SourceHome, Asked: g.asked}, nil)
		}
	}
}

// Held returns the record of a pointer that the node itself stores, not verified; nil if
// there is none, and for clients. It asks no peer.
func (n *Node) Held(ctx context.Context, p pointer.Pointer) []byte {
	if n.local == nil {
		return nil
	}
	rec, err := n.local.Get(ctx, routingKey(p))
	if err != nil || rec == nil {
		return nil
	}
	return rec.GetValue()
}

// get is the state of one look-up.
type get struct {
	node        *Node
	pointer     pointer.Pointer
	key         string
	level       dht.Level
	yield       func(dht.Answer, error) bool
	walk        *walk
	filter      agreementFilter
	holders     holders
	askedByPath map[peer.ID]bool // peers that a path of disjointPaths asked
	asked       int              // by disjointPaths; after the walk, by both
	stopped     bool             // the consumer ended the iteration
}

// run walks, and leaves late answers and repairs to the background.
func (g *get) run(ctx context.Context) error {
	n := g.node
	background, done, err := n.begin(forClientOf(ctx, context.Background())) // late requests and repairs outlive the call
	if err != nil {
		return err
	}
	background, cancel := context.WithCancel(background)
	end := func() {
		cancel()
		g.walk.requests.Wait()
		done()
	}
	inBackground := false
	defer func() {
		if !inBackground { // also if the caller's loop panics or ends its goroutine
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
		err = g.runWalk(ctx, background)
	}
	g.asked = max(g.asked, g.walk.asked)
	if err != nil || g.level == dht.LevelAny {
		g.cacheHolders()
		return err
	}
	inBackground = true
	go func() {
		defer end()
		g.finish(background)
	}()
	return nil
}

// runWalk walks and yields answers until the walk and the look-up at the mirror
// end. Requests that are late continue under background.
func (g *get) runWalk(ctx, background context.Context) error {
	bounded, cancel := context.WithTimeoutCause(ctx, maxWalk, errWalkLimit)
	defer cancel()
	err := g.walk.loop(bounded, background, func(e event) bool {
		switch {
		case e.late || e.contact == nil:
		case g.askedByPath[e.contact.ID]: // disjointPaths has yielded the answer
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
		err = noneAnswered(g.walk.asked)
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

// updateTable updates the routing table after a request, except that asking a
// peer of the holder cache does not add it to the table.
func (g *get) updateTable(ctx context.Context, e event) {
	if !e.contact.cached || e.err != nil {
		g.node.updateTable(ctx, e)
	}
}

// handleAnswer handles the answer of a peer. Above [dht.LevelAny], an answer with a record
// goes to the filter; errors and empty answers are yielded at once.
func (g *get) handleAnswer(e event) {
	// The larger count, not the sum: walk.asked counts peers of disjointPaths again.
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

// yieldAll yields answers that the filter released, and reports whether the
// iteration continues.
func (g *get) yieldAll(answers []dht.Answer) bool {
	for _, a := range answers {
		if !g.stopped {
			g.stopped = !g.yield(a, nil)
		}
	}
	return !g.stopped
}

// newWalk returns a walk that knows the size of the network and probes its
// region if that is dense.
func (n *Node) newWalk(key string, t dht_pb.Message_MessageType) *walk {
	w := n.newPlainWalk(key, t)
	w.size, w.probe = n.size(), n.probeNear
	return w
}

// newPlainWalk returns a walk that does not measure the density of its region.
func (n *Node) newPlainWalk(key string, t dht_pb.Message_MessageType) *walk {
	w := newWalk(n.host.ID(), key, func(ctx context.Context, p peer.AddrInfo) (reply, error) {
		return n.query(ctx, p, t, key)
	})
	w.timeout = n.timeout
	return w
}

// addInitialPeers adds the first peers of a walk, from the routing table. If
// the table is empty, the node joins the network again first.
func (n *Node) addInitialPeers(ctx context.Context, w *walk) error {
	table := n.dht.RoutingTable()
	if table.Size() == 0 {
		if len(n.entryPeers()) == 0 {
			return fmt.Errorf("%w: no peer is known; give a bootstrap address", dht.ErrUnreachable)
		}
		ctx, cancel := context.WithTimeout(ctx, n.joinTimeout())
		defer cancel()
		if err := n.enter(ctx); err != nil {
			return err
		}
	}
	for _, id := range table.NearestPeers(kb.ID(w.target[:]), initialPeers) {
		w.add(n.addrInfo(id))
	}
	return nil
}

// addrInfo returns a peer with the addresses in the peerstore.
func (n *Node) addrInfo(id peer.ID) peer.AddrInfo {
	return peer.AddrInfo{ID: id, Addrs: n.host.Peerstore().Addrs(id)}
}

// updateTable adds a peer that answered to the routing table, and removes one
// that could not be reached.
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
		const queried, replaceable = true, true
		if added, err := table.TryAddPeer(id, queried, replaceable); err == nil && !added { // it is there already
			table.UpdateLastSuccessfulOutboundQueryAt(id, time.Now())
		}
	// A peer stays if ctx ended the request, or if it is connected: then only the request failed.
	case ctx.Err() == nil && errors.Is(e.err, dht.ErrUnreachable) && n.host.Network().Connectedness(id) != network.Connected:
		table.RemovePeer(id)
	}
}

// noneAnswered returns the error of a walk in which no peer of those asked answered.
func noneAnswered(asked int) error {
	if asked == 1 {
		return fmt.Errorf("%w: the only peer that is known did not answer", dht.ErrUnreachable)
	}
	return fmt.Errorf("%w: none of %d peers answered", dht.ErrUnreachable, asked)
}
