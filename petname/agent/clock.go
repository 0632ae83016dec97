package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	lookUpHostTimeout = 2 * time.Second // for the IP address of a router

	clockMargin = 5 * time.Minute      // differences up to this are not reported
	bookMargin  = 24 * time.Hour       // likewise, of the last entry of the book
	longUnused  = 365 * 24 * time.Hour // since the last entry of the book: the clock may be ahead
)

// clockHint is a time that contradicts the clock of this machine, or agrees with it.
type clockHint struct {
	source string        // for people: what showed the time
	host   string        // of a router: name or IP address; empty: not a router
	group  string        // the source that it counts as; empty: source
	bound  string        // "at the earliest", "at the latest", or empty: the time itself
	ahead  time.Duration // of this machine's clock; negative: behind
	agrees bool          // the difference is within the margin
}

func (h clockHint) text(now time.Time) string {
	direction, by := "ahead of", h.ahead
	if by < 0 {
		direction, by = "behind", -by
	}
	shown := strings.TrimSpace(clockText(now.Add(h.ahead)) + " " + h.bound)
	return fmt.Sprintf("%s shows %s, %s %s this machine's clock", h.source, shown, by.Round(time.Minute), direction)
}

func clockText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// ClockHint returns what contradicts the clock of this machine, with each source; ""
// for nothing. It asks no router or peer: it knows what they have shown before. Routers
// and peers can lie, so it is a hint for the owner, and changes nothing.
func (a *Agent) ClockHint() string { return hintText(a.clockHints(), a.now()) }

// WrongClockError is an error that a wrong clock of this machine may have caused.
type WrongClockError struct {
	Err  error
	Hint string // what contradicts the clock: see [Agent.ClockHint]
}

func (e *WrongClockError) Error() string { return e.Err.Error() + "; " + e.Hint }

// Unwrap returns the error without the hint.
func (e *WrongClockError) Unwrap() error { return e.Err }

// Clock returns the time by the clock of the home, [Options.Now].
func (a *Agent) Clock() time.Time { return a.now() }

func hintText(hints []clockHint, now time.Time) string {
	if len(hints) == 0 {
		return ""
	}
	var texts []string
	for _, h := range hints {
		texts = append(texts, h.text(now))
	}
	return "this machine's clock shows " + clockText(now) + ", and may be wrong: " + strings.Join(texts, "; ")
}

// mergeHints returns the hints after an act, and those before it whose sources show nothing
// any more.
func mergeHints(before, after []clockHint) []clockHint {
	for _, b := range before {
		if !slices.ContainsFunc(after, func(a clockHint) bool { return a.source == b.source }) {
			after = append(after, b)
		}
	}
	return after
}

// clockHints returns the times that contradict the clock.
func (s *state) clockHints() []clockHint {
	return slices.DeleteFunc(s.clockSources(), func(h clockHint) bool { return h.agrees })
}

// entryTimes returns the dates of the last entry of this device in the book, and of the
// newest entry of any device that was not removed; zero: none.
func (s *state) entryTimes() (own, newest time.Time) {
	l := s.book.Ledger()
	for _, d := range l.Devices() {
		if d.ID == l.Device() {
			own = d.At
		}
		if d.At.After(newest) && !d.Removed {
			newest = d.At
		}
	}
	return own, newest
}

func (s *state) newestEntry() time.Time {
	_, newest := s.entryTimes()
	return newest
}

// checkClockOfBook fails with a [*ClockError] while the clock is behind the last entry
// of this device. The entries of other devices do not count: one with a wrong clock, or
// in the hands of a thief, would prevent a rotation.
func (s *state) checkClockOfBook() error {
	now := s.now()
	if own, _ := s.entryTimes(); own.Sub(now) > bookMargin {
		return &ClockError{now, own}
	}
	return nil
}

// clockNotice returns an error when the clock of this machine does not agree with the
// last entry of the book that this device made: what is signed now would have a wrong
// date.
func (s *state) clockNotice() error {
	s.comparedEntry() // before an entry has the date of this clock
	now := s.now()
	own, newest := s.entryTimes()
	switch {
	case own.Sub(now) > bookMargin:
		return fmt.Errorf("the last entry of this device is dated %s, and its clock shows %s now: if that is right, new entries have the right date again", clockText(own), clockText(now))
	case !newest.IsZero() && now.Sub(newest) > longUnused:
		return fmt.Errorf("this machine's clock shows %s, over a year after the last entry of the book, %s: if it is wrong, set it before you change or publish anything", clockText(now), clockText(newest))
	}
	return nil
}

// checkClock adds the check of the clock if something contradicts it. It fails only if
// two sources agree that the clock is ahead, or behind, and they are more than those that
// agree with the clock: one router alone can cause no more than a hint. Routers with one
// IP address are one source, whatever their names and ports, and so are all peers of the DHT.
func (a *Agent) checkClock(ctx context.Context, out *checks) {
	sources, now := a.clockSources(), a.now()
	hints := slices.DeleteFunc(slices.Clone(sources), func(h clockHint) bool { return h.agrees })
	if h, ok := a.backHint(now); ok && len(hints) == len(sources) { // no source agrees; it counts as none itself
		hints = append(hints, h)
	}
	if len(hints) == 0 {
		return
	}
	ahead, behind, agreeing := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, h := range sources {
		from := cmp.Or(h.group, h.source)
		if h.host != "" {
			from = addressOf(ctx, h.host)
		}
		switch {
		case h.agrees:
			agreeing[from] = true
		case h.ahead > 0:
			behind[from] = true
		default:
			ahead[from] = true
		}
	}
	if most := max(len(ahead), len(behind)); most < 2 || most <= len(agreeing) {
		out.add("clock", hintText(hints, now))
	} else {
		out.add("clock", "", errors.New(hintText(hints, now)))
	}
}

// addressOf returns the first IP address of a host, in order, or the name of the host if
// it has none now.
func addressOf(ctx context.Context, host string) string {
	ctx, cancel := context.WithTimeout(ctx, lookUpHostTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return host
	}
	least := slices.MinFunc(ips, netip.Addr.Compare)
	return least.Unmap().String()
}
