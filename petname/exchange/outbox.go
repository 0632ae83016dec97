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

// The outbox has messages that are to be sent and are not in their channel yet. A message
// that a session sends to another party is so durable in one transaction with the session,
// without the lock of that party's channel.

// enqueueAll puts messages into the outbox.
func (tx tx) enqueueAll(out []mutual.Outgoing) error {
	for _, o := range out {
		b, err := message{Kind: kindMutual, Body: o.Bytes}.encode()
		if err != nil {
			return err
		}
		id, err := contactID(tx.book, o.To)
		if err != nil {
			return err
		}
		if err := enqueueFor(tx.local, o.To, id, b); err != nil {
			return err
		}
	}
	return nil
}

// enqueueFor puts a message for the contact with an id into the outbox, under a pointer.
func enqueueFor(local *ledger.View, to, id pointer.Pointer, encoded []byte) error {
	if err := enqueue(local, to, encoded); err != nil {
		return err
	}
	row, _, err := local.Last(tableOutbox, to.Bytes())
	if err != nil {
		return err
	}
	return local.Put(tableRecipients, row.Key, id.Bytes())
}

// enqueue puts a message into the outbox, after all others under that pointer, as older
// versions did: without the contact that it is for.
func enqueue(local *ledger.View, to pointer.Pointer, encoded []byte) error {
	number := uint64(1)
	lastRow, found, err := local.Last(tableOutbox, to.Bytes())
	if err != nil {
		return err
	}
	if found {
		lastNumber, err := channelRows{key: to.Bytes()}.number(lastRow.Key)
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		number = lastNumber + 1
	}
	return local.Put(tableOutbox, numbered(to.Bytes(), number), encoded)
}

// deleteQueued deletes a row of the outbox.
func deleteQueued(local *ledger.View, key []byte) error {
	if err := local.Delete(tableRecipients, key); err != nil {
		return err
	}
	return local.Delete(tableOutbox, key)
}

// countQueued returns the number of messages to a party in tableOutbox or tableQueue.
func (e *Exchange) countQueued(table string, to pointer.Pointer) (n int, err error) {
	err = e.view(func(local *ledger.View) (err error) {
		n, err = countQueued(local, table, to)
		return err
	})
	return n, err
}

// countQueued is Exchange.countQueued within a transaction.
func countQueued(local *ledger.View, table string, to pointer.Pointer) (n int, err error) {
	for _, err := range local.Scan(table, to.Bytes()) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// moveToChannel moves the messages for the contact of a channel from the outbox into the
// channel, in one transaction, so that each is sent once. Messages that are not for it stay:
// see isFor. queueErr is the error of [drop.Channel.Send] if the channel has no room for all of
// them; those that are in the channel can be sent. With any other error nothing was moved. The
// caller holds the lock of the channel.
func (e *Exchange) moveToChannel(to pointer.Pointer, c *channel) (queueErr, err error) {
	trail, err := trailIn(e.c.Book, to)
	if err != nil {
		return nil, err
	}
	var found bool
	err = e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableOutbox, to.Bytes()) {
			if err != nil {
				return err
			}
			if found, err = isFor(local, c.contact, trail, row); err != nil || found {
				return err
			}
		}
		return nil
	})
	if err != nil || !found { // usually there is nothing to write
		return nil, err
	}
	err = e.updateChannel(c, func(tx tx) error {
		for row, err := range tx.local.Scan(tableOutbox, to.Bytes()) {
			if err != nil {
				return err
			}
			if is, err := isFor(tx.local, c.contact, trail, row); err != nil || !is {
				if err != nil {
					return err
				}
				continue
			}
			if queueErr = c.Send(row.Value); queueErr != nil {
				return nil
			}
			if err := deleteQueued(tx.local, row.Key); err != nil {
				return err
			}
		}
		return nil
	})
	return queueErr, err
}

// outboxRecipients returns the recipients of the messages in the outbox, each once: the rows of
// one are adjacent. With an error it returns those before the row that failed, and
// flushAllOutboxes still sends to them.
func (e *Exchange) outboxRecipients() (to []pointer.Pointer, err error) {
	err = e.view(func(local *ledger.View) error {
		var previous []byte
		for row, err := range local.Scan(tableOutbox, nil) {
			if err != nil {
				return err
			}
			if len(row.Key) < 8 { // recipient ‖ number, 8 bytes: see numbered
				return fmt.Errorf("outbox: key of %d bytes", len(row.Key))
			}
			key := row.Key[:len(row.Key)-8]
			if bytes.Equal(key, previous) {
				continue
			}
			previous = bytes.Clone(key)
			recipient, err := pointer.FromBytes(previous)
			if err != nil {
				return fmt.Errorf("outbox: %w", err)
			}
			to = append(to, recipient)
		}
		return nil
	})
	return to, err
}

// isContact reports whether a party has a name in the book, or is in conflict over one.
func (e *Exchange) isContact(p pointer.Pointer) bool {
	c, err := e.c.Book.ByPointer(p)
	return err == nil && (!c.Name.IsZero() || c.Conflict != nil)
}

// flushOutbox sends the messages to a party that are in the outbox. It returns Stored if the record
// has all of them, and the number of messages to the party that are not acknowledged.
func (e *Exchange) flushOutbox(ctx context.Context, key crypto.Signer, to pointer.Pointer) (sent Delivery, waiting int, err error) {
	sent = Queued
	err = e.withChannel(ctx, key, to, func(at pointer.Pointer, c *channel) error {
		defer func() { waiting = c.Waiting() }()
		queueErr, err := e.moveToChannel(at, c)
		if err == nil {
			err = e.saveChannel(c)
		}
		if err != nil {
			return err
		}
		stored, err := e.sendRecord(ctx, c)
		if queueErr != nil {
			return errors.Join(queueErr, err)
		}
		sent = stored
		return err
	})
	return sent, waiting, err
}

// flushAllOutboxes calls flushOutbox for every recipient, and adds the results to the report.
func (e *Exchange) flushAllOutboxes(ctx context.Context, key crypto.Signer, report *Report) {
	all, err := e.outboxRecipients()
	if err != nil {
		report.Errs = append(report.Errs, err)
	}
	seen := make(map[pointer.Pointer]bool)
	for _, to := range all {
		at, err := e.followSuccession(to)
		if err != nil {
			report.Errs = append(report.Errs, err)
			continue
		}
		if to = at; seen[to] {
			continue
		}
		seen[to] = true
		if !e.isContact(to) { // an undo may have taken it out of the book: nothing goes there
			if n, err := e.countQueued(tableOutbox, to); err != nil {
				report.Errs = append(report.Errs, err)
			} else if n > 0 {
				report.Waiting[to] += n
			}
			continue
		}
		_, waiting, err := e.flushOutbox(ctx, key, to)
		at, followErr := e.followSuccession(to) // it may have advanced by the card that was fetched
		if err = errors.Join(err, followErr); err != nil {
			report.Errs = append(report.Errs, err)
		}
		if waiting > 0 {
			report.Waiting[at] = waiting
		}
	}
}
