package kad

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/dht/share"
)

const (
	// maxInbound bounds the connections that peers opened to the host of a server. It is below
	// the limit of the host, see resources, at which the host refuses new ones; the connection
	// manager closes none in its first minute.
	maxInbound = 256

	maxPeerInbound = 8
)

// inbound has the connections that peers opened, so that those that do nothing exclude no peer: one
// above the bound replaces another one, see package share. It is safe for concurrent use.
type inbound struct {
	slots *share.Slots

	mu      sync.Mutex
	open    map[network.Conn]*share.Slot
	sources map[peer.ID]string // of the connected peers
}

func newInbound(most int) *inbound {
	return &inbound{slots: share.New(most, maxPeerInbound, most), open: map[network.Conn]*share.Slot{}, sources: map[peer.ID]string{}}
}

// notifiee returns what a network notifies of connections.
func (b *inbound) notifiee() network.Notifiee {
	return &network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { b.connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { b.disconnected(c) },
	}
}

// sourceOf returns the group of addresses of a peer that is connected, and else its ID.
func (b *inbound) sourceOf(p peer.ID) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if source, ok := b.sources[p]; ok {
		return source
	}
	return string(p)
}

func (b *inbound) connected(c network.Conn) {
	b.mu.Lock()
	b.sources[c.RemotePeer()] = SourceOf(c.RemotePeer(), c.RemoteMultiaddr())
	b.mu.Unlock()
	if c.Stat().Direction != network.DirInbound {
		return
	}
	end := func() { go c.Close() } // it waits for its streams
	p := c.RemotePeer()
	slot := b.slots.Acquire(end, string(p), SourceOf(p, c.RemoteMultiaddr()))
	if slot == nil {
		end()
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[c] = slot
}

func (b *inbound) disconnected(c network.Conn) {
	b.mu.Lock()
	slot := b.open[c]
	delete(b.open, c)
	delete(b.sources, c.RemotePeer()) // of a further connection, the streams count as those of the peer alone
	b.mu.Unlock()
	if slot != nil {
		slot.Release()
	}
}
