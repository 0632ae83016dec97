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

type cachedHolders struct {
	pointer pointer.Pointer
	peers   []peer.AddrInfo
}

// get returns the cached peers of a pointer.
func (m *holderCache) get(p pointer.Pointer) []peer.AddrInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[p]
	if e == nil {
		return nil
	}
	m.order.MoveToFront(e)
	return e.Value.(cachedHolders).peers
}

// put caches the first cachedPeers contacts for a pointer.
func (m *holderCache) put(p pointer.Pointer, contacts []*contact) {
	peers := make([]peer.AddrInfo, 0, min(len(contacts), cachedPeers))
	for _, c := range contacts[:min(len(contacts), cachedPeers)] {
		info := c.AddrInfo
		info.Addrs = info.Addrs[:min(len(info.Addrs), cachedAddrs)]
		peers = append(peers, info)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = map[pointer.Pointer]*list.Element{}
	}
	if e := m.entries[p]; e != nil {
		e.Value = cachedHolders{p, peers}
		m.order.MoveToFront(e)
		return
	}
	m.entries[p] = m.order.PushFront(cachedHolders{p, peers})
	if m.order.Len() > maxCached {
		last := m.order.Back()
		delete(m.entries, last.Value.(cachedHolders).pointer)
		m.order.Remove(last)
	}
}
