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

// The figures of a walk; wan_test.go measures them. There are 40 seeds instead
// of 20 because tables hold dead peers, and a soft deadline because waiting for
// the silent ones is what makes the stock look-up slow.
const (
	closest      = 20                     // Kademlia's k: whom a record belongs to
	seedPeers    = 40                     // taken from the routing table
	inFlight     = 14                     // requests at once (Kademlia's α)
	maxAsked     = 200                    // peers asked in one walk
	maxHeard     = 2000                   // names kept
	softDeadline = 250 * time.Millisecond // a silent peer loses its slot
	lastDeadline = time.Second            // and here the walk ends without it
	maxWalk      = 15 * time.Second
)

// errCut ends a walk that has not found its end.
var errCut = errors.New("gave up the walk: too many peers, or too long")

type state int

const (
	heard    state = iota // known by name only
	asking                // asked, in time
	slow                  // asked, over the soft deadline; may answer yet
	answered              // alive
	failed                // dead, or a liar
)

// contact is a peer that a walk has heard of.
type contact struct {
	peer.AddrInfo
	distance [sha256.Size]byte
	state    state
	since    time.Time // of the request
}

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

	contacts []*contact // by distance
	known    map[peer.ID]*contact
	asked    int
	slots    int        // requests at once
	spare    int        // peers asked beyond the k closest, as some of these will be dead
	patient  bool       // waits for late ones that would be among the closest
	events   chan event // with room for all there can be: nobody waits for us
}

// event is the end of one request, or of one put that runs beside the walk, or
// that a request is late.
type event struct {
	contact *contact
	put     bool
	late    bool
	reply   reply
	err     error
}

// newWalk aims at the key: peers and keys share the space of sha2-256.
func newWalk(self peer.ID, key string, ask func(context.Context, peer.AddrInfo) (reply, error)) *walk {
	return &walk{
		self: self, target: sha256.Sum256([]byte(key)), ask: ask,
		known: map[peer.ID]*contact{}, slots: inFlight, events: make(chan event, 2*maxAsked),
	}
}

// hear takes note of a peer, once. Of too many, the furthest are forgotten: a
// crowd of names must not keep the closest out.
func (w *walk) hear(p peer.AddrInfo) {
	if p.ID == w.self || w.known[p.ID] != nil {
		return
	}
	c := &contact{AddrInfo: p, distance: sha256.Sum256([]byte(p.ID))}
	for i := range c.distance {
		c.distance[i] ^= w.target[i]
	}
	w.known[p.ID] = c
	i, _ := slices.BinarySearchFunc(w.contacts, c, func(a, b *contact) int {
		return cmp.Or(bytes.Compare(a.distance[:], b.distance[:]), cmp.Compare(a.ID, b.ID))
	})
	w.contacts = slices.Insert(w.contacts, i, c)
	for i := len(w.contacts) - 1; len(w.contacts) > maxHeard; i-- {
		if c := w.contacts[i]; c.state == heard { // those asked are far fewer
			w.contacts = slices.Delete(w.contacts, i, i+1)
			delete(w.known, c.ID)
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

// live gives the closest peers that answered, at most k, closest first.
func (w *walk) live() []*contact { return w.nearest(closest, answered) }

// settled gives the peers that have answered and are among the k closest (and
// the spare ones) of all that may be alive. Since an answer names the closest
// peers that the answerer knows, one from far away displaces itself.
func (w *walk) settled() []*contact {
	near := w.nearest(closest+w.spare, heard, asking, answered)
	return slices.DeleteFunc(near, func(c *contact) bool { return c.state != answered })
}

// run walks, and calls each with every event; each returning false ends the
// walk. The error is nil if the walk found its end: the k closest that
// live have answered, or everybody who lives.
func (w *walk) run(ctx context.Context, each func(event) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maxWalk, errCut)
	var requests sync.WaitGroup
	defer requests.Wait()
	defer cancel()

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		held := 0
		for _, c := range w.contacts {
			if c.state == asking {
				held++
			}
		}
		for _, c := range w.nearest(closest+w.spare, heard, asking, answered) {
			if held >= w.slots || w.asked >= maxAsked {
				break
			}
			if c.state != heard {
				continue
			}
			c.state, c.since = asking, time.Now()
			w.asked++
			held++
			requests.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, requestTimeout)
				defer cancel()
				r, err := w.ask(ctx, c.AddrInfo)
				w.events <- event{contact: c, reply: r, err: err}
			})
		}
		if w.done(time.Now()) {
			if slices.ContainsFunc(w.nearest(closest, heard, answered), func(c *contact) bool { return c.state == heard }) {
				return errCut // maxAsked kept us from asking them
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
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case e.put:
			case e.err != nil:
				e.contact.state = failed
			default:
				e.contact.state = answered
				for _, p := range e.reply.closer {
					w.hear(p)
				}
			}
			if !each(e) {
				return nil
			}
		}
	}
}

// done says whether there is nothing left to wait for: nobody among the k
// closest is being asked or to be asked. Silent peers are waited for, a while,
// only as long as fewer than k have answered (a small or a slow network), and
// if the walk is patient, those who would be among the k.
func (w *walk) done(now time.Time) bool {
	for _, c := range w.nearest(closest, heard, asking, answered) {
		if c.state == asking || (c.state == heard && w.asked < maxAsked) {
			return false
		}
	}
	live := w.live()
	missing := closest - len(live)
	for _, c := range w.contacts {
		switch {
		case missing <= 0 && (!w.patient || c == live[closest-1]):
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
