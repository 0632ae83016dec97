package kad

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// PutAll is Put, but returns when every peer that should have the record has
// said something, and after looking it up again over disjoint paths. Peers that
// give it back are Confirmed in the receipt, except the first quarter of those
// that acknowledged it: who is made to be closest is the first to say yes.
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

// Confirm looks for a record that was put before, over disjoint paths, and
// counts the peers that give it back, as PutAll does.
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

func (n *Node) confirm(ctx context.Context, p pointer.Pointer, value []byte, first []string) (confirmed int, err error) {
	want, err := pointer.Open(p, value, n.now())
	if err != nil {
		return 0, err
	}
	for a, err := range n.GetAt(ctx, p, dht.LevelStrict) {
		if err != nil || a.Peer == "" || slices.Contains(first, a.Peer) {
			continue
		}
		if have, err := pointer.Open(p, a.Record, n.now()); err == nil && have.ID() == want.ID() {
			confirmed++
		}
	}
	if err := ctx.Err(); err != nil {
		return confirmed, fmt.Errorf("confirming: %w", err)
	}
	return confirmed, nil
}

// maxFirsts bounds of how many puts it is known who said yes first.
const maxFirstAcks = 64

// noteFirst remembers who acknowledged a put first, for Confirm.
func (n *Node) storeFirstAcks(p pointer.Pointer, first []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.firstAcks[p]; n.firstAcks == nil || !known && len(n.firstAcks) >= maxFirstAcks {
		n.firstAcks = map[pointer.Pointer][]string{}
	}
	n.firstAcks[p] = slices.Clone(first)
}
