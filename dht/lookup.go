package dht

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// lookup is one run of Resolver.Resolve. It runs on the goroutine of the
// iteration; the stores' goroutines only send arrivals.
type lookup struct {
	resolver *Resolver
	pointer  pointer.Pointer
	level    Level

	floor    pointer.Record // newest record ever verified; the zero record if none
	hasFloor bool

	best     *pointer.Record // newest of this look-up; not expired, not older than the floor
	source   Source          // of the first answer with best
	expired  *pointer.Record // newest authentic record that has expired
	rollback *pointer.Record // newest record older than the floor
	noRecord int             // answers without a record
	invalid  int             // answers that do not verify
	failures []error         // of stores as a whole
	rejected []Rejection

	asked    []int                        // by store
	answered []int                        // by store
	network  []bool                       // by store: a peer of a network answered
	failed   []bool                       // by store: it did not ask all peers that it should have
	agreed   map[[32]byte]map[string]bool // by record ID: the peers that returned it
	verdicts map[[sha256.Size]byte]verdict

	last Result // the last one yielded
}

// verdict is the result of verifying the bytes of a record.
type verdict struct {
	record  pointer.Record
	expired bool
	err     error
}

// arrival is an answer of a store, or its end, sent by the store's goroutine.
type arrival struct {
	store  int
	answer Answer
	err    error
	done   bool
}

// run yields the record of the home if the level allows it, and then the results of the
// stores.
func (l *lookup) run(ctx context.Context, yield func(Result, error) bool) {
	now := l.resolver.now()
	stored, haveFloor, err := l.resolver.floorStore().load(l.pointer, now)
	if err != nil {
		l.reject(SourceHome, "", err)
	}
	if haveFloor {
		l.floor, l.hasFloor = stored.record, true
	}
	floorExpired := haveFloor && now.After(stored.record.Expires())
	floorValid := haveFloor && !floorExpired

	switch {
	case l.level == LevelOffline && floorValid:
		yield(Result{Record: stored.record, Source: SourceHome, Freshness: LevelOffline, Stale: !l.resolver.withinMaxAge(stored, now)}, nil)
		return
	case l.level == LevelOffline && floorExpired:
		yield(Result{}, fmt.Errorf("resolve: %w", &pointer.ExpiredError{Record: stored.record}))
		return
	case l.level == LevelOffline && err != nil:
		yield(Result{}, fmt.Errorf("resolve: %w: %w", ErrRejected, err))
		return
	case l.level == LevelOffline:
		yield(Result{}, fmt.Errorf("resolve %s: %w in this home", l.pointer, ErrNotFound))
		return
	case l.level == LevelAny && floorValid:
		res := Result{Record: stored.record, Source: SourceCache, Freshness: LevelAny, Stale: !l.resolver.withinMaxAge(stored, now)}
		if !yield(res, nil) || !res.Stale {
			return
		}
		l.last = res
	}
	if l.query(ctx, yield) {
		l.finish(ctx, yield)
	}
}

// withinMaxAge reports whether the cache may answer. A confirmation in the future
// is invalid: the clock was set back.
func (r *Resolver) withinMaxAge(stored floorRecord, now time.Time) bool {
	age := MaxAge(stored.record)
	if r.AgeBound != nil {
		if bound := r.AgeBound(stored.record.Pointer()); bound > 0 {
			age = min(age, bound)
		}
	}
	return !stored.confirmed.After(now) && now.Sub(stored.confirmed) < age
}

// query handles answers until the level is reached or the caller stops (it
// returns false), or until the stores or the context end (true: finish has to
// yield the rest).
func (l *lookup) query(ctx context.Context, yield func(Result, error) bool) bool {
	stores := l.resolver.Stores
	n := len(stores)
	l.asked, l.answered, l.network, l.failed = make([]int, n), make([]int, n), make([]bool, n), make([]bool, n)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	arrivals := make(chan arrival)
	for i, s := range stores {
		go forwardAnswers(ctx, i, s, l.pointer, l.level, arrivals)
	}
	for running := n; running > 0; {
		select {
		case <-ctx.Done():
			for i := range l.failed {
				l.failed[i] = true
			}
			return true
		case a := <-arrivals:
			if a.done {
				running--
				continue
			}
			l.handle(a)
			if l.best == nil {
				continue
			}
			res := l.result()
			if l.last.Record.Pointer().IsZero() || l.last.Source == SourceCache ||
				res.Record.ID() != l.last.Record.ID() || res.Freshness != l.last.Freshness {
				l.last = res
				if !yield(res, nil) {
					return false
				}
			}
			if res.Freshness.rank() >= l.level.rank() {
				return false
			}
		}
	}
	return true
}

// forwardAnswers sends the answers of one store. The look-up does not wait for
// it to end, so a store that ignores its context cannot delay the look-up.
func forwardAnswers(ctx context.Context, i int, s Store, p pointer.Pointer, level Level, arrivals chan<- arrival) {
	send := func(a arrival) bool {
		a.store = i
		select {
		case arrivals <- a:
			return true
		case <-ctx.Done():
			return false
		}
	}
	answers := s.Get(ctx, p)
	if levelStore, ok := s.(LevelStore); ok {
		answers = levelStore.GetAt(ctx, p, level)
	}
	n := 0
	for a, err := range answers {
		if n++; n > maxAnswers {
			send(arrival{answer: Answer{Source: a.Source}, err: fmt.Errorf("more than %d answers: no more were taken", maxAnswers)})
			break
		}
		if !send(arrival{answer: a, err: err}) {
			return
		}
	}
	send(arrival{done: true})
}

// handle counts an answer, and passes a record on to handleRecord.
func (l *lookup) handle(a arrival) {
	i := a.store
	l.asked[i] = max(l.asked[i], a.answer.Asked)
	switch {
	case a.err != nil && a.answer.Peer == "": // of the whole store
		l.failed[i] = true
		l.failures = append(l.failures, a.err)
		if len(l.failures) > maxRejections {
			l.failures = l.failures[:maxRejections]
		}
		l.reject(a.answer.Source, "", a.err)
		return
	case errors.Is(a.err, ErrUnreachable):
		return // an unreachable peer, which is normal
	case a.err != nil:
		l.invalid++
		l.answered[i]++
		l.reject(a.answer.Source, a.answer.Peer, a.err)
		return
	}
	l.answered[i]++
	l.network[i] = l.network[i] || a.answer.Source == SourceNetwork
	if a.answer.Record == nil {
		l.noRecord++
		return
	}
	l.handleRecord(a)
}

// handleRecord verifies a record, and compares it with the floor and the best.
func (l *lookup) handleRecord(a arrival) {
	v := l.verify(a.answer.Record)
	if v.err != nil {
		l.invalid++
		l.reject(a.answer.Source, a.answer.Peer, v.err)
		return
	}
	rec := v.record
	if report := l.resolver.OnExpired; report != nil && v.expired && a.answer.Source == SourceNetwork && a.answer.Peer != "" {
		report(a.answer.Peer, rec)
	}
	if !l.hasFloor || rec.Compare(l.floor) > 0 || (!v.expired && l.best == nil && rec.Compare(l.floor) == 0) {
		l.raiseFloor(rec, v.expired)
	}
	switch {
	case l.floor.Compare(rec) > 0:
		if l.rollback == nil || rec.Compare(*l.rollback) > 0 {
			l.rollback = &rec
		}
		l.reject(a.answer.Source, a.answer.Peer, fmt.Errorf("older (sequence %d) than the one known (sequence %d)", rec.Sequence(), l.floor.Sequence()))
		return
	case v.expired:
		l.best = nil // the previous best is now older than the floor
		l.expired = &rec
		l.reject(a.answer.Source, a.answer.Peer, &pointer.ExpiredError{Record: rec})
		return
	}
	if l.best == nil || rec.Compare(*l.best) > 0 {
		l.best, l.source = &rec, a.answer.Source
	}
	peer := a.answer.Peer
	if peer == "" {
		peer = "store " + strconv.Itoa(a.store) // no peer ID or URL has a space
	}
	id := rec.ID()
	if l.agreed[id] == nil {
		l.agreed[id] = map[string]bool{}
	}
	l.agreed[id][peer] = true
}

// raiseFloor makes rec the floor, on disk first. If another process has stored a
// newer record in the meantime, that is the floor. If the disk fails, the floor
// is not stored, and the look-up continues.
func (l *lookup) raiseFloor(rec pointer.Record, expired bool) {
	confirmed := l.resolver.now()
	if expired {
		confirmed = time.Time{}
	}
	stored, err := l.resolver.floorStore().store(rec, confirmed)
	if err != nil {
		l.reject(SourceHome, "", fmt.Errorf("not kept: %w", err))
		stored.record = rec
	}
	l.floor, l.hasFloor = stored.record, true
}

// verify verifies a record, once for all peers that send the same bytes.
func (l *lookup) verify(b []byte) verdict {
	if len(b) > pointer.MaxRecord {
		return verdict{err: fmt.Errorf("%d bytes, over %d", len(b), pointer.MaxRecord)}
	}
	key := sha256.Sum256(b)
	if v, ok := l.verdicts[key]; ok {
		return v
	}
	var v verdict
	v.record, v.expired, v.err = openExpired(l.pointer, b, l.resolver.now())
	if l.verdicts == nil {
		l.verdicts = map[[sha256.Size]byte]verdict{}
	}
	l.verdicts[key] = v
	return v
}

// reject adds a rejection to the list, if the list has room.
func (l *lookup) reject(s Source, peer string, err error) {
	if len(l.rejected) < maxRejections {
		l.rejected = append(l.rejected, Rejection{s, peer, err.Error()})
	}
}

// withCounts returns res with the counts and rejections of the look-up.
func (l *lookup) withCounts(res Result) Result {
	res.Asked, res.Answered = 0, 0
	for i := range l.asked {
		res.Asked += max(l.asked[i], l.answered[i])
		res.Answered += l.answered[i]
	}
	res.Rejected = slices.Clone(l.rejected)
	return res
}

// result returns the best record with the evidence so far. There must be one.
func (l *lookup) result() Result {
	agreed := len(l.agreed[l.best.ID()])
	level := LevelAny
	switch {
	case agreed >= freshPeers:
		level = LevelFresh
	case agreed >= agreedPeers:
		level = LevelAgreed
	}
	return l.withCounts(Result{Record: *l.best, Source: l.source, Freshness: level, Agreed: agreed})
}

// allAsked reports whether a network was queried, and every such store asked all
// of the closest peers.
func (l *lookup) allAsked() bool {
	complete := false
	for i := range l.network {
		if l.network[i] {
			if l.failed[i] {
				return false
			}
			complete = true
		}
	}
	return complete
}

// finish yields the final result, or the error.
func (l *lookup) finish(ctx context.Context, yield func(Result, error) bool) {
	if l.best != nil {
		res := l.result()
		switch {
		case l.allAsked() && l.level == LevelStrict:
			res.Freshness = LevelStrict
		case l.allAsked():
			res.Freshness = LevelFresh // asked, but not over disjoint paths
		}
		if res.Freshness != l.last.Freshness || res.Answered != l.last.Answered || res.Asked != l.last.Asked ||
			res.Record.ID() != l.last.Record.ID() || res.Source != l.last.Source {
			yield(res, nil)
		}
		return
	}
	if l.level == LevelAny && l.hasFloor && !l.resolver.now().After(l.floor.Expires()) {
		yield(l.withCounts(Result{Record: l.floor, Source: SourceCache, Freshness: LevelAny, Stale: true}), nil)
		return
	}
	yield(Result{}, l.failure(ctx))
}

// failure returns the error of a look-up without a result. Errors that signatures
// prove take precedence over claims of peers.
func (l *lookup) failure(ctx context.Context) error {
	var err error
	answered := l.withCounts(Result{}).Answered
	floorExpired := l.hasFloor && l.resolver.now().After(l.floor.Expires())
	switch {
	case l.expired != nil:
		err = &pointer.ExpiredError{Record: *l.expired}
	case l.rollback != nil:
		err = &RollbackError{Have: l.floor, Got: *l.rollback}
	case floorExpired && answered > 0:
		err = &pointer.ExpiredError{Record: l.floor}
	case l.noRecord > 0 && errors.Is(errors.Join(l.failures...), ErrSurrounded):
		err = fmt.Errorf("%s: %w (%s answered): %w", l.pointer, ErrNotFound, peersText(answered), ErrSurrounded)
	case l.noRecord > 0:
		err = fmt.Errorf("%s: %w (%s answered)", l.pointer, ErrNotFound, peersText(answered))
	case l.invalid > 0:
		err = fmt.Errorf("%s: %w: %s", l.pointer, ErrRejected, l.rejected[len(l.rejected)-1])
	case len(l.resolver.Stores) == 0:
		err = fmt.Errorf("%s: %w: no network is joined", l.pointer, ErrUnreachable)
	case len(l.failures) > 0:
		err = fmt.Errorf("%s: %w: %w", l.pointer, ErrUnreachable, errors.Join(l.failures...))
	default:
		err = fmt.Errorf("%s: %w", l.pointer, ErrUnreachable)
	}
	if floorExpired && answered == 0 {
		err = fmt.Errorf("%w; %w", err, &pointer.ExpiredError{Record: l.floor})
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, ctx.Err())
	}
	return fmt.Errorf("resolve: %w", err)
}
