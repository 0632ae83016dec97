package kad

import (
	"container/list"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/pointer"
)

const (
	maxCached   = 512       // pointers
	cachedPeers = nearPeers // of each pointer
	cachedAddrs = 4         // of each peer
)

// holderCache stores the peers around each pointer's key at the last look-up,
// those with the best record first. The next look-up asks them immediately
// instead of finding them again. The cache is in memory only and evicts the
// least recently used pointers. It is safe for concurrent use.
//
// Cached peers are not trusted. Such a peer is asked in addition to others; its
// answer counts towards a level only after another peer of the new walk, which
// is not from the cache, has named it; and a peer that returned an older record
// or none is not cached. So an attacker that once controlled a neighbourhood
// does not keep control of the name.
type holderCache struct {
	mu      sync.Mutex
	entries map[pointer.Pointer]*list.Element
	order   list.List // of cachedHolders, most recently used first
}

// cachedHolders is an entry of the cache.
type cachedHolders struct {
	pointer pointer.Pointer
	peers   []peer.AddrInfo
}

// get returns the cached peers of a pointer.
func (c *holderCache) get(p pointer.Pointer) []peer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[p]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(cachedHolders).peers
}

// put caches the first cachedPeers contacts for a pointer.
func (c *holderCache) put(p pointer.Pointer, contacts []*contact) {
	peers := make([]peer.AddrInfo, 0, min(len(contacts), cachedPeers))
	for _, contact := range contacts[:min(len(contacts), cachedPeers)] {
		info := contact.AddrInfo
		info.Addrs = info.Addrs[:min(len(info.Addrs), cachedAddrs)]
		peers = append(peers, info)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[pointer.Pointer]*list.Element{}
	}
	if e := c.entries[p]; e != nil {
		e.Value = cachedHolders{p, peers}
		c.order.MoveToFront(e)
		return
	}
	c.entries[p] = c.order.PushFront(cachedHolders{p, peers})
	if c.order.Len() > maxCached {
		last := c.order.Back()
		delete(c.entries, last.Value.(cachedHolders).pointer)
		c.order.Remove(last)
	}
}
