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

// errNotAwaited is returned to a peer that puts a record that the Exchange did not look for.
var errNotAwaited = errors.New("no record is awaited there")

func newMailbox(now func() time.Time) *mailbox {
	return &mailbox{now: now, outgoing: map[pointer.Pointer]pointer.Record{}, awaited: map[pointer.Pointer]time.Time{}, incoming: map[pointer.Pointer]pointer.Record{}}
}

// Get yields the record that a peer put, and lets peers put one for awaitDuration.
func (m *mailbox) Get(_ context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		m.mu.Lock()
		now := m.now()
		if _, alreadyAwaited := m.awaited[p]; !alreadyAwaited && len(m.awaited) >= maxMailboxRecords {
			m.removeExpired(now)
		}
		if len(m.awaited) < maxMailboxRecords {
			m.awaited[p] = now.Add(awaitDuration)
		}
		rec, found := m.incoming[p]
		m.mu.Unlock()
		a := dht.Answer{Source: dht.SourceHome}
		if found {
			a.Record = rec.Bytes()
		}
		yield(a, nil)
	}
}

// Put stores a record for peers to get. The receipt is empty and the error not nil: a record
// in memory does not count as stored, since it is lost when the process ends.
func (m *mailbox) Put(_ context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	rec, err := pointer.Open(p, record, m.now())
	if err != nil {
		return dht.Receipt{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if stored, exists := m.outgoing[p]; !exists && len(m.outgoing) >= maxMailboxRecords || exists && stored.Compare(rec) > 0 {
		m.removeExpired(m.now())
	} else {
		m.outgoing[p] = rec
	}
	return dht.Receipt{}, errNotFetched
}

// errNotFetched is returned by mailbox.Put: the record is stored, but not durably.
var errNotFetched = errors.New("no peer has fetched it yet")

// removeExpired removes what is no longer awaited, and the records that have expired. The
// caller holds m.mu.
func (m *mailbox) removeExpired(now time.Time) {
	for p, until := range m.awaited {
		if now.After(until) {
			delete(m.awaited, p)
			delete(m.incoming, p)
		}
	}
	for p, rec := range m.outgoing {
		if now.After(rec.Expires()) {
			delete(m.outgoing, p)
		}
	}
}

// mailboxForPeers is the store that peers use.
type mailboxForPeers struct{ box *mailbox }

// Get yields the record that the Exchange put.
func (m mailboxForPeers) Get(_ context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		m.box.mu.Lock()
		rec, found := m.box.outgoing[p]
		m.box.mu.Unlock()
		a := dht.Answer{Source: dht.SourceHome}
		if found {
			a.Record = rec.Bytes()
		}
		yield(a, nil)
	}
}

// Put stores a record that is awaited. Others are refused before they are verified, so that
// they cost one look-up in a map.
func (m mailboxForPeers) Put(_ context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	box := m.box
	refused := dht.Receipt{Asked: 1, Refused: 1}
	now := box.now()
	box.mu.Lock()
	until, awaited := box.awaited[p]
	stored, exists := box.incoming[p]
	box.mu.Unlock()
	if !awaited || now.After(until) {
		return refused, fmt.Errorf("%s: %w", p, errNotAwaited)
	}
	rec, err := pointer.Open(p, record, now)
	if err != nil {
		return refused, fmt.Errorf("put: %w", err)
	}
	if exists && stored.Compare(rec) > 0 {
		return refused, fmt.Errorf("put for %s: %w", p, dht.ErrOlder)
	}
	box.mu.Lock()
	if newer, exists := box.incoming[p]; exists && newer.Compare(rec) > 0 { // put meanwhile
		box.mu.Unlock()
		return refused, fmt.Errorf("put for %s: %w", p, dht.ErrOlder)
	}
	box.incoming[p] = rec
	wake := box.wake
	box.mu.Unlock()
	if wake != nil && (!exists || stored.Compare(rec) != 0) {
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
