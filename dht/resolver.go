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

// Level says how hard a look-up tries, and how far one came.
type Level string

// The levels, from the weakest to the strongest; offline stands apart.
const (
	LevelAny     Level = "any"     // one verified record, from the cache while its TTL lasts
	LevelAgreed  Level = "agreed"  // 3 peers gave the best record
	LevelFresh   Level = "fresh"   // 5 peers did, or every peer found was asked
	LevelStrict  Level = "strict"  // every one of the closest peers found was asked
	LevelOffline Level = "offline" // what the home holds, asking nobody
)

const (
	agreedPeers = 3
	freshPeers  = 5

	// maxAnswers bounds what is taken from one store in one look-up: more
	// answers than a walk of package kad asks peers is a flood.
	maxAnswers = 512

	// maxRejections bounds Result.Rejected.
	maxRejections = 32

	// defaultTimeout ends look-ups whose context has no end.
	defaultTimeout = 30 * time.Second
)

// AtLeast reports whether a look-up that came as far as l reached another level.
// Offline is none that can be reached.
func (l Level) AtLeast(other Level) bool {
	return l.rank() >= 0 && other.rank() >= 0 && l.rank() >= other.rank()
}

func (l Level) rank() int {
	return slices.Index([]Level{LevelAny, LevelAgreed, LevelFresh, LevelStrict}, l)
}

// Resolver asks stores, believes none, and remembers the best that it ever
// verified. The zero value with Stores set is usable. It is safe for
// concurrent use once its fields are set.
type Resolver struct {
	// Stores are all asked at once.
	Stores []Store
	// Home holds the floor (the best record ever verified of each pointer) and
	// so serves as the cache; nil keeps both in memory only.
	Home *Dir
	// Now is the clock for expiry and TTL; nil means time.Now.
	Now func() time.Time
	// Timeout ends a look-up or publish whose context doesn't earlier; 0 means
	// 30 seconds.
	Timeout time.Duration

	memoryFloor memoryFloor
}

// Result is a record that verified, and how it was come by.
type Result struct {
	Record    pointer.Record
	Source    Source
	Freshness Level // reached, which may be more or less than was asked for
	Asked     int   // peers asked
	Answered  int   // peers that answered, be it that they have none
	Agreed    int   // peers that gave this very record
	Stale     bool  // past its TTL, within its life, and not confirmed since
	Rejected  []Rejection
}

// Rejection is an answer, or a store, that was no use. At most 32 are listed.
type Rejection struct {
	Source Source
	Peer   string
	Reason string // has text of foreign origin: quote it on display
}

// String is the reason and, for a router, which one it was: peers of a DHT are
// strangers whose names tell nobody anything.
func (r Rejection) String() string {
	if r.Source != SourceRouter || r.Peer == "" || strings.Contains(r.Reason, r.Peer) {
		return r.Reason
	}
	return "router " + r.Peer + ": " + r.Reason
}

// Resolve streams verified records, each better or fresher than the one before
// or at the end with the final counts; it ends when the level is reached or
// everything was asked. Levels over [LevelAny] always ask the stores. At
// LevelAny a cached record within its TTL is the whole answer; one past it is
// yielded at once as Stale, and again at the end if nothing newer came and
// nobody confirmed it.
//
// An error is yielded last, and only if there is no record to go by (or those
// yielded turned out to be older than one that has expired): [ErrNotFound],
// [ErrUnreachable], [ErrRejected], a [*RollbackError] or a
// [*pointer.ExpiredError], wrapped. The last two are proven by signatures and
// outweigh the others; an expired record in the home and nobody to ask for a
// newer one gives both ErrUnreachable and ExpiredError.
//
// Whatever ends the look-up early (the context, Timeout), a record that was
// verified by then is the result, with the freshness that it has.
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

// Best is the last result of [Resolver.Resolve], or its error. A result may
// fall short of the level: see its Freshness.
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

// Publish keeps the record in the home, then puts it to every store. The
// receipt is the sum of theirs; a store that failed to answer at all counts as
// one peer asked and unreachable. The error is nil when at least one store
// holds it as it wants to; otherwise it wraps what the stores said, such as
// [*ShortError]. A record older than the home's gives [ErrOlder], asking nobody.
//
// Once a store holds it, the others have a second: one that hangs holds up
// nobody. It goes on behind the caller's back, within Timeout, and counts as one
// peer asked that has not answered yet.
func (r *Resolver) Publish(ctx context.Context, rec pointer.Record) (Receipt, error) {
	return r.publish(ctx, rec, Store.Put, false)
}

// PublishAll is Publish, but waits for every peer that should have the record,
// and counts those that give it back when asked anew, where stores can: see
// [Thorough].
func (r *Resolver) PublishAll(ctx context.Context, rec pointer.Record) (Receipt, error) {
	return r.publish(ctx, rec, func(s Store, ctx context.Context, p pointer.Pointer, b []byte) (Receipt, error) {
		if t, ok := s.(ConfirmingStore); ok {
			return t.PutAll(ctx, p, b)
		}
		return s.Put(ctx, p, b)
	}, true)
}

type putFunc func(Store, context.Context, pointer.Pointer, []byte) (Receipt, error)

func (r *Resolver) publish(ctx context.Context, rec pointer.Record, put putFunc, all bool) (Receipt, error) {
	if rec.Pointer().IsZero() {
		return Receipt{}, errors.New("publish: no record given")
	}
	now := r.now()
	if now.After(rec.Expires()) {
		return Receipt{}, fmt.Errorf("publish: %w", &pointer.ExpiredError{Record: rec})
	}
	have, err := r.floorStore().store(rec, now)
	if err != nil {
		return Receipt{}, fmt.Errorf("publish: %w", err)
	}
	if supersedes(have.record, rec) {
		return Receipt{}, fmt.Errorf("publish: %w", olderError(have.record, rec))
	}
	if len(r.Stores) == 0 {
		return Receipt{}, fmt.Errorf("publish: %w: no network is joined", ErrUnreachable)
	}
	return r.putAll(ctx, rec, put, all)
}

// grace is how long a publication that one store holds waits for the others.
const publishGrace = time.Second

// putAll puts to all stores at once. When it returns early, because one of them
// has what it wants, the others go on within the Timeout.
func (r *Resolver) putAll(ctx context.Context, rec pointer.Record, put putFunc, all bool) (Receipt, error) {
	ctx, cancel := r.withTimeout(ctx)
	defer cancel()
	putCtx, stop := r.withTimeout(context.WithoutCancel(ctx))
	type outcome struct {
		receipt Receipt
		err     error
	}
	outcomes := make(chan outcome, len(r.Stores)) // a store that outlives us finds room
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
	var graceOver <-chan time.Time // set when one store has what it wants
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

func publishError(errs []error, stores int) error {
	if len(errs) < stores {
		return nil
	}
	return fmt.Errorf("publish: %w", errors.Join(errs...))
}

func (r *Resolver) floorStore() floorStore {
	if r.Home != nil {
		return r.Home
	}
	return &r.memoryFloor
}

func (r *Resolver) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Resolver) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return context.WithTimeout(ctx, timeout)
}
