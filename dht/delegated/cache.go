package delegated

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

const (
	maxCached      = 8192
	maxCachedBytes = 8 << 20 // of encoded records
)

// recordCache is a bounded cache of verified records. When it is full, it removes
// the oldest record of the client that has the most bytes in it, so a client that
// floods it evicts its own records.
type recordCache struct {
	mu        sync.Mutex
	byPointer map[pointer.Pointer]*list.Element // of *shelved
	accounts  map[netip.Prefix]*account
	bytes     int
}

type cachedRecord struct {
	record    pointer.Record
	confirmed time.Time // when the network or a put last confirmed that it is the newest
	client    netip.Prefix
}

type account struct {
	records list.List // of *shelved, the latest in front
	bytes   int
}

// get returns the record of p unless it has expired. fresh reports whether it is
// within its TTL.
func (s *recordCache) get(p pointer.Pointer, now time.Time) (record pointer.Record, ok, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byPointer[p]
	if !ok {
		return pointer.Record{}, false, false
	}
	k := e.Value.(*cachedRecord)
	if now.After(k.record.Expires()) {
		s.remove(e)
		return pointer.Record{}, false, false
	}
	// A confirmation in the future is invalid: the clock was set back.
	return k.record, true, !k.confirmed.After(now) && now.Sub(k.confirmed) < k.record.TTL()
}

// put stores a record unless there is a newer one, and returns the stored one.
func (s *recordCache) put(record pointer.Record, now time.Time, by netip.Prefix) pointer.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.byPointer[record.Pointer()]; ok {
		k := e.Value.(*cachedRecord)
		switch order := k.record.Compare(record); {
		case order > 0:
			return k.record
		case order == 0:
			k.confirmed = now
			return k.record
		}
		s.remove(e)
	}
	o := s.accounts[by]
	if o == nil {
		o = &account{}
		if s.accounts == nil {
			s.byPointer, s.accounts = map[pointer.Pointer]*list.Element{}, map[netip.Prefix]*account{}
		}
		s.accounts[by] = o
	}
	size := len(record.Bytes())
	s.byPointer[record.Pointer()] = o.records.PushFront(&cachedRecord{record, now, by})
	o.bytes += size
	s.bytes += size
	for len(s.byPointer) > maxCached || s.bytes > maxCachedBytes {
		s.evict()
	}
	return record
}

func (s *recordCache) evict() {
	var most *account
	for _, o := range s.accounts {
		if most == nil || o.bytes > most.bytes {
			most = o
		}
	}
	s.remove(most.records.Back())
}

func (s *recordCache) remove(e *list.Element) {
	k := e.Value.(*cachedRecord)
	o, size := s.accounts[k.client], len(k.record.Bytes())
	delete(s.byPointer, k.record.Pointer())
	o.records.Remove(e)
	o.bytes -= size
	s.bytes -= size
	if o.records.Len() == 0 {
		delete(s.accounts, k.client)
	}
}

func (s *recordCache) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byPointer)
}
