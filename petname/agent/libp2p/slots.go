package libp2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	maxStreams       = 32 // that are served at a time
	maxPeerStreams   = 8  // of one peer
	maxSourceStreams = 16 // of one address group: see kad.SourceOf
)

// slots bounds the streams that are served at a time: in total, of one peer, and of
// one source, which is the group of its address. Of all streams, those that have not
// sent their request yet are reset first for a new one, and those of the source with
// the most streams before others. The zero value is ready. It is safe for concurrent
// use.
type slots struct {
	mu      sync.Mutex
	open    map[*slot]struct{}
	peers   map[peer.ID]int
	sources map[string]int
	opened  uint64 // streams so far
}

// slot is the place of one stream.
type slot struct {
	slots   *slots
	peer    peer.ID
	source  string
	number  uint64
	serving bool   // the request was read
	reset   func() // ends the stream
}

// acquire returns a place for a stream, or nil if there is none. It may reset another
// stream. reset must not call methods of slots.
func (s *slots) acquire(id peer.ID, source string, reset func()) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open, s.peers, s.sources = map[*slot]struct{}{}, map[peer.ID]int{}, map[string]int{}
	}
	if s.peers[id] >= maxPeerStreams || s.sources[source] >= maxSourceStreams {
		return nil
	}
	if len(s.open) >= maxStreams {
		replaced := s.replaceable(source)
		if replaced == nil {
			return nil
		}
		s.remove(replaced)
		replaced.reset()
	}
	s.opened++
	p := &slot{slots: s, peer: id, source: source, number: s.opened, reset: reset}
	s.open[p] = struct{}{}
	s.peers[id]++
	s.sources[source]++
	return p
}

// replaceable returns the stream that a new one of a source replaces; nil: none. The
// caller holds mu.
func (s *slots) replaceable(source string) *slot {
	var best *slot
	for p := range s.open {
		if p.serving && s.sources[p.source] <= s.sources[source]+1 {
			continue
		}
		if best == nil || s.replacedFirst(p, best) {
			best = p
		}
	}
	return best
}

// replacedFirst reports whether a is replaced before b. The caller holds mu.
func (s *slots) replacedFirst(a, b *slot) bool {
	switch na, nb := s.sources[a.source], s.sources[b.source]; {
	case a.serving != b.serving:
		return b.serving
	case na != nb:
		return na > nb
	}
	return a.number < b.number
}

// remove removes a stream, if it still has its place. The caller holds mu.
func (s *slots) remove(p *slot) {
	if _, open := s.open[p]; !open {
		return
	}
	delete(s.open, p)
	if s.peers[p.peer]--; s.peers[p.peer] == 0 {
		delete(s.peers, p.peer)
	}
	if s.sources[p.source]--; s.sources[p.source] == 0 {
		delete(s.sources, p.source)
	}
}

// serve notes that the request of the stream was read.
func (p *slot) serve() {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.serving = true
}

// release ends the use of the place.
func (p *slot) release() {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.slots.remove(p)
}
