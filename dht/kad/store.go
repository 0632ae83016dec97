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
	// maxHeld bounds the memory for stored records, in bytes. A record costs its
	// length and heldOverhead, so there are at most maxHeld/heldOverhead.
	maxHeld      = 32 << 20
	heldOverhead = 512

	// maxProviders bounds in the same way the provider records, which name the
	// peers that provide a content.
	maxProviders = 8 << 20

	dropEvery = time.Minute // at most
)

// ownSource is the source of records that this node stored itself.
const ownSource = ""

// errFull is returned when the store is full and the new record would be the
// first to be removed.
var errFull = errors.New("the store is full, and this record would be removed first")

// boundedStore is a datastore of bounded size for records of untrusted peers.
// It is safe for concurrent use.
//
// A full store first removes expired records. Then it removes records of the
// source that uses the most room, the one furthest from this node's ID first.
// So a flood removes records of its own source: a record whose source uses
// little room stays, however many keys an attacker generates that are nearer to
// the node. If a thousand sources have one record each, the records nearest to
// the node stay, which are those that the network looks up at this node.
// Records of the node itself are removed last, while they use at most half of
// the room.
//
// Sources are chosen so that many of them are costly; see [SourceOf]. A record
// that several sources have put counts against the source with the least room
// in use, so that an attacker cannot cause a record's removal by putting it
// again.
type boundedStore struct {
	self  [sha256.Size]byte
	limit int
	now   func() time.Time

	mu       sync.Mutex
	items    map[string]*heldRecord
	sources  map[string]*source
	costHeap costHeap // of all sources except ownSource
	cost     int
	bytes    int

	lastDrop time.Time              // when expired records were last removed
	pending  map[string]*pendingPut // puts that kad-dht is handling, by record key

	changedKeys map[string]bool // keys to write to the journal; nil: no journal
}

// heldRecord is one stored record.
type heldRecord struct {
	name      string // the datastore's key
	value     []byte // not modified after creation
	source    *source
	distance  [sha256.Size]byte
	expires   time.Time // zero: never
	heapIndex int       // in the items of its source
}

// cost returns the memory that the record counts for, in bytes.
func (h *heldRecord) cost() int { return len(h.name) + len(h.value) + heldOverhead }

// costTolerance is the difference in cost, in bytes, below which two sources
// may count as equal. Of equal sources, the one with the furthest record loses
// it.
const costTolerance = 4 << 10

// source is an origin of records, with the room that they use.
type source struct {
	name      string
	items     []*heldRecord // as a distanceHeap
	cost      int           // bytes
	heapIndex int           // in the store's costHeap; -1: not in it
}

// pendingPut is the puts of one record that kad-dht is handling.
type pendingPut struct {
	source string
	count  int
	full   bool // the record was valid, and there was no room
}

var _ datastore.Batching = (*boundedStore)(nil)

// newBoundedStore returns an empty store of at most limit bytes.
func newBoundedStore(limit int, now func() time.Time) *boundedStore {
	return &boundedStore{
		limit: limit, now: now,
		items: map[string]*heldRecord{}, sources: map[string]*source{}, pending: map[string]*pendingPut{},
	}
}

// setNode sets the node from which distances are measured. The store must be
// empty or have the same node.
func (s *boundedStore) setNode(id peer.ID) { s.self = sha256.Sum256([]byte(id)) }

// expectPut announces a put of a record by a source, which kad-dht is going to
// handle. A put that was not announced is the node's own.
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

// finishPut ends an announced put and reports whether there was no room for it.
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

// Put implements datastore.Write. kad-dht has verified the record.
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

// parsedValue is a value of the datastore with the properties that the eviction
// policy needs.
type parsedValue struct {
	heldRecord
	key      string // of the record
	provider string // of a provider record; else ""
}

// parseValue parses a value of the datastore. A value that is not a record is a
// provider record: its datastore key ends in the provider.
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

// insert adds a record, and evicts others if the store is full. It returns
// errFull if the new record was evicted.
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

// evict removes records until the store is within its limit.
func (s *boundedStore) evict() {
	if now := s.now(); now.Sub(s.lastDrop).Abs() > dropEvery {
		s.dropExpired(now)
	}
	for s.cost > s.limit {
		largest := s.sources[ownSource]
		if len(s.costHeap) > 0 && s.costOf(ownSource) <= s.limit/2 {
			largest = s.costHeap[0]
		}
		evicted := largest.items[0]
		s.remove(evicted)
		s.markChanged(evicted.name)
	}
}

// dropExpired removes expired records.
func (s *boundedStore) dropExpired(now time.Time) {
	s.lastDrop = now
	for _, h := range s.items {
		if h.expired(now) {
			s.remove(h)
			s.markChanged(h.name)
		}
	}
}

// expired reports whether the record has expired.
func (h *heldRecord) expired(now time.Time) bool { return !h.expires.IsZero() && now.After(h.expires) }

// costOf returns the memory that the records of a source count for.
func (s *boundedStore) costOf(name string) int {
	if src := s.sources[name]; src != nil {
		return src.cost
	}
	return 0
}

// add adds a record to a source.
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

// remove removes a record from its source.
func (s *boundedStore) remove(h *heldRecord) {
	delete(s.items, h.name)
	heap.Remove((*distanceHeap)(h.source), h.heapIndex)
	s.updateCost(h.source, h, -1)
}

// updateCost adds an item's cost (sign 1), or subtracts it (-1), after the item
// was added to or removed from its source.
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

// markChanged marks a key to be written to the journal.
func (s *boundedStore) markChanged(name string) {
	if s.changedKeys != nil {
		s.changedKeys[name] = true
	}
}

// size returns the number of records and the bytes of their values.
func (s *boundedStore) size() (records, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items), s.bytes
}

// Get implements datastore.Read. Expired records are not found.
func (s *boundedStore) Get(_ context.Context, key datastore.Key) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.items[key.String()]
	if h == nil || h.expired(s.now()) {
		return nil, datastore.ErrNotFound
	}
	return h.value, nil
}

// Has implements datastore.Read.
func (s *boundedStore) Has(ctx context.Context, key datastore.Key) (bool, error) {
	_, err := s.Get(ctx, key)
	return err == nil, nil
}

// GetSize implements datastore.Read.
func (s *boundedStore) GetSize(ctx context.Context, key datastore.Key) (int, error) {
	value, err := s.Get(ctx, key)
	if err != nil {
		return -1, err
	}
	return len(value), nil
}

// Delete implements datastore.Write.
func (s *boundedStore) Delete(_ context.Context, key datastore.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.items[key.String()]; h != nil {
		s.remove(h)
		s.markChanged(h.name)
	}
	return nil
}

// Query implements datastore.Read. kad-dht uses it to find records older than
// 48 hours.
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

// Batch implements datastore.Batching.
func (s *boundedStore) Batch(context.Context) (datastore.Batch, error) {
	return datastore.NewBasicBatch(s), nil
}

// Sync implements datastore.Datastore. It does nothing: the journal is flushed
// periodically, since a disk write for each record of a peer would be too slow.
func (s *boundedStore) Sync(context.Context, datastore.Key) error { return nil }

// Close implements datastore.Datastore. It does nothing.
func (s *boundedStore) Close() error { return nil }
