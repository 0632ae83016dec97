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

// A shelf is what a running presence exchanges with others directly, without
// the network between. Whatever it says to others it puts there, too, and what
// it waits for can be put there by them. Records on it stand under pointers that
// only the two parties can derive, so that who knows one needs no other proof,
// and who doesn't learns nothing, not even whose shelf it is.
type mailbox struct {
	now func() time.Time

	mu       sync.Mutex
	outgoing map[pointer.Pointer]pointer.Record // by me
	awaited  map[pointer.Pointer]time.Time      // until when it is waited for
	incoming map[pointer.Pointer]pointer.Record // by others
	wake     func()
}

const (
	maxMailboxRecords = 4096             // records of each kind
	awaitDuration     = 20 * time.Minute // since it was last looked for
)

var errNotAwaited = errors.New("no record is waited for there")

func newMailbox(now func() time.Time) *mailbox {
	return &mailbox{now: now, outgoing: map[pointer.Pointer]pointer.Record{}, awaited: map[pointer.Pointer]time.Time{}, incoming: map[pointer.Pointer]pointer.Record{}}
}

// Get is for this side: it tells what came, and that it is waited for.
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

// Put is for this side: what it says. The shelf alone stores nothing for who is
// away, and so the receipt counts nobody.
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

// errShelf: that a record is on the shelf is no reason to call it stored.
var errNotFetched = errors.New("nobody has fetched it yet")

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

// counter is the side of a shelf that others come to.
type mailboxForPeers struct{ box *mailbox }

// Get gives what was said under a pointer.
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

// Put takes what is waited for, and nothing else: it costs a look into a table
// to refuse the rest.
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
	if newer, came := s.incoming[p]; came && newer.Compare(r) > 0 { // meanwhile
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

// Counter is what others may come to directly, as a store: they find there what
// is said to them, and leave what is waited for from them. See package direct.
func (e *Exchange) Mailbox() dht.Store { return mailboxForPeers{e.mailbox} }

// store is where the records to and from somebody are: the network, this
// presence's own shelf, and theirs, if it can be reached.
func (e *Exchange) storeFor(addresses [][]byte) dht.Store {
	all := dht.MultiStore{e.c.Store, e.mailbox}
	if e.c.Direct != nil && len(addresses) > 0 {
		all = append(all, e.c.Direct(addresses))
	}
	return all
}
