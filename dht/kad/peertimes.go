package kad

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	busapi "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	maxPeerTimes   = 64 // peers
	someIdentified = 3  // peers that PeerTimes waits for
)

// earliestPeerTime is before the first of these records: what is earlier is not in
// nanoseconds since 1970.
var earliestPeerTime = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// PeerTimes returns when peers signed their current addresses, by their own clocks: in
// general when they started, so the time is now no earlier. The source is the signed peer
// record of the identify protocol, whose sequence go-libp2p takes from the clock, in
// nanoseconds since 1970. Only peers that this node dialled count, and of these the last 64;
// other sequences and peers without a record are left out. A peer can claim any time.
//
// PeerTimes waits until three of the connected peers have sent their record, or all if they
// are fewer, or until ctx ends.
func (n *Node) PeerTimes(ctx context.Context) []time.Time {
	for {
		times, identified, changed := n.peerTimes.current()
		dialled := 0
		for _, p := range n.host.Network().Peers() {
			if isDialled(n.host.Network().ConnsToPeer(p)) {
				dialled++
			}
		}
		if identified >= min(dialled, someIdentified) {
			return times
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return times
		}
	}
}

// peerTimes has the times that peers signed. The zero value is not usable.
type peerTimes struct {
	mu      sync.Mutex
	ids     []peer.ID             // oldest first
	signed  map[peer.ID]time.Time // zero: no time
	changed chan struct{}         // closed at the next change
	stop    func() error
}

func newPeerTimes() *peerTimes {
	return &peerTimes{signed: map[peer.ID]time.Time{}, changed: make(chan struct{}), stop: func() error { return nil }}
}

// watch follows the identifications of a host, until stop.
func (t *peerTimes) watch(h host.Host) error {
	sub, err := h.EventBus().Subscribe([]any{new(busapi.EvtPeerIdentificationCompleted), new(busapi.EvtPeerIdentificationFailed)})
	if err != nil {
		return err
	}
	t.stop = sub.Close
	go func() {
		for e := range sub.Out() {
			t.handle(e, h.Network().ConnsToPeer)
		}
	}()
	return nil
}

// handle handles the end of an identification; conns returns the connections of a peer.
// Peers that dialled this node could be any number, so they do not count.
func (t *peerTimes) handle(e any, conns func(peer.ID) []network.Conn) {
	switch e := e.(type) {
	case busapi.EvtPeerIdentificationCompleted:
		if isDialled(conns(e.Peer)) {
			t.set(e.Peer, signedTime(e))
		}
	case busapi.EvtPeerIdentificationFailed:
		if isDialled(conns(e.Peer)) {
			t.set(e.Peer, time.Time{})
		}
	}
}

// isDialled reports whether this node made one of the connections.
func isDialled(conns []network.Conn) bool {
	return slices.ContainsFunc(conns, func(c network.Conn) bool { return c.Stat().Direction == network.DirOutbound })
}

// signedTime returns the time in the signed record of a peer, which identify has verified;
// zero if there is none.
func signedTime(e busapi.EvtPeerIdentificationCompleted) time.Time {
	if e.SignedPeerRecord == nil {
		return time.Time{}
	}
	r, err := e.SignedPeerRecord.Record()
	if err != nil {
		return time.Time{}
	}
	record, ok := r.(*peer.PeerRecord)
	if !ok || record.Seq > math.MaxInt64 {
		return time.Time{}
	}
	at := time.Unix(0, int64(record.Seq))
	if at.Before(earliestPeerTime) {
		return time.Time{}
	}
	return at
}

func (t *peerTimes) set(p peer.ID, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.signed[p]; !known {
		if t.ids = append(t.ids, p); len(t.ids) > maxPeerTimes {
			delete(t.signed, t.ids[0])
			t.ids = t.ids[1:]
		}
	}
	t.signed[p] = at
	close(t.changed)
	t.changed = make(chan struct{})
}

// current returns the times, the number of peers that were identified, and a channel that is
// closed when either changes.
func (t *peerTimes) current() (times []time.Time, identified int, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.ids {
		if at := t.signed[p]; !at.IsZero() {
			times = append(times, at)
		}
	}
	return times, len(t.ids), t.changed
}
