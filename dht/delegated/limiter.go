package delegated

import (
	"container/list"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients bounds the table of clients. Beyond it, who was silent the longest
// is forgotten, and its debt with it: many addresses are many clients.
const maxClients = 4096

// client is whom requests are counted by: an address, or in IPv6 a /64, which
// is what one household gets.
func clientOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{} // all that can't be told apart are one
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// limiter has a token bucket and a count of long requests for each client.
type limiter struct {
	mu      sync.Mutex
	buckets map[netip.Prefix]*list.Element
	recent  list.List // of *bucket, the latest in front
}

type bucket struct {
	client netip.Prefix
	tokens *rate.Limiter // nil: none was taken yet
	active int           // requests that the network is asked for
}

// take takes a token, and otherwise returns the time until there is one. Buckets
// hold burst tokens, at least 1, and gain perSecond.
func (l *limiter) allow(client netip.Prefix, now time.Time, perSecond, burst float64) (ok bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(client)
	if b.tokens == nil {
		b.tokens = rate.NewLimiter(rate.Limit(perSecond), int(min(burst, math.MaxInt32)))
	}
	// Unlike AllowN, a cancelled reservation notes the time when the clock went
	// back: the tokens stay, and more are gained from now on.
	token := b.tokens.ReserveN(now, 1)
	if wait := token.DelayFrom(now); wait > 0 {
		token.CancelAt(now)
		return false, wait
	}
	return true, 0
}

// begin counts a long request in, unless the client has most under way.
func (l *limiter) acquire(client netip.Prefix, limit int) (release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(client)
	if b.active >= limit {
		return nil, false
	}
	b.active++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		b.active--
	}, true
}

func (l *limiter) bucket(client netip.Prefix) *bucket {
	if e, ok := l.buckets[client]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if l.buckets == nil {
		l.buckets = map[netip.Prefix]*list.Element{}
	}
	if len(l.buckets) >= maxClients {
		oldest := l.recent.Back()
		delete(l.buckets, oldest.Value.(*bucket).client)
		l.recent.Remove(oldest)
	}
	b := &bucket{client: client}
	l.buckets[client] = l.recent.PushFront(b)
	return b
}
