package delegated

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

const (
	maxShelved      = 8192
	maxShelvedBytes = 8 << 20 // of records as they are on the wire
)

// shelf keeps verified records within a bound. When it is full, the client on
// whose account most of it is loses what it brought first: who floods it
// displaces its own.
type shelf struct {
	mu     sync.Mutex
	byName map[pointer.Pointer]*list.Element // of *shelved
	owners map[netip.Prefix]*owner
	bytes  int
}

type shelved struct {
	record    pointer.Record
	confirmed time.Time // when the network, or the publisher, last said that it is the newest
	by        netip.Prefix
}

type owner struct {
	records list.List // of *shelved, the latest in front
	bytes   int
}

// get gives what is there, if it is within its life, and whether it is fresh:
// within its TTL too.
func (s *shelf) get(p pointer.Pointer, now time.Time) (record pointer.Record, ok, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byName[p]
	if !ok {
		return pointer.Record{}, false, false
	}
	k := e.Value.(*shelved)
	if now.After(k.record.Expires()) {
		s.drop(e)
		return pointer.Record{}, false, false
	}
	// A confirmation in the future is a clock that jumped: it says nothing.
	return k.record, true, !k.confirmed.After(now) && now.Sub(k.confirmed) < k.record.TTL()
}

// put keeps a record unless a newer one is there, and gives what is there then.
func (s *shelf) put(record pointer.Record, now time.Time, by netip.Prefix) pointer.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.byName[record.Pointer()]; ok {
		k := e.Value.(*shelved)
		switch order := k.record.Compare(record); {
		case order > 0:
			return k.record
		case order == 0:
			k.confirmed = now
			return k.record
		}
		s.drop(e)
	}
	o := s.owners[by]
	if o == nil {
		o = &owner{}
		if s.owners == nil {
			s.byName, s.owners = map[pointer.Pointer]*list.Element{}, map[netip.Prefix]*owner{}
		}
		s.owners[by] = o
	}
	size := len(record.Bytes())
	s.byName[record.Pointer()] = o.records.PushFront(&shelved{record, now, by})
	o.bytes += size
	s.bytes += size
	for len(s.byName) > maxShelved || s.bytes > maxShelvedBytes {
		s.evict()
	}
	return record
}

func (s *shelf) evict() {
	var most *owner
	for _, o := range s.owners {
		if most == nil || o.bytes > most.bytes {
			most = o
		}
	}
	s.drop(most.records.Back())
}

func (s *shelf) drop(e *list.Element) {
	k := e.Value.(*shelved)
	o, size := s.owners[k.by], len(k.record.Bytes())
	delete(s.byName, k.record.Pointer())
	o.records.Remove(e)
	o.bytes -= size
	s.bytes -= size
	if o.records.Len() == 0 {
		delete(s.owners, k.by)
	}
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byName)
}
