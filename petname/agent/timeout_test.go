package agent_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// silent is a router that never responds, or to one request alone. It records how
// much time each request has.
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

const routerURL = "http://router.invalid"

// usesFake configures a router that is reached without the network.
func usesFake(t *testing.T, a *agent.Agent, r agent.Router) {
	agent.SetRouter(a, routerURL, r)
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "off", Routers: []string{routerURL}}))
}

// A method passes its bound on to the network: that of its context, or its own. A
// network that never responds costs that time and no more.
func TestEachMethodPassesItsTimeoutToTheNetwork(t *testing.T) {
	const never = time.Duration(0)
	bobs := func(t *testing.T, a *agent.Agent, _ *silent) {
		for i := range 40 { // more than are asked at once
			add(t, a, fmt.Sprintf("bob%d", i), newKey(t).Pointer())
		}
	}
	resolve := func(path string, level dht.Level, timeout time.Duration) func(context.Context, *agent.Agent) error {
		return func(ctx context.Context, a *agent.Agent) error {
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			_, err := a.Resolve(ctx, path, level)
			return err
		}
	}
	introduce := func(both bool) func(context.Context, *agent.Agent) error {
		return func(ctx context.Context, a *agent.Agent) error {
			_, err := a.Introduce(ctx, agent.Introduction{About: "bob1", To: "bob2", As: "b", Lifetime: time.Hour, Both: both})
			return err
		}
	}
	for _, v := range []struct {
		name    string
		prepare func(*testing.T, *agent.Agent, *silent)
		call    func(context.Context, *agent.Agent) error
		gets    time.Duration // the longest of the requests for a record
		puts    time.Duration // likewise, to store one
		total   time.Duration // of the whole call
	}{
		{"Resolve", bobs, resolve("bob1", dht.LevelAny, 3*time.Second), 3 * time.Second, never, 3 * time.Second},
		{"Resolve over the resolver's own", bobs, resolve("bob1", dht.LevelFresh, 2*time.Minute), 2 * time.Minute, never, 2 * time.Minute},
		{"Resolve without a deadline", bobs, resolve("bob1", dht.LevelAny, 0), agent.DefaultTimeout, never, agent.DefaultTimeout},
		{"Resolve with a late deadline", bobs, resolve("bob1", dht.LevelAny, time.Hour), agent.MaxTimeout, never, agent.MaxTimeout},
		{"Resolve after one hop", func(t *testing.T, a *agent.Agent, router *silent) {
			alice := newKey(t)
			record, err := pointer.Sign(alice, pointer.Fields{Value: "/ipns/example.com", Sequence: 1, Expires: time.Now().Add(time.Hour),
				Card: &pointer.Card{Edges: map[string]pointer.Edge{"bob": {Pointer: newKey(t).Pointer()}}}})
			require.NoError(t, err)
			add(t, a, "alice", alice.Pointer())
			router.first, router.after = record.Bytes(), time.Second
		}, resolve("alice/bob", dht.LevelAny, 3*time.Second), 2 * time.Second, never, 3 * time.Second},
		{"Publish", bobs, func(ctx context.Context, a *agent.Agent) error {
			_, err := a.Publish(ctx, draft(agent.WaitSome, value("/ipns/example.com")))
			return err
		}, agent.LookUpTimeout, 30 * time.Second, agent.LookUpTimeout + 30*time.Second},
		{"Join", bobs, func(ctx context.Context, a *agent.Agent) error {
			err := a.Join(ctx, routerURL)
			return err
		}, agent.JoinTimeout, never, agent.JoinTimeout},
		{"Fetch", bobs, func(ctx context.Context, a *agent.Agent) error {
			f, err := a.Fetch(ctx, false)
			require.NoError(t, err)
			require.Equal(t, "unreachable", f.Network)
			return f.Problem
		}, agent.SyncTimeout, never, agent.SyncTimeout},
		{"Introduce", bobs, introduce(false), agent.SendTimeout, never, agent.SendTimeout},
		{"Introduce both", bobs, introduce(true), agent.SendTimeout, never, agent.SendTimeout},
		{"ShareWith", bobs, func(ctx context.Context, a *agent.Agent) error {
			_, _, err := a.ShareWith(ctx, "bob2", []string{"bob1"}, "b")
			return err
		}, agent.SendTimeout, never, agent.SendTimeout},
	} {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, router := openedWith(t, agent.Options{}), &silent{}
				usesFake(t, a, router)
				v.prepare(t, a, router)
				began := time.Now()
				require.Error(t, v.call(t.Context(), a))
				require.Equal(t, v.total, time.Since(began))
				synctest.Wait() // for requests that nothing waits for
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

// refusing is a router that has no record and stores none. It counts the requests
// about the owner's own pointer and about others.
type refusing struct {
	own pointer.Pointer

	mu           sync.Mutex
	mine, others int
}

func (r *refusing) count(p pointer.Pointer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p == r.own {
		r.mine++
	} else {
		r.others++
	}
}

func (r *refusing) counts() (own, others int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mine, r.others
}

func (r *refusing) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return r.GetAt(ctx, p, dht.LevelAny)
}

func (r *refusing) GetAt(_ context.Context, p pointer.Pointer, _ dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		r.count(p)
		yield(dht.Answer{Source: dht.SourceNetwork, Asked: 1}, dht.ErrUnreachable)
	}
}

func (r *refusing) Put(_ context.Context, p pointer.Pointer, _ []byte) (dht.Receipt, error) {
	r.count(p)
	return dht.Receipt{Asked: 1, Unreachable: 1}, dht.ErrUnreachable
}

func (*refusing) Check(context.Context) error { return nil }
func (*refusing) Close() error                { return nil }
