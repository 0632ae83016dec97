package kad

import (
	"container/list"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/pointer"
)

const (
	maxCached   = 512       // pointers
	cachedPeers = nearPeers // of each
	cachedAddrs = 4         // of each peer
)

// memory is who stood about a pointer's key when it was last looked up, those
// that held the best record first: the next look-up asks them at once instead
// of finding them again. It is in memory only, and the pointers that were used
// last are kept.
//
// What it says is never believed. A peer of it is one more to ask, its answer
// counts towards a level once somebody in the new walk, not from memory, has
// named it too, and whoever held an older record or none is not remembered: so
// one who owned a neighbourhood once has no lasting hold on the name.
type holderCache struct {
	mu      sync.Mutex
	entries map[pointer.Pointer]*list.Element
	order   list.List // of remembered; the one used last in front
}

type cachedHolders struct {
	pointer pointer.Pointer
	peers   []peer.AddrInfo
}

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
