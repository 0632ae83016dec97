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

// The figures of a walk; package wansim measures them. There are 40 seeds
// instead of 20 because tables hold dead peers, and a soft deadline because
// waiting for the silent ones is what makes the stock look-up slow.
const (
	closest      = 20                     // Kademlia's k: whom a record belongs to
	initialPeers = 40                     // taken from the routing table
	inFlight     = 20                     // requests at once (Kademlia's α)
	anySlots     = 32                     // where one answer is enough, and the first
	anyExtra     = anySlots - closest     // hop is most of the time
	maxAsked     = 200                    // peers asked in one walk
	maxContacts  = 2000                   // names kept
	softDeadline = 250 * time.Millisecond // a silent peer loses its slot
	lastDeadline = time.Second            // and here the walk ends without it
	maxWalk      = 15 * time.Second
	nearPeers    = closest * 4 / 3 // where 20 live, a quarter of all being dead
	maxUncached  = 10              // asked beside those from memory
	smallNetwork = 40              // of so few, all are wanted
)

// errCut ends a walk that has not found its end.
var errWalkLimit = errors.New("gave up the walk: too many peers, or too long")

type state int

const (
	candidate state = iota // known by name only
	asking                 // asked, in time
	slow                   // asked, over the soft deadline; may answer yet
	answered               // alive
	failed                 // dead, or a liar
)

// contact is a peer that a walk has heard of.
type contact struct {
	peer.AddrInfo
	distance [sha256.Size]byte
	span     float64 // the distance, as a part of the space
	state    state
	since    time.Time // of the request
	closer   closerQuery

	// remembered of an earlier walk, and not named by anybody else in this one
	cached bool
}

// naming is what became of asking a contact for closer ones.
type closerQuery int

const (
	closerUnasked closerQuery = iota
	closerPending
	closerDone // or failed to
)

// walk is an iterative look-up (Kademlia, §2.3): ask the closest peers that
// are known for closer ones, until the closest that live have all answered.
//
// It runs on the goroutine that calls run; requests run on their own and are
// all done when run returns. What peers say can lengthen a walk up to maxAsked
// requests and maxWalk, and can't end it early, since only failing to answer
// takes a peer out.
type walk struct {
	self   peer.ID
	target [sha256.Size]byte
	ask    func(context.Context, peer.AddrInfo) (reply, error)

	contacts    []*contact // by distance
	known       map[peer.ID]*contact
	k           int // how many are looked for
	asked       int
	slots       int           // requests at once, besides those to the near
	extra       int           // peers asked beyond the k closest, as some of these will be dead
	timeout     time.Duration // of one request; 0: requestTimeout
	waitForLate bool          // waits for late ones that would be among the closest
	size        size          // of the network; unknown: nobody is near before others are known

	// open, if set, is told of each peer before it is asked, and may send it
	// something itself, which ends in an event with put set. If that is all that
	// it wants to send, it returns false.
	beforeAsk  func(context.Context, *contact) (ask bool)
	askClosest int // of the closest, those that are asked even so

	probe     func(context.Context, [sha256.Size]byte, []peer.AddrInfo) []peer.AddrInfo // nil: a crowd is none of this walk's business
	hasCached bool                                                                      // some of the contacts are from memory
	dense     *denseRegion                                                              // set once somebody seems to surround the target
	events    chan event                                                                // with room for all there can be: nobody waits for us

	requests sync.WaitGroup
}

// event is the end of one request, or of one put that runs beside the walk, or
// of a probe, or that a request is late.
type event struct {
	contact *contact // nil: of a probe
	put     bool
	late    bool
	reply   reply
	err     error
}

// newWalk aims at the key: peers and keys share the space of sha2-256.
func newWalk(self peer.ID, key string, ask func(context.Context, peer.AddrInfo) (reply, error)) *walk {
	return &walk{
		self: self, target: sha256.Sum256([]byte(key)), ask: ask,
		known: map[peer.ID]*contact{}, k: closest, slots: inFlight, events: make(chan event, 4*maxAsked),
	}
}

// hear takes note of a peer, once. Of too many, the furthest are forgotten: a
// crowd of names must not keep the closest out.
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
		if c := w.contacts[i]; c.state == candidate { // those asked are far fewer
			w.contacts = slices.Delete(w.contacts, i, i+1)
			delete(w.known, c.ID)
		}
	}
}

// recall notes peers that an earlier walk found.
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

// nearest gives up to n of the contacts in these states, closest first.
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

// wanted is how many of the closest are looked for: while few are known at all,
// everybody.
func (w *walk) wanted() int {
	if len(w.known) < smallNetwork {
		return smallNetwork
	}
	return w.k
}

// live gives the closest peers that answered, at most as many as are wanted,
// closest first.
func (w *walk) live() []*contact { return w.nearest(w.wanted(), answered) }

// responders gives those who answered and are near: more than are wanted, where
// by chance or by malice more are.
func (w *walk) responders() []*contact {
	return slices.DeleteFunc(w.nearest(maxRegion, answered), func(c *contact) bool { return !w.near(c) })
}

// settled gives the peers that have answered and are among the k closest (and
// the spare ones) of all that may be alive. Since an answer names the closest
// peers that the answerer knows, one from far away displaces itself.
func (w *walk) closestAnswered() []*contact {
	return slices.DeleteFunc(w.toAsk(), func(c *contact) bool { return c.state != answered })
}

// front gives those who are to be asked: the k closest that may be alive, the
// spare ones, and where there is a crowd everybody of the region.
func (w *walk) toAsk() []*contact {
	if w.dense != nil {
		return w.dense.contacts(w)
	}
	return w.nearest(w.wanted()+w.extra, candidate, asking, answered)
}

// near says whether a peer stands where, by the size of the network, one of the
// k closest that live stands; a quarter of what is heard of may be dead.
func (w *walk) near(c *contact) bool {
	return w.size.peers > 0 && w.size.peers*c.span <= nearPeers
}

// run walks, and calls each with every event; each returning false ends the
// walk. The error is nil if the walk found its end: the k closest that
// live have answered, or everybody who lives. No request outlives it.
func (w *walk) run(ctx context.Context, each func(event) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maxWalk, errWalkLimit)
	defer w.requests.Wait()
	defer cancel()
	return w.loop(ctx, ctx, each)
}

// loop is run for a walk whose requests have a context of their own, so that
// they may be left to end.
func (w *walk) loop(ctx, requests context.Context, each func(event) bool) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.send(requests)
		if w.done(time.Now()) {
			if slices.ContainsFunc(w.nearest(w.wanted(), candidate, answered), func(c *contact) bool { return c.state == candidate }) {
				return errWalkLimit // maxAsked kept us from asking them
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

// send asks whom it is time to ask.
func (w *walk) send(ctx context.Context) {
	held := 0
	for _, c := range w.contacts {
		if c.state == asking && c.closer == closerPending && !w.near(c) {
			held++
		}
	}
	live := 0
	for _, c := range append(w.toAsk(), w.uncached()...) {
		if w.asked >= maxAsked {
			return
		}
		near := w.near(c)
		first := live < w.askClosest // would be asked for closer peers whatever it is sent
		live++
		switch {
		case c.state == candidate && (near || held < w.slots):
			c.state, c.since = asking, time.Now()
			w.asked++
			if w.beforeAsk != nil && !w.beforeAsk(ctx, c) && !first {
				continue
			}
			if !near {
				held++
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

// vouchers gives peers to ask beside those from memory, which tell whether they
// still stand there.
func (w *walk) uncached() []*contact {
	if !w.hasCached {
		return nil
	}
	var vouchers []*contact
	for _, c := range w.contacts {
		if len(vouchers) == maxUncached {
			break
		}
		if !c.cached && c.state != failed {
			vouchers = append(vouchers, c)
		}
	}
	return vouchers
}

// take notes what an event says of who lives, and of whom else there is.
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
	case e.err == nil || e.put && errors.Is(e.err, errRefused):
		e.contact.state = answered
	case e.contact.state != answered:
		e.contact.state = failed
	}
}

// done says whether there is nothing left to wait for: nobody among the k
// closest is being asked or to be asked. Silent peers are waited for, a while,
// only as long as fewer than k have answered (a small or a slow network), and
// if the walk is patient, those who would be among the k.
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
			return true // those further away would not count
		case c.state == asking || c.state == slow && (len(live) == 0 || now.Sub(c.since) < lastDeadline):
			return false
		}
	}
	return true
}

// wait is how long nothing changes unless a request ends.
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
