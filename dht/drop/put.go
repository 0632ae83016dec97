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

// recordTTL is short: what is looked for is the next record.
const recordTTL = time.Minute

var (
	errLocked  = errors.New("the identity's key is locked, and signs what is said")
	errUnsaved = errors.New("the channel has changed since its state was last taken: store what State gives first")
)

// Due says whether there is something to put: messages that the party hasn't
// acknowledged, which are new, or not where they belong in this epoch, or were
// put [Again] ago; or an acknowledgement that the party hasn't seen.
func (c *Channel) Due(now time.Time) bool {
	if c.processed.Counter > c.lastPut.Ack || c.ackNeeded && c.lastPut.Answered.before(c.newest) {
		return true
	}
	if len(c.queue) == 0 {
		return false
	}
	key, _, err := c.outboundKey(now)
	if err != nil {
		return true // Put says what is wrong
	}
	since := now.Sub(time.UnixMilli(c.lastPut.When))
	return string(c.lastPut.At) != string(key.Pointer().Bytes()) || c.selectMessages().last.Chain != c.lastPut.Last || since >= RepeatAfter || since <= -RepeatAfter
}

// fitted are the messages that go into the next record.
type selection struct {
	messages [][]byte
	last     position
}

// fitting takes as many messages as fit, in order: one always does.
func (c *Channel) selectMessages() selection {
	// What is sealed, with one byte for the length of the list, and no
	// messages: its integers at their longest.
	left := seal.Room(c.remote.sealing.KEM().ID(), sizes[len(sizes)-1]) - overhead(c.self.Pointer, c.party)
	f := selection{last: c.base}
	for _, m := range c.queue {
		if left -= headerSize(len(m)) + len(m); left < 0 {
			break
		}
		f.messages = append(f.messages, m)
		f.last = f.last.next(m)
	}
	return f
}

// envelope is how long what is sealed may be without its messages, in bytes.
func overhead(from, to pointer.Pointer) int {
	const (
		outer    = 1 + (2 + 64) + 3 // list, signature, head of the letter
		numbers  = 5 * 9            // sequence, made, base, ack: and the head of the messages, which is shorter
		hashes   = 3 * (2 + 32)     // channel, base, ack
		fixed    = 1 + 1 + 2 + 1    // lists of the letter and of the two marks, version; one to spare
		atRecord = 2 + 38           // the record's pointer, of an Ed25519 key
	)
	return outer + numbers + hashes + fixed + atRecord + 2 + len(from.Bytes()) + 2 + len(to.Bytes())
}

// cborHead is the length of a byte string's head (RFC 8949, §3.1).
func headerSize(n int) int {
	switch {
	case n < 24:
		return 1
	case n < 1<<8:
		return 2
	}
	return 3
}

// Outgoing makes the record that says where this side stands now, for handing
// it over otherwise than by [Channel.Put], such as on a direct stream. The
// receiver keeps it in a [dht.Store], and polls that.
func (c *Channel) Outgoing(now time.Time) (pointer.Record, error) {
	rec, _, err := c.buildRecord(now)
	if err != nil {
		return pointer.Record{}, fmt.Errorf("writing to %s: %w", c.party, err)
	}
	return rec, nil
}

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
		return fail(errors.New("somebody used up the sequence numbers of this epoch's record: wait for the next"))
	}
	f := c.selectMessages()
	l := batch{
		Version: batchVersion, From: c.self.Pointer.Bytes(), To: c.party.Bytes(), Channel: c.id,
		At: at, Sequence: sequence, Made: now.UnixMilli(),
		Base: c.base, Messages: f.messages, Ack: c.processed,
	}
	if l.Messages == nil {
		l.Messages = [][]byte{}
	}
	b, err := l.sign(c.self.Signer)
	if err != nil {
		return fail(err)
	}
	payload, err := sealPayload(c.remote.sealing, key.Pointer(), sequence, b)
	if err != nil {
		return fail(err)
	}
	rec, err := pointer.Sign(key, pointer.Fields{Sequence: sequence, Expires: recordExpiry(epoch), TTL: recordTTL, Payload: payload})
	if err != nil {
		return fail(err)
	}
	c.lastRecord = recordSequence{At: at, Sequence: sequence}
	return rec, f, nil
}

// Put writes my record: all messages that are not acknowledged, in order, as
// far as they fit, and what I have of the party's. What they say must be
// stored first: Put refuses when the channel has changed since [Channel.State]
// was called. Store the state afterwards, too, or the record is due again
// after a restart.
//
// After an error the record is still due.
func (c *Channel) Put(ctx context.Context, store dht.Store, now time.Time) (dht.Receipt, error) {
	receipt, err := c.putRecord(ctx, store, now)
	if err != nil {
		return receipt, fmt.Errorf("writing to %s: %w", c.party, err)
	}
	return receipt, nil
}

func (c *Channel) putRecord(ctx context.Context, store dht.Store, now time.Time) (dht.Receipt, error) {
	rec, f, err := c.buildRecord(now)
	if err != nil {
		return dht.Receipt{}, err
	}
	receipt, err := store.Put(ctx, rec.Pointer(), rec.Bytes())
	if errors.Is(err, dht.ErrOlder) {
		// My state was lost, and my clock went back; or the party wrote here.
		found, getErr := newestRecords(ctx, store, rec.Pointer(), now)
		if getErr != nil || len(found) == 0 || found[0].Sequence() < rec.Sequence() {
			return receipt, err
		}
		c.lastRecord.Sequence = found[0].Sequence()
		if rec, f, err = c.buildRecord(now); err != nil {
			return receipt, err
		}
		receipt, err = store.Put(ctx, rec.Pointer(), rec.Bytes())
	}
	if err != nil {
		return receipt, err
	}
	c.lastPut = putRecordState{At: rec.Pointer().Bytes(), When: now.UnixMilli(), Last: f.last.Chain, Ack: c.processed.Counter, Answered: c.newest}
	return receipt, nil
}
