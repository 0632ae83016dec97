package drop

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const stateVersion = 1

// state is the stored state of a channel. Its messages are not encrypted.
type state struct {
	_           struct{} `cbor:",toarray"`
	Version     uint64
	Self        []byte
	Channel     hash
	PartyKey    []byte // the party's X25519 key
	PreviousKey []byte // the party's previous one; null: none
	Base        position
	Queue       [][]byte
	LastRecord  recordSequence
	LastPut     putRecordState
	Processed   position
	Newest      recordOrder
	AckNeeded   bool
}

// State returns the channel's state in canonical CBOR. Store it durably before
// the next [Channel.Put], so that a crash loses nothing that the other party has
// received. It is as secret as the messages.
func (c *Channel) State() []byte { return c.state().encode() }

// Parts is a channel's state for storage in small rows: a head of less than 1
// KiB, and a row for each unacknowledged message.
type Parts struct {
	Head  []byte   // a state without messages
	First uint64   // the number of the first message; the others follow without gaps
	Queue [][]byte // the messages, in the order in which they were sent
}

// Parts returns the state in parts, which are to be stored in one transaction. It
// counts as [Channel.State].
func (c *Channel) Parts() Parts { return c.state().parts() }

// Split returns the parts of a state.
func Split(state []byte) (Parts, error) {
	s, err := decodeState(state)
	if err != nil {
		return Parts{}, fmt.Errorf("state: %w", err)
	}
	return s.parts(), nil
}

// Join returns the state with these parts. It returns an error if the messages do
// not follow the head.
func (p Parts) Join() ([]byte, error) {
	s, err := decodeState(p.Head)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if len(s.Queue) > 0 || len(p.Queue) > 0 && p.First != s.Base.Counter+1 {
		return nil, fmt.Errorf("state: messages from number %d on do not belong to it", p.First)
	}
	s.Queue = append(s.Queue, p.Queue...)
	return s.encode(), nil
}

// parts returns the state in parts.
func (s state) parts() Parts {
	p := Parts{First: s.Base.Counter + 1, Queue: s.Queue}
	s.Queue = [][]byte{}
	p.Head = s.encode()
	return p
}

// encode returns the canonical CBOR of the state.
func (s state) encode() []byte {
	b, err := canonical.Marshal(s)
	if err != nil {
		panic(err) // numbers and byte strings encode
	}
	return b
}

// state returns the channel's state, and marks it as saved.
func (c *Channel) state() state {
	s := state{
		Version: stateVersion, Self: c.self.Pointer.Bytes(), Channel: c.id, PartyKey: c.remote.x25519.Bytes(),
		Base: c.base, Queue: c.queue, LastRecord: c.lastRecord, LastPut: c.lastPut, Processed: c.processed, Newest: c.newest, AckNeeded: c.ackNeeded,
	}
	if c.previousKey != nil {
		s.PreviousKey = c.previousKey.Bytes()
	}
	if s.Queue == nil {
		s.Queue = [][]byte{}
	}
	if s.LastRecord.At == nil {
		s.LastRecord.At = []byte{}
	}
	if s.LastPut.At == nil {
		s.LastPut.At = []byte{}
	}
	c.unsaved = false
	return s
}

// decodeState decodes a state, and checks its bounds.
func decodeState(b []byte) (state, error) {
	var s state
	if err := canonical.Unmarshal(b, &s, bounds); err != nil {
		return state{}, err
	}
	if s.Version != stateVersion {
		return state{}, fmt.Errorf("is of version %d, and this program knows %d", s.Version, stateVersion)
	}
	if s.Base.Counter > maxCounter || s.Processed.Counter > maxCounter || s.LastRecord.Sequence > pointer.MaxSequence {
		return state{}, errors.New("has a counter over its limit")
	}
	if s.Queue == nil || s.LastRecord.At == nil || s.LastPut.At == nil {
		return state{}, canonical.ErrNotCanonical
	}
	if len(s.Queue) > MaxQueue {
		return state{}, fmt.Errorf("has %d messages, over %d", len(s.Queue), MaxQueue)
	}
	size := 0
	for _, m := range s.Queue {
		if len(m) == 0 || len(m) > MaxMessage {
			return state{}, fmt.Errorf("has a message of %d bytes", len(m))
		}
		size += len(m)
	}
	if size > MaxQueueBytes {
		return state{}, fmt.Errorf("has %d bytes of messages, over %d", size, MaxQueueBytes)
	}
	return s, nil
}

// Owner returns the pointer of the party that a state belongs to, the Pointer of
// its [Self].
func Owner(state []byte) (pointer.Pointer, error) {
	s, err := decodeState(state)
	if err != nil {
		return pointer.Pointer{}, fmt.Errorf("state: %w", err)
	}
	return pointer.FromBytes(s.Self)
}

// restore sets the channel to a stored state, which must be of the same two parties.
func (c *Channel) restore(b []byte) error {
	s, err := decodeState(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(s.Self, c.self.Pointer.Bytes()) || s.Channel != c.id {
		return errors.New("is another channel's")
	}
	if c.remote.x25519, err = ecdh.X25519().NewPublicKey(s.PartyKey); err != nil {
		return errors.New("has a malformed X25519 key")
	}
	if s.PreviousKey != nil {
		if c.previousKey, err = ecdh.X25519().NewPublicKey(s.PreviousKey); err != nil {
			return errors.New("has a malformed X25519 key")
		}
	}
	c.base, c.queue, c.lastRecord, c.lastPut = s.Base, s.Queue, s.LastRecord, s.LastPut
	c.processed, c.newest, c.ackNeeded = s.Processed, s.Newest, s.AckNeeded
	return nil
}
