package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// silent is a router that never responds, or to one request alone. It records how much time each
// request has.
type silent struct {
	mu   sync.Mutex
	gets []time.Duration // negative: a request without a deadline
	puts []time.Duration

	first []byte        // the response to the first request for a record; nil: none
	after time.Duration // that the first response takes
}

func (s *silent) wait(ctx context.Context, requests *[]time.Duration) error {
	left := time.Duration(-1)
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	s.mu.Lock()
	*requests = append(*requests, left)
	s.mu.Unlock()
	if left < 0 {
		return errors.New("a request without a deadline")
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *silent) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return s.GetAt(ctx, p, dht.LevelAny)
}

func (s *silent) GetAt(ctx context.Context, _ pointer.Pointer, _ dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		if record := s.first; record != nil {
			s.first = nil
			time.Sleep(s.after)
			yield(dht.Answer{Record: record, Source: dht.SourceNetwork}, nil)
			return
		}
		yield(dht.Answer{Source: dht.SourceNetwork}, errors.Join(dht.ErrUnreachable, s.wait(ctx, &s.gets)))
	}
}

func (s *silent) Put(ctx context.Context, _ pointer.Pointer, _ []byte) (dht.Receipt, error) {
	return dht.Receipt{Asked: 1, Unreachable: 1}, errors.Join(dht.ErrUnreachable, s.wait(ctx, &s.puts))
}

func (s *silent) Check(ctx context.Context) error { return s.wait(ctx, &s.gets) }

func (*silent) Close() error { return nil }

// A verb passes its bound on to the network: --timeout, or the engine's own. A
// network that never responds costs that time and no more.
func TestEachVerbPassesItsTimeoutToTheNetwork(t *testing.T) {
	const never = time.Duration(0)
	const routerURL = "http://router.invalid"
	args := func(a any) func(*testing.T, *Engine, *silent) any {
		return func(t *testing.T, e *Engine, _ *silent) any {
			for i := range 40 { // more than are asked at once
				_, err := e.Add(t.Context(), AddArgs{Name: fmt.Sprintf("bob%d", i), Target: newKey(t).Pointer().String(), Channel: "argument"})
				require.NoError(t, err)
			}
			return a
		}
	}
	for _, v := range []struct {
		name, verb string
		args       func(*testing.T, *Engine, *silent) any
		gets       time.Duration // the longest of the requests for a record
		puts       time.Duration // likewise, to store one
		total      time.Duration // of the whole verb
	}{
		{"", "resolve", args(ResolveArgs{Path: "bob1", Timeout: 3 * time.Second}), 3 * time.Second, never, 3 * time.Second},
		{"over the resolver's own", "resolve", args(ResolveArgs{Path: "bob1", Fresh: "fresh", Timeout: 2 * time.Minute}), 2 * time.Minute, never, 2 * time.Minute},
		{"after one hop", "resolve", func(t *testing.T, e *Engine, router *silent) any {
			alice := newKey(t)
			record, err := pointer.Sign(alice, pointer.Fields{Value: "/ipns/example.com", Sequence: 1, Expires: time.Now().Add(time.Hour),
				Card: &pointer.Card{Edges: map[string]pointer.Edge{"bob": {Pointer: newKey(t).Pointer()}}}})
			require.NoError(t, err)
			_, err = e.Add(t.Context(), AddArgs{Name: "alice", Target: alice.Pointer().String(), Channel: "argument"})
			require.NoError(t, err)
			router.first, router.after = record.Bytes(), time.Second
			return ResolveArgs{Path: "alice/bob", Timeout: 3 * time.Second}
		}, 2 * time.Second, never, 3 * time.Second},
		{"", "publish", args(PublishArgs{Path: "/ipns/example.com", Lifetime: time.Hour, Wait: "some"}), lookTimeout, 30 * time.Second, lookTimeout + 30*time.Second},
		{"", "join", args(JoinArgs{Targets: []string{routerURL}}), joinTimeout, never, joinTimeout},
		{"", "inbox", args(InboxArgs{}), syncTimeout, never, syncTimeout},
		{"", "introduce", args(IntroduceArgs{Name: "bob1", To: "bob2", As: "b", Expires: time.Hour}), sendTimeout, never, sendTimeout},
		{"both", "introduce", args(IntroduceArgs{Name: "bob1", To: "bob2", As: "b", Expires: time.Hour, Both: true}), sendTimeout, never, sendTimeout},
		{"", "share", args(ShareArgs{Names: []string{"bob1"}, Label: "b", To: "bob2"}), sendTimeout, never, sendTimeout},
	} {
		t.Run(v.verb+" "+v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, router := opened(t), &silent{}
				e.clients = map[string]routerClient{routerURL: router}
				require.NoError(t, e.home.SetConfig(home.Config{Network: "off", Routers: []string{routerURL}}))
				args, err := json.Marshal(v.args(t, e, router))
				require.NoError(t, err)
				began := time.Now()
				out, failure := e.Do(t.Context(), v.verb, args)
				if v.verb == "inbox" { // which reports the network in its result
					require.Nil(t, failure)
					require.Contains(t, string(out), `"network":"unreachable"`)
				} else {
					require.NotNil(t, failure)
				}
				require.Equal(t, v.total, time.Since(began))
				require.Equal(t, v.gets, longest(t, router.gets))
				require.Equal(t, v.puts, longest(t, router.puts))
			})
		})
	}
}

func longest(t *testing.T, requests []time.Duration) (most time.Duration) {
	for _, left := range requests {
		require.GreaterOrEqual(t, left, time.Duration(0), "a request without a deadline")
		most = max(most, left)
	}
	return most
}
