package exchange

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// A channel is between two pointers. When the owner's key is rotated, a new channel begins with
// each party. The channel of the earlier key is still read, since a party that does not know
// the next key writes there. Nothing is written to it: the earlier key is not available.

// formerRetention is the time in which a record of the other party can be found.
const formerRetention = 2 * drop.Epoch

// formerChannel is a channel between a party and an earlier key of the owner.
type formerChannel struct {
	party, self pointer.Pointer
	until       time.Time
	state       []byte
}

// rows returns the rows of the channel's state.
func (f formerChannel) rows() channelRows {
	return channelRows{heads: tableFormer, queue: tableFormerQueue, key: slices.Concat(f.party.Bytes(), f.self.Bytes()),
		prefix: binary.BigEndian.AppendUint64(nil, uint64(f.until.UnixMilli()))}
}

// retireChannel stores a channel of the owner's earlier key as a former channel. The caller
// holds the lock of the channel.
func (e *Exchange) retireChannel(to, self pointer.Pointer, state []byte) error {
	parts, err := drop.Split(state)
	if err != nil {
		return err
	}
	f := formerChannel{party: to, self: self, until: e.c.Now().Add(formerRetention)}
	return e.update(func(tx tx) error {
		if err := f.rows().store(tx.local, parts); err != nil {
			return err
		}
		if err := tx.local.Delete(tableRecipients, to.Bytes()); err != nil {
			return err
		}
		return rowsOf(to).remove(tx.local)
	})
}

// formerChannels returns all channels of earlier keys: the rows of tableFormer, each with the
// rest of its state.
func (e *Exchange) formerChannels() (all []formerChannel, err error) {
	size := len(e.c.Book.Identity().Bytes()) // the same for every Ed25519 key
	err = e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableFormer, nil) {
			if err != nil {
				return err
			}
			k, v := row.Key, row.Value // party ‖ earlier pointer → time, 8 bytes ‖ head
			if len(k) < size || len(v) < 8 {
				return fmt.Errorf("former channel: row of %d and %d bytes", len(k), len(v))
			}
			f := formerChannel{until: time.UnixMilli(int64(binary.BigEndian.Uint64(v)))}
			if f.party, err = pointer.FromBytes(k[:len(k)-size]); err == nil {
				f.self, err = pointer.FromBytes(k[len(k)-size:])
			}
			if err == nil {
				f.state, err = f.rows().load(local)
			}
			if err != nil {
				return fmt.Errorf("former channel: %w", err)
			}
			all = append(all, f)
		}
		return nil
	})
	return all, err
}

// syncFormerChannels receives the messages of a party on channels of earlier keys of the owner.
// The caller holds the lock of the party's channel.
func (e *Exchange) syncFormerChannels(ctx context.Context, party pointer.Pointer, report *Report) error {
	all, err := e.formerChannels()
	if err != nil {
		return err
	}
	for _, f := range all {
		if !e.sameContact(f.party, party) {
			continue
		}
		if err := e.syncFormerChannel(ctx, f, report); err != nil {
			return err
		}
	}
	return nil
}

// syncFormerChannel receives the messages on one former channel, and deletes the channel when
// it has expired.
func (e *Exchange) syncFormerChannel(ctx context.Context, f formerChannel, report *Report) error {
	parts, err := drop.Split(f.state)
	if err != nil {
		return err
	}
	waiting, expired := len(parts.Queue), e.c.Now().After(f.until)
	r, err := e.role()
	if err != nil {
		return err
	}
	card, err := e.contactCard(ctx, f.party)
	var former *channel
	if !isMove(err) { // nothing of the earlier key of a party is accepted
		if err != nil {
			return err
		}
		keys, err := e.c.Sealing()
		if err != nil {
			return err
		}
		c, err := drop.Open(drop.Self{Pointer: f.self, Sealing: keys, Purpose: purposeOf(r.tag)}, drop.Party{Pointer: f.party, Sealing: card.sealing}, f.state)
		if err != nil {
			return err
		}
		former = &channel{Channel: c, store: e.storeFor(card.addresses), rows: f.rows(), role: r}
		if _, err := e.pollOwn(ctx, f.party, former, report); err != nil {
			return err
		}
		waiting = former.Waiting()
	}
	switch {
	case waiting > 0 && expired:
		report.Errs = append(report.Errs, fmt.Errorf("messages to %s, signed with your earlier key, that were not fetched in time: %d; send them again", f.party, waiting))
	case waiting > 0:
		report.Waiting[f.party] += waiting
	}
	switch {
	case expired:
		return e.update(func(tx tx) error { return f.rows().remove(tx.local) })
	case former != nil:
		return e.saveChannel(former)
	}
	return nil
}
