package kad

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

const (
	// maxHeld bounds what is held for others, in bytes of memory. A record
	// costs its length and heldOverhead, so there are at most maxHeld/heldOverhead.
	maxHeld      = 32 << 20
	heldOverhead = 512

	// maxProviders bounds in the same way what is held of the DHT's other
	// half: who provides which content.
	maxProviders = 8 << 20

	collectEvery = time.Minute // at most
)

// ours is the source of what this node stored itself, not a stranger.
const ours = ""

// errFull is a store that refuses: what it was given is what it would drop
// next.
var errFull = errors.New("this node is full, and this record is the first to go")

// heldStore is a datastore of bounded size, filled by strangers.
//
// When it is full, records that have expired go first; then one of whoever
// holds the most, the one furthest from this node's ID. So one who floods
// pushes out his own: a record whose source holds little stays, however many
// keys were ground to lie nearer to us, which anybody can do cheaply. Where a
// thousand sources hold one record each, the nearest to us stay: those that
// the network looks for here. What this node stored itself goes last, as long as
// it takes no more than half.
//
// A source is what is hard to have many of; see [sourceOf]. A record that
// several sources have put is counted against the one that holds least: nobody
// can take over another's record, and have it dropped, by putting it again.
type heldStore struct {
	self  [sha256.Size]byte
	limit int
	now   func() time.Time

	mu       sync.Mutex
	items    map[string]*held
	sources  map[string]*source
	hoarders hoarders // of all sources but ours: who holds the most first
	cost     int
	bytes    int

	collected time.Time              // when what has expired was last dropped
	pending   map[string]*pendingPut // by record key: whose put is being handled

	changed map[string]bool // keys that the journal has yet to write; nil: no journal
}

// held is one record.
type held struct {
	name     string // the datastore's key
	value    []byte // never changed
	source   *source
	distance [sha256.Size]byte
	expires  time.Time // zero: at no time of its own
	index    int       // among its source's
}

func (h *held) cost() int { return len(h.name) + len(h.value) + heldOverhead }

// fair is how much more one source may have than another, in bytes, and still
// not be the first to lose something: that of the two which is further away is.
const fair = 4 << 10

// source is whoever had us hold something.
type source struct {
	name  string
	items []*held // a heap: the furthest first
	cost  int
	index int // in the hoarders; -1: not in it
}

type pendingPut struct {
	source string
	times  int
	full   bool // it was a good record, and there was no room
}

var _ datastore.Batching = (*heldStore)(nil)

func newHeldStore(limit int, now func() time.Time) *heldStore {
	return &heldStore{
		limit: limit, now: now,
		items: map[string]*held{}, sources: map[string]*source{}, pending: map[string]*pendingPut{},
	}
}

// place says whose the store is; it is empty yet, or has the same place.
func (s *heldStore) place(id peer.ID) { s.self = sha256.Sum256([]byte(id)) }

// expect says whose put of a record is about to come in; settle, that it has
// been dealt with, and whether there was no room for it. A put that nobody was
// expected to make is our own.
func (s *heldStore) expect(key, source string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[key]
	if p == nil {
		p = &pendingPut{}
		s.pending[key] = p
	}
	p.source = source
	p.times++
}

func (s *heldStore) settle(key string) (full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[key]
	if p == nil {
		return false
	}
	if p.times--; p.times == 0 {
		delete(s.pending, key)
	}
	return p.full
}

// Put is the datastore's; kad-dht has verified the record by now.
func (s *heldStore) Put(_ context.Context, key datastore.Key, value []byte) error {
	if len(value) > maxRequest {
		return fmt.Errorf("%d bytes, over %d", len(value), maxRequest)
	}
	h := s.read(key.String(), value)
	s.mu.Lock()
	defer s.mu.Unlock()
	from := ours
	p := s.pending[h.record]
	if p != nil {
		from = p.source
	} else if h.from != "" {
		from = h.from
	}
	err := s.insert(&h.held, from)
	if p != nil && err != nil {
		p.full = true
	}
	return err
}

// reading is a record as it is taken in.
type reading struct {
	held
	record string // the record's own key
	from   string // whose it says it is; "" if it doesn't say
}

// read finds out what the policy needs to know of a value. What is no record is
// about a provider, whose name ends the key.
func (s *heldStore) read(name string, value []byte) reading {
	r := reading{held: held{name: name, value: bytes.Clone(value)}, record: name}
	var rec recpb.Record
	if err := proto.Unmarshal(value, &rec); err == nil && len(rec.GetKey()) > 0 {
		r.record = string(rec.GetKey())
		if record, err := ipns.UnmarshalRecord(rec.GetValue()); err == nil {
			if eol, err := record.Validity(); err == nil {
				r.expires = eol
			}
		}
	} else {
		r.from = datastore.RawKey(name).BaseNamespace()
	}
	r.distance = sha256.Sum256([]byte(r.record))
	for i := range r.distance {
		r.distance[i] ^= s.self[i]
	}
	return r
}

// insert puts a record in, and others out if it must.
func (s *heldStore) insert(h *held, from string) error {
	if old := s.items[h.name]; old != nil {
		if from != ours && (old.source.name == ours || old.source.cost <= s.costOf(from)) {
			from = old.source.name
		}
		s.remove(old)
	}
	s.add(h, from)
	if s.cost > s.limit {
		s.makeRoom()
	}
	if s.items[h.name] != h {
		return errFull
	}
	s.note(h.name)
	return nil
}

func (s *heldStore) makeRoom() {
	if now := s.now(); now.Sub(s.collected).Abs() > collectEvery {
		s.collect(now)
	}
	for s.cost > s.limit {
		worst := s.sources[ours]
		if len(s.hoarders) > 0 && s.costOf(ours) <= s.limit/2 {
			worst = s.hoarders[0]
		}
		out := worst.items[0]
		s.remove(out)
		s.note(out.name)
	}
}

// collect drops what has expired.
func (s *heldStore) collect(now time.Time) {
	s.collected = now
	for _, h := range s.items {
		if h.expired(now) {
			s.remove(h)
			s.note(h.name)
		}
	}
}

func (h *held) expired(now time.Time) bool { return !h.expires.IsZero() && now.After(h.expires) }

func (s *heldStore) costOf(name string) int {
	if src := s.sources[name]; src != nil {
		return src.cost
	}
	return 0
}

func (s *heldStore) add(h *held, from string) {
	src := s.sources[from]
	if src == nil {
		src = &source{name: from, index: -1}
		s.sources[from] = src
	}
	h.source = src
	heap.Push((*furthest)(src), h)
	s.items[h.name] = h
	s.account(src, h, 1)
}

func (s *heldStore) remove(h *held) {
	delete(s.items, h.name)
	heap.Remove((*furthest)(h.source), h.index)
	s.account(h.source, h, -1)
}

func (s *heldStore) account(src *source, h *held, sign int) {
	src.cost += sign * h.cost()
	s.cost += sign * h.cost()
	s.bytes += sign * len(h.value)
	switch {
	case len(src.items) == 0:
		delete(s.sources, src.name)
		if src.index >= 0 {
			heap.Remove(&s.hoarders, src.index)
		}
	case src.name == ours:
	case src.index < 0:
		heap.Push(&s.hoarders, src)
	default:
		heap.Fix(&s.hoarders, src.index)
	}
}

func (s *heldStore) note(name string) {
	if s.changed != nil {
		s.changed[name] = true
	}
}

// size is how many records are held, and their bytes.
func (s *heldStore) size() (records, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items), s.bytes
}

// Get is the datastore's. What has expired is no longer there.
func (s *heldStore) Get(_ context.Context, key datastore.Key) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.items[key.String()]
	if h == nil || h.expired(s.now()) {
		return nil, datastore.ErrNotFound
	}
	return h.value, nil
}

// Has is the datastore's.
func (s *heldStore) Has(ctx context.Context, key datastore.Key) (bool, error) {
	_, err := s.Get(ctx, key)
	return err == nil, nil
}

// GetSize is the datastore's.
func (s *heldStore) GetSize(ctx context.Context, key datastore.Key) (int, error) {
	value, err := s.Get(ctx, key)
	if err != nil {
		return -1, err
	}
	return len(value), nil
}

// Delete is the datastore's.
func (s *heldStore) Delete(_ context.Context, key datastore.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.items[key.String()]; h != nil {
		s.remove(h)
		s.note(h.name)
	}
	return nil
}

// Query is the datastore's. kad-dht asks it to find what is over 48 hours old.
func (s *heldStore) Query(_ context.Context, q query.Query) (query.Results, error) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.items))
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *held) int { return cmp.Compare(a.name, b.name) })
	entries := make([]query.Entry, 0, len(all))
	for _, h := range all {
		e := query.Entry{Key: h.name, Size: len(h.value)}
		if !q.KeysOnly {
			e.Value = h.value
		}
		entries = append(entries, e)
	}
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

// Batch is the datastore's.
func (s *heldStore) Batch(context.Context) (datastore.Batch, error) {
	return datastore.NewBasicBatch(s), nil
}

// Sync is the datastore's. The journal is written on a clock of its own: what
// strangers put is not worth a disk's turn each.
func (s *heldStore) Sync(context.Context, datastore.Key) error { return nil }

// Close is the datastore's.
func (s *heldStore) Close() error { return nil }
