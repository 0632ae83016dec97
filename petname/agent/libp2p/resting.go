package libp2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// resting is the peers that could not be reached a moment ago: so that what is
// sent to a peer which is away doesn't wait for it each time. The zero value is
// ready; its clock is the machine's.
type resting struct {
	mu    sync.Mutex
	until map[peer.ID]time.Time
}

// maxResting bounds what is remembered.
const maxResting = 1024

func (r *resting) rests(id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now().Round(0)
	until := r.until[id]
	return now.Before(until) && until.Sub(now) <= restTime // the clock may have been set back
}

func (r *resting) rest(id peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now().Round(0)
	if r.until == nil || len(r.until) >= maxResting {
		r.until = make(map[peer.ID]time.Time)
	}
	r.until[id] = now.Add(restTime)
}
