package exchange

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// mailbox is a store in memory, by which an Exchange and its peers pass records directly,
// without the network. The Exchange puts its records of channels and pairings there, and peers
// put the records that the Exchange looked for. Only the two parties can derive the pointers
// of their records. A peer that knows a pointer therefore needs no other proof. Any other peer
// learns nothing, not even the owner of the mailbox.
//
// The methods of mailbox are for the Exchange, those of mailboxForPeers for its peers.
type mailbox struct {
	now func() time.Time

	mu       sync.Mutex
	outgoing map[pointer.Pointer]pointer.Record // put by the Exchange
	awaited  map[pointer.Pointer]time.Time      // until when peers may put a record
	incoming map[pointer.Pointer]pointer.Record // put by peers
	wake     func()
}

const (
	maxMailboxRecords = 4096             // records of each kind
	awaitDuration     = 20 * time.Minute // since the last Get
)

var errNotAwaited = errors.New("no record is awaited there")

func newMailbox(now func() time.Time) *mailbox {
	return &mailbox{now: now, outgoing: map[pointer.Pointer]pointer.Record{}, awaited: map[pointer.Pointer]time.Time{}, incoming: map[pointer.Pointer]pointer.Record{}}
}

// Get yields the record that a peer put, and lets peers put one for awaitDuration.
func (s *mailbox) Get(_ context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		s.mu.Lock()
		now := s.now()
		if _, known := s.awaited[p]; !known && len(s.awaited) >= maxMailboxRecords {
			s.removeExpired(now)
		}
		if len(s.awaited) < maxMailboxRecords {
			s.awaited[p] = now.Add(awaitDuration)
		}
		r, there := s.incoming[p]
		s.mu.Unlock()
		a := dht.Answer{Source: dht.SourceHome}
		if there {
			a.Record = r.Bytes()
		}
		yield(a, nil)
	}
}

// Put stores a record for peers to get. The receipt is empty and the error not nil: a record
// in memory does not count as stored, since it is lost when the process ends.
func (s *mailbox) Put(_ context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	r, err := pointer.Open(p, record, s.now())
	if err != nil {
		return dht.Receipt{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, there := s.outgoing[p]; !there && len(s.outgoing) >= maxMailboxRecords || there && have.Compare(r) > 0 {
		s.removeExpired(s.now())
	} else {
		s.outgoing[p] = r
	}
	return dht.Receipt{}, errNotFetched
}

var errNotFetched = errors.New("no peer has fetched it yet")

func (s *mailbox) removeExpired(now time.Time) {
	for p, until := range s.awaited {
		if now.After(until) {
			delete(s.awaited, p)
			delete(s.incoming, p)
		}
	}
	for p, r := range s.outgoing {
		if now.After(r.Expires()) {
			delete(s.outgoing, p)
		}
	}
}

// mailboxForPeers is the store that peers use.
type mailboxForPeers struct{ box *mailbox }

// Get yields the record that the Exchange put.
func (c mailboxForPeers) Get(_ context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		c.box.mu.Lock()
		r, there := c.box.outgoing[p]
		c.box.mu.Unlock()
		a := dht.Answer{Source: dht.SourceHome}
		if there {
			a.Record = r.Bytes()
		}
		yield(a, nil)
	}
}

// Put stores a record that is awaited. Others are refused before they are verified, so that
// they cost one look-up in a map.
func (c mailboxForPeers) Put(_ context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	s := c.box
	refused := dht.Receipt{Asked: 1, Refused: 1}
	now := s.now()
	s.mu.Lock()
	until, awaited := s.awaited[p]
	have, there := s.incoming[p]
	s.mu.Unlock()
	if !awaited || now.After(until) {
		return refused, fmt.Errorf("%s: %w", p, errNotAwaited)
	}
	r, err := pointer.Open(p, record, now)
	if err != nil {
		return refused, fmt.Errorf("put: %w", err)
	}
	if there && have.Compare(r) > 0 {
		return refused, fmt.Errorf("put for %s: %w", p, dht.ErrOlder)
	}
	s.mu.Lock()
	if newer, there := s.incoming[p]; there && newer.Compare(r) > 0 { // put meanwhile
		s.mu.Unlock()
		return refused, fmt.Errorf("put for %s: %w", p, dht.ErrOlder)
	}
	s.incoming[p] = r
	wake := s.wake
	s.mu.Unlock()
	if wake != nil && (!there || have.Compare(r) != 0) {
		wake()
	}
	return dht.Receipt{Asked: 1, Stored: 1}, nil
}

// Mailbox returns the store that peers may use directly: they get the records for them, and
// put the records that the Exchange awaits from them.
func (e *Exchange) Mailbox() dht.Store { return mailboxForPeers{e.mailbox} }

// storeFor returns the store of the records to and from a party at these addresses: the
// network, the mailbox of this Exchange, and that of the party.
func (e *Exchange) storeFor(addresses [][]byte) dht.Store {
	all := dht.MultiStore{e.c.Store, e.mailbox}
	if e.c.Direct != nil && len(addresses) > 0 {
		all = append(all, e.c.Direct(addresses))
	}
	return all
}
