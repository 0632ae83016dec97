package drop

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	// MaxQueue and MaxQueueBytes bound the messages that wait to be
	// acknowledged. Over them, Send is an error.
	MaxQueue      = 1000
	MaxQueueBytes = 1 << 20

	// Again is how long a record with messages that nobody acknowledged stays
	// before it is due again: the network forgets after 48 hours.
	RepeatAfter = 12 * time.Hour
)

// Channel is one side of a channel. It is not safe for concurrent use.
type Channel struct {
	self        Self
	party       pointer.Pointer
	id          hash
	local       localKeys
	remote      remoteKeys
	previousKey *ecdh.PublicKey // the party's X25519 key before this one; nil: none

	// Going out.
	base       position       // the last that the party acknowledged
	queue      [][]byte       // the messages after it
	lastRecord recordSequence // my last record
	lastPut    putRecordState // the last that a store took

	// Coming in.
	processed position    // the last that was processed
	pending   []Message   // read, and not yet processed
	newest    recordOrder // the newest record of the party
	ackNeeded bool        // that one shows messages that I have, or a stream that isn't the one I have

	unsaved bool // what the next record says isn't in what State gave last
}

// numbered is a record's sequence. The next one under another pointer doesn't
// go on from it: else somebody who blocked one epoch had blocked them all.
type recordSequence struct {
	_        struct{} `cbor:",toarray"`
	At       []byte   // the record's pointer; empty: there was none
	Sequence uint64
}

// putState is what my last record said, as far as it decides when the next is
// due.
type putRecordState struct {
	_        struct{} `cbor:",toarray"`
	At       []byte   // its pointer; empty: there was none
	When     int64    // ms since 1970
	Last     hash     // the chain after its last message
	Ack      uint64
	Answered recordOrder // the newest record of the party then
}

// order is the order of one party's records, over all their pointers. The
// epoch comes first, so that a clock that once ran ahead is not for ever.
type recordOrder struct {
	_        struct{} `cbor:",toarray"`
	Epoch    uint64
	Sequence uint64
}

func (o recordOrder) before(other recordOrder) bool {
	return o.Epoch < other.Epoch || o.Epoch == other.Epoch && o.Sequence < other.Sequence
}

// Message is one that the party sent.
type Message struct {
	// ID is a hash over it and all before it on this channel. Process what has
	// one ID once: a message comes again until Done was called and the state
	// stored.
	ID [sha256.Size]byte
	// Counter numbers the messages from 1. After the party lost its state a
	// number can come twice; an ID doesn't.
	Counter uint64
	Bytes   []byte
}

// Open opens a channel between two parties, of which state is what
// [Channel.State] gave last; nil starts a new one. The keys may be others than
// they were then: see [Channel.Rekey].
func Open(self Self, party Party, state []byte) (*Channel, error) {
	c, err := open(self, party, state)
	if err != nil {
		return nil, fmt.Errorf("drop channel with %s: %w", party.Pointer, err)
	}
	return c, nil
}

func open(self Self, party Party, state []byte) (*Channel, error) {
	if self.Pointer.IsZero() || party.Pointer.IsZero() {
		return nil, errors.New("a party has no pointer")
	}
	if self.Pointer == party.Pointer {
		return nil, errors.New("both parties are one")
	}
	if self.Signer != nil {
		public, ok := self.Signer.Public().(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("signer of type %T: only Ed25519 keys can sign here", self.Signer.Public())
		}
		if p, err := pointer.FromPublicKey(public); err != nil || p != self.Pointer {
			return nil, fmt.Errorf("the signer is not the key of %s", self.Pointer)
		}
	}
	c := &Channel{self: self, party: party.Pointer, id: channelID(self.Pointer, party.Pointer)}
	c.base, c.processed = firstPosition(c.id, c.self.Pointer), firstPosition(c.id, c.party)
	var err error
	if c.local, err = newLocalKeys(self.Sealing); err != nil {
		return nil, err
	}
	if state == nil {
		c.unsaved = true
	} else if err := c.restore(state); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return c, c.rekey(party)
}

// channelID is the same for both, and stays when keys change: what binds a
// letter to the keys is the pointer of its record.
func channelID(a, b pointer.Pointer) hash {
	first, second := a.Bytes(), b.Bytes()
	if bytes.Compare(first, second) > 0 {
		first, second = second, first
	}
	both, err := canonical.Marshal([][]byte{first, second})
	if err != nil {
		panic(err) // byte strings encode
	}
	return sha256.Sum256(append([]byte("petnames/drop/channel/v1\x00"), both...))
}

// Rekey goes over to the sealing keys of a newer card of the party. What isn't
// acknowledged is put where these lead; what comes is looked for with the
// party's last X25519 key, too.
func (c *Channel) Rekey(party Party) error {
	if party.Pointer != c.party {
		return fmt.Errorf("drop channel with %s: the card is of %s", c.party, party.Pointer)
	}
	if err := c.rekey(party); err != nil {
		return fmt.Errorf("drop channel with %s: %w", c.party, err)
	}
	return nil
}

func (c *Channel) rekey(party Party) error {
	t, err := newRemoteKeys(party.Sealing)
	if err != nil {
		return err
	}
	for _, private := range c.local.x25519 {
		if private.PublicKey().Equal(t.x25519) {
			return errors.New("the party's card has a sealing key that is my own")
		}
		if _, err := private.ECDH(t.x25519); err != nil {
			return errors.New("the party's X25519 key is of low order, which makes no secret")
		}
	}
	if last := c.remote.x25519; last != nil && !last.Equal(t.x25519) {
		c.previousKey, c.unsaved = last, true
	}
	c.remote = t
	return nil
}

// Send puts a message into the queue, behind all others. It is on its way
// after the next [Channel.Put]; it stays in the queue until the party
// acknowledges it. A message that is empty or over [MaxMessage] bytes, and one
// for which the queue has no room, is an error.
func (c *Channel) Send(message []byte) error {
	if len(message) == 0 || len(message) > MaxMessage {
		return fmt.Errorf("a message of %d bytes: from 1 to %d fit", len(message), MaxMessage)
	}
	size := len(message)
	for _, m := range c.queue {
		size += len(m)
	}
	if len(c.queue) >= MaxQueue || size > MaxQueueBytes {
		return fmt.Errorf("%d messages to %s are not acknowledged yet, and no more are kept: send when some are", len(c.queue), c.party)
	}
	if c.base.Counter > maxCounter-MaxQueue {
		return fmt.Errorf("the messages to %s are numbered up to the limit", c.party)
	}
	c.queue = append(c.queue, bytes.Clone(message))
	c.unsaved = true
	return nil
}

// Waiting is how many messages, the last that were sent, are not acknowledged.
func (c *Channel) Waiting() int { return len(c.queue) }

// Done says that a message that Poll gave, and all before it, are processed and
// durable. They are acknowledged with the next [Channel.Put], after the state
// is stored.
func (c *Channel) Done(m Message) error {
	for i, p := range c.pending {
		if p.ID == m.ID {
			c.processed = position{Counter: p.Counter, Chain: p.ID}
			c.pending = c.pending[i+1:]
			c.unsaved = true
			return nil
		}
	}
	return fmt.Errorf("message %d is not one that waits to be processed: poll again", m.Counter)
}
