package delegated

import (
	"container/list"
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients bounds the table of clients. Over it, the client that sent no request
// for the longest time is removed.
const maxClients = 4096

// clientOf returns the client that a request counts for: its address, or the /64
// of an IPv6 address, which is what one household has.
func clientOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{} // all unknown addresses are one client
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
	active  int       // long requests of all clients
}

// bucket is the use that one client makes of the server.
type bucket struct {
	client netip.Prefix
	tokens *rate.Limiter // nil: unused
	active int           // active requests to the network
}

// allow uses a token of the client. If there is none, it returns false and the
// time until there is one. A bucket holds burst tokens and gains perSecond tokens a
// second. burst must be at least 1: a smaller bucket never has a whole token.
func (l *limiter) allow(client netip.Prefix, now time.Time, perSecond, burst float64) (ok bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(client)
	if b.tokens == nil {
		b.tokens = rate.NewLimiter(rate.Limit(perSecond), int(min(burst, math.MaxInt32)))
	}
	// Unlike AllowN, a cancelled reservation sets the time of the bucket when the
	// clock was set back: the tokens stay, and more are gained from now on.
	token := b.tokens.ReserveN(now, 1)
	if wait := token.DelayFrom(now); wait > 0 {
		token.CancelAt(now)
		return false, wait
	}
	return true, 0
}

var (
	errClientBusy = errors.New("too many active requests of the client")
	errAllBusy    = errors.New("too many active requests")
)

// acquire counts a long request, until release is called. It returns errAllBusy
// if there are maxActive of them, and errClientBusy if the client has as many as
// it may: maxActivePerClient, and fewer while others have many. So a few clients
// cannot occupy all.
func (l *limiter) acquire(client netip.Prefix) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(client)
	left := maxActive - l.active
	switch {
	case left <= 0:
		return nil, errAllBusy
	case b.active >= max(1, (left+b.active)*maxActivePerClient/maxActive):
		return nil, errClientBusy
	}
	b.active++
	l.active++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		b.active--
		l.active--
	}, nil
}

// bucket returns the bucket of a client. The caller holds l.mu.
func (l *limiter) bucket(client netip.Prefix) *bucket {
	if e, ok := l.buckets[client]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if l.buckets == nil {
		l.buckets = map[netip.Prefix]*list.Element{}
	}
	if len(l.buckets) >= maxClients {
		// A removed client begins again with all tokens and no active requests. To use
		// this, an attacker needs maxClients other clients, whose own buckets allow more;
		// limiter.active bounds the requests of all.
		oldest := l.recent.Back()
		delete(l.buckets, oldest.Value.(*bucket).client)
		l.recent.Remove(oldest)
	}
	b := &bucket{client: client}
	l.buckets[client] = l.recent.PushFront(b)
	return b
}
