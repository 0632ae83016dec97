package republish

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Entry is the state of one record that is republished.
type Entry struct {
	Next    time.Time `json:"next"`              // when the next query is due
	Looked  time.Time `json:"looked,omitzero"`   // the last query; zero: none
	Put     time.Time `json:"put,omitzero"`      // the last put by this node; zero: none
	Seen    time.Time `json:"seen,omitzero"`     // the last known put by any node; zero: none
	Asked   int       `json:"asked"`             // peers asked by the last query
	Holders int       `json:"holders"`           // of these: had the newest record, or stored it then
	Problem string    `json:"problem,omitempty"` // the error of the last query or put, for people
}

// item is a record to republish.
type item struct {
	Entry
	pointer pointer.Pointer
	key     Key
	peers   sample // that answered the last query; not stored
}

func byKey(a, b *item) int { return a.key.compare(b.key) }

// The higher the churn (the rate at which peers leave the network), the sooner
// the next query is due. Churn is a property of the network, so there is one
// estimate for all records: the share of peers that answer two queries in a row.
const (
	startChurn = math.Ln2 / 4 // per hour: the second query is due after 4 h
	churnShare = 0.25         // weight of one query in the estimate

	// A comparison of two queries changes the estimate only if the earlier one was
	// answered by minSample peers, since the share of fewer is left to chance, and if
	// minElapsed passed between them, since a peer that leaves sooner may only be slow
	// to answer.
	minSample  = 5
	minElapsed = 30 * time.Minute
)

// sample is a sorted set of peers, each as the first 8 bytes of its key: there
// may be 10,000 samples in memory.
type sample []uint64

func sampleOf(ids map[string]bool) sample {
	s := make(sample, 0, len(ids))
	for id := range ids {
		s = append(s, keyPrefix(id))
	}
	slices.Sort(s)
	return s
}

// keyPrefix returns the first 8 bytes of the key of the peer with an ID.
func keyPrefix(id string) uint64 {
	key := Peer{ID: id}.key()
	return binary.BigEndian.Uint64(key[:])
}

func (s sample) contains(p uint64) bool {
	_, found := slices.BinarySearch(s, p)
	return found
}

// interval returns the time in which half of the peers leave, within limits. The
// caller holds r.mu.
func (r *Republisher) interval() time.Duration {
	d := time.Duration(math.Ln2 / r.churn * float64(time.Hour))
	return min(max(d, minInterval), maxInterval)
}

// updateChurn updates the estimate with the peers that answered two consecutive
// queries for one record. Too few peers (minSample), or a time between the queries
// that is too short (minElapsed) or longer than twice maxInterval, change nothing.
// The caller holds r.mu.
func (r *Republisher) updateChurn(before, after sample, elapsed time.Duration) {
	if len(before) < minSample || elapsed < minElapsed || elapsed > 2*maxInterval {
		return
	}
	stayed := 0
	for _, p := range before {
		if after.contains(p) {
			stayed++
		}
	}
	// At least half a peer counts as having stayed: the logarithm of 0 is infinite.
	share := max(float64(stayed)/float64(len(before)), 1/float64(2*replication))
	r.churn += churnShare * (-math.Log(share)/elapsed.Hours() - r.churn)
	r.churn = min(max(r.churn, minChurn), maxChurn)
}

const (
	minChurn = math.Ln2 / 48 // per hour
	maxChurn = math.Ln2 / 1
)

// jittered returns d, with up to the share jitter of it added or subtracted. The
// caller holds r.mu.
func (r *Republisher) jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*r.rng.Float64()))
}

// randomPart returns a random duration from 0 to d. The caller holds r.mu.
func (r *Republisher) randomPart(d time.Duration) time.Duration {
	return time.Duration(float64(d) * r.rng.Float64())
}

func (r *Republisher) randomDelay(d time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.randomPart(d)
}

// readContacts adds items for new contacts, and removes those of contacts that are
// no longer selected. The due times of new ones are spread over spreadOf.
func (r *Republisher) readContacts() error {
	now := r.config.Now()
	r.mu.Lock()
	fresh := !r.contactsRead.IsZero() && !r.contactsRead.After(now) && now.Sub(r.contactsRead) < pollEvery
	r.mu.Unlock()
	if fresh {
		return nil
	}
	selected := map[pointer.Pointer]bool{}
	for p, err := range r.config.Contacts.Pointers() {
		if err != nil {
			return err
		}
		selected[p] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contactsRead = now
	before := len(r.items)
	r.items = slices.DeleteFunc(r.items, func(it *item) bool { return !selected[it.pointer] })
	r.dirty = r.dirty || len(r.items) < before
	for _, it := range r.items {
		delete(selected, it.pointer)
	}
	remaining := len(r.items)
	for p := range selected {
		r.items = append(r.items, &item{pointer: p, key: keyOf(p)})
	}
	added := r.items[remaining:]
	slices.SortFunc(added, byKey) // so that the due times do not depend on the order of a map
	for _, it := range added {
		it.Next, r.dirty = now.Add(r.randomPart(spreadOf(len(added)))), true
	}
	slices.SortFunc(r.items, byKey)
	return nil
}

// spreadOf returns the time over which the due times of n records are spread
// that would all be due at once otherwise.
func spreadOf(n int) time.Duration { return min(time.Duration(n)*spacing, maxSpread) }

// due returns the record that has been due for the longest time, nil if none is
// due or the network is paused.
func (r *Republisher) due(now time.Time) *item {
	r.mu.Lock()
	defer r.mu.Unlock()
	if first := r.earliest(); first != nil && !first.Next.After(now) && !r.pausedUntil.After(now) {
		return first
	}
	return nil
}

// earliest returns the record with the earliest due time, nil if there are no
// records. The caller holds r.mu.
func (r *Republisher) earliest() *item {
	var first *item
	for _, it := range r.items {
		if first == nil || it.Next.Before(first.Next) {
			first = it
		}
	}
	return first
}

// idleTime returns the time until the next record is due, from a second to
// maxWait.
func (r *Republisher) idleTime(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := maxWait
	if first := r.earliest(); first != nil {
		next := first.Next
		if r.pausedUntil.After(next) {
			next = r.pausedUntil
		}
		d = min(d, next.Sub(now))
	}
	if r.config.Own != nil && !r.own.Next.IsZero() {
		next := r.own.Next
		if r.pausedUntil.After(next) {
			next = r.pausedUntil
		}
		d = min(d, next.Sub(now))
	}
	return max(d, time.Second)
}

// dueIn returns the records of a region that are due now or soon, in random
// order, and the average time to wait between two of them.
func (r *Republisher) dueIn(reg region, first *item) ([]*item, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	until := now.Add(max(maxSpread, r.interval()/4))
	var batch []*item
	for _, it := range r.items {
		if it == first || reg.contains(it.key) && it.Next.Before(until) && now.Sub(it.Looked) > r.interval()/2 {
			batch = append(batch, it)
		}
	}
	r.rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	return batch, min(maxGap, r.interval()/4/time.Duration(len(r.items)+1))
}

// minShare is the share of the asked peers that are expected to hold the record
// still when the next query is due. With 8 of 20 expected, the probability that
// none is left is 1 in 30,000.
const minShare = 0.4

// schedule sets when the next query is due: after the jittered interval, sooner
// if few peers hold the record, and before the peers may discard it. The caller
// holds r.mu.
func (r *Republisher) schedule(e *Entry, now time.Time) {
	d := r.interval()
	if share := float64(e.Holders) / float64(max(e.Asked, 1)); share > 0 {
		d = min(d, time.Duration(math.Log(share/minShare)/r.churn*float64(time.Hour)))
	}
	e.Next = now.Add(r.jittered(d))
	if last := e.Seen.Add(maxPutAge); !e.Seen.IsZero() && e.Next.After(last) {
		e.Next = last
	}
	if soonest := now.Add(minInterval / 2); e.Next.Before(soonest) {
		e.Next = soonest
	}
	r.dirty = true
}

// clock detects jumps of the wall clock against the monotonic clock: after the
// time was set, or the machine was asleep.
type clock struct{ wall, mono time.Time }

const maxDrift = 10 * time.Minute

func (c *clock) start(now time.Time) { c.wall, c.mono = now, time.Now() }

// jumped reports whether the wall clock has moved by over maxDrift against the
// monotonic clock since the last call, or since start.
func (c *clock) jumped(now time.Time) bool {
	drift := now.Sub(c.wall) - time.Since(c.mono)
	c.start(now)
	return drift.Abs() > maxDrift
}

// checkClock repairs the due times after a jump of the clock.
func (r *Republisher) checkClock() {
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.clock.jumped(now) {
		return
	}
	r.log.Info("clock jump detected: due times are repaired")
	r.repairDueTimes(now)
	r.contactsRead, r.pausedUntil = time.Time{}, time.Time{}
}

// repairDueTimes repairs the due times at the start, and after the clock was set or
// the machine was asleep. Overdue records become due one after the other, not all at
// once, and no record becomes due later than one that was put just now could. The
// caller holds r.mu, or no other goroutine uses r yet.
func (r *Republisher) repairDueTimes(now time.Time) {
	overdue := 0
	for _, it := range r.items {
		if it.Next.Before(now) {
			overdue++
		}
	}
	for _, it := range r.items {
		it.Entry = r.repairDueTime(it.Entry, now, overdue)
		it.peers = nil
	}
	r.own.Entry = r.repairDueTime(r.own.Entry, now, 1)
	r.own.peers = nil
	if r.own.Since.After(now) {
		r.own.Since = now
	}
	if r.own.Renewed.After(now) {
		r.own.Renewed = time.Time{}
	}
	r.dirty = true
}

// repairDueTime returns the entry with times that are possible now; overdue is the
// number of records that are overdue.
func (r *Republisher) repairDueTime(e Entry, now time.Time, overdue int) Entry {
	ahead := func(t time.Time) bool { return t.After(now.Add(maxDrift)) }
	if ahead(e.Looked) || ahead(e.Put) || ahead(e.Seen) || e.Next.After(now.Add(maxInterval*5/4)) {
		// A time is in the future, or the due time is further ahead than schedule sets
		// it: the clock was ahead when the entry was written, so that it is unknown when
		// the record was put. It is treated as if that was up to maxInterval/2 ago.
		e.Looked, e.Put, e.Seen = time.Time{}, time.Time{}, time.Time{}
		e.Next = now.Add(r.randomPart(maxInterval / 2))
	} else if e.Next.Before(now) {
		e.Next = now.Add(r.randomPart(spreadOf(overdue)))
	}
	return e
}

// waitForWalk waits until the rate limit allows the next walk. The limit uses
// the monotonic clock, so that a jump of the wall clock does not change it.
func (r *Republisher) waitForWalk(ctx context.Context) error {
	if r.rate.Wait(ctx) != nil { // also if ctx ends before the next walk may start
		<-ctx.Done()
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.walks++
	return nil
}
