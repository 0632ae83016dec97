package kad

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// limits are what a server takes from strangers.
type limits struct {
	requests tokenRate // of one peer
	stores   tokenRate // of one peer; those of one address group may have groupFactor times as many
	strikes  tokenRate // how much abuse is forgiven

	streams     int           // at one time
	peerStreams int           // of one peer
	ioTimeout   time.Duration // for one request to come in, and for its answer to go out
	firstCutOff time.Duration // the first time; twice as long each further time, up to maxCutOff
}

// What an honest peer needs is far below these: a walk asks a peer once or
// twice, and a keeper of 10,000 names in a network of 30 puts 7,000 of them to
// each a day. A peer that is over its rate is refused, and one that goes on all
// the same is cut off.
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
	// maxRequest bounds a request, in bytes: a record of 10 KiB, or a
	// provider's addresses, and what stands around them. kad-dht itself would
	// take memory for 4 MiB on the word of a length prefix.
	maxRequest = 32 << 10

	groupFactor = 4
	maxCutOff   = 6 * time.Hour
	maxAccounts = 4096 // peers and groups that accounts are kept of
	maxCutOffs  = 1024 // peers kept out at one time

	strikeRefused   = 1  // a store that was not kept, a request over the rate
	strikeMalformed = 16 // what no implementation sends
)

// CutOff is a peer that is kept out for a while.
type CutOff struct {
	Peer   string
	Until  time.Time
	Reason string
}

var (
	errTooMany  = errors.New("over its rate")
	errOversize = errors.New("request over 32 KiB")
)

// guard stands between strangers and the DHT's handlers: it counts, refuses,
// and cuts off. kad-dht's own handlers do the work.
type limiter struct {
	limits     limits
	now        func() time.Time
	log        *slog.Logger
	store      *boundedStore
	disconnect func(peer.ID) // closes the connections with a peer

	mu          sync.Mutex
	accounts    map[string]*account // by peer ID, or "group " and the address group
	lastSweep   time.Time           // when those that owe nothing were last forgotten
	cutOff      map[peer.ID]*cutOff
	streams     map[*limitedStream]struct{}
	openStreams map[peer.ID]int // streams
}

type account struct {
	requests, stores, strikes bucket
}

type cutOff struct {
	until  time.Time
	reason string
	times  int
}

func newLimiter(l limits, log *slog.Logger, store *boundedStore) *limiter {
	return &limiter{
		limits: l, now: time.Now, log: log, store: store, disconnect: func(peer.ID) {},
		accounts: map[string]*account{}, cutOff: map[peer.ID]*cutOff{},
		streams: map[*limitedStream]struct{}{}, openStreams: map[peer.ID]int{},
	}
}

// account gives the account of a peer or a group. Of too many, those that owe
// nothing are forgotten, then any.
func (g *limiter) account(name string, now time.Time) *account {
	if a := g.accounts[name]; a != nil {
		return a
	}
	if len(g.accounts) >= maxAccounts && now.Sub(g.lastSweep).Abs() > time.Second {
		g.lastSweep = now
		for other, a := range g.accounts {
			if a.requests.used(now)+a.stores.used(now)+a.strikes.used(now) == 0 {
				delete(g.accounts, other)
			}
		}
	}
	for other := range g.accounts {
		if len(g.accounts) < maxAccounts {
			break
		}
		delete(g.accounts, other)
	}
	a := &account{}
	g.accounts[name] = a
	return a
}

// sourceOf says whom a peer's records count against: a group of addresses, as
// hard to have many of as can be: the /24 of an IPv4 address, the /48 of an
// IPv6 address. On a local network it is the one address, and on this machine
// the peer, since all have the same.
func sourceOf(p peer.ID, remote ma.Multiaddr) string {
	ip, err := manet.ToIP(remote)
	switch {
	case err != nil || ip.IsLoopback():
		return p.String()
	case manet.IsPrivateAddr(remote):
		return ip.String()
	}
	if v4 := ip.To4(); v4 != nil {
		return fmt.Sprintf("%d.%d.%d.0/24", v4[0], v4[1], v4[2])
	}
	v6 := ip.To16()
	return fmt.Sprintf("%x:%x:%x::/48", v6[0:2], v6[2:4], v6[4:6])
}

// admit takes in a stream, or says why not.
func (g *limiter) admit(s network.Stream) (*limitedStream, error) {
	gs := &limitedStream{Stream: s, limiter: g, peer: s.Conn().RemotePeer(), source: sourceOf(s.Conn().RemotePeer(), s.Conn().RemoteMultiaddr())}
	now := g.now()
	gs.lastRequest = now
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.isCutOff(gs.peer, now):
		return nil, errors.New("cut off")
	case g.openStreams[gs.peer] >= g.limits.peerStreams:
		return nil, errTooMany
	}
	if len(g.streams) >= g.limits.streams {
		// Who is silent makes room for who comes to ask.
		var idle *limitedStream
		for other := range g.streams {
			if idle == nil || other.lastRequest.Before(idle.lastRequest) {
				idle = other
			}
		}
		g.removeStream(idle)
		_ = idle.Stream.Reset()
	}
	g.streams[gs] = struct{}{}
	g.openStreams[gs.peer]++
	return gs, nil
}

func (g *limiter) removeStream(gs *limitedStream) {
	if _, ok := g.streams[gs]; !ok {
		return
	}
	delete(g.streams, gs)
	if g.openStreams[gs.peer]--; g.openStreams[gs.peer] == 0 {
		delete(g.openStreams, gs.peer)
	}
}

// handle has streams that are let in handled by next.
func (g *limiter) handle(next network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		gs, err := g.admit(s)
		if err != nil {
			_ = s.Reset()
			if errors.Is(err, errTooMany) {
				g.strike(s.Conn().RemotePeer(), strikeRefused, "too many streams at once")
			}
			return
		}
		defer gs.close()
		next(gs)
	}
}

// request is kad-dht's hook: it runs before the request is handled. A request
// without a key is one that every handler refuses, by resetting the stream.
func (g *limiter) request(_ context.Context, s network.Stream, req *dht_pb.Message) {
	gs, ok := s.(*limitedStream)
	if !ok {
		return
	}
	gs.handling = true
	now := g.now()
	store := req.GetType() == dht_pb.Message_PUT_VALUE || req.GetType() == dht_pb.Message_ADD_PROVIDER
	g.mu.Lock()
	gs.lastRequest = now
	a := g.account(gs.peer.String(), now)
	allowed := !g.isCutOff(gs.peer, now) && a.requests.take(g.limits.requests, 1, now)
	if allowed && store {
		allowed = a.stores.take(g.limits.stores, 1, now)
		if group := gs.source; allowed && group != gs.peer.String() {
			r := g.limits.stores
			allowed = g.account("group "+group, now).stores.take(tokenRate{r.burst * groupFactor, r.perSecond * groupFactor}, 1, now)
		}
	}
	g.mu.Unlock()
	if !allowed {
		req.Key, req.Record = nil, nil
		gs.refused = true
		return
	}
	if req.GetType() == dht_pb.Message_PUT_VALUE {
		gs.putKey = string(req.GetKey())
		g.store.expectPut(gs.putKey, gs.source)
	}
}

// strike counts abuse against a peer, and cuts it off when it is too much.
func (g *limiter) strike(p peer.ID, weight int, reason string) {
	now := g.now()
	g.mu.Lock()
	if g.isCutOff(p, now) || g.account(p.String(), now).strikes.take(g.limits.strikes, weight, now) {
		g.mu.Unlock()
		return
	}
	c := g.cutOff[p]
	if c == nil {
		g.evictCutOff(now)
		c = &cutOff{}
		g.cutOff[p] = c
	}
	c.until, c.reason = now.Add(min(g.limits.firstCutOff<<min(c.times, 16), maxCutOff)), reason
	c.times++
	until := c.until
	delete(g.accounts, p.String()) // a fresh start when it is over
	g.mu.Unlock()
	g.log.Warn("peer cut off", "peer", p.String(), "until", until.UTC().Truncate(time.Second), "reason", reason)
	g.disconnect(p)
}

// makeRoom forgets the cut-off that ends, or ended, first if there are too many.
func (g *limiter) evictCutOff(now time.Time) {
	if len(g.cutOff) < maxCutOffs {
		return
	}
	var first peer.ID
	for p, c := range g.cutOff {
		if first == "" || c.until.Before(g.cutOff[first].until) {
			first = p
		}
	}
	delete(g.cutOff, first)
}

// isCut says whether a peer is cut off. One that was is remembered for as long
// again as the longest cut-off: the next one is longer.
func (g *limiter) isCutOff(p peer.ID, now time.Time) bool {
	c := g.cutOff[p]
	if c == nil {
		return false
	}
	if now.After(c.until.Add(maxCutOff)) {
		delete(g.cutOff, p)
		return false
	}
	return now.Before(c.until)
}

// allows is what the connection gater asks.
func (g *limiter) mayConnect(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.isCutOff(p, g.now())
}

// cutOffs lists who is cut off now, the longest first.
func (g *limiter) listCutOffs() []CutOff {
	now := g.now()
	out := []CutOff{}
	g.mu.Lock()
	for p, c := range g.cutOff {
		if now.Before(c.until) {
			out = append(out, CutOff{p.String(), c.until, c.reason})
		}
	}
	g.mu.Unlock()
	slices.SortFunc(out, func(a, b CutOff) int { return b.Until.Compare(a.Until) })
	return out
}
