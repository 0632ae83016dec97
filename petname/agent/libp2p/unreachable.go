package libp2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// unreachablePeers is the set of peers that could not be reached in the last
// unreachableTime, so that not every message to such a peer waits for it. The zero
// value is ready. It uses the clock of the machine.
type unreachablePeers struct {
	mu    sync.Mutex
	until map[peer.ID]time.Time
}

// maxUnreachable bounds the set. A full set is cleared.
const maxUnreachable = 1024

func (u *unreachablePeers) contains(id peer.ID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now().Round(0)
	until := u.until[id]
	return now.Before(until) && until.Sub(now) <= unreachableTime // the clock may have been set back
}

func (u *unreachablePeers) add(id peer.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now().Round(0)
	if u.until == nil || len(u.until) >= maxUnreachable {
		u.until = make(map[peer.ID]time.Time)
	}
	u.until[id] = now.Add(unreachableTime)
}
