package kad

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The parameters of a walk, measured by package wansim. A walk starts from 40
// peers instead of 20 because routing tables contain dead peers. It has a soft
// deadline because waiting for silent peers makes kad-dht's look-up slow.
const (
	closest      = 20                     // Kademlia's k: the number of peers that store a record
	initialPeers = 40                     // from the routing table
	inFlight     = 20                     // requests at once (Kademlia's α)
	anySlots     = 32                     // at LevelAny, where the first hop takes most of the time
	anyExtra     = anySlots - closest     // at LevelAny
	maxAsked     = 200                    // peers that one walk asks
	maxContacts  = 2000                   // of one walk
	softDeadline = 250 * time.Millisecond // after it, a silent peer does not occupy a slot
	lastDeadline = time.Second            // after it, the walk ends without the peer
	maxWalk      = 15 * time.Second
	nearPeers    = closest * 4 / 3 // expected within the radius of the 20 closest live peers, if a quarter is dead
	maxUncached  = 10              // asked in addition to cached peers
	smallNetwork = 40              // with fewer known peers, a walk looks for all
)

// errWalkLimit is returned when a walk reached its maximum time or number of
// peers.
var errWalkLimit = errors.New("the walk reached its limit of peers or time")

// state is the state of a contact in a walk.
type state int

const (
	candidate state = iota // not asked
	asking                 // asked, before the soft deadline
	slow                   // asked, after the soft deadline; may still answer
	answered               // alive
	failed                 // unreachable, refused the request, or sent a malformed answer
)

// contact is a peer that a walk knows.
type contact struct {
	peer.AddrInfo
	distance [sha256.Size]byte
	span     float64 // the distance as a part of the key space
	state    state
	since    time.Time // when state became asking
	closer   closerQuery

	cached bool // from the holder cache, and not named by any uncached peer in this walk
}

// closerQuery is the state of a request to a contact for closer peers.
type closerQuery int

const (
	closerUnasked closerQuery = iota
	closerPending
	closerDone // answered or failed
)

// walk is an iterative look-up (Kademlia, §2.3). It asks the closest known
// peers for closer ones, until the closest live peers have all answered.
//
// A walk runs on the goroutine that calls run. Its requests run on their own
// goroutines and have ended when run returns. Answers can extend a walk, up to
// maxAsked requests and maxWalk, and cannot end it early, since only a failure
// removes a peer.
type walk struct {
	self   peer.ID
	target [sha256.Size]byte
	ask    func(context.Context, peer.AddrInfo) (reply, error)

	contacts    []*contact // by increasing distance
	known       map[peer.ID]*contact
	k           int // the number of closest peers to find
	asked       int
	slots       int           // requests at one time, not counting those to near peers
	extra       int           // peers to ask beyond the k closest, since some of these may be dead
	timeout     time.Duration // of one request; 0: requestTimeout
	waitForLate bool          // wait for late peers that would be among the closest
	size        size          // of the network; if it is unknown, no peer is near

	// beforeAsk, if set, is called for each peer before it is asked. It may send
	// a put to the peer, which ends in an event with put set, and returns false
	// if the peer need not be asked for closer ones.
	beforeAsk  func(context.Context, *contact) (ask bool)
	askClosest int // the number of closest peers that are asked even if beforeAsk returns false

	// probe finds peers near a target, starting from others; nil: the walk does
	// not measure the density of its region.
	probe     func(context.Context, [sha256.Size]byte, []peer.AddrInfo) []peer.AddrInfo
	hasCached bool         // some of the contacts are from the holder cache
	dense     *denseRegion // nil: the region is not known to be dense
	events    chan event   // with a buffer for all events, so that no request blocks

	requests sync.WaitGroup
}

// event is the end of a request, of a put that runs beside the walk, or of a
// probe, or a notice that a request has passed its soft deadline.
type event struct {
	contact *contact // nil: the end of a probe
	put     bool
	late    bool
	reply   reply
	err     error
}

// newWalk returns a walk towards a key. Peers and keys are compared by their
// SHA-256 hashes.
func newWalk(self peer.ID, key string, ask func(context.Context, peer.AddrInfo) (reply, error)) *walk {
	return &walk{
		self: self, target: sha256.Sum256([]byte(key)), ask: ask,
		known: map[peer.ID]*contact{}, k: closest, slots: inFlight, events: make(chan event, 4*maxAsked),
	}
}

// add adds a peer to the contacts if it is new. Of more than maxContacts it
// removes the furthest that was not asked, so that a flood of names cannot
// displace the closest.
func (w *walk) add(p peer.AddrInfo) {
	if p.ID == w.self || w.known[p.ID] != nil {
		return
	}
	c := &contact{AddrInfo: p, distance: distanceOf(w.target, p.ID)}
	c.span = span(c.distance)
	w.known[p.ID] = c
	i, _ := slices.BinarySearchFunc(w.contacts, c, func(a, b *contact) int {
		return cmp.Or(bytes.Compare(a.distance[:], b.distance[:]), cmp.Compare(a.ID, b.ID))
	})
	w.contacts = slices.Insert(w.contacts, i, c)
	for i := len(w.contacts) - 1; len(w.contacts) > maxContacts; i-- {
		if c := w.contacts[i]; c.state == candidate { // at most maxAsked are not
			w.contacts = slices.Delete(w.contacts, i, i+1)
			delete(w.known, c.ID)
		}
	}
}

// addCached adds peers from the holder cache.
func (w *walk) addCached(peers []peer.AddrInfo) {
	for _, p := range peers {
		if w.known[p.ID] != nil || p.ID == w.self {
			continue
		}
		if w.add(p); w.known[p.ID] != nil {
			w.known[p.ID].cached, w.hasCached = true, true
		}
	}
}

// nearest returns up to n of the contacts in these states, closest first.
func (w *walk) nearest(n int, states ...state) []*contact {
	var cs []*contact
	for _, c := range w.contacts {
		if len(cs) == n {
			break
		}
		if slices.Contains(states, c.state) {
			cs = append(cs, c)
		}
	}
	return cs
}

// wanted returns the number of closest peers to find. It is smallNetwork while
// fewer are known.
func (w *walk) wanted() int {
	if len(w.known) < smallNetwork {
		return smallNetwork
	}
	return w.k
}

// live returns the closest peers that answered, at most as many as are wanted,
// closest first.
func (w *walk) live() []*contact { return w.nearest(w.wanted(), answered) }

// responders returns the near peers that answered. In a dense region these are
// more than are wanted.
func (w *walk) responders() []*contact {
	return slices.DeleteFunc(w.nearest(maxRegion, answered), func(c *contact) bool { return !w.near(c) })
}

// closestAnswered returns those of the peers in toAsk that have answered.
func (w *walk) closestAnswered() []*contact {
	return slices.DeleteFunc(w.toAsk(), func(c *contact) bool { return c.state != answered })
}

// toAsk returns the peers that must be asked: the wanted number of closest ones
// that may be alive, the extra ones, and in a dense region all contacts of the
// region.
func (w *walk) toAsk() []*contact {
	if w.dense != nil {
		return w.dense.contacts(w)
	}
	return w.nearest(w.wanted()+w.extra, candidate, asking, answered)
}

// near reports whether a peer is within the radius in which, by the size of the
// network, the k closest live peers are expected. A quarter of the known peers
// is assumed to be dead.
func (w *walk) near(c *contact) bool {
	return w.size.peers > 0 && w.size.peers*c.span <= nearPeers
}

// run walks and calls each with every event. If each returns false, the walk
// ends. The error is nil if the walk is complete, that is, the k closest live
// peers or all live peers have answered, or if each ended it. No request
// outlives run.
func (w *walk) run(ctx context.Context, each func(event) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maxWalk, errWalkLimit)
	defer w.requests.Wait()
	defer cancel()
	return w.loop(ctx, ctx, each)
}

// loop is run with a separate context for the requests, which may then outlive
// the walk.
func (w *walk) loop(ctx, requests context.Context, each func(event) bool) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.send(requests)
		if w.done(time.Now()) {
			if slices.ContainsFunc(w.nearest(w.wanted(), candidate, answered), func(c *contact) bool { return c.state == candidate }) {
				return errWalkLimit // there are peers left to ask, above maxAsked
			}
			return nil
		}
		timer.Reset(w.wait(time.Now()))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			now := time.Now()
			for _, c := range w.contacts {
				if c.state == asking && now.Sub(c.since) >= softDeadline {
					c.state = slow
					if !each(event{contact: c, late: true}) {
						return nil
					}
				}
			}
		case e := <-w.events:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			w.apply(e)
			if w.probe != nil && w.dense == nil && w.isDense() {
				w.startProbes(requests)
			}
			if !each(e) {
				return nil
			}
		}
	}
}

// send starts requests while there are free slots.
func (w *walk) send(ctx context.Context) {
	usedSlots := 0
	for _, c := range w.contacts {
		if c.state == asking && c.closer == closerPending && !w.near(c) {
			usedSlots++
		}
	}
	rank := 0
	for _, c := range append(w.toAsk(), w.uncached()...) {
		if w.asked >= maxAsked {
			return
		}
		near := w.near(c)
		first := rank < w.askClosest
		rank++
		switch {
		case c.state == candidate && (near || usedSlots < w.slots):
			c.state, c.since = asking, time.Now()
			w.asked++
			if w.beforeAsk != nil && !w.beforeAsk(ctx, c) && !first {
				continue
			}
			if !near {
				usedSlots++
			}
		case c.state == answered && c.closer == closerUnasked && first:
		default:
			continue
		}
		c.closer = closerPending
		w.requests.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, cmp.Or(w.timeout, requestTimeout))
			defer cancel()
			r, err := w.ask(ctx, c.AddrInfo)
			w.events <- event{contact: c, reply: r, err: err}
		})
	}
}

// uncached returns the closest contacts that are not only from the cache. Their
// answers show whether the cached peers are still the closest.
func (w *walk) uncached() []*contact {
	if !w.hasCached {
		return nil
	}
	var contacts []*contact
	for _, c := range w.contacts {
		if len(contacts) == maxUncached {
			break
		}
		if !c.cached && c.state != failed {
			contacts = append(contacts, c)
		}
	}
	return contacts
}

// apply updates the contacts after an event.
func (w *walk) apply(e event) {
	for _, p := range e.reply.closer {
		w.add(p)
		if c := w.known[p.ID]; c != nil && e.contact != nil && !e.contact.cached {
			c.cached = false
		}
	}
	switch {
	case e.contact == nil:
		w.dense.pendingProbes--
		return
	case !e.put:
		e.contact.closer = closerDone
	}
	switch {
	case e.err == nil || e.put && (errors.Is(e.err, errRefused) || errors.Is(e.err, errBusy)):
		e.contact.state = answered
	case e.contact.state != answered:
		e.contact.state = failed
	}
}

// done reports whether the walk is complete: none of the k closest peers is
// being asked or left to ask. It waits for late peers, up to lastDeadline, only
// while fewer than k have answered, and with waitForLate also for those that
// would be among the k closest.
func (w *walk) done(now time.Time) bool {
	wanted := w.wanted()
	front := w.nearest(wanted, candidate, asking, answered)
	if w.dense != nil {
		if w.dense.pendingProbes > 0 {
			return false
		}
		front = w.toAsk()
	}
	for i, c := range front {
		if c.state == asking || (c.state == candidate && w.asked < maxAsked) || i < w.askClosest && c.closer == closerPending {
			return false
		}
	}
	live := w.live()
	missing := wanted - len(live)
	for _, c := range w.contacts {
		switch {
		case missing <= 0 && (!w.waitForLate || c == live[wanted-1]) && (w.dense == nil || !w.near(c)):
			return true // peers further away do not matter
		case c.state == asking || c.state == slow && (len(live) == 0 || now.Sub(c.since) < lastDeadline):
			return false
		}
	}
	return true
}

// wait returns the time until a contact passes a deadline.
func (w *walk) wait(now time.Time) time.Duration {
	next := time.Hour
	for _, c := range w.contacts {
		switch {
		case c.state == asking:
			next = min(next, softDeadline-now.Sub(c.since))
		case c.state == slow && now.Sub(c.since) < lastDeadline:
			next = min(next, lastDeadline-now.Sub(c.since))
		}
	}
	return max(next, 0)
}
