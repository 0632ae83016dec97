package dht

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Level is the freshness that a look-up requires, or that a result has.
type Level string

// The levels, from the weakest to the strongest; offline stands apart.
const (
	LevelAny     Level = "any"     // one verified record, from the cache while its MaxAge lasts
	LevelAgreed  Level = "agreed"  // 3 peers returned the best record
	LevelFresh   Level = "fresh"   // 5 peers returned it, or all peers found were asked
	LevelStrict  Level = "strict"  // all of the closest peers found were asked
	LevelOffline Level = "offline" // the home's record, without a request
)

const (
	agreedPeers = 3
	freshPeers  = 5

	// maxAnswers bounds the answers of one store in one look-up. A walk of
	// package kad asks fewer peers.
	maxAnswers = 512

	// maxRejections bounds Result.Rejected.
	maxRejections = 32

	// defaultTimeout is the default of Resolver.Timeout.
	defaultTimeout = 30 * time.Second
)

// AtLeast reports whether the level l includes the level other. It is false if
// one of them is LevelOffline.
func (l Level) AtLeast(other Level) bool {
	return l.rank() >= 0 && other.rank() >= 0 && l.rank() >= other.rank()
}

// rank returns the place of a level, from 0 for LevelAny; -1 for LevelOffline and unknown
// levels.
func (l Level) rank() int {
	return slices.Index([]Level{LevelAny, LevelAgreed, LevelFresh, LevelStrict}, l)
}

// Resolver queries stores, verifies their answers, and stores the newest record
// ever verified. The zero value with Stores set is usable. It is safe for
// concurrent use once its fields are set.
type Resolver struct {
	// Stores are all queried at once.
	Stores []Store
	// Home holds the floor (the newest record ever verified of each pointer),
	// which also serves as the cache; nil means in memory only.
	Home *Dir
	// Now is the clock for expiry and TTL; nil means time.Now.
	Now func() time.Time
	// OnExpired is called for each answer of a network peer with an authentic record that
	// has expired, during the iteration of Resolve: a peer whose clock agrees with Now's
	// returns none for long. nil: not called.
	OnExpired func(peer string, r pointer.Record)
	// AgeBound bounds how long the home's record of a pointer is used without a request,
	// beside [MaxAge]; 0 or nil: MaxAge alone.
	AgeBound func(p pointer.Pointer) time.Duration
	// Timeout bounds a look-up or publication, as its context does; 0 means 30
	// seconds.
	Timeout time.Duration

	memoryFloor memoryFloor
}

// Result is a verified record, with the evidence for its freshness.
type Result struct {
	Record    pointer.Record
	Source    Source
	Freshness Level // reached, which may be above or below the requested level
	Asked     int   // peers asked
	Answered  int   // peers that answered, with a record or without
	Agreed    int   // peers that returned this record
	Stale     bool  // too old to be used without a request, not expired, and not confirmed since
	Rejected  []Rejection
}

// Rejection is an answer that was not used, or the failure of a store. A Result
// lists at most 32.
type Rejection struct {
	Source Source
	Peer   string
	Reason string // contains text from the network: quote it on display
}

// String returns the reason, with the router's URL if it is from a router. The ID
// of a DHT peer means nothing to people.
func (r Rejection) String() string {
	if r.Source != SourceRouter || r.Peer == "" || strings.Contains(r.Reason, r.Peer) {
		return r.Reason
	}
	return "router " + r.Peer + ": " + r.Reason
}

// Resolve yields verified records, each newer or fresher than the previous one,
// and the last one again if the final counts differ. It ends when the level is
// reached or all stores have answered. Levels above [LevelAny] always query the
// stores. At LevelAny, a cached record within its [MaxAge] and AgeBound is the only
// result; one past them is yielded at once as Stale, and again at the end if it was
// neither replaced nor confirmed.
//
// Resolve yields an error last, and only if there is no result, or the results
// turned out to be older than a record that has expired. The error wraps
// [ErrNotFound], [ErrUnreachable], [ErrRejected], a [*RollbackError] or a
// [*pointer.ExpiredError]. Signatures prove the last two, so these take
// precedence. If the home's record has expired and no peer answered, the error
// wraps both ErrUnreachable and an ExpiredError.
//
// If the context or Timeout ends the look-up early, a record verified before is
// the result, with the freshness reached.
func (r *Resolver) Resolve(ctx context.Context, p pointer.Pointer, level Level) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if level == "" {
			level = LevelAny
		}
		if level != LevelOffline && level.rank() < 0 {
			yield(Result{}, fmt.Errorf("resolve: unknown level %q (any, agreed, fresh, strict, offline)", level))
			return
		}
		if p.IsZero() {
			yield(Result{}, errors.New("resolve: no pointer given"))
			return
		}
		ctx, cancel := r.withTimeout(ctx)
		defer cancel()
		l := &lookup{resolver: r, pointer: p, level: level, agreed: map[[32]byte]map[string]bool{}}
		l.run(ctx, yield)
	}
}

// Best returns the last result of [Resolver.Resolve], or its error. A result may
// be below the level: see its Freshness.
func (r *Resolver) Best(ctx context.Context, p pointer.Pointer, level Level) (Result, error) {
	var best Result
	for res, err := range r.Resolve(ctx, p, level) {
		if err != nil {
			return Result{}, err
		}
		best = res
	}
	return best, nil
}

// Publish stores the record in the home, then puts it to every store. The receipt
// is the sum of the stores' receipts; a store that failed without a receipt
// counts as one peer asked and unreachable. The error is nil if at least one
// put succeeded. Otherwise it wraps the stores' errors, such as [*ShortError]. It
// wraps [ErrOlder], before any request, if the home has a newer record.
//
// After the first successful put, Publish waits one second for the other stores.
// A put that takes longer continues in the background, within Timeout, and
// counts as one peer asked that has not answered.
func (r *Resolver) Publish(ctx context.Context, rec pointer.Record) (Receipt, error) {
	return r.publish(ctx, rec, Store.Put, false)
}

// PublishAll is Publish, but waits for all stores, and calls PutAll on those that
// implement [ConfirmingStore].
func (r *Resolver) PublishAll(ctx context.Context, rec pointer.Record) (Receipt, error) {
	return r.publish(ctx, rec, func(s Store, ctx context.Context, p pointer.Pointer, b []byte) (Receipt, error) {
		if confirming, ok := s.(ConfirmingStore); ok {
			return confirming.PutAll(ctx, p, b)
		}
		return s.Put(ctx, p, b)
	}, true)
}

// putFunc puts a record to a store.
type putFunc func(Store, context.Context, pointer.Pointer, []byte) (Receipt, error)

// publish stores the record in the home and puts it to all stores; all is that of putAll.
func (r *Resolver) publish(ctx context.Context, rec pointer.Record, put putFunc, all bool) (Receipt, error) {
	if rec.Pointer().IsZero() {
		return Receipt{}, errors.New("publish: no record given")
	}
	now := r.now()
	if now.After(rec.Expires()) {
		return Receipt{}, fmt.Errorf("publish: %w", &pointer.ExpiredError{Record: rec})
	}
	stored, err := r.floorStore().store(rec, now)
	if err != nil {
		return Receipt{}, fmt.Errorf("publish: %w", err)
	}
	if supersedes(stored.record, rec) {
		return Receipt{}, fmt.Errorf("publish: %w", olderError(stored.record, rec))
	}
	if len(r.Stores) == 0 {
		return Receipt{}, fmt.Errorf("publish: %w: no network is joined", ErrUnreachable)
	}
	return r.putAll(ctx, rec, put, all)
}

// publishGrace is the time for which Publish waits for the other stores after
// the first successful put.
const publishGrace = time.Second

// putAll puts to all stores at once. If it returns early, after the grace period,
// the other puts continue within the Timeout.
func (r *Resolver) putAll(ctx context.Context, rec pointer.Record, put putFunc, all bool) (Receipt, error) {
	ctx, cancel := r.withTimeout(ctx)
	defer cancel()
	putCtx, stop := r.withTimeout(context.WithoutCancel(ctx))
	type outcome struct {
		receipt Receipt
		err     error
	}
	outcomes := make(chan outcome, len(r.Stores)) // buffered for puts that end after putAll
	var puts sync.WaitGroup
	for _, s := range r.Stores {
		puts.Go(func() {
			receipt, err := put(s, putCtx, rec.Pointer(), rec.Bytes())
			if err != nil && receipt == (Receipt{}) {
				receipt = Receipt{Asked: 1, Unreachable: 1}
			}
			outcomes <- outcome{receipt, err}
		})
	}
	go func() {
		puts.Wait()
		stop()
	}()
	var sum Receipt
	var errs []error
	var graceOver <-chan time.Time // set after the first successful put, unless all
	for n := range r.Stores {
		missing := len(r.Stores) - n
		select {
		case o := <-outcomes:
			sum = sum.add(o.receipt)
			if o.err != nil {
				errs = append(errs, o.err)
			} else if graceOver == nil && !all {
				graceOver = time.After(publishGrace)
			}
		case <-graceOver:
			return sum.add(Receipt{Asked: missing}), nil
		case <-ctx.Done():
			stop()
			sum = sum.add(Receipt{Asked: missing, Unreachable: missing})
			for range missing {
				errs = append(errs, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err()))
			}
			return sum, publishError(errs, len(r.Stores))
		}
	}
	return sum, publishError(errs, len(r.Stores))
}

// publishError returns nil if fewer stores failed than there are.
func publishError(errs []error, stores int) error {
	if len(errs) < stores {
		return nil
	}
	return fmt.Errorf("publish: %w", errors.Join(errs...))
}

// floorStore returns the home, or the floor in memory.
func (r *Resolver) floorStore() floorStore {
	if r.Home != nil {
		return r.Home
	}
	return &r.memoryFloor
}

func (r *Resolver) now() time.Time {
	if r.Now != nil {
		return r.Now().Round(0)
	}
	return time.Now().Round(0)
}

// withTimeout returns a context that ends after the Timeout.
func (r *Resolver) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return context.WithTimeout(ctx, timeout)
}
