package republish

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Entry is what is known of one record that is kept.
type Entry struct {
	Next    time.Time `json:"next"`              // when it is looked for again
	Looked  time.Time `json:"looked,omitzero"`   // the last look; zero: never
	Put     time.Time `json:"put,omitzero"`      // the last put of ours; zero: none was needed
	Seen    time.Time `json:"seen,omitzero"`     // by then somebody had put it, as far as can be told
	Asked   int       `json:"asked"`             // peers, at the last look
	Holders int       `json:"holders"`           // of these: had the newest record, or stored it then
	Problem string    `json:"problem,omitempty"` // of the last time
}

// item is a record to keep.
type item struct {
	Entry
	pointer pointer.Pointer
	place   Place
	peers   sample // that answered the last look; not kept in the file
}

func byPlace(a, b *item) int { return a.place.compare(b.place) }

// Peers come and go; where they go faster, records are looked for sooner. The
// rate is a property of the network, so that one is kept for all records: of
// the peers that answered one look, how many still do at the next.
const (
	startChurn = math.Ln2 / 4 // per hour: the first look comes back after 4 h
	churnShare = 0.25         // that one look has in the estimate
	minElapsed = 30 * time.Minute
)

// sample is a set of peers, each by the start of its place: a book of 10,000 has
// as many of them in memory.
type sample []uint64

func sampleOf(ids map[string]bool) sample {
	s := make(sample, 0, len(ids))
	for id := range ids {
		s = append(s, startOf(id))
	}
	slices.Sort(s)
	return s
}

func startOf(id string) uint64 {
	place := Peer{ID: id}.place()
	return binary.BigEndian.Uint64(place[:])
}

func (s sample) has(p uint64) bool {
	_, found := slices.BinarySearch(s, p)
	return found
}

// interval is the time in which half of the peers go, within limits.
func (k *Keeper) interval() time.Duration {
	d := time.Duration(math.Ln2 / k.churn * float64(time.Hour))
	return min(max(d, shortest), longest)
}

// measure learns from two looks at one record how fast peers go.
func (k *Keeper) measure(before, after sample, elapsed time.Duration) {
	if len(before) < 5 || elapsed < minElapsed || elapsed > 2*longest {
		return
	}
	stayed := 0
	for _, p := range before {
		if after.has(p) {
			stayed++
		}
	}
	share := max(float64(stayed)/float64(len(before)), 1/float64(2*closest))
	k.churn += churnShare * (-math.Log(share)/elapsed.Hours() - k.churn)
	k.churn = min(max(k.churn, minChurn), maxChurn)
}

const (
	minChurn = math.Ln2 / 48 // per hour
	maxChurn = math.Ln2 / 1
)

// around is a duration with jitter.
func (k *Keeper) around(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*k.rng.Float64()))
}

// within is a random part of a duration.
func (k *Keeper) within(d time.Duration) time.Duration {
	return time.Duration(float64(d) * k.rng.Float64())
}

func (k *Keeper) upTo(d time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.within(d)
}

// readBook brings the items in line with the book. Those that are new to it
// are due soon, one after the other.
func (k *Keeper) readBook() error {
	now := k.c.Now()
	k.mu.Lock()
	fresh := !k.read.IsZero() && !k.read.After(now) && now.Sub(k.read) < pollEvery
	k.mu.Unlock()
	if fresh {
		return nil
	}
	kept := map[pointer.Pointer]bool{}
	for p, err := range k.c.Contacts.Kept() {
		if err != nil {
			return err
		}
		kept[p] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = now
	before := len(k.items)
	k.items = slices.DeleteFunc(k.items, func(it *item) bool { return !kept[it.pointer] })
	k.dirty = k.dirty || len(k.items) < before
	for _, it := range k.items {
		delete(kept, it.pointer)
	}
	known := len(k.items)
	for p := range kept {
		k.items = append(k.items, &item{pointer: p, place: placeOf(p)})
	}
	added := k.items[known:]
	slices.SortFunc(added, byPlace) // draws from the jitter in an order of its own
	for _, it := range added {
		it.Next, k.dirty = now.Add(k.within(lot(len(added)))), true
	}
	slices.SortFunc(k.items, byPlace)
	return nil
}

// lot is what the due times of n records are spread over that would all be due
// at once otherwise.
func lot(n int) time.Duration { return min(time.Duration(n)*apart, spread) }

// due is the record that has waited longest, nil if none is due or nobody can
// be reached.
func (k *Keeper) due(now time.Time) *item {
	k.mu.Lock()
	defer k.mu.Unlock()
	if first := k.first(); first != nil && !first.Next.After(now) && !k.pause.After(now) {
		return first
	}
	return nil
}

func (k *Keeper) first() *item {
	var first *item
	for _, it := range k.items {
		if first == nil || it.Next.Before(first.Next) {
			first = it
		}
	}
	return first
}

// idle is how long nothing is due.
func (k *Keeper) idle(now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := pollEvery
	if first := k.first(); first != nil {
		next := first.Next
		if k.pause.After(next) {
			next = k.pause
		}
		d = min(d, next.Sub(now))
	}
	if k.c.Own != nil && !k.own.Next.IsZero() {
		next := k.own.Next
		if k.pause.After(next) {
			next = k.pause
		}
		d = min(d, next.Sub(now))
	}
	return max(d, time.Second)
}

// ripe are the records of a region that are due, or will be before long, in
// random order; and the time to leave between them.
func (k *Keeper) ripe(r region, first *item) ([]*item, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.c.Now()
	until := now.Add(max(spread, k.interval()/4))
	var batch []*item
	for _, it := range k.items {
		if it == first || r.holds(it.place) && it.Next.Before(until) && now.Sub(it.Looked) > k.interval()/2 {
			batch = append(batch, it)
		}
	}
	k.rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	return batch, min(maxGap, k.interval()/4/time.Duration(len(k.items)+1))
}

// fewLeft is the share of the peers that a record is not to fall below before
// the next look: of 20, with 8 to be expected, all are gone once in 30,000.
const fewLeft = 0.4

// schedule sets when a record is looked for again: by the jittered interval,
// sooner if no more than enough hold it, and before the peers may forget it.
func (k *Keeper) schedule(e *Entry, now time.Time) {
	d := k.interval()
	if share := float64(e.Holders) / float64(max(e.Asked, 1)); share > 0 {
		d = min(d, time.Duration(math.Log(share/fewLeft)/k.churn*float64(time.Hour)))
	}
	e.Next = now.Add(k.around(d))
	if last := e.Seen.Add(forgotten); !e.Seen.IsZero() && e.Next.After(last) {
		e.Next = last
	}
	if soonest := now.Add(shortest / 2); e.Next.Before(soonest) {
		e.Next = soonest
	}
	k.dirty = true
}

// clock notices when the time of day jumps, be it set or the machine asleep.
type clock struct{ wall, mono time.Time }

const jump = 10 * time.Minute

func (c *clock) start(now time.Time) { c.wall, c.mono = now.Round(0), time.Now() }

func (c *clock) jumped(now time.Time) bool {
	drift := now.Round(0).Sub(c.wall) - time.Since(c.mono)
	c.start(now)
	return drift.Abs() > jump
}

func (k *Keeper) mindClock() {
	now := k.c.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.clock.jumped(now) {
		return
	}
	k.log.Info("the clock jumped: due times are spread anew")
	k.settle(now)
	k.read, k.pause = time.Time{}, time.Time{}
}

// settle makes due times out of those that were set by another clock, or long
// ago: the overdue come one after the other, and none later than it would if
// it had been put just now.
func (k *Keeper) settle(now time.Time) {
	overdue := 0
	for _, it := range k.items {
		if it.Next.Before(now) {
			overdue++
		}
	}
	for _, it := range k.items {
		it.Entry = k.settled(it.Entry, now, overdue)
		it.peers = nil
	}
	k.own.Entry = k.settled(k.own.Entry, now, 1)
	k.own.peers = nil
	if k.own.Since.After(now) {
		k.own.Since = now
	}
	if k.own.Renewed.After(now) {
		k.own.Renewed = time.Time{}
	}
	k.dirty = true
}

func (k *Keeper) settled(e Entry, now time.Time, overdue int) Entry {
	ahead := func(t time.Time) bool { return t.After(now.Add(jump)) }
	if ahead(e.Looked) || ahead(e.Put) || ahead(e.Seen) || e.Next.After(now.Add(longest*5/4)) {
		// Done by a clock that ran ahead: it may have been half a day ago.
		e.Looked, e.Put, e.Seen = time.Time{}, time.Time{}, time.Time{}
		e.Next = now.Add(k.within(longest / 2))
	} else if e.Next.Before(now) {
		e.Next = now.Add(k.within(lot(overdue)))
	}
	return e
}

// take waits until the next walk may start. The rate goes by the monotonic
// clock, whatever the time of day does.
func (k *Keeper) take(ctx context.Context) error {
	if k.rate.Wait(ctx) != nil { // also if ctx ends before the next walk may start
		<-ctx.Done()
		return ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.walks++
	return nil
}
