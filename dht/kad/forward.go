package kad

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// A node passes requests of its own clients on, such as those of an HTTP router. Its
// peers count all of them as the node's, and cut the node off if they are too many,
// or if too many of the records are refused. So what is passed on is bounded for each
// peer, below what a peer of this package accepts: see defaultLimits. The node's own
// requests use the same budget, of which a half is reserved for them, and are never
// refused here. One client uses at most a half of what is left for clients.
var (
	hopRequests = tokenRate{defaultLimits.requests.burst * 7 / 8, defaultLimits.requests.perSecond * 7 / 8}
	hopStores   = tokenRate{defaultLimits.stores.burst * 7 / 8, defaultLimits.stores.perSecond * 7 / 8}
	hopRefusals = tokenRate{defaultLimits.strikes.burst / 4, defaultLimits.strikes.perSecond / 2}
)

// errBusy is returned for a request of a client that a peer would not accept any more
// from this node.
var errBusy = errors.New("the node passes on as much as this peer accepts")

// nextHops is what this node sent to each peer, and the records that it refused, as
// strikes. It is safe for concurrent use.
type nextHops struct {
	mu     sync.Mutex
	hops   accounts // by peer ID
	shares accounts // by peer ID and source of a client
}

// wallTime returns the time by which budgets are refilled: that of the peers advances
// while this machine sleeps.
func wallTime() time.Time { return time.Now().Round(0) }

// take counts a request to a peer. It returns errBusy for one of a client if the budget
// of the peer is used up, except for the reserve.
func (h *nextHops) take(p peer.ID, store, client bool, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.hops.of(string(p), now)
	if client && (b.requests.left(hopRequests, now) <= float64(hopRequests.burst/2) ||
		store && (b.stores.left(hopStores, now) <= float64(hopStores.burst/2) || b.strikes.left(hopRefusals, now) < 1)) {
		return errBusy
	}
	b.requests.take(hopRequests, 1, now)
	if store {
		b.stores.take(hopStores, 1, now)
	}
	return nil
}

// takeShare counts a request to a peer for one client. It returns errBusy if the client
// used as much of the peer's budget as is left for all others, so that one client cannot
// use all of it. A share is refilled half as fast as the budget.
func (h *nextHops) takeShare(p peer.ID, client string, store bool, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, share := h.hops.of(string(p), now), h.shares.of(string(p)+" "+client, now)
	half := func(r tokenRate) tokenRate { return tokenRate{r.burst, r.perSecond / 2} }
	over := func(budget, own *bucket, r tokenRate) bool {
		left := budget.left(r, now) - float64(r.burst/2) // the rest is reserved
		return own.used(now) >= left
	}
	if over(&b.requests, &share.requests, hopRequests) || store && over(&b.stores, &share.stores, hopStores) {
		return errBusy
	}
	share.requests.take(half(hopRequests), 1, now)
	if store {
		share.stores.take(half(hopStores), 1, now)
	}
	return nil
}

// refused counts a record that a peer refused.
func (h *nextHops) refused(p peer.ID, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hops.of(string(p), now).strikes.take(hopRefusals, 1, now)
}

// clientKey is the key of the source of a client in the context of a request that is
// passed on.
type clientKey struct{}

// clientOf returns the source of the client for which a request is passed on, "" for
// the node's own requests.
func clientOf(ctx context.Context) string {
	source, _ := ctx.Value(clientKey{}).(string)
	return source
}

// forClientOf returns ctx with the client of another context.
func forClientOf(of, ctx context.Context) context.Context {
	if source := clientOf(of); source != "" {
		return context.WithValue(ctx, clientKey{}, source)
	}
	return ctx
}

// ForClient returns the network for requests that the node passes on for the client at
// an address, such as the client of an HTTP router. Its records are held as those of
// the client's address group, and not as the node's own. Requests over what the peers
// accept from this node are not sent: Put then returns an error, and Get yields errors.
func (n *Node) ForClient(client netip.Addr) dht.Store {
	source := "client"
	if client.IsValid() {
		source += " " + sourceOfIP(net.IP(client.Unmap().AsSlice()))
	}
	return clientStore{n, source}
}

// clientStore is the network for one client.
type clientStore struct {
	node   *Node
	source string
}

// Get implements dht.Store.
func (s clientStore) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return s.node.Get(context.WithValue(ctx, clientKey{}, s.source), p)
}

// Put implements dht.Store.
func (s clientStore) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	return s.node.Put(context.WithValue(ctx, clientKey{}, s.source), p, record)
}
