package kad

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Bounds of the streams that peers have opened, and of which the protocol is not negotiated yet: of
// one peer, and of one group of addresses. Without them the streams of one peer that name no
// protocol would use up those of the host.
const (
	maxPeerTransient   = 32
	maxSourceTransient = 128
)

// transients is a resource manager that also bounds the streams of which the protocol is not
// negotiated yet.
type transients struct {
	network.ResourceManager
	source func(peer.ID) string // the group of addresses of a peer

	mu       sync.Mutex
	byPeer   map[peer.ID]int
	bySource map[string]int
}

func newTransients(r network.ResourceManager, source func(peer.ID) string) *transients {
	return &transients{ResourceManager: r, source: source, byPeer: map[peer.ID]int{}, bySource: map[string]int{}}
}

// OpenStream implements [network.ResourceManager].
func (t *transients) OpenStream(p peer.ID, dir network.Direction) (network.StreamManagementScope, error) {
	if dir != network.DirInbound {
		return t.ResourceManager.OpenStream(p, dir)
	}
	source := t.source(p)
	if !t.add(p, source) {
		return nil, network.ErrResourceLimitExceeded
	}
	scope, err := t.ResourceManager.OpenStream(p, dir)
	if err != nil {
		t.remove(p, source)
		return nil, err
	}
	return &transient{StreamManagementScope: scope, negotiated: sync.OnceFunc(func() { t.remove(p, source) })}, nil
}

func (t *transients) add(p peer.ID, source string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPeer[p] >= maxPeerTransient || t.bySource[source] >= maxSourceTransient {
		return false
	}
	t.byPeer[p]++
	t.bySource[source]++
	return true
}

func (t *transients) remove(p peer.ID, source string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPeer[p]--; t.byPeer[p] == 0 {
		delete(t.byPeer, p)
	}
	if t.bySource[source]--; t.bySource[source] == 0 {
		delete(t.bySource, source)
	}
}

// transient is the scope of a stream.
type transient struct {
	network.StreamManagementScope
	negotiated func()
}

// SetProtocol implements [network.StreamManagementScope].
func (s *transient) SetProtocol(id protocol.ID) error {
	err := s.StreamManagementScope.SetProtocol(id)
	if err == nil {
		s.negotiated()
	}
	return err
}

// Done implements [network.ResourceScopeSpan].
func (s *transient) Done() {
	s.negotiated()
	s.StreamManagementScope.Done()
}
