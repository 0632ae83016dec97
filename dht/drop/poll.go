package drop

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

const (
	// maxAnswers bounds the answers read from a store for one pointer, maxRecords
	// the different records of these that are verified, and maxOpened the newest
	// of these that are decrypted.
	maxAnswers = 512
	maxRecords = 64
	maxOpened  = 4
)

// PollResult is the result of [Channel.Poll].
type PollResult struct {
	// Messages is the messages that are not yet processed, in the order in which
	// they were sent, including those of earlier polls.
	Messages []Message
	// Lost is the number of messages before the first of Messages that cannot be
	// received any more. Either they were acknowledged before an older state was
	// restored here, or the sender skipped them. A loss is reported once.
	Lost uint64
	// Written is the time of the newest record received, by the clock of the
	// other party; zero: none.
	Written time.Time
	// Refused is the number of records that are signed with a record key but
	// contain no valid batch. The other party, or a thief of an X25519 key, made
	// them.
	Refused int
}

// openedBatch is a verified batch with the order of its record.
type openedBatch struct {
	batch
	order recordOrder
}

// Poll gets the other party's records, verifies them, and applies their new
// messages and acknowledgements. If it returns an error beside a result, the
// store failed for some of the pointers. Answers that do not verify are ignored,
// and old records change nothing.
func (c *Channel) Poll(ctx context.Context, store dht.Store, now time.Time) (PollResult, error) {
	addresses, err := c.inboundAddresses(now)
	if err != nil {
		return PollResult{}, fmt.Errorf("polling for %s: %w", c.party, err)
	}
	records := make([][]pointer.Record, len(addresses))
	errs := make([]error, len(addresses))
	var wg sync.WaitGroup
	for i, address := range addresses {
		wg.Go(func() { records[i], errs[i] = newestRecords(ctx, store, address.pointer, now) })
	}
	wg.Wait()

	var result PollResult
	var batches []openedBatch
	for i, address := range addresses {
		for _, rec := range records[i] {
			opened, err := c.openRecord(rec)
			if err != nil {
				result.Refused++
				continue
			}
			batches = append(batches, openedBatch{opened, recordOrder{Epoch: address.epoch, Sequence: rec.Sequence()}})
		}
	}
	slices.SortStableFunc(batches, func(a, b openedBatch) int {
		return cmp.Or(cmp.Compare(a.order.Epoch, b.order.Epoch), cmp.Compare(a.order.Sequence, b.order.Sequence))
	})
	for i, opened := range batches {
		newest := i == len(batches)-1 && !opened.order.before(c.newest)
		result.Lost += c.applyBatch(opened, newest)
		result.Written = time.UnixMilli(opened.batch.Made).UTC()
	}
	for _, m := range c.pending {
		m.Bytes = bytes.Clone(m.Bytes)
		result.Messages = append(result.Messages, m)
	}
	if err := errors.Join(errs...); err != nil {
		return result, fmt.Errorf("polling for %s: %w", c.party, err)
	}
	return result, nil
}

// maxAhead is the number of epochs that Ahead looks at.
const maxAhead = 2

// Ahead returns the date of the newest record of the other party in the two epochs after the
// present one, by its clock; zero: there is none. Poll does not read those: the clocks of the two
// parties are days apart, and messages wait until they agree. Nothing changes. It may run beside a
// Poll.
func (c *Channel) Ahead(ctx context.Context, store dht.Store, now time.Time) (made time.Time, err error) {
	current, err := epochOf(now)
	if err != nil {
		return time.Time{}, err
	}
	var addresses []recordAddress
	for epoch := current + 1; epoch <= current+maxAhead; epoch++ {
		in, err := c.inboundIn(epoch)
		if err != nil {
			return time.Time{}, err
		}
		addresses = append(addresses, in...)
	}
	dates, errs := make([]time.Time, len(addresses)), make([]error, len(addresses))
	var wg sync.WaitGroup
	for i, at := range addresses {
		wg.Go(func() {
			records, err := newestRecords(ctx, store, at.pointer, now)
			errs[i] = err
			for _, rec := range records {
				if opened, err := c.openRecord(rec); err == nil && opened.Made > dates[i].UnixMilli() {
					dates[i] = time.UnixMilli(opened.Made).UTC()
				}
			}
		})
	}
	wg.Wait()
	return slices.MaxFunc(dates, time.Time.Compare), errors.Join(errs...)
}

// newestRecords returns the newest valid records of a pointer, at most maxOpened.
func newestRecords(ctx context.Context, store dht.Store, p pointer.Pointer, now time.Time) ([]pointer.Record, error) {
	return dht.Newest(ctx, store, p, now, dht.Bounds{Answers: maxAnswers, Verified: maxRecords, Returned: maxOpened})
}

// applyBatch applies a batch, and returns the number of messages that it shows to
// be lost. Messages of old batches count too: their chain proves whether they
// continue the stream. Only the newest batch acknowledges.
func (c *Channel) applyBatch(opened openedBatch, newest bool) (lost uint64) {
	pending, gap, forked := c.mergePending(opened.batch)
	if gap {
		lost = opened.batch.Base.Counter - c.processed.Counter
		c.processed, c.unsaved = opened.batch.Base, true
	}
	// An older batch may extend the pending messages, and never replaces or shortens
	// them. The newest one may replace them, unless it only lacks messages that are
	// pending here.
	isPrefix := len(pending) <= len(c.pending) && slices.EqualFunc(pending, c.pending[:len(pending)], sameID)
	extends := len(pending) >= len(c.pending) && slices.EqualFunc(pending[:len(c.pending)], c.pending, sameID)
	if !forked && !isPrefix && (newest || extends) {
		c.pending = pending
	}
	if !newest {
		return lost
	}
	c.newest = opened.order
	if opened.batch.Base == c.processed && c.processed.Counter > c.lastPut.Ack {
		// The sender shows that it has this acknowledgement: another device of this party put it.
		c.lastPut.Ack, c.unsaved = c.processed.Counter, true
	}
	// A sender that repeats messages which are processed here lacks the acknowledgement.
	c.ackNeeded = forked || len(opened.batch.Messages) > 0 && opened.batch.Base.Counter < c.processed.Counter
	c.applyAck(opened.batch.Ack)
	return lost
}

// sameID reports whether two messages are the same.
func sameID(a, b Message) bool { return a.ID == b.ID }

// mergePending merges the messages of a batch with the pending ones, and returns
// the new pending ones. gap is true if nothing is pending and the batch starts
// after the next expected message. forked is true if the batch continues a
// different stream, as after the sender restored an old state: the next
// acknowledgement then informs the sender of the position here.
func (c *Channel) mergePending(received batch) (pending []Message, gap, forked bool) {
	current := received.Base
	lastKnown := c.processed.Counter + uint64(len(c.pending))
	switch {
	case current.Counter == c.processed.Counter && current.Chain != c.processed.Chain:
		return nil, false, true
	case current.Counter > lastKnown && len(c.pending) > 0:
		return c.pending, false, false // a later poll returns the batch when these are done
	case current.Counter > lastKnown:
		gap = true
	case current.Counter > c.processed.Counter:
		before := c.pending[:current.Counter-c.processed.Counter]
		if before[len(before)-1].ID != current.Chain {
			return c.pending, false, false
		}
		pending = slices.Clone(before)
	}
	for _, m := range received.Messages {
		current = current.next(m)
		if !gap && current.Counter == c.processed.Counter && current.Chain != c.processed.Chain {
			return nil, false, true
		}
		if gap || current.Counter > c.processed.Counter {
			pending = append(pending, Message{ID: current.Chain, Counter: current.Counter, Bytes: m})
		}
	}
	return pending, gap, false
}

// applyAck removes acknowledged messages from the queue. If the acknowledgement
// is of a different stream, an old state was restored here. The whole queue then
// continues from the acknowledged position, under new numbers, since the other
// party has not received these messages.
func (c *Channel) applyAck(ack position) {
	if ack.Counter < c.base.Counter || ack == c.base {
		return
	}
	reached := c.base
	remaining := c.queue
	for reached.Counter < ack.Counter && len(remaining) > 0 {
		reached, remaining = reached.next(remaining[0]), remaining[1:]
	}
	if reached == ack {
		c.queue = slices.Clone(remaining)
	}
	c.base, c.unsaved = ack, true
}
