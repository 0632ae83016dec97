package drop

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	// MaxQueue and MaxQueueBytes bound the unacknowledged messages. Send returns
	// an error for a message over these bounds.
	MaxQueue      = 1000
	MaxQueueBytes = 1 << 20

	// repeatAfter is the time after which a record with unacknowledged messages
	// is due again: the network discards records after 48 hours.
	repeatAfter = 12 * time.Hour
)

// Channel is one party's end of a channel. It is not safe for concurrent use.
type Channel struct {
	self        Self
	party       pointer.Pointer // the other party
	id          hash
	local       localKeys
	remote      remoteKeys
	previousKey *ecdh.PublicKey // the other party's previous X25519 key; nil: none

	// Outbound.
	base       position       // of the last acknowledged message
	queue      [][]byte       // the messages after base
	lastRecord recordSequence // the last record that was built
	lastPut    putRecordState // the last record that a store accepted

	// Inbound.
	processed position    // of the last processed message
	pending   []Message   // received, not yet processed
	newest    recordOrder // the newest record received
	ackNeeded bool        // the newest record repeats processed messages, or continues a different stream

	unsaved bool // changed since State was called last
}

// recordSequence is the sequence of a record. A record under a different pointer
// does not continue it: otherwise an attacker that blocked one epoch would have
// blocked all.
type recordSequence struct {
	_        struct{} `cbor:",toarray"`
	At       []byte   // the record's pointer; empty: no record
	Sequence uint64
}

// putRecordState is the content of the last record that was put, as far as it
// decides when the next one is due.
type putRecordState struct {
	_        struct{} `cbor:",toarray"`
	At       []byte   // the record's pointer; empty: no record
	When     int64    // of the put, ms since 1970
	Last     hash     // the chain at its last message
	Ack      uint64
	Answered recordOrder // the newest record received before the put
}

// recordOrder orders the records of one direction, under all their pointers. The
// epoch comes first, so that the high sequence of a clock that ran ahead counts
// in its epoch only.
type recordOrder struct {
	_        struct{} `cbor:",toarray"`
	Epoch    uint64
	Sequence uint64
}

// before reports whether the record with this order is older than the other one.
func (o recordOrder) before(other recordOrder) bool {
	return o.Epoch < other.Epoch || o.Epoch == other.Epoch && o.Sequence < other.Sequence
}

// Message is a message that the other party sent.
type Message struct {
	// ID is a hash over this message and all previous ones of this direction.
	// Process each ID once: Poll returns a message again until Done was called
	// and the state was stored.
	ID [sha256.Size]byte
	// Counter numbers the messages from 1. After the sender lost its state, a
	// number may be used twice, but never an ID.
	Counter uint64
	Bytes   []byte // 1 to MaxMessage bytes
}

// Open opens a channel between two parties. state is the last result of
// [Channel.State]; nil starts a new channel. The keys may have changed since: see
// [Channel.Rekey].
func Open(self Self, party Party, state []byte) (*Channel, error) {
	c, err := open(self, party, state)
	if err != nil {
		return nil, fmt.Errorf("drop channel with %s: %w", party.Pointer, err)
	}
	return c, nil
}

// open is Open without the prefix of its errors.
func open(self Self, party Party, state []byte) (*Channel, error) {
	if self.Pointer.IsZero() || party.Pointer.IsZero() {
		return nil, errors.New("a party has no pointer")
	}
	if self.Pointer == party.Pointer {
		return nil, errors.New("both parties are one")
	}
	if len(self.Purpose) > MaxPurpose || !utf8.ValidString(self.Purpose) {
		return nil, fmt.Errorf("the purpose %.*q is not UTF-8 of at most %d bytes", MaxPurpose, self.Purpose, MaxPurpose)
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
	c := &Channel{self: self, party: party.Pointer, id: channelID(self.Pointer, party.Pointer, self.Purpose)}
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

// channelID returns the hash of both pointers and of the purpose, unless that is empty.
// It does not depend on the sealing keys: the pointer of the record binds a batch to these.
func channelID(a, b pointer.Pointer, purpose string) hash {
	first, second := a.Bytes(), b.Bytes()
	if bytes.Compare(first, second) > 0 {
		first, second = second, first
	}
	fields := []any{first, second}
	if purpose != "" {
		fields = append(fields, purpose)
	}
	both, err := canonical.Marshal(fields)
	if err != nil {
		panic(err) // byte strings encode
	}
	return sha256.Sum256(append([]byte("petnames/drop/channel/v1\x00"), both...))
}

// Rekey applies the sealing keys of a newer card of the other party.
// Unacknowledged messages are put under the new keys. Poll uses the previous
// X25519 key of the party as well.
func (c *Channel) Rekey(party Party) error {
	if party.Pointer != c.party {
		return fmt.Errorf("drop channel with %s: the card is of %s", c.party, party.Pointer)
	}
	if err := c.rekey(party); err != nil {
		return fmt.Errorf("drop channel with %s: %w", c.party, err)
	}
	return nil
}

// rekey is Rekey without the prefix of its errors. It checks the keys of the card.
func (c *Channel) rekey(party Party) error {
	remote, err := newRemoteKeys(party.Sealing)
	if err != nil {
		return err
	}
	for _, private := range c.local.x25519 {
		if private.PublicKey().Equal(remote.x25519) {
			return errors.New("the party's card has a sealing key of this side")
		}
		if _, err := private.ECDH(remote.x25519); err != nil {
			return errors.New("the party's X25519 key is of low order, which makes no secret")
		}
	}
	if previous := c.remote.x25519; previous != nil && !previous.Equal(remote.x25519) {
		c.previousKey, c.unsaved = previous, true
	}
	c.remote = remote
	return nil
}

// Send appends a copy of a message to the queue. The next [Channel.Put] sends it,
// and it stays in the queue until the other party acknowledges it. Send returns
// an error for a message of 0 or over [MaxMessage] bytes, and if the queue is
// full.
func (c *Channel) Send(message []byte) error {
	if len(message) == 0 || len(message) > MaxMessage {
		return fmt.Errorf("a message of %d bytes: from 1 to %d fit", len(message), MaxMessage)
	}
	size := len(message)
	for _, m := range c.queue {
		size += len(m)
	}
	if len(c.queue) >= MaxQueue || size > MaxQueueBytes {
		return fmt.Errorf("the queue is full: %d messages to %s are not acknowledged yet: send again when some are", len(c.queue), c.party)
	}
	if c.base.Counter > maxCounter-MaxQueue {
		return fmt.Errorf("no more messages can be sent to %s: the message numbers have reached their limit", c.party)
	}
	c.queue = append(c.queue, bytes.Clone(message))
	c.unsaved = true
	return nil
}

// Waiting returns the number of unacknowledged messages.
func (c *Channel) Waiting() int { return len(c.queue) }

// NotPut returns the number of messages in the queue that the last record put does not
// hold: it had no room for them, or they are newer. They are put when the other party has
// acknowledged the messages before them.
func (c *Channel) NotPut() int {
	at := c.base
	for i, m := range c.queue {
		if at.Chain == c.lastPut.Last {
			return len(c.queue) - i
		}
		at = at.next(m)
	}
	if at.Chain == c.lastPut.Last {
		return 0
	}
	return len(c.queue) // the last record was put before what is in the queue
}

// Done marks a message that Poll returned, and all previous ones, as processed
// and durable. After the state is stored, the next [Channel.Put] acknowledges
// them. Done returns an error if the message is not pending.
func (c *Channel) Done(m Message) error {
	for i, pending := range c.pending {
		if pending.ID == m.ID {
			c.processed = position{Counter: pending.Counter, Chain: pending.ID}
			c.pending = c.pending[i+1:]
			c.unsaved = true
			return nil
		}
	}
	return fmt.Errorf("message %d is not pending: poll again", m.Counter)
}
