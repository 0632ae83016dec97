package exchange

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// The outbox has what is to be sent and isn't in its channel yet. So what a
// message makes a session say to somebody else is durable together with the
// session, and waits for the turn of that channel.

// post puts messages into the outbox, in the transaction that makes them due.
func enqueueAll(local *ledger.View, out []mutual.Outgoing) error {
	for _, o := range out {
		b, err := message{Kind: kindMutual, Body: o.Bytes}.encode()
		if err != nil {
			return err
		}
		if err := enqueue(local, o.To, b); err != nil {
			return err
		}
	}
	return nil
}

// push puts one message into the outbox, behind all others to that party.
func enqueue(local *ledger.View, to pointer.Pointer, m []byte) error {
	n := uint64(1)
	last, there, err := local.Last(tableOutbox, to.Bytes())
	if err != nil {
		return err
	}
	if there {
		at, err := channelRows{key: to.Bytes()}.number(last.Key)
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		n = at + 1
	}
	return local.Put(tableOutbox, numbered(to.Bytes(), n), m)
}

// queued is how many messages are in the outbox for a party.
func countQueued(local *ledger.View, to pointer.Pointer) (n int, err error) {
	for _, err := range local.Scan(tableOutbox, to.Bytes()) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// unload moves what there is for a party into its channel, whose turn it is, in
// one transaction: it gets there once. full reports why not all of it has room
// there: what is in the channel goes on.
func (e *Exchange) moveToChannel(to pointer.Pointer, c *channel) (full, err error) {
	n := 0
	err = e.view(func(local *ledger.View) (err error) { // most often there is nothing to write
		n, err = countQueued(local, to)
		return err
	})
	if err != nil || n == 0 {
		return nil, err
	}
	err = e.update(func(tx tx) error {
		for row, err := range tx.local.Scan(tableOutbox, to.Bytes()) {
			if err != nil {
				return err
			}
			if full = c.Send(row.Value); full != nil {
				break
			}
			if err := tx.local.Delete(tableOutbox, row.Key); err != nil {
				return err
			}
		}
		return c.rows.store(tx.local, c.Parts())
	})
	return full, err
}

// addressees are those for whom something is in the outbox.
func (e *Exchange) outboxRecipients() (to []pointer.Pointer, err error) {
	err = e.view(func(local *ledger.View) error {
		var last []byte
		for row, err := range local.Scan(tableOutbox, nil) {
			if err != nil {
				return err
			}
			if len(row.Key) < 8 {
				return fmt.Errorf("outbox: key of %d bytes", len(row.Key))
			}
			key := row.Key[:len(row.Key)-8]
			if bytes.Equal(key, last) {
				continue
			}
			last = bytes.Clone(key)
			one, err := pointer.FromBytes(last)
			if err != nil {
				return fmt.Errorf("outbox: %w", err)
			}
			to = append(to, one)
		}
		return nil
	})
	return to, err
}

// flush brings what is in the outbox for a party on its way, and says how many
// messages to it are not acknowledged. An error beside Queued says why it waits.
func (e *Exchange) flushOutbox(ctx context.Context, key crypto.Signer, to pointer.Pointer) (Delivery, int, error) {
	defer e.lockChannel(to)()
	c, err := e.openChannel(ctx, key, to)
	if err != nil {
		return Queued, 0, err
	}
	full, err := e.moveToChannel(to, c)
	if err == nil {
		err = e.saveChannel(c)
	}
	if err != nil {
		return Queued, c.Waiting(), err
	}
	receipt, err := e.putRecord(ctx, c)
	if receipt.Stored > 0 && full == nil {
		return Stored, c.Waiting(), nil
	}
	return Queued, c.Waiting(), errors.Join(full, err)
}

// flushAll is flush for everybody.
func (e *Exchange) flushAllOutboxes(ctx context.Context, key crypto.Signer, report *Report) {
	all, err := e.outboxRecipients()
	if err != nil {
		report.Errs = append(report.Errs, err)
	}
	for _, to := range all {
		_, waiting, err := e.flushOutbox(ctx, key, to)
		if err != nil {
			report.Errs = append(report.Errs, err)
		}
		if waiting > 0 {
			report.Waiting[to] = waiting
		}
	}
}
