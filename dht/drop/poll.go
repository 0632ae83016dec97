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
	// maxAnswers bounds what is taken from a store for one pointer, maxRecords
	// how many different records of these are verified, and maxOpened how many
	// of the newest are unsealed.
	maxAnswers = 512
	maxRecords = 64
	maxOpened  = 4
)

// Mail is what a poll brought.
type PollResult struct {
	// Messages that are not yet processed, in the order in which they were
	// sent; those of an earlier poll that [Channel.Done] wasn't called for
	// come again.
	Messages []Message
	// Lost counts messages that can't come any more, before the first of
	// Messages: they were acknowledged, and my state doesn't know of it. That
	// happens when an older state was restored, and then they had come before;
	// or the sender skipped them. A loss is told once.
	Lost uint64
	// Written is when the party wrote the newest record that came, by its
	// clock; zero: none came.
	Written time.Time
	// Refused counts records with the channel's signature that say nothing
	// valid: the party, or somebody who got a channel key, made them up.
	Refused int
}

// received is a letter with its place in the order.
type openedBatch struct {
	batch
	order recordOrder
}

// Poll looks for the party's records, verifies them, and takes out of them
// what is new: messages and acknowledgements. An error beside the mail says
// that the store could not be asked everywhere. Answers that don't verify are
// passed over, and old ones repeat nothing and take nothing back.
func (c *Channel) Poll(ctx context.Context, store dht.Store, now time.Time) (PollResult, error) {
	addresses, err := c.inboundAddresses(now)
	if err != nil {
		return PollResult{}, fmt.Errorf("polling for %s: %w", c.party, err)
	}
	records := make([][]pointer.Record, len(addresses))
	errs := make([]error, len(addresses))
	var wg sync.WaitGroup
	for i, s := range addresses {
		wg.Go(func() { records[i], errs[i] = newestRecords(ctx, store, s.pointer, now) })
	}
	wg.Wait()

	var result PollResult
	var batches []openedBatch
	for i, s := range addresses {
		for _, rec := range records[i] {
			l, err := c.openRecord(rec)
			if err != nil {
				result.Refused++
				continue
			}
			batches = append(batches, openedBatch{l, recordOrder{Epoch: s.epoch, Sequence: rec.Sequence()}})
		}
	}
	slices.SortStableFunc(batches, func(a, b openedBatch) int {
		return cmp.Or(cmp.Compare(a.order.Epoch, b.order.Epoch), cmp.Compare(a.order.Sequence, b.order.Sequence))
	})
	for i, l := range batches {
		newest := i == len(batches)-1 && !l.order.before(c.newest)
		result.Lost += c.applyBatch(l, newest)
		result.Written = time.UnixMilli(l.batch.Made).UTC()
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

// fetch gets the newest records of a pointer that verify, at most maxOpened.
func newestRecords(ctx context.Context, store dht.Store, p pointer.Pointer, now time.Time) ([]pointer.Record, error) {
	return dht.Newest(ctx, store, p, now, dht.Bounds{Answers: maxAnswers, Verified: maxRecords, Kept: maxOpened})
}

// take takes a letter in, and gives the number of messages that it shows to be
// lost. Messages are taken from old letters, too: the chain says whether they
// go on from what I have. Acknowledgements are the newest one's.
func (c *Channel) applyBatch(l openedBatch, newest bool) (lost uint64) {
	pending, gap, forked := c.mergePending(l.batch, newest)
	if gap {
		lost = l.batch.Base.Counter - c.processed.Counter
		c.processed, c.unsaved = l.batch.Base, true
	}
	shorter := len(pending) <= len(c.pending) && slices.EqualFunc(pending, c.pending[:len(pending)], sameID)
	longer := len(pending) >= len(c.pending) && slices.EqualFunc(pending[:len(c.pending)], c.pending, sameID)
	if !forked && !shorter && (newest || longer) {
		c.pending = pending
	}
	if !newest {
		return lost
	}
	c.newest = l.order
	c.ackNeeded = forked || len(l.batch.Messages) > 0 && l.batch.Base.Counter < c.processed.Counter
	c.applyAck(l.batch.Ack)
	return lost
}

func sameID(a, b Message) bool { return a.ID == b.ID }

// join lays a letter's messages to what I have, and gives what is pending then.
// gap: the letter begins behind it, where nothing pends. forked: the letter
// goes on from another stream than I have, as after the sender restored an old
// state; my acknowledgement will show it where I am.
func (c *Channel) mergePending(l batch, newest bool) (pending []Message, gap, forked bool) {
	position := l.Base
	known := c.processed.Counter + uint64(len(c.pending))
	switch {
	case position.Counter == c.processed.Counter && position.Chain != c.processed.Chain:
		return nil, false, true
	case position.Counter > known && len(c.pending) > 0:
		return c.pending, false, false // when these are done
	case position.Counter > known:
		gap = true
	case position.Counter > c.processed.Counter:
		upTo := c.pending[:position.Counter-c.processed.Counter]
		if upTo[len(upTo)-1].ID != position.Chain {
			return c.pending, false, false
		}
		pending = slices.Clone(upTo)
	}
	for _, m := range l.Messages {
		position = position.next(m)
		if !gap && position.Counter == c.processed.Counter && position.Chain != c.processed.Chain {
			return nil, false, true
		}
		if gap || position.Counter > c.processed.Counter {
			pending = append(pending, Message{ID: position.Chain, Counter: position.Counter, Bytes: m})
		}
	}
	return pending, gap, false
}

// acknowledge takes what the party has off the queue. If that isn't the stream
// I remember, an old state of mine was restored: then the queue goes on from
// where the party is, under new numbers, rather than be taken for what the
// party had.
func (c *Channel) applyAck(ack position) {
	if ack.Counter < c.base.Counter || ack == c.base {
		return
	}
	at := c.base
	rest := c.queue
	for at.Counter < ack.Counter && len(rest) > 0 {
		at, rest = at.next(rest[0]), rest[1:]
	}
	if at == ack {
		c.queue = slices.Clone(rest)
	}
	c.base, c.unsaved = ack, true
}
