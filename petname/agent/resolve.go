package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

const (
	// defaultTimeout bounds a Resolve with a context without a deadline.
	defaultTimeout = 30 * time.Second

	// MaxTimeout is the longest that a Resolve takes.
	MaxTimeout = 10 * time.Minute
)

// Hop is one step of a path: a verified record, and how it was found. It is a
// plain value.
type Hop struct {
	Name      string // the petname or pointer, or the label of an edge: hostile text
	Pointer   pointer.Pointer
	Value     string // the value of the record: hostile text
	Sequence  uint64
	Expires   time.Time
	TTL       time.Duration
	Nickname  string // hostile text
	Record    []byte // as it was signed
	Source    dht.Source
	Freshness dht.Level
	Asked     int // peers
	Answered  int
	Agreed    int
	Stale     bool              // past its TTL, and not confirmed since
	Former    []pointer.Pointer // pointers that this one is proven to succeed, oldest first
	Unproven  pointer.Pointer   // a successor that the card names and no commitment proves; zero: none
	Followed  bool              // reached by the value /ipns/… of the hop before it: see [Agent.ResolveContent]
}

// Resolution is where a path leads. It is a plain value.
type Resolution struct {
	Path     string
	Hop               // the last
	Hops     []Hop    // all, in turn; with an error, those that were reached
	Rejected []string // answers that were no use, and why: hostile text
}

// Resolve walks a path of names: a petname or a pointer, then labels of edges,
// separated by slashes. Every record on the way is verified; a level over
// [dht.LevelAny] asks the network, whatever the home holds. The context bounds
// it, to [MaxTimeout] at most.
//
// Errors are those of [petname.Book.Resolve], without the [*petname.PathError] for a
// path of one part, and [ErrNotJoined]. The Resolution has the completed hops also with
// an error.
func (a *Agent) Resolve(ctx context.Context, path string, level dht.Level) (Resolution, error) {
	ctx, cancel, timeout := withTimeout(ctx)
	defer cancel()
	network := &lazyNetwork{state: a.state}
	resolver := a.resolver(a.sources(network)...)
	resolver.Timeout = timeout
	res, err := a.book.Resolve(ctx, resolver, path, level)
	out := resolution(res)
	if err == nil {
		return out, nil
	}
	var at *petname.PathError
	if errors.As(err, &at) && at.Part == at.Path { // the path is one name: its own error suffices
		err = malformed(path, at.Err)
	}
	// If no network was joined or the configuration can't be read, that is the error
	// to report, unless a record expired or fails to verify.
	if cause := network.failed(); cause != nil && isNetwork(err) && !errors.Is(cause, context.Canceled) && (!isNetwork(cause) || errors.Is(cause, ErrNotJoined)) {
		err = cause
	}
	return out, err
}

// withTimeout bounds a context as Resolve does, and returns the bound.
func withTimeout(ctx context.Context) (context.Context, context.CancelFunc, time.Duration) {
	timeout := defaultTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(time.Until(deadline), MaxTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, cancel, timeout
}

func resolution(res petname.Resolution) Resolution {
	out := Resolution{Path: res.Path}
	for _, h := range res.Hops {
		r := h.Result
		out.Hops = append(out.Hops, Hop{
			Name: h.Name, Pointer: h.Pointer, Value: r.Record.Value(), Sequence: r.Record.Sequence(), Expires: r.Record.Expires(), TTL: r.Record.TTL(),
			Nickname: h.Card.Nickname, Record: r.Record.Bytes(), Source: r.Source, Freshness: r.Freshness,
			Asked: r.Asked, Answered: r.Answered, Agreed: r.Agreed, Stale: r.Stale, Former: h.Former, Unproven: h.Unproven,
		})
		for _, rejection := range r.Rejected {
			out.Rejected = append(out.Rejected, rejection.String())
		}
	}
	if n := len(out.Hops); n > 0 {
		out.Hop = out.Hops[n-1]
	}
	return out
}

// Held returns the newest record of a pointer that the home holds, and whether
// it has expired. It fails with a [*NoRecordError].
func (a *Agent) Held(p pointer.Pointer) (r pointer.Record, expired bool, err error) { return a.held(p) }

func (s *state) held(p pointer.Pointer) (r pointer.Record, expired bool, err error) {
	for a, err := range s.records.Get(context.Background(), p) {
		if err != nil {
			return pointer.Record{}, false, err
		}
		if a.Record == nil {
			break
		}
		return pointer.OpenExpired(p, a.Record, s.now())
	}
	return pointer.Record{}, false, &NoRecordError{p}
}

// PutRecord stores a record in the networks that were joined. The key is not
// needed: any party can store a record until it expires.
func (a *Agent) PutRecord(ctx context.Context, r pointer.Record) (dht.Receipt, error) {
	stores, err := a.joined(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	receipt, err := a.resolver(stores...).Publish(ctx, r)
	a.finishPuts(ctx)
	if err != nil {
		return receipt, fmt.Errorf("record put: %w", err)
	}
	return receipt, nil
}
