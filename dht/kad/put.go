package kad

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// A put sends the record to a near peer as soon as another peer names it,
// without asking it for closer peers first. That saves a round trip and a
// message. Only the few closest peers, and peers that are not near, are also
// asked for closer peers.
const (
	putSlots      = 8
	putExtra      = 0
	putAskClosest = 4

	// certainRank is the last rank that counts as one of the 20 closest while
	// silent peers may be alive and closer peers unknown.
	certainRank = closest - 1
	answerTime  = 600 * time.Millisecond // two round trips between most places of the world
	aliveShare  = 0.75                   // the assumed share of live peers in routing tables
)

// requiredAcks returns how many of the found peers must store a record: 15 of
// 20 or more, else three quarters, and at least one.
func requiredAcks(found int) int { return max(1, min(15, (3*found+3)/4)) }

// Put walks to the 20 closest live peers and sends the record to each of them
// itself, so that the receipt counts what the peers answered. It returns as
// soon as 15 peers with an estimated rank within 20 among the live peers have
// acknowledged. The rest of the put then continues in the background, to all 20
// closest peers and to other peers that answered within the radius that is
// expected to contain 20; see [Node.Wait]. Otherwise Put returns when all peers
// have answered or failed. In a dense region the record goes to up to 80 peers
// of the region and to the 20 closest to the mirror of the key, and in a
// network of fewer than 40 known peers to all of them.
//
// The error is nil if at least one peer and min(15, ¾ of the closest peers
// found) acknowledged. Otherwise it wraps a [*dht.ShortError], or
// [dht.ErrUnreachable] if no peer answered, and also [dht.ErrOlder] if a peer
// that refused the record has a newer one that verifies. A server also stores a
// copy itself, which the receipt does not count; if it has a newer one, Put
// sends nothing and returns an error that wraps ErrOlder.
//
// An acknowledgement proves nothing: Sybils that surround the key can
// acknowledge and store nothing. Use [Node.PutAll] to read the record back.
func (n *Node) Put(ctx context.Context, p pointer.Pointer, value []byte) (dht.Receipt, error) {
	receipt, first, err := n.put(ctx, p, bytes.Clone(value), false)
	n.storeFirstAcks(p, first)
	if err != nil {
		err = fmt.Errorf("kad: put: %w", err)
	}
	return receipt, err
}

// put is Put, and also returns the first peers that acknowledged. If all is
// set, it returns only when all peers have answered or failed.
func (n *Node) put(ctx context.Context, p pointer.Pointer, value []byte, all bool) (dht.Receipt, []string, error) {
	// An invalid record is refused here, not by each of the peers.
	rec, err := pointer.Open(p, value, n.now())
	if err != nil {
		return dht.Receipt{}, nil, err
	}
	key := routingKey(p)
	w := n.newWalk(key, dht_pb.Message_FIND_NODE)
	w.slots, w.extra, w.askClosest, w.waitForLate = putSlots, putExtra, putAskClosest, true
	callCtx, leave, err := n.begin(ctx)
	if err != nil {
		return dht.Receipt{}, nil, err
	}
	defer leave()
	if err := callCtx.Err(); err != nil {
		return dht.Receipt{}, nil, err
	}
	if n.local != nil {
		if err := n.storeOwnCopy(callCtx, p, rec); err != nil {
			return dht.Receipt{}, nil, err
		}
	}
	if err := n.addInitialPeers(callCtx, w); err != nil {
		return dht.Receipt{}, nil, err
	}

	// The put outlives the call, so it has its own context.
	putCtx, done, err := n.begin(forClientOf(ctx, context.Background()))
	if err != nil {
		return dht.Receipt{}, nil, err
	}
	putCtx, cancel := context.WithCancelCause(putCtx)
	op := &putOperation{node: n, walk: w, key: key, record: rec, sent: map[peer.ID]bool{}, acked: map[*contact]bool{}, outcome: make(chan putOutcome, 1), all: all}
	w.beforeAsk = op.sendIfNear
	go func() {
		defer done()
		defer cancel(nil)
		op.run(putCtx)
	}()
	select {
	case out := <-op.outcome:
		return out.receipt, out.firstAcks, out.err
	case <-ctx.Done():
		cancel(ctx.Err())
		out := <-op.outcome
		return out.receipt, out.firstAcks, out.err
	}
}

// storeOwnCopy stores a record as if a peer had put it, the client for which it is
// put, or else the node itself. It returns an error that wraps dht.ErrOlder if the
// store has a newer one.
func (n *Node) storeOwnCopy(ctx context.Context, p pointer.Pointer, rec pointer.Record) error {
	key := routingKey(p)
	if stored, err := n.local.Get(ctx, key); err == nil && stored != nil {
		if newest, err := pointer.Open(p, stored.GetValue(), n.now()); err == nil && newest.Compare(rec) > 0 {
			return fmt.Errorf("sequence %d: %w (sequence %d)", rec.Sequence(), dht.ErrOlder, newest.Sequence())
		}
	}
	if source := clientOf(ctx); source != "" {
		n.store.expectPut(key, source)
		defer n.store.finishPut(key)
	}
	if err := n.local.Put(ctx, key, record.MakePutRecord(key, rec.Bytes())); err != nil {
		n.log.Warn("own copy not stored", "error", err)
	}
	return nil
}

// putOperation is the state of one put: a walk that sends one record to many
// peers.
type putOperation struct {
	node      *Node
	walk      *walk
	key       string
	record    pointer.Record
	sent      map[peer.ID]bool
	acked     map[*contact]bool
	firstAcks []string // IDs of the peers that acknowledged, in order of time
	refused   []*contact
	busy      int // requests that were not sent: see errBusy
	receipt   dht.Receipt
	all       bool // report only when every peer has answered or failed
	reported  bool

	requests sync.WaitGroup
	outcome  chan putOutcome // to the caller
}

// putOutcome is the result of a put for its caller.
type putOutcome struct {
	receipt   dht.Receipt
	firstAcks []string
	err       error
}

// run walks and sends the record until both have ended. It reports the outcome
// as soon as it is certain.
func (o *putOperation) run(ctx context.Context) {
	walkErr := o.walk.run(ctx, func(e event) bool {
		o.apply(ctx, e)
		o.send(ctx, o.walk.closestAnswered())
		if !o.reported && o.enoughAcks(time.Now()) {
			o.report(nil)
		}
		return true
	})
	if ctx.Err() == nil {
		o.send(ctx, o.walk.live())
		o.send(ctx, o.walk.responders())
		if o.walk.dense != nil {
			o.send(ctx, o.node.mirrorPeers(ctx, o.walk))
		}
	}
	for ctx.Err() == nil && o.pending() > 0 {
		select {
		case e := <-o.walk.events:
			if e.put {
				o.apply(ctx, e)
			}
			if !o.reported && o.enoughAcks(time.Now()) {
				o.report(nil)
			}
		case <-ctx.Done():
		}
	}
	o.report(o.result(ctx, walkErr))
	o.requests.Wait()
}

// report sends the outcome to the caller, once.
func (o *putOperation) report(err error) {
	if !o.reported {
		o.reported = true
		o.receipt.Groups, o.receipt.Spread = o.addressGroups()
		o.outcome <- putOutcome{o.receipt, o.firstAcks[:len(o.firstAcks)/4], err}
	}
}

// result returns the error of a put that has ended; walked is the walk's.
func (o *putOperation) result(ctx context.Context, walkErr error) error {
	found := len(o.walk.live())
	want := requiredAcks(found)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w (%d of %d peers stored it by then)", context.Cause(ctx), o.receipt.Stored, o.receipt.Asked)
	case found == 0 && o.busy > 0:
		return fmt.Errorf("%w: %w", dht.ErrUnreachable, errBusy)
	case found == 0:
		return fmt.Errorf("%w: none of %d peers answered", dht.ErrUnreachable, o.walk.asked)
	case o.receipt.Stored >= want:
		return nil
	}
	var err error = &dht.ShortError{Receipt: o.receipt, Want: want}
	if walkErr != nil {
		err = fmt.Errorf("%w; %w", err, walkErr)
	}
	if o.busy > 0 {
		err = fmt.Errorf("%w; %w: %d requests", err, errBusy, o.busy)
	}
	if o.peerHasNewer(ctx) {
		err = fmt.Errorf("%w: %w", dht.ErrOlder, err)
	}
	return err
}

// apply counts the answer to a put, and updates the routing table after other
// requests.
func (o *putOperation) apply(ctx context.Context, e event) {
	switch {
	case !e.put:
		if errors.Is(e.err, errBusy) {
			o.busy++
		}
		o.node.updateTable(ctx, e)
		return
	case e.err == nil:
		o.receipt.Stored++
		o.acked[e.contact] = true
		o.firstAcks = append(o.firstAcks, e.contact.ID.String())
	case errors.Is(e.err, errBusy):
		o.receipt.Asked--
		o.busy++
	case errors.Is(e.err, dht.ErrUnreachable):
		o.receipt.Unreachable++
	default:
		o.receipt.Refused++
		o.refused = append(o.refused, e.contact)
	}
	if e.err != nil {
		o.node.log.Debug("put failed", "peer", e.contact.ID, "error", e.err)
	}
}

// sendIfNear sends the record immediately to a near peer, and reports whether
// the walk must ask the peer for closer ones, which it does with all others.
func (o *putOperation) sendIfNear(ctx context.Context, c *contact) bool {
	if !o.walk.near(c) {
		return true
	}
	o.send(ctx, []*contact{c})
	return false
}

// enoughAcks reports whether so many of the closest peers acknowledged that the
// end of the walk would hardly change the result: 15 of those with an estimated
// rank within 20 among the live peers. A silent peer counts in the ranks by the
// probability that it is alive.
func (o *putOperation) enoughAcks(now time.Time) bool {
	if o.all || o.receipt.Stored < requiredAcks(closest) || !o.closestAsked() {
		return false
	}
	rank, n := 0.0, 0
	for _, c := range o.walk.contacts {
		switch c.state {
		case failed:
			continue
		case answered:
			rank++
		case candidate:
			rank += aliveShare
		default:
			silent := 1 - float64(now.Sub(c.since))/float64(answerTime)
			lives := aliveShare * max(silent, 0.02)
			rank += lives / (lives + 1 - aliveShare)
		}
		if rank > certainRank {
			break
		}
		if o.acked[c] {
			n++
		}
	}
	return n >= requiredAcks(closest)
}

// addressGroups returns the number of groups of public addresses of the peers
// that acknowledged, and how many of these peers can be counted as independent
// of one another; see size.countIndependent.
func (o *putOperation) addressGroups() (groups, spread int) {
	seen := map[string]bool{}
	var acked []*contact
	for c := range o.acked {
		if g := addressGroup(c.Addrs); g != "" {
			seen[g] = true
		}
		acked = append(acked, c)
	}
	if o.walk.size.peers > 0 {
		spread = o.walk.size.countIndependent(acked)
	}
	return len(seen), spread
}

// closestAsked reports whether some of the very closest peers have answered a
// request for closer peers.
func (o *putOperation) closestAsked() bool {
	n := 0
	for _, c := range o.walk.nearest(putAskClosest, answered) {
		if c.closer == closerDone {
			n++
		}
	}
	return n >= putAskClosest/2
}

// send sends the record to those of the contacts to which it was not yet sent.
func (o *putOperation) send(ctx context.Context, contacts []*contact) {
	n := o.node
	for _, c := range contacts {
		if o.sent[c.ID] || len(o.sent) >= maxAsked {
			continue
		}
		o.sent[c.ID] = true
		o.receipt.Asked++
		o.requests.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, n.timeout)
			defer cancel()
			err := n.putTo(ctx, c.AddrInfo, o.key, o.record.Bytes())
			if errors.Is(err, errRefused) && n.peerHolds(ctx, c.AddrInfo, o.key, o.record) {
				err = nil
			}
			o.walk.events <- event{contact: c, put: true, err: err}
		})
	}
}

// pending returns the number of peers that have neither answered nor failed.
func (o *putOperation) pending() int {
	return o.receipt.Asked - o.receipt.Stored - o.receipt.Refused - o.receipt.Unreachable
}

// putTo stores a record with one peer. It returns nil only if the peer echoed
// the record.
func (n *Node) putTo(ctx context.Context, p peer.AddrInfo, key string, value []byte) error {
	req := dht_pb.NewMessage(dht_pb.Message_PUT_VALUE, []byte(key), 0)
	req.Record = record.MakePutRecord(key, value)
	resp, err := n.call(ctx, p, req)
	if errors.Is(err, errRefused) {
		n.hops.refused(p.ID, wallTime())
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(resp.GetRecord().GetValue(), value) || !bytes.Equal(resp.GetRecord().GetKey(), []byte(key)) {
		return fmt.Errorf("%w: echoed something else", errRefused)
	}
	return nil
}

// peerHolds reports whether a peer that refused a record already has it, in a
// copy with added fields: peers replace such a copy only by a greater one.
func (n *Node) peerHolds(ctx context.Context, p peer.AddrInfo, key string, rec pointer.Record) bool {
	r, err := n.query(ctx, p, dht_pb.Message_GET_VALUE, key)
	if err != nil || r.record == nil {
		return false
	}
	held, err := pointer.Open(rec.Pointer(), r.record, n.now())
	return err == nil && held.ID() == rec.ID()
}

// peerHasNewer asks a few of the peers that refused the record for theirs, and
// reports whether one is newer. Only a record that verifies is evidence.
func (o *putOperation) peerHasNewer(ctx context.Context) bool {
	const probes = 3
	n := o.node
	found := make(chan bool, probes)
	asked := min(probes, len(o.refused))
	for _, c := range o.refused[:asked] {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, lastDeadline)
			defer cancel()
			r, err := n.query(ctx, c.AddrInfo, dht_pb.Message_GET_VALUE, o.key)
			if err != nil || r.record == nil {
				found <- false
				return
			}
			held, err := pointer.Open(o.record.Pointer(), r.record, n.now())
			found <- err == nil && held.Compare(o.record) > 0
		}()
	}
	newer := false
	for range asked {
		newer = <-found || newer
	}
	return newer
}
