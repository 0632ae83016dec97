package agent

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

const (
	// servedAfter is how long a peer can return a record after its end: go-libp2p-kad-dht
	// checks the end when it receives a record, and then keeps it for 48 hours.
	servedAfter = 48 * time.Hour

	peerTimesTimeout = time.Second      // to wait for the times of peers
	expiredLife      = 10 * time.Minute // how long an expired record of a peer counts
	maxExpiredPeers  = 64
	manyPeers        = 3 // of so many, one started within a year
)

const (
	atTheEarliest = "at the earliest"
	atTheLatest   = "at the latest"
)

// clockSources returns what routers, peers, the book and the own record show about this
// machine's clock. Each source that shows a difference is a hint; of routers, also those that
// agree with the clock.
func (s *state) clockSources() []clockHint {
	now := s.now()
	var hints []clockHint
	s.mu.Lock()
	for address, r := range s.clients {
		if r, ok := r.(interface{ ClockSkew() (time.Duration, bool) }); ok {
			if ahead, ok := r.ClockSkew(); ok {
				host := address
				if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
					host = u.Hostname()
				}
				hints = append(hints, clockHint{source: "router " + address, host: host, ahead: ahead, agrees: ahead.Abs() <= clockMargin})
			}
		}
	}
	node := s.node
	s.mu.Unlock()
	if node != nil {
		hints = append(hints, s.nodeHints(node, now)...)
	}
	for _, d := range s.book.Ledger().Devices() {
		if ahead := d.At.Sub(now); !d.Removed && ahead > bookMargin {
			h := clockHint{source: fmt.Sprintf("the last entry of device %.8s in the book", d.ID), ahead: ahead}
			if d.ID == s.book.Ledger().Device() {
				h.group = homeGroup // dated by this machine's clock; other devices have clocks of their own
			}
			hints = append(hints, h)
		}
	}
	if h, ok := s.ownRecordHint(now); ok {
		hints = append(hints, h)
	}
	// Called in any case, since it records a jump. It counts only if no source agrees with the
	// clock: a home that was not used for a year looks the same.
	if h, ok := s.jumpHint(now); ok && !slices.ContainsFunc(hints, func(h clockHint) bool { return h.agrees }) {
		hints = append(hints, h)
	}
	return hints
}

// expiredCertificate matches the text of an [x509.CertificateInvalidError], which the
// errors of libp2p contain as text.
const expiredCertificate = `certificate has expired or is not yet valid: current time (\S+) is (?:before|after) (\S+)`

// certificateSkew returns the least change of this machine's clock that makes the
// certificate valid which failed in err, in the last 10 minutes.
func certificateSkew(err error, system time.Time) (ahead time.Duration, ok bool) {
	if err == nil {
		return 0, false
	}
	m := regexp.MustCompile(expiredCertificate).FindStringSubmatch(err.Error())
	if m == nil {
		return 0, false
	}
	now, err1 := time.Parse(time.RFC3339, m[1])
	bound, err2 := time.Parse(time.RFC3339, strings.TrimRight(m[2], ".,;:)\"'"))
	return bound.Sub(now), err1 == nil && err2 == nil && system.Sub(now).Abs() <= 2*clockMargin
}

// ownRecordHint returns what the end of the owner's newest record shows: it is no later than
// the time at which it was signed and its lifetime, which is at most [MaxLifetime]. The last
// record of a former key is no such record.
func (s *state) ownRecordHint(now time.Time) (clockHint, bool) {
	r, _, err := s.held(s.book.Identity())
	if err != nil || r.Sequence() == pointer.MaxSequence {
		return clockHint{}, false
	}
	life := MaxLifetime
	if last, err := s.reserved(r.Pointer()); err == nil && last.hashed && last.id == r.ID() {
		life = last.life
	}
	ahead := r.Expires().Add(-life).Sub(now)
	return clockHint{source: "the end of your own record", group: homeGroup, bound: atTheEarliest, ahead: ahead}, ahead > bookMargin
}

// nodeHints returns what the peers of the DHT show.
func (s *state) nodeHints(node Node, now time.Time) []clockHint {
	var hints []clockHint
	if node.Peers() == 0 {
		if ahead, ok := certificateSkew(node.JoinError(), time.Now().Round(0)); ok {
			hints = append(hints, clockHint{source: "the certificate of a peer", group: peersGroup, ahead: ahead})
		}
	}
	if n, ok := node.(interface {
		PeerTimes(ctx context.Context) []time.Time
	}); ok {
		ctx, cancel := context.WithTimeout(context.Background(), peerTimesTimeout)
		defer cancel()
		if h, ok := signedHint(n.PeerTimes(ctx), now); ok {
			hints = append(hints, h)
		}
	}
	if h, ok := s.expired.hint(now); ok {
		hints = append(hints, h)
	}
	return hints
}

const (
	peersGroup = "peers of the DHT" // an attacker can be many peers
	homeGroup  = "this home"        // what it dated under one clock, which may have been wrong
)

// signedHint returns what the times at which peers signed their addresses show. The clock is
// behind if they are later, and may be ahead if several peers signed over a year ago. With two
// peers or more the second newest time counts, so that no single peer causes a hint.
func signedHint(times []time.Time, now time.Time) (clockHint, bool) {
	if len(times) == 0 {
		return clockHint{}, false
	}
	times = slices.SortedFunc(slices.Values(times), func(a, b time.Time) int { return b.Compare(a) })
	ahead := times[min(1, len(times)-1)].Sub(now)
	h := clockHint{group: peersGroup, ahead: ahead}
	switch {
	case ahead > clockMargin:
		later := 0
		for _, t := range times {
			if t.Sub(now) > clockMargin {
				later++
			}
		}
		h.source, h.bound = "what "+peersOfDHT(later)+" signed when it started", atTheEarliest
		if later > 1 {
			h.source = "what " + peersOfDHT(later) + " signed when they started"
		}
	case -ahead > longUnused && len(times) >= manyPeers:
		h.source = "the newest that " + peersOfDHT(len(times)) + " signed when they started"
	default:
		return clockHint{}, false
	}
	return h, true
}

func peersOfDHT(n int) string {
	if n == 1 {
		return "one peer of the DHT"
	}
	return fmt.Sprintf("%d peers of the DHT", n)
}

// expiredSeen has the ends of expired records that DHT peers returned. A peer returns none
// for long whose clock agrees with this machine's. It is safe for concurrent use.
type expiredSeen struct {
	mu   sync.Mutex
	ends map[string]seenEnd // by peer
}

// seenEnd is the end of a record that a peer returned, and when: by the clock, and with the
// monotonic reading, so that neither a clock that was set nor a sleep goes unnoticed.
type seenEnd struct {
	end, at, monotonic time.Time
}

func (e *expiredSeen) add(peer string, end, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ends == nil {
		e.ends = map[string]seenEnd{}
	}
	if old, known := e.ends[peer]; known && old.current(now) && !end.Before(old.end) || !known && len(e.ends) >= maxExpiredPeers {
		return
	}
	e.ends[peer] = seenEnd{end, now, time.Now()}
}

func (s seenEnd) current(now time.Time) bool {
	return now.Sub(s.at).Abs() <= expiredLife && time.Since(s.monotonic) <= expiredLife
}

// hint returns what these records show: the clocks of the peers are no later than
// servedAfter after their ends. With two peers or more, the second strongest counts.
func (e *expiredSeen) hint(now time.Time) (clockHint, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var latest []time.Time
	for peer, seen := range e.ends {
		switch at := seen.end.Add(servedAfter); {
		case !seen.current(now):
			delete(e.ends, peer)
		case now.Sub(at) > clockMargin:
			latest = append(latest, at)
		}
	}
	if len(latest) == 0 {
		return clockHint{}, false
	}
	slices.SortFunc(latest, time.Time.Compare)
	source := "an expired record that " + peersOfDHT(len(latest)) + " still return"
	if len(latest) == 1 {
		source += "s"
	}
	return clockHint{source: source, group: peersGroup, bound: atTheLatest, ahead: latest[min(1, len(latest)-1)].Sub(now)}, true
}
