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

// A put sends the record to a peer that is near as soon as its name is heard,
// without asking it for closer ones first: that saves a round trip and a
// message. Only the closest few are asked as well, and those on the way.
const (
	putSlots      = 8
	putExtra      = 0
	putAskClosest = 4

	// To say that 15 of the 20 closest have it while some of the silent may be
	// alive, and unknown ones closer, the last rank is left out.
	certainRank = closest - 1
	answerTime  = 600 * time.Millisecond // two round trips over most of the world
	aliveShare  = 0.75                   // of peers in tables
)

// wanted is how many of the found peers must store a record: 15 of 20, and of
// fewer three quarters.
func requiredAcks(found int) int { return max(1, min(15, (3*found+3)/4)) }

// Put walks to the 20 closest peers that live and stores the record with each
// of them itself, the first ones while it still walks; so the receipt is what
// the peers said. It returns as soon as 15 of those have confirmed whose rank
// among the living is, as far as can be told, within 20; the rest of the work
// then goes on in the background, to all 20 and to whoever else answered within
// the radius that should hold 20: see [Node.Wait]. Otherwise it returns when all
// have said something. Where more peers crowd about the key than chance puts
// there, the record goes to the whole region behind them, up to 80 peers, and to
// the 20 closest to the key's mirror, in the other half of the space; of a network
// of under 40 known peers it goes to all.
//
// Nil means that min(15, ¾ of the closest peers found), and at least one,
// confirmed. Otherwise the error wraps a [*dht.ShortError], or
// [dht.ErrUnreachable] if there was nobody, or [dht.ErrOlder] if a peer that
// refused showed a newer record that verifies. A server keeps a copy of its
// own as well, which the receipt doesn't count.
//
// Confirmations are words: one who surrounds the key can give all of them and
// keep nothing.
func (n *Node) Put(ctx context.Context, p pointer.Pointer, value []byte) (dht.Receipt, error) {
	receipt, first, err := n.put(ctx, p, bytes.Clone(value), false)
	n.storeFirstAcks(p, first)
	if err != nil {
		err = fmt.Errorf("kad: put: %w", err)
	}
	return receipt, err
}

// put gives the first peers that acknowledged as well.
func (n *Node) put(ctx context.Context, p pointer.Pointer, value []byte, all bool) (dht.Receipt, []string, error) {
	// Peers would refuse it as well, twenty times.
	rec, err := pointer.Open(p, value, n.now())
	if err != nil {
		return dht.Receipt{}, nil, err
	}
	key := routingKey(p)
	w := n.newWalk(key, dht_pb.Message_FIND_NODE)
	w.slots, w.extra, w.askClosest, w.waitForLate = putSlots, putExtra, putAskClosest, true
	seeding, leave, err := n.begin(ctx)
	if err != nil {
		return dht.Receipt{}, nil, err
	}
	defer leave()
	if err := seeding.Err(); err != nil {
		return dht.Receipt{}, nil, err
	}
	if n.local != nil {
		if err := n.storeOwnCopy(seeding, p, rec); err != nil {
			return dht.Receipt{}, nil, err
		}
	}
	if err := n.addInitialPeers(seeding, w); err != nil {
		return dht.Receipt{}, nil, err
	}

	// The work outlives the call, and so has a context of its own.
	working, done, err := n.begin(context.Background())
	if err != nil {
		return dht.Receipt{}, nil, err
	}
	working, cancel := context.WithCancelCause(working)
	d := &putOperation{node: n, walk: w, key: key, record: rec, sent: map[peer.ID]bool{}, acked: map[*contact]bool{}, outcome: make(chan putOutcome, 1), all: all}
	w.beforeAsk = d.sendIfNear
	go func() {
		defer done()
		defer cancel(nil)
		d.run(working)
	}()
	select {
	case o := <-d.outcome:
		return o.receipt, o.firstAcks, o.err
	case <-ctx.Done():
		cancel(ctx.Err())
		o := <-d.outcome
		return o.receipt, o.firstAcks, o.err
	}
}

// keep stores our own copy as a peer's put would be stored.
func (n *Node) storeOwnCopy(ctx context.Context, p pointer.Pointer, rec pointer.Record) error {
	key := routingKey(p)
	if have, err := n.local.Get(ctx, key); err == nil && have != nil {
		if held, err := pointer.Open(p, have.GetValue(), n.now()); err == nil && held.Compare(rec) > 0 {
			return fmt.Errorf("sequence %d: %w (sequence %d)", rec.Sequence(), dht.ErrOlder, held.Sequence())
		}
	}
	if err := n.local.Put(ctx, key, record.MakePutRecord(key, rec.Bytes())); err != nil {
		n.log.Warn("own copy not kept", "error", err)
	}
	return nil
}

// delivery is one put: a walk, and one record to many peers.
type putOperation struct {
	node      *Node
	walk      *walk
	key       string
	record    pointer.Record
	sent      map[peer.ID]bool
	acked     map[*contact]bool
	firstAcks []string // who acknowledged first
	refused   []*contact
	receipt   dht.Receipt
	all       bool // the caller waits for everybody
	reported  bool

	requests sync.WaitGroup
	outcome  chan putOutcome // the answer to the caller
}

type putOutcome struct {
	receipt   dht.Receipt
	firstAcks []string
	err       error
}

// run walks and puts to the end, and tells the outcome once it is certain.
func (d *putOperation) run(ctx context.Context) {
	walked := d.walk.run(ctx, func(e event) bool {
		d.apply(ctx, e)
		d.send(ctx, d.walk.closestAnswered())
		if !d.reported && d.enoughAcks(time.Now()) {
			d.report(nil)
		}
		return true
	})
	if ctx.Err() == nil {
		d.send(ctx, d.walk.live())
		d.send(ctx, d.walk.responders())
		if d.walk.dense != nil {
			d.send(ctx, d.node.mirrorPeers(ctx, d.walk))
		}
	}
	for ctx.Err() == nil && d.pending() > 0 {
		select {
		case e := <-d.walk.events:
			if e.put {
				d.apply(ctx, e)
			}
			if !d.reported && d.enoughAcks(time.Now()) {
				d.report(nil)
			}
		case <-ctx.Done():
		}
	}
	d.report(d.result(ctx, walked))
	d.requests.Wait()
}

func (d *putOperation) report(err error) {
	if !d.reported {
		d.reported = true
		d.receipt.Groups, d.receipt.Spread = d.addressGroups()
		d.outcome <- putOutcome{d.receipt, d.firstAcks[:len(d.firstAcks)/4], err}
	}
}

// judge says what the put is worth when it is over.
func (d *putOperation) result(ctx context.Context, walked error) error {
	found := len(d.walk.live())
	want := requiredAcks(found)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w (%d of %d peers stored it by then)", context.Cause(ctx), d.receipt.Stored, d.receipt.Asked)
	case found == 0:
		return fmt.Errorf("%w: none of %d peers answered", dht.ErrUnreachable, d.walk.asked)
	case d.receipt.Stored >= want:
		return nil
	}
	var err error = &dht.ShortError{Receipt: d.receipt, Want: want}
	if walked != nil {
		err = fmt.Errorf("%w; %w", err, walked)
	}
	if d.peerHasNewer(ctx) {
		err = fmt.Errorf("%w: %w", dht.ErrOlder, err)
	}
	return err
}

// take counts what a peer said of the record, and teaches the table the rest.
func (d *putOperation) apply(ctx context.Context, e event) {
	switch {
	case !e.put:
		d.node.updateTable(ctx, e)
		return
	case e.err == nil:
		d.receipt.Stored++
		d.acked[e.contact] = true
		d.firstAcks = append(d.firstAcks, e.contact.ID.String())
	case errors.Is(e.err, dht.ErrUnreachable):
		d.receipt.Unreachable++
	default:
		d.receipt.Refused++
		d.refused = append(d.refused, e.contact)
	}
	if e.err != nil {
		d.node.log.Debug("put failed", "peer", e.contact.ID, "error", e.err)
	}
}

// open sends the record at once to a peer that is near, and says whether the
// walk has to ask it, which others are for closer ones.
func (d *putOperation) sendIfNear(ctx context.Context, c *contact) bool {
	if !d.walk.near(c) {
		return true
	}
	d.send(ctx, []*contact{c})
	return false
}

// enough says whether so many of the closest have it that the end of the walk
// would hardly change the answer: 15 of those whose rank among the living is
// within 20. Somebody silent counts in it by how likely it is that it lives.
func (d *putOperation) enoughAcks(now time.Time) bool {
	if d.all || d.receipt.Stored < requiredAcks(closest) || !d.closestAsked() {
		return false
	}
	rank, n := 0.0, 0
	for _, c := range d.walk.contacts {
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
		if d.acked[c] {
			n++
		}
	}
	return n >= requiredAcks(closest)
}

// independent says in how many groups of public addresses those lie who have
// it, and how many there are if they are counted no denser than the network.
func (d *putOperation) addressGroups() (groups, spread int) {
	seen := map[string]bool{}
	var acked []*contact
	for c := range d.acked {
		if g := addressGroup(c.Addrs); g != "" {
			seen[g] = true
		}
		acked = append(acked, c)
	}
	if d.walk.size.peers > 0 {
		spread = d.walk.size.countIndependent(acked)
	}
	return len(seen), spread
}

// looked says whether some of the very closest were asked for closer ones.
func (d *putOperation) closestAsked() bool {
	n := 0
	for _, c := range d.walk.nearest(putAskClosest, answered) {
		if c.closer == closerDone {
			n++
		}
	}
	return n >= putAskClosest/2
}

// send puts to those who haven't been sent it.
func (d *putOperation) send(ctx context.Context, contacts []*contact) {
	n := d.node
	for _, c := range contacts {
		if d.sent[c.ID] || len(d.sent) >= maxAsked {
			continue
		}
		d.sent[c.ID] = true
		d.receipt.Asked++
		d.requests.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, n.timeout)
			defer cancel()
			err := n.putTo(ctx, c.AddrInfo, d.key, d.record.Bytes())
			if errors.Is(err, errRefused) && n.peerHolds(ctx, c.AddrInfo, d.key, d.record) {
				err = nil
			}
			d.walk.events <- event{contact: c, put: true, err: err}
		})
	}
}

func (d *putOperation) pending() int {
	return d.receipt.Asked - d.receipt.Stored - d.receipt.Refused - d.receipt.Unreachable
}

// store puts to one peer; nil means that it echoed the record.
func (n *Node) putTo(ctx context.Context, p peer.AddrInfo, key string, value []byte) error {
	req := dht_pb.NewMessage(dht_pb.Message_PUT_VALUE, []byte(key), 0)
	req.Record = record.MakePutRecord(key, value)
	resp, err := n.call(ctx, p, req)
	if err != nil {
		return err
	}
	if !bytes.Equal(resp.GetRecord().GetValue(), value) || !bytes.Equal(resp.GetRecord().GetKey(), []byte(key)) {
		return fmt.Errorf("%w: echoed something else", errRefused)
	}
	return nil
}

// holds asks a peer that refused a record whether it has it already, in a copy
// that somebody has added to: of two such copies peers keep the greater.
func (n *Node) peerHolds(ctx context.Context, p peer.AddrInfo, key string, rec pointer.Record) bool {
	r, err := n.query(ctx, p, dht_pb.Message_GET_VALUE, key)
	if err != nil || r.record == nil {
		return false
	}
	have, err := pointer.Open(rec.Pointer(), r.record, n.now())
	return err == nil && have.ID() == rec.ID()
}

// newer asks a few of those who refused what they have instead. Only a
// verified record that supersedes ours proves that ours is old.
func (d *putOperation) peerHasNewer(ctx context.Context) bool {
	const probes = 3
	n := d.node
	found := make(chan bool, probes)
	asked := min(probes, len(d.refused))
	for _, c := range d.refused[:asked] {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, lastDeadline)
			defer cancel()
			r, err := n.query(ctx, c.AddrInfo, dht_pb.Message_GET_VALUE, d.key)
			if err != nil || r.record == nil {
				found <- false
				return
			}
			have, err := pointer.Open(d.record.Pointer(), r.record, n.now())
			found <- err == nil && have.Compare(d.record) > 0
		}()
	}
	newer := false
	for range asked {
		newer = <-found || newer
	}
	return newer
}
