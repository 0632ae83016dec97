package direct

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Resting remembers who could not be reached a moment ago, so that what is sent
// to somebody who is away doesn't wait for them each time. The zero value is
// ready; its clock is the machine's.
type Resting struct {
	mu    sync.Mutex
	until map[peer.ID]time.Time
}

// maxResting bounds what is remembered.
const maxResting = 1024

func (r *Resting) rests(id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.until[id])
}

func (r *Resting) rest(id peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.until == nil || len(r.until) >= maxResting {
		r.until = make(map[peer.ID]time.Time)
	}
	r.until[id] = now.Add(restTime)
}
