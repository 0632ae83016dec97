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
	if c.have.Counter > c.put.Ack || c.unaware && c.put.Answered.before(c.seen) {
		return true
	}
	if len(c.queue) == 0 {
		return false
	}
	key, _, err := c.own(now)
	if err != nil {
		return true // Put says what is wrong
	}
	since := now.Sub(time.UnixMilli(c.put.When))
	return string(c.put.At) != string(key.Pointer().Bytes()) || c.fitting().last.Chain != c.put.Last || since >= Again || since <= -Again
}

// fitted are the messages that go into the next record.
type fitted struct {
	messages [][]byte
	last     mark
}

// fitting takes as many messages as fit, in order: one always does.
func (c *Channel) fitting() fitted {
	// What is sealed, with one byte for the length of the list, and no
	// messages: its integers at their longest.
	left := seal.Room(c.theirs.seal.KEM().ID(), sizes[len(sizes)-1]) - envelope(c.self.Pointer, c.party)
	f := fitted{last: c.base}
	for _, m := range c.queue {
		if left -= cborHead(len(m)) + len(m); left < 0 {
			break
		}
		f.messages = append(f.messages, m)
		f.last = f.last.next(m)
	}
	return f
}

// envelope is how long what is sealed may be without its messages, in bytes.
func envelope(from, to pointer.Pointer) int {
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
func cborHead(n int) int {
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
	rec, _, err := c.outgoing(now)
	if err != nil {
		return pointer.Record{}, fmt.Errorf("writing to %s: %w", c.party, err)
	}
	return rec, nil
}

func (c *Channel) outgoing(now time.Time) (pointer.Record, fitted, error) {
	fail := func(err error) (pointer.Record, fitted, error) { return pointer.Record{}, fitted{}, err }
	if c.self.Signer == nil {
		return fail(errLocked)
	}
	if c.unsaved {
		return fail(errUnsaved)
	}
	key, epoch, err := c.own(now)
	if err != nil {
		return fail(err)
	}
	at := key.Pointer().Bytes()
	sequence := uint64(now.UnixMilli())
	if bytes.Equal(c.last.At, at) {
		sequence = max(sequence, c.last.Sequence+1)
	}
	if sequence > pointer.MaxSequence {
		return fail(errors.New("somebody used up the sequence numbers of this epoch's record: wait for the next"))
	}
	f := c.fitting()
	l := letter{
		Version: letterVersion, From: c.self.Pointer.Bytes(), To: c.party.Bytes(), Channel: c.id,
		At: at, Sequence: sequence, Made: now.UnixMilli(),
		Base: c.base, Messages: f.messages, Ack: c.have,
	}
	if l.Messages == nil {
		l.Messages = [][]byte{}
	}
	b, err := l.sign(c.self.Signer)
	if err != nil {
		return fail(err)
	}
	payload, err := sealFor(c.theirs.seal, key.Pointer(), sequence, b)
	if err != nil {
		return fail(err)
	}
	rec, err := pointer.Sign(key, pointer.Fields{Sequence: sequence, Expires: recordEnd(epoch), TTL: recordTTL, Payload: payload})
	if err != nil {
		return fail(err)
	}
	c.last = numbered{At: at, Sequence: sequence}
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
	receipt, err := c.write(ctx, store, now)
	if err != nil {
		return receipt, fmt.Errorf("writing to %s: %w", c.party, err)
	}
	return receipt, nil
}

func (c *Channel) write(ctx context.Context, store dht.Store, now time.Time) (dht.Receipt, error) {
	rec, f, err := c.outgoing(now)
	if err != nil {
		return dht.Receipt{}, err
	}
	receipt, err := store.Put(ctx, rec.Pointer(), rec.Bytes())
	if errors.Is(err, dht.ErrOlder) {
		// My state was lost, and my clock went back; or the party wrote here.
		found, getErr := fetch(ctx, store, rec.Pointer(), now)
		if getErr != nil || len(found) == 0 || found[0].Sequence() < rec.Sequence() {
			return receipt, err
		}
		c.last.Sequence = found[0].Sequence()
		if rec, f, err = c.outgoing(now); err != nil {
			return receipt, err
		}
		receipt, err = store.Put(ctx, rec.Pointer(), rec.Bytes())
	}
	if err != nil {
		return receipt, err
	}
	c.put = putState{At: rec.Pointer().Bytes(), When: now.UnixMilli(), Last: f.last.Chain, Ack: c.have.Counter, Answered: c.seen}
	return receipt, nil
}

// Watch are the pointers under which the party's records appear now, for a
// node that is told of new ones.
func (c *Channel) Watch(now time.Time) ([]pointer.Pointer, error) {
	spots, err := c.spots(now)
	if err != nil {
		return nil, err
	}
	var at []pointer.Pointer
	for _, s := range spots {
		at = append(at, s.pointer)
	}
	return at, nil
}
