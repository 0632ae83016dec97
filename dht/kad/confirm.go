package kad

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// PutAll is like [Node.Put], but returns only when every peer that should store
// the record has answered or failed. It then looks the record up over disjoint
// paths and counts the peers that return it in Receipt.Confirmed. It does not
// count the first quarter of the peers that acknowledged the put, since
// identities generated to be closest to the key tend to answer first.
func (n *Node) PutAll(ctx context.Context, p pointer.Pointer, value []byte) (dht.Receipt, error) {
	receipt, first, err := n.put(ctx, p, bytes.Clone(value), true)
	n.storeFirstAcks(p, first)
	if err == nil {
		receipt.Confirmed, err = n.confirm(ctx, p, value, first)
	}
	if err != nil {
		err = fmt.Errorf("kad: put: %w", err)
	}
	return receipt, err
}

// Confirm looks up a record that was put before, over disjoint paths, and
// returns the number of peers that return it. As in [Node.PutAll], the peers
// that acknowledged the put first do not count.
func (n *Node) Confirm(ctx context.Context, p pointer.Pointer, value []byte) (int, error) {
	n.mu.Lock()
	first := n.firstAcks[p]
	n.mu.Unlock()
	confirmed, err := n.confirm(ctx, p, value, first)
	if err != nil {
		err = fmt.Errorf("kad: %w", err)
	}
	return confirmed, err
}

// confirm returns the number of peers that return the record, except those in firstAcks.
func (n *Node) confirm(ctx context.Context, p pointer.Pointer, value []byte, firstAcks []string) (confirmed int, err error) {
	want, err := pointer.Open(p, value, n.now())
	if err != nil {
		return 0, err
	}
	for a, err := range n.GetAt(ctx, p, dht.LevelStrict) {
		if err != nil || a.Peer == "" || slices.Contains(firstAcks, a.Peer) {
			continue
		}
		if got, err := pointer.Open(p, a.Record, n.now()); err == nil && got.ID() == want.ID() {
			confirmed++
		}
	}
	if err := ctx.Err(); err != nil {
		return confirmed, fmt.Errorf("confirming: %w", err)
	}
	return confirmed, nil
}

// maxFirstAcks bounds the number of puts for which the first acknowledging
// peers are stored.
const maxFirstAcks = 64

// storeFirstAcks stores the peers that acknowledged a put first, for Confirm.
func (n *Node) storeFirstAcks(p pointer.Pointer, peers []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, exists := n.firstAcks[p]; n.firstAcks == nil || !exists && len(n.firstAcks) >= maxFirstAcks {
		n.firstAcks = map[pointer.Pointer][]string{}
	}
	n.firstAcks[p] = slices.Clone(peers)
}
