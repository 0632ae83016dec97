package delegated

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
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
	byPointer map[pointer.Pointer]*list.Element // of *cachedRecord
	accounts  map[netip.Prefix]*account
	bytes     int
}

// cachedRecord is a record with the client that it counts for.
type cachedRecord struct {
	record    pointer.Record
	confirmed time.Time // when the network or a put last confirmed that it is the newest
	client    netip.Prefix
}

// account is the records in the cache that count for one client.
type account struct {
	records list.List // of *cachedRecord, the latest in front
	bytes   int
}

// get returns the record of p unless it has expired. fresh reports whether it is
// within its [dht.MaxAge].
func (c *recordCache) get(p pointer.Pointer, now time.Time) (record pointer.Record, ok, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byPointer[p]
	if !ok {
		return pointer.Record{}, false, false
	}
	cached := e.Value.(*cachedRecord)
	if now.After(cached.record.Expires()) {
		c.remove(e)
		return pointer.Record{}, false, false
	}
	// A confirmation in the future is invalid: the clock was set back.
	return cached.record, true, !cached.confirmed.After(now) && now.Sub(cached.confirmed) < dht.MaxAge(cached.record)
}

// put stores a record unless there is a newer one, and returns the stored one.
func (c *recordCache) put(record pointer.Record, now time.Time, by netip.Prefix) pointer.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byPointer[record.Pointer()]; ok {
		cached := e.Value.(*cachedRecord)
		switch order := cached.record.Compare(record); {
		case order > 0:
			return cached.record
		case order == 0:
			cached.confirmed = now
			return cached.record
		}
		c.remove(e)
	}
	a := c.accounts[by]
	if a == nil {
		a = &account{}
		if c.accounts == nil {
			c.byPointer, c.accounts = map[pointer.Pointer]*list.Element{}, map[netip.Prefix]*account{}
		}
		c.accounts[by] = a
	}
	size := len(record.Bytes())
	c.byPointer[record.Pointer()] = a.records.PushFront(&cachedRecord{record, now, by})
	a.bytes += size
	c.bytes += size
	for len(c.byPointer) > maxCached || c.bytes > maxCachedBytes {
		c.evict()
	}
	return record
}

// evict removes the oldest record of the client with the most bytes.
func (c *recordCache) evict() {
	var largest *account
	for _, a := range c.accounts {
		if largest == nil || a.bytes > largest.bytes {
			largest = a
		}
	}
	c.remove(largest.records.Back())
}

// remove removes a record from the cache and from the account of its client.
func (c *recordCache) remove(e *list.Element) {
	cached := e.Value.(*cachedRecord)
	a, size := c.accounts[cached.client], len(cached.record.Bytes())
	delete(c.byPointer, cached.record.Pointer())
	a.records.Remove(e)
	a.bytes -= size
	c.bytes -= size
	if a.records.Len() == 0 {
		delete(c.accounts, cached.client)
	}
}

// len returns the number of records in the cache.
func (c *recordCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byPointer)
}
