package kad

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// limits bounds what peers can use of a server.
type limits struct {
	requests tokenRate // of one peer
	stores   tokenRate // of one peer; an address group has groupFactor times as many
	strikes  tokenRate // abuse that is tolerated, by weight

	streams     int           // at one time
	peerStreams int           // of one peer at one time
	ioTimeout   time.Duration // for reading one request, and for writing its answer
	firstCutOff time.Duration // doubled each further time, up to maxCutOff
}

// defaultLimits are far above the needs of an honest peer: a walk asks a peer
// once or twice, and a node that republishes 10,000 records in a network of 30
// peers sends each peer 7,000 of them a day. Requests above the rate are
// refused, and a peer that continues to send them is cut off.
var defaultLimits = limits{
	requests:    tokenRate{4096, 256},
	stores:      tokenRate{1024, 8},
	strikes:     tokenRate{256, 1},
	streams:     512,
	peerStreams: 64,
	ioTimeout:   10 * time.Second,
	firstCutOff: 10 * time.Minute,
}

const (
	// maxRequest bounds a request, in bytes. It fits a record of 10 KiB, or a
	// provider's addresses, with their framing. kad-dht itself would allocate up to
	// 4 MiB for the length that a prefix announces.
	maxRequest = 32 << 10

	groupFactor = 4
	maxCutOff   = 6 * time.Hour
	maxCutOffs  = 1024 // stored cut-offs

	strikeRefused   = 1  // a store that was not confirmed, a request above the rate
	strikeMalformed = 16 // a message that no implementation sends
)

// CutOff is a peer that may not connect or make requests until a time.
type CutOff struct {
	Peer   string
	Until  time.Time
	Reason string
}

var (
	errTooMany  = errors.New("too many streams of one peer")
	errOversize = errors.New("request over 32 KiB")
)

// limiter limits the requests of peers before they reach the handlers of
// kad-dht, and cuts off peers that exceed the limits. It is safe for concurrent
// use.
type limiter struct {
	limits     limits
	now        func() time.Time
	log        *slog.Logger
	store      *boundedStore
	disconnect func(peer.ID) // closes the connections with a peer

	mu          sync.Mutex
	accounts    accounts // of peers by ID, and of address groups by "group " and the group
	cutOff      map[peer.ID]*cutOff
	streams     map[*limitedStream]struct{}
	openStreams map[peer.ID]int // the number of streams
}

// cutOff is the last cut-off of a peer, and the number of its cut-offs.
type cutOff struct {
	until  time.Time
	reason string
	times  int
}

// newLimiter returns a limiter on the system clock.
func newLimiter(l limits, log *slog.Logger, store *boundedStore) *limiter {
	return &limiter{
		limits: l, now: func() time.Time { return time.Now().Round(0) }, log: log, store: store, disconnect: func(peer.ID) {},
		cutOff:  map[peer.ID]*cutOff{},
		streams: map[*limitedStream]struct{}{}, openStreams: map[peer.ID]int{},
	}
}

// SourceOf returns the source against which a peer's records and streams count. It
// is chosen so that many sources are costly for one attacker: the /24 of a public
// IPv4 address or the /48 of an IPv6 address. On a local network it is the
// address, and on the loopback interface, where all peers have the same
// address, the peer ID.
func SourceOf(p peer.ID, remote ma.Multiaddr) string {
	ip, err := manet.ToIP(remote)
	if err != nil || ip.IsLoopback() {
		return p.String()
	}
	return sourceOfIP(ip)
}

// sourceOfIP is SourceOf for an address alone.
func sourceOfIP(ip net.IP) string {
	addr, _ := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	if reachOfIP(addr) != ReachPublic {
		return addr.String()
	}
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

// admit registers a new stream, or returns the reason to refuse it.
func (l *limiter) admit(s network.Stream) (*limitedStream, error) {
	ls := &limitedStream{Stream: s, limiter: l, peer: s.Conn().RemotePeer(), source: SourceOf(s.Conn().RemotePeer(), s.Conn().RemoteMultiaddr())}
	now := l.now()
	ls.lastRequest = now
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.isCutOff(ls.peer, now):
		return nil, errors.New("cut off")
	case l.openStreams[ls.peer] >= l.limits.peerStreams:
		return nil, errTooMany
	}
	if len(l.streams) >= l.limits.streams {
		// The stream without a request for the longest time is replaced.
		var idle *limitedStream
		for other := range l.streams {
			if idle == nil || other.lastRequest.Before(idle.lastRequest) {
				idle = other
			}
		}
		l.removeStream(idle)
		_ = idle.Stream.Reset()
	}
	l.streams[ls] = struct{}{}
	l.openStreams[ls.peer]++
	return ls, nil
}

// removeStream removes a stream, if it is still registered. The caller holds
// mu.
func (l *limiter) removeStream(ls *limitedStream) {
	if _, ok := l.streams[ls]; !ok {
		return
	}
	delete(l.streams, ls)
	if l.openStreams[ls.peer]--; l.openStreams[ls.peer] == 0 {
		delete(l.openStreams, ls.peer)
	}
}

// handle returns a handler that calls next for the streams that are admitted.
func (l *limiter) handle(next network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		ls, err := l.admit(s)
		if err != nil {
			_ = s.Reset()
			if errors.Is(err, errTooMany) {
				l.strike(s.Conn().RemotePeer(), strikeRefused, "too many streams at once")
			}
			return
		}
		defer ls.close()
		next(ls)
	}
}

// request is kad-dht's request hook, which runs before the request is handled.
// To refuse a request, it removes the key: every handler refuses a request
// without a key by resetting the stream.
func (l *limiter) request(_ context.Context, s network.Stream, req *dht_pb.Message) {
	ls, ok := s.(*limitedStream)
	if !ok {
		return
	}
	ls.handling = true
	now := l.now()
	store := req.GetType() == dht_pb.Message_PUT_VALUE || req.GetType() == dht_pb.Message_ADD_PROVIDER
	l.mu.Lock()
	ls.lastRequest = now
	a := l.accounts.of(ls.peer.String(), now)
	allowed := !l.isCutOff(ls.peer, now) && a.requests.take(l.limits.requests, 1, now)
	if allowed && store {
		allowed = a.stores.take(l.limits.stores, 1, now)
		if group := ls.source; allowed && group != ls.peer.String() {
			r := l.limits.stores
			allowed = l.accounts.of("group "+group, now).stores.take(tokenRate{r.burst * groupFactor, r.perSecond * groupFactor}, 1, now)
		}
	}
	l.mu.Unlock()
	if !allowed {
		req.Key, req.Record = nil, nil
		ls.refused = true
		return
	}
	if req.GetType() == dht_pb.Message_PUT_VALUE {
		ls.putKey = string(req.GetKey())
		l.store.expectPut(ls.putKey, ls.source)
	}
}

// strike counts abuse against a peer, and cuts the peer off when its strikes
// exceed the limit.
func (l *limiter) strike(p peer.ID, weight int, reason string) {
	now := l.now()
	l.mu.Lock()
	if l.isCutOff(p, now) || l.accounts.of(p.String(), now).strikes.take(l.limits.strikes, weight, now) {
		l.mu.Unlock()
		return
	}
	c := l.cutOff[p]
	if c == nil {
		l.evictCutOff(now)
		c = &cutOff{}
		l.cutOff[p] = c
	}
	c.until, c.reason = now.Add(min(l.limits.firstCutOff<<min(c.times, 16), maxCutOff)), reason
	c.times++
	until := c.until
	delete(l.accounts.byName, p.String()) // after the cut-off the peer starts without strikes
	l.mu.Unlock()
	l.log.Warn("peer cut off", "peer", p.String(), "until", until.UTC().Truncate(time.Second), "reason", reason)
	l.disconnect(p)
}

// evictCutOff removes the cut-off with the earliest end if there are too many.
func (l *limiter) evictCutOff(now time.Time) {
	if len(l.cutOff) < maxCutOffs {
		return
	}
	var first peer.ID
	for p, c := range l.cutOff {
		if first == "" || c.until.Before(l.cutOff[first].until) {
			first = p
		}
	}
	delete(l.cutOff, first)
}

// isCutOff reports whether a peer is cut off. A cut-off is stored until
// maxCutOff after its end, so that a repeated one is longer. The caller holds
// mu.
func (l *limiter) isCutOff(p peer.ID, now time.Time) bool {
	c := l.cutOff[p]
	if c == nil {
		return false
	}
	// The clock may have been set back.
	if now.After(c.until.Add(maxCutOff)) || c.until.After(now.Add(maxCutOff)) {
		delete(l.cutOff, p)
		return false
	}
	return now.Before(c.until)
}

// mayConnect reports whether a peer may connect or be dialled.
func (l *limiter) mayConnect(p peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.isCutOff(p, l.now())
}

// listCutOffs returns the current cut-offs, latest end first.
func (l *limiter) listCutOffs() []CutOff {
	now := l.now()
	out := []CutOff{}
	l.mu.Lock()
	for p, c := range l.cutOff {
		if l.isCutOff(p, now) {
			out = append(out, CutOff{p.String(), c.until, c.reason})
		}
	}
	l.mu.Unlock()
	slices.SortFunc(out, func(a, b CutOff) int { return b.Until.Compare(a.Until) })
	return out
}
