package kad

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// wanted is how many of the found peers must store a record: 15 of 20, and of
// fewer three quarters.
func wanted(found int) int { return max(1, min(15, (3*found+3)/4)) }

// Put walks to the 20 closest peers that live and stores the record with each
// of them itself, the first ones while it still walks; so the receipt is what
// the peers said. It returns when all have said something, or 350 ms after
// enough did (the last ones then go on in the background).
//
// Nil means that min(15, ¾ of the closest peers found), and at least one,
// confirmed. Otherwise the error wraps a [*dht.ShortError], or
// [dht.ErrUnreachable] if there was nobody, or [dht.ErrOlder] if a peer that
// refused showed a newer record that verifies. A server keeps a copy of its
// own as well, which the receipt doesn't count.
func (n *Node) Put(ctx context.Context, p pointer.Pointer, value []byte) (dht.Receipt, error) {
	receipt, err := n.put(ctx, p, bytes.Clone(value))
	if err != nil {
		err = fmt.Errorf("kad: put: %w", err)
	}
	return receipt, err
}

func (n *Node) put(ctx context.Context, p pointer.Pointer, value []byte) (dht.Receipt, error) {
	// Peers would refuse it as well, twenty times.
	rec, err := pointer.Open(p, value, n.now())
	if err != nil {
		return dht.Receipt{}, err
	}
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	defer leave()
	if err := ctx.Err(); err != nil {
		return dht.Receipt{}, err
	}
	key := routingKey(p)
	if n.local != nil {
		if err := n.keep(ctx, p, rec); err != nil {
			return dht.Receipt{}, err
		}
	}
	w := n.walk(key, dht_pb.Message_FIND_NODE)
	if err := n.seed(ctx, w); err != nil {
		return dht.Receipt{}, err
	}
	d := &delivery{node: n, key: key, record: rec, sent: map[peer.ID]bool{}, results: make(chan result, maxAsked)}
	walked := w.run(ctx, func(e event) bool {
		n.learn(ctx, e)
		d.send(w.settled())
		return true
	})
	if err := ctx.Err(); err != nil {
		d.drain()
		return d.receipt, fmt.Errorf("%w (%d of %d peers stored it by then)", context.Cause(ctx), d.receipt.Stored, d.receipt.Asked)
	}
	found := w.live()
	d.send(found)
	if len(found) == 0 {
		return d.receipt, fmt.Errorf("%w: none of %d peers answered", dht.ErrUnreachable, w.asked)
	}
	want := wanted(len(found))
	if err := d.wait(ctx, want); err != nil {
		return d.receipt, err
	}
	if d.receipt.Stored >= want {
		return d.receipt, nil
	}
	err = &dht.ShortError{Receipt: d.receipt, Want: want}
	if walked != nil {
		err = fmt.Errorf("%w; %w", err, walked)
	}
	if d.newer(ctx) {
		err = fmt.Errorf("%w: %w", dht.ErrOlder, err)
	}
	return d.receipt, err
}

// keep stores our own copy as a peer's put would be stored.
func (n *Node) keep(ctx context.Context, p pointer.Pointer, rec pointer.Record) error {
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

// delivery is the second half of a put: one record to many peers.
type delivery struct {
	node    *Node
	key     string
	record  pointer.Record
	sent    map[peer.ID]bool
	refused []peer.ID
	results chan result // buffered for all that may be sent
	receipt dht.Receipt
}

type result struct {
	peer peer.ID
	err  error
}

// send puts to those who haven't been sent it. The puts outlive a cancelled
// context on purpose: the bytes are on their way, and what the peers do with
// them can't be called back; requestTimeout and Close end them.
func (d *delivery) send(contacts []*contact) {
	n := d.node
	for _, c := range contacts {
		if d.sent[c.ID] || len(d.sent) >= maxAsked {
			continue
		}
		ctx, leave, err := n.enter(context.Background())
		if err != nil {
			return
		}
		d.sent[c.ID] = true
		d.receipt.Asked++
		go func() {
			defer leave()
			ctx, cancel := context.WithTimeout(ctx, requestTimeout)
			defer cancel()
			d.results <- result{c.ID, n.store(ctx, c.AddrInfo, d.key, d.record.Bytes())}
		}()
	}
}

// store puts to one peer; nil means that it echoed the record.
func (n *Node) store(ctx context.Context, p peer.AddrInfo, key string, value []byte) error {
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

func (d *delivery) count(r result) {
	switch {
	case r.err == nil:
		d.receipt.Stored++
	case errors.Is(r.err, dht.ErrUnreachable):
		d.receipt.Unreachable++
	default:
		d.receipt.Refused++
		d.refused = append(d.refused, r.peer)
	}
	if r.err != nil {
		d.node.log.Debug("put failed", "peer", r.peer, "error", r.err)
	}
}

func (d *delivery) pending() int {
	return d.receipt.Asked - d.receipt.Stored - d.receipt.Refused - d.receipt.Unreachable
}

// wait counts results until all are in, or enough and the rest is late.
func (d *delivery) wait(ctx context.Context, want int) error {
	patience := time.NewTimer(time.Hour)
	defer patience.Stop()
	enough := false
	for d.pending() > 0 {
		if !enough && d.receipt.Stored >= want {
			enough = true
			patience.Reset(softDeadline)
		}
		select {
		case r := <-d.results:
			d.count(r)
		case <-patience.C:
			return nil
		case <-ctx.Done():
			if enough {
				return nil
			}
			return fmt.Errorf("%w: %w", context.Cause(ctx), &dht.ShortError{Receipt: d.receipt, Want: want})
		}
	}
	return nil
}

// drain counts what is there already.
func (d *delivery) drain() {
	for {
		select {
		case r := <-d.results:
			d.count(r)
		default:
			return
		}
	}
}

// newer asks a few of those who refused what they have instead. Only a
// verified record that supersedes ours proves that ours is old.
func (d *delivery) newer(ctx context.Context) bool {
	const probes = 3
	n := d.node
	found := make(chan bool, probes)
	asked := min(probes, len(d.refused))
	for _, id := range d.refused[:asked] {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, lastDeadline)
			defer cancel()
			r, err := n.query(ctx, peer.AddrInfo{ID: id}, dht_pb.Message_GET_VALUE, d.key)
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
