package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/petname/home"
)

// A home remembers the peers that answered it, and enters the network by them when those
// that the owner named are silent: a network does not end with the peer that all of its
// homes have joined by.
const (
	rememberEvery = 10 * time.Minute   // while an agent runs; also at its end
	rememberTime  = 7 * 24 * time.Hour // since a peer answered last
	maxRemembered = 32                 // peers
	maxDays       = 30                 // that are counted of a peer
	exactTo       = time.Hour          // of the time of the last answer, in the file
)

// networkTag identifies the network of a configuration, by the peers that were named for
// a private one. Peers of another network are of no use, and are not to receive the
// requests of this one. It is "" for networks without named peers.
func networkTag(c home.Config) string {
	switch {
	case c.Network == "off" || len(c.Bootstrap) == 0:
		return ""
	case c.Network == "ipfs":
		return c.Network
	}
	var ids []string
	for _, b := range c.Bootstrap {
		if a, err := multiaddr.NewMultiaddr(b); err == nil {
			ids = append(ids, a[len(a)-1].Value())
		}
	}
	slices.Sort(ids)
	return c.Network + " " + strings.Join(slices.Compact(ids), " ")
}

// knownPeers returns the addresses of the peers that answered this home in the last days,
// the best first.
func (s *state) knownPeers(c home.Config) (addrs []string) {
	for _, p := range s.recentPeers(networkTag(c)) {
		addrs = append(addrs, p.Addrs...)
	}
	return addrs
}

// recentPeers returns the peers of a network in peers.json that answered in the last days.
func (s *state) recentPeers(network string) []home.KnownPeer {
	known, err := s.home.KnownPeers()
	if err != nil {
		s.log.Warn("the peers of earlier days are unknown", "error", err)
	}
	if network == "" || known.Network != network {
		return nil
	}
	now := s.now()
	for i, p := range known.Peers { // the clock may have been set back since
		if p.Last.After(now) {
			known.Peers[i].Last = now
		}
	}
	return slices.DeleteFunc(known.Peers, func(p home.KnownPeer) bool { return now.Sub(p.Last) > rememberTime })
}

// rememberPeers stores the peers that answered the node, and those of the days before. The
// caller holds mu.
func (s *state) rememberPeers() {
	if s.node == nil || s.nodeNetwork == "" {
		return
	}
	good := s.node.GoodPeers()
	if len(good) == 0 {
		return
	}
	old := s.recentPeers(s.nodeNetwork)
	merged, changed := mergePeers(old, good, s.now())
	if !changed {
		return
	}
	if err := s.home.SetKnownPeers(home.KnownPeers{Network: s.nodeNetwork, Peers: merged}); err != nil {
		s.log.Debug("peers not remembered", "error", err) // the home may be read-only
	}
}

// mergePeers adds the peers that answered now to those of before. It reports whether the
// result is worth a write: there was room for a new peer, or one of before answered on
// another day, in another hour, or at other addresses.
//
// At most half of the peers are those that answered on the most days, whatever others
// there are: an attacker with many peers has to keep them for days to push these out. The
// others are those that answered last.
func mergePeers(old []home.KnownPeer, good [][]string, now time.Time) (merged []home.KnownPeer, changed bool) {
	now = now.UTC().Truncate(time.Second)
	merged = slices.Clone(old)
	at := map[string]int{} // by ID
	for i, p := range merged {
		at[p.ID()] = i
	}
	for _, addrs := range good {
		p := home.KnownPeer{Addrs: addrs, Last: now, Days: 1}
		i, known := at[p.ID()]
		if !known {
			at[p.ID()] = len(merged)
			merged, changed = append(merged, p), changed || len(old) < maxRemembered
			continue
		}
		o := &merged[i]
		if day(o.Last) != day(now) {
			p.Days, changed = min(o.Days+1, maxDays), true
		} else {
			p.Days = o.Days
		}
		changed = changed || now.Sub(o.Last) >= exactTo || !slices.Equal(o.Addrs, addrs)
		*o = p
	}
	slices.SortStableFunc(merged, func(a, b home.KnownPeer) int { return cmp.Or(cmp.Compare(b.Days, a.Days), b.Last.Compare(a.Last)) })
	if len(merged) > maxRemembered {
		rest := merged[maxRemembered/2:]
		slices.SortStableFunc(rest, func(a, b home.KnownPeer) int { return b.Last.Compare(a.Last) })
		merged = merged[:maxRemembered]
	}
	return merged, changed
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// runRememberPeers stores the peers of a running agent repeatedly: it may be killed.
func (a *Agent) runRememberPeers() {
	a.mu.Lock()
	running := a.running
	a.mu.Unlock()
	a.loops.Go(func() {
		tick := time.NewTicker(rememberEvery)
		defer tick.Stop()
		for {
			select {
			case <-running.Done():
				return
			case <-tick.C:
			}
			a.mu.Lock()
			a.rememberPeers()
			a.mu.Unlock()
		}
	})
}
