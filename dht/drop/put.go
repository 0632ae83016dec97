package drop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
)

// recordTTL is short, so that caches do not delay the next record.
const recordTTL = time.Minute

var (
	errLocked  = errors.New("the identity key is locked: it signs the messages")
	errUnsaved = errors.New("the channel has changed since State returned its state: store the result of State first")
)

// Due reports whether Put is needed: for unacknowledged messages that are new, or
// not yet in this epoch's record, or were put 12 hours ago; or for an
// acknowledgement that the other party has not received.
func (c *Channel) Due(now time.Time) bool {
	if c.Acknowledges() || c.ackNeeded && c.lastPut.Answered.before(c.newest) {
		return true
	}
	if len(c.queue) == 0 {
		return false
	}
	key, _, err := c.outboundKey(now)
	if err != nil {
		return true // Put returns the error
	}
	since := now.Sub(time.UnixMilli(c.lastPut.When))
	return string(c.lastPut.At) != string(key.Pointer().Bytes()) || c.selectMessages().last.Chain != c.lastPut.Last || since >= repeatAfter || since <= -repeatAfter
}

// Stored returns the sequence of the newest record that the store has in the place where Put puts
// the next one; 0: it has none. It may run beside a Poll.
func (c *Channel) Stored(ctx context.Context, store dht.Store, now time.Time) (uint64, error) {
	key, _, err := c.outboundKey(now)
	if err != nil {
		return 0, err
	}
	found, err := newestRecords(ctx, store, key.Pointer(), now)
	if len(found) == 0 {
		return 0, err
	}
	return found[0].Sequence(), err
}

// Yield reports whether the record with the sequence that [Channel.Stored] returned is one that
// this state did not put. A copy of this party's device has put it, which writes to the same place,
// or this device before its state was replaced by an older one. The other party may not have
// received it: a caller that does not put before the next call of Yield leaves it there for a
// time. Yield is true at most once between two puts, and the record of this state is due then. A record
// with a lower sequence was replaced, and the store has not returned the newest one.
func (c *Channel) Yield(stored uint64, now time.Time) bool {
	key, _, err := c.outboundKey(now)
	if err != nil || stored <= c.lastRecord.Sequence || !bytes.Equal(c.lastPut.At, key.Pointer().Bytes()) {
		return false
	}
	c.lastPut.At, c.unsaved = []byte{}, true
	return true
}

// Acknowledges reports whether the next record acknowledges messages that no record of this
// state acknowledged before. A caller whose results are also stored elsewhere, such as on other
// devices of the party, stores them there first.
func (c *Channel) Acknowledges() bool { return c.processed.Counter > c.lastPut.Ack }

// selection is the messages of the next record.
type selection struct {
	messages [][]byte
	last     position
	left     int // bytes; negative: a message is not selected
}

// selectMessages returns as many messages as fit into a record, in order: at
// least one if there is any.
func (c *Channel) selectMessages() selection {
	// left is the capacity of a record without the sealed content of an empty batch.
	left := seal.Capacity(c.remote.sealing.KEM().ID(), sizes[len(sizes)-1]) - overhead(c.self.Pointer, c.party)
	selected := selection{last: c.base, left: left}
	for _, m := range c.queue {
		if selected.left -= headerSize(len(m)) + len(m); selected.left < 0 {
			break
		}
		selected.messages = append(selected.messages, m)
		selected.last = selected.last.next(m)
	}
	return selected
}

// Room returns the number of bytes of a further message that the next record holds beside all
// unacknowledged ones: at most [MaxMessage]; 0: none.
func (c *Channel) Room() int {
	if len(c.queue) >= MaxQueue {
		return 0
	}
	return max(0, min(MaxMessage, c.selectMessages().left-headerSize(MaxMessage)))
}

// overhead returns the greatest length of the sealed content without messages,
// in bytes.
func overhead(from, to pointer.Pointer) int {
	const (
		outer    = 1 + (2 + 64) + 3 // list, signature, head of the batch
		numbers  = 5 * 9            // sequence, made, base, ack: and the head of the messages, which is shorter
		hashes   = 3 * (2 + 32)     // channel, base, ack
		fixed    = 1 + 1 + 2 + 1    // lists of the batch and of the two positions, version; one spare byte
		atRecord = 2 + 38           // the record's pointer, of an Ed25519 key
	)
	return outer + numbers + hashes + fixed + atRecord + 2 + len(from.Bytes()) + 2 + len(to.Bytes())
}

// headerSize returns the length of the head of a byte string of n bytes, in bytes
// (RFC 8949, §3.1).
func headerSize(n int) int {
	switch {
	case n < 24:
		return 1
	case n < 1<<8:
		return 2
	}
	return 3
}

// Outgoing returns the record that Put would put, for sending it by other means,
// such as a direct stream. The recipient puts it into a [dht.Store] and polls
// that. The state must be stored first, as for [Channel.Put].
func (c *Channel) Outgoing(now time.Time) (pointer.Record, error) {
	rec, _, err := c.buildRecord(now)
	if err != nil {
		return pointer.Record{}, fmt.Errorf("writing to %s: %w", c.party, err)
	}
	return rec, nil
}

// buildRecord builds, seals and signs the record that is to be put now, and returns the
// messages in it.
func (c *Channel) buildRecord(now time.Time) (pointer.Record, selection, error) {
	fail := func(err error) (pointer.Record, selection, error) { return pointer.Record{}, selection{}, err }
	if c.self.Signer == nil {
		return fail(errLocked)
	}
	if c.unsaved {
		return fail(errUnsaved)
	}
	key, epoch, err := c.outboundKey(now)
	if err != nil {
		return fail(err)
	}
	at := key.Pointer().Bytes()
	sequence := uint64(now.UnixMilli())
	if bytes.Equal(c.lastRecord.At, at) {
		sequence = max(sequence, c.lastRecord.Sequence+1)
	}
	if sequence > pointer.MaxSequence {
		return fail(errors.New("the sequence numbers of this epoch's record are used up: wait for the next epoch"))
	}
	selected := c.selectMessages()
	content := batch{
		Version: batchVersion, From: c.self.Pointer.Bytes(), To: c.party.Bytes(), Channel: c.id,
		At: at, Sequence: sequence, Made: now.UnixMilli(),
		Base: c.base, Messages: selected.messages, Ack: c.processed,
	}
	if content.Messages == nil {
		content.Messages = [][]byte{}
	}
	plain, err := content.sign(c.self.Signer)
	if err != nil {
		return fail(err)
	}
	payload, err := sealPayload(c.remote.sealing, key.Pointer(), sequence, plain)
	if err != nil {
		return fail(err)
	}
	rec, err := pointer.Sign(key, pointer.Fields{Sequence: sequence, Expires: recordExpiry(epoch), TTL: recordTTL, Payload: payload})
	if err != nil {
		return fail(err)
	}
	c.lastRecord = recordSequence{At: at, Sequence: sequence}
	return rec, selected, nil
}

// Put puts the record of this direction: the unacknowledged messages in order, as
// far as they fit, and the acknowledgement. The state must be stored first: Put
// returns an error if the channel has changed since [Channel.State] was called.
// Store the state afterwards as well, or the record is due again after a
// restart. After an error the record is still due.
func (c *Channel) Put(ctx context.Context, store dht.Store, now time.Time) (dht.Receipt, error) {
	receipt, err := c.putRecord(ctx, store, now)
	if err != nil {
		return receipt, fmt.Errorf("writing to %s: %w", c.party, err)
	}
	return receipt, nil
}

// putRecord is Put without the prefix of its errors.
func (c *Channel) putRecord(ctx context.Context, store dht.Store, now time.Time) (dht.Receipt, error) {
	rec, selected, err := c.buildRecord(now)
	if err != nil {
		return dht.Receipt{}, err
	}
	receipt, err := store.Put(ctx, rec.Pointer(), rec.Bytes())
	if errors.Is(err, dht.ErrOlder) {
		// The state was lost and the clock set back, or the other party used the
		// key.
		found, getErr := newestRecords(ctx, store, rec.Pointer(), now)
		if getErr != nil || len(found) == 0 || found[0].Sequence() < rec.Sequence() {
			return receipt, err
		}
		c.lastRecord.Sequence = found[0].Sequence()
		if rec, selected, err = c.buildRecord(now); err != nil {
			return receipt, err
		}
		receipt, err = store.Put(ctx, rec.Pointer(), rec.Bytes())
	}
	if err != nil {
		return receipt, err
	}
	c.lastPut = putRecordState{At: rec.Pointer().Bytes(), When: now.UnixMilli(), Last: selected.last.Chain, Ack: c.processed.Counter, Answered: c.newest}
	return receipt, nil
}
