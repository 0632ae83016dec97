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

	dropEvery = time.Minute // at most
)

// ours is the source of what this node stored itself, not a stranger.
const ownSource = ""

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
type boundedStore struct {
	self  [sha256.Size]byte
	limit int
	now   func() time.Time

	mu       sync.Mutex
	items    map[string]*heldRecord
	sources  map[string]*source
	costHeap costHeap // of all sources but ours: who holds the most first
	cost     int
	bytes    int

	lastDrop time.Time              // when what has expired was last dropped
	pending  map[string]*pendingPut // by record key: whose put is being handled

	changedKeys map[string]bool // keys that the journal has yet to write; nil: no journal
}

// held is one record.
type heldRecord struct {
	name      string // the datastore's key
	value     []byte // never changed
	source    *source
	distance  [sha256.Size]byte
	expires   time.Time // zero: at no time of its own
	heapIndex int       // among its source's
}

func (h *heldRecord) cost() int { return len(h.name) + len(h.value) + heldOverhead }

// fair is how much more one source may have than another, in bytes, and still
// not be the first to lose something: that of the two which is further away is.
const costTolerance = 4 << 10

// source is whoever had us hold something.
type source struct {
	name      string
	items     []*heldRecord // a heap: the furthest first
	cost      int
	heapIndex int // in the hoarders; -1: not in it
}

type pendingPut struct {
	source string
	count  int
	full   bool // it was a good record, and there was no room
}

var _ datastore.Batching = (*boundedStore)(nil)

func newBoundedStore(limit int, now func() time.Time) *boundedStore {
	return &boundedStore{
		limit: limit, now: now,
		items: map[string]*heldRecord{}, sources: map[string]*source{}, pending: map[string]*pendingPut{},
	}
}

// place says whose the store is; it is empty yet, or has the same place.
func (s *boundedStore) setNode(id peer.ID) { s.self = sha256.Sum256([]byte(id)) }

// expect says whose put of a record is about to come in; settle, that it has
// been dealt with, and whether there was no room for it. A put that nobody was
// expected to make is our own.
func (s *boundedStore) expectPut(key, source string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[key]
	if p == nil {
		p = &pendingPut{}
		s.pending[key] = p
	}
	p.source = source
	p.count++
}

func (s *boundedStore) finishPut(key string) (full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[key]
	if p == nil {
		return false
	}
	if p.count--; p.count == 0 {
		delete(s.pending, key)
	}
	return p.full
}

// Put is the datastore's; kad-dht has verified the record by now.
func (s *boundedStore) Put(_ context.Context, key datastore.Key, value []byte) error {
	if len(value) > maxRequest {
		return fmt.Errorf("%d bytes, over %d", len(value), maxRequest)
	}
	h := s.parseValue(key.String(), value)
	s.mu.Lock()
	defer s.mu.Unlock()
	from := ownSource
	p := s.pending[h.key]
	if p != nil {
		from = p.source
	} else if h.provider != "" {
		from = h.provider
	}
	err := s.insert(&h.heldRecord, from)
	if p != nil && err != nil {
		p.full = true
	}
	return err
}

// reading is a record as it is taken in.
type parsedValue struct {
	heldRecord
	key      string // the record's own key
	provider string // whose it says it is; "" if it doesn't say
}

// read finds out what the policy needs to know of a value. What is no record is
// about a provider, whose name ends the key.
func (s *boundedStore) parseValue(name string, value []byte) parsedValue {
	r := parsedValue{heldRecord: heldRecord{name: name, value: bytes.Clone(value)}, key: name}
	var rec recpb.Record
	if err := proto.Unmarshal(value, &rec); err == nil && len(rec.GetKey()) > 0 {
		r.key = string(rec.GetKey())
		if record, err := ipns.UnmarshalRecord(rec.GetValue()); err == nil {
			if eol, err := record.Validity(); err == nil {
				r.expires = eol
			}
		}
	} else {
		r.provider = datastore.RawKey(name).BaseNamespace()
	}
	r.distance = sha256.Sum256([]byte(r.key))
	for i := range r.distance {
		r.distance[i] ^= s.self[i]
	}
	return r
}

// insert puts a record in, and others out if it must.
func (s *boundedStore) insert(h *heldRecord, from string) error {
	if old := s.items[h.name]; old != nil {
		if from != ownSource && (old.source.name == ownSource || old.source.cost <= s.costOf(from)) {
			from = old.source.name
		}
		s.remove(old)
	}
	s.add(h, from)
	if s.cost > s.limit {
		s.evict()
	}
	if s.items[h.name] != h {
		return errFull
	}
	s.markChanged(h.name)
	return nil
}

func (s *boundedStore) evict() {
	if now := s.now(); now.Sub(s.lastDrop).Abs() > dropEvery {
		s.dropExpired(now)
	}
	for s.cost > s.limit {
		worst := s.sources[ownSource]
		if len(s.costHeap) > 0 && s.costOf(ownSource) <= s.limit/2 {
			worst = s.costHeap[0]
		}
		out := worst.items[0]
		s.remove(out)
		s.markChanged(out.name)
	}
}

// collect drops what has expired.
func (s *boundedStore) dropExpired(now time.Time) {
	s.lastDrop = now
	for _, h := range s.items {
		if h.expired(now) {
			s.remove(h)
			s.markChanged(h.name)
		}
	}
}

func (h *heldRecord) expired(now time.Time) bool { return !h.expires.IsZero() && now.After(h.expires) }

func (s *boundedStore) costOf(name string) int {
	if src := s.sources[name]; src != nil {
		return src.cost
	}
	return 0
}

func (s *boundedStore) add(h *heldRecord, from string) {
	src := s.sources[from]
	if src == nil {
		src = &source{name: from, heapIndex: -1}
		s.sources[from] = src
	}
	h.source = src
	heap.Push((*distanceHeap)(src), h)
	s.items[h.name] = h
	s.updateCost(src, h, 1)
}

func (s *boundedStore) remove(h *heldRecord) {
	delete(s.items, h.name)
	heap.Remove((*distanceHeap)(h.source), h.heapIndex)
	s.updateCost(h.source, h, -1)
}

func (s *boundedStore) updateCost(src *source, h *heldRecord, sign int) {
	src.cost += sign * h.cost()
	s.cost += sign * h.cost()
	s.bytes += sign * len(h.value)
	switch {
	case len(src.items) == 0:
		delete(s.sources, src.name)
		if src.heapIndex >= 0 {
			heap.Remove(&s.costHeap, src.heapIndex)
		}
	case src.name == ownSource:
	case src.heapIndex < 0:
		heap.Push(&s.costHeap, src)
	default:
		heap.Fix(&s.costHeap, src.heapIndex)
	}
}

func (s *boundedStore) markChanged(name string) {
	if s.changedKeys != nil {
		s.changedKeys[name] = true
	}
}

// size is how many records are held, and their bytes.
func (s *boundedStore) size() (records, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items), s.bytes
}

// Get is the datastore's. What has expired is no longer there.
func (s *boundedStore) Get(_ context.Context, key datastore.Key) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.items[key.String()]
	if h == nil || h.expired(s.now()) {
		return nil, datastore.ErrNotFound
	}
	return h.value, nil
}

// Has is the datastore's.
func (s *boundedStore) Has(ctx context.Context, key datastore.Key) (bool, error) {
	_, err := s.Get(ctx, key)
	return err == nil, nil
}

// GetSize is the datastore's.
func (s *boundedStore) GetSize(ctx context.Context, key datastore.Key) (int, error) {
	value, err := s.Get(ctx, key)
	if err != nil {
		return -1, err
	}
	return len(value), nil
}

// Delete is the datastore's.
func (s *boundedStore) Delete(_ context.Context, key datastore.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.items[key.String()]; h != nil {
		s.remove(h)
		s.markChanged(h.name)
	}
	return nil
}

// Query is the datastore's. kad-dht asks it to find what is over 48 hours old.
func (s *boundedStore) Query(_ context.Context, q query.Query) (query.Results, error) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.items))
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *heldRecord) int { return cmp.Compare(a.name, b.name) })
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
func (s *boundedStore) Batch(context.Context) (datastore.Batch, error) {
	return datastore.NewBasicBatch(s), nil
}

// Sync is the datastore's. The journal is written on a clock of its own: what
// strangers put is not worth a disk's turn each.
func (s *boundedStore) Sync(context.Context, datastore.Key) error { return nil }

// Close is the datastore's.
func (s *boundedStore) Close() error { return nil }
