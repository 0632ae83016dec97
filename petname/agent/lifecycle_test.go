package agent_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// nodes is a transport that counts its nodes. They are alone.
type nodes struct {
	start func(ctx context.Context) error // called at each start; nil: nothing

	mu              sync.Mutex
	started, closed int
	last            agent.NodeConfig // of the last start
	public          []string         // what Bootstrap returns
	refused         error            // what JoinError of each node returns
}

func (n *nodes) Bootstrap(string) []string { return n.public }
func (n *nodes) CheckPeer(string) error    { return nil }

func (n *nodes) Start(ctx context.Context, c agent.NodeConfig) (agent.Node, error) {
	if n.start != nil {
		if err := n.start(ctx); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.started++
	n.last = c
	return &loneNode{of: n, id: fmt.Sprint("node ", n.started)}, nil
}

// open returns the number of nodes that were started and not closed.
func (n *nodes) open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.started - n.closed
}

// loneNode is a node without peers.
type loneNode struct {
	of *nodes
	id string
}

func (l *loneNode) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		yield(dht.Answer{Source: dht.SourceNetwork}, dht.ErrUnreachable)
	}
}

func (l *loneNode) GetAt(ctx context.Context, p pointer.Pointer, _ dht.Level) iter.Seq2[dht.Answer, error] {
	return l.Get(ctx, p)
}

func (l *loneNode) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, dht.ErrUnreachable
}

func (l *loneNode) ForClient(netip.Addr) dht.Store { return l }

func (l *loneNode) PutAll(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, dht.ErrUnreachable
}

func (l *loneNode) UnlinkableClient(context.Context) (republish.Client, error) {
	return nil, dht.ErrUnreachable
}

func (l *loneNode) Confirm(context.Context, pointer.Pointer, []byte) (int, error) { return 0, nil }

func (l *loneNode) ID() string                 { return l.id }
func (l *loneNode) Addrs() []string            { return nil }
func (l *loneNode) Peers() int                 { return 0 }
func (l *loneNode) JoinError() error           { return l.of.refused }
func (l *loneNode) Status() agent.Holding      { return agent.Holding{} }
func (l *loneNode) Wait(context.Context) error { return nil }
func (l *loneNode) Ports() []agent.ListenPort  { return nil }
func (l *loneNode) GoodPeers() [][]string      { return nil }

func (l *loneNode) Held(context.Context, pointer.Pointer) []byte { return nil }
func (l *loneNode) Serve(dht.Store)                              {}
func (l *loneNode) Dial([][]byte) dht.Store                      { return l }

func (l *loneNode) Close() error {
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	l.of.closed++
	return nil
}

// No method starts a node after Close: nothing would end it.
func TestNoNodeStartsAfterClose(t *testing.T) {
	transport := &nodes{}
	a, err := agent.Open(t.Context(), filepath.Join(t.TempDir(), "home"), agent.Options{Create: &agent.Profile{}, Transport: transport})
	require.NoError(t, err)
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "lan"}))
	record, err := pointer.Sign(newKey(t), pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "again")
	for name, use := range map[string]func() error{
		"join":    func() error { err := a.Join(t.Context(), "lan"); return err },
		"leave":   func() error { err := a.Join(t.Context(), "off", "lan"); return err },
		"put":     func() error { _, err := a.PutRecord(t.Context(), record); return err },
		"resolve": func() error { _, err := a.Resolve(t.Context(), record.Pointer().String(), dht.LevelFresh); return err },
		"publish": func() error { _, err := a.Publish(t.Context(), nil); return err },
		"invite": func() error {
			_, err := a.Invite(t.Context(), agent.InvitationTerms{Uses: 1, Lifetime: time.Hour})
			return err
		},
		"fetch": func() error { _, err := a.Fetch(t.Context(), true); return err },
		"check": func() error { a.Check(t.Context()); return errors.New("it reports what is wrong") },
	} {
		require.Error(t, use(), name)
		require.Zero(t, transport.open(), name)
	}
}

// blocked returns a transport whose nodes start when the test lets them, and a
// channel that has a value for each that does not yet.
func blocked() (transport *nodes, starting <-chan struct{}, let func()) {
	waiting, released := make(chan struct{}, 10), make(chan struct{})
	return &nodes{start: func(context.Context) error {
		waiting <- struct{}{}
		<-released
		return nil
	}}, waiting, sync.OnceFunc(func() { close(released) })
}

// A node that starts while the agent is closed is closed with it.
func TestANodeThatStartsDuringCloseIsClosed(t *testing.T) {
	for range 10 {
		transport, starting, let := blocked()
		a, err := agent.Open(t.Context(), filepath.Join(t.TempDir(), "home"), agent.Options{Create: &agent.Profile{}, Transport: transport})
		require.NoError(t, err)
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() { _ = a.Join(t.Context(), "lan") })
		}
		<-starting
		calls.Go(func() { _ = a.Close() })
		let()
		calls.Wait()
		require.Zero(t, transport.open())
	}
}

// The book can be changed while a network is entered, which can take seconds.
func TestAChangeOfTheBookDoesNotWaitForANetwork(t *testing.T) {
	transport, starting, let := blocked()
	a := openedWith(t, agent.Options{Transport: transport})
	var calls sync.WaitGroup
	calls.Go(func() { _ = a.Join(t.Context(), "lan") })
	<-starting
	changed, bob := make(chan error, 1), newKey(t).Pointer()
	go func() {
		_, err := a.Add("bob", pointer.Link{Pointer: bob}, petname.Source{})
		changed <- err
	}()
	select {
	case err := <-changed:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Error("it waits")
	}
	let()
	calls.Wait()
}

// An end of a Run does not end what was started after it.
func TestTwoRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{Transport: &nodes{}})
		first, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- a.Run(first) }()
		go func() { ended <- a.Run(t.Context()) }()
		synctest.Wait()
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		_, err := a.Status()
		require.ErrorIs(t, err, agent.ErrNotServing)
	})
}

// Methods of views in many goroutines, while the agent starts, joins and closes.
func TestConcurrentUse(t *testing.T) {
	transport := &nodes{}
	for range 8 {
		a, err := agent.Open(t.Context(), filepath.Join(t.TempDir(), "home"), agent.Options{Create: &agent.Profile{}, Transport: transport})
		require.NoError(t, err)
		p := newKey(t).Pointer()
		ctx, cancel := context.WithCancel(t.Context())
		var users sync.WaitGroup
		for _, use := range []func(*agent.Agent){
			func(a *agent.Agent) { _ = a.Run(ctx) },
			func(a *agent.Agent) { _ = a.Start(ctx) },
			func(a *agent.Agent) { _ = a.Join(ctx, "lan") },
			func(a *agent.Agent) { _ = a.Join(ctx, "off") },
			func(a *agent.Agent) { _, _ = a.Resolve(ctx, p.String(), dht.LevelFresh) },
			func(a *agent.Agent) { _, _ = a.Publish(ctx, draft(agent.WaitNone)) },
			func(a *agent.Agent) { _, _ = a.Publish(ctx, draft(agent.WaitSome)) },
			func(a *agent.Agent) { _, _ = a.Fetch(ctx, true) },
			func(a *agent.Agent) { _, _ = a.Status() },
			func(a *agent.Agent) { _, _ = a.Rotate(ctx, agent.Rotation{}) },
			func(a *agent.Agent) { _, _ = a.Add("bob", pointer.Link{Pointer: p}, petname.Source{}) },
			func(a *agent.Agent) { _, _ = a.Undo() },
			func(a *agent.Agent) { a.Check(ctx) },
			func(a *agent.Agent) {
				for range a.Changes(ctx) {
				}
			},
		} {
			view := a.WithPassphrase(func() ([]byte, error) { return nil, nil })
			users.Go(func() {
				for range 3 {
					use(view)
				}
			})
		}
		for range 2 {
			users.Go(func() { _ = a.Close() })
		}
		require.NoError(t, a.Close())
		cancel()
		users.Wait()
		require.Zero(t, transport.open())
	}
}

// An agent that runs has a second node, with a throw-away key. Both end with the
// run.
func TestBothNodesEndWithTheRun(t *testing.T) {
	transport := &nodes{}
	a := openedWith(t, agent.Options{Transport: transport})
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "lan"}))
	add(t, a, "bob", newKey(t).Pointer())
	end := run(t, a)
	_, err := a.Fetch(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, 2, transport.open())
	end()
	require.Zero(t, transport.open())
}

// Of several calls of Join the one that is saved last is entered last.
func TestConcurrentJoins(t *testing.T) {
	transport := &nodes{}
	a := openedWith(t, agent.Options{Transport: transport})
	for range 30 {
		var joins sync.WaitGroup
		for _, network := range []string{"lan", "ipfs", "lan", "ipfs", "lan", "ipfs", "lan", "ipfs"} {
			joins.Go(func() { _ = a.Join(t.Context(), network) })
		}
		joins.Wait()
		c, err := agent.HomeOf(a).Config()
		require.NoError(t, err)
		require.Equal(t, c.Network, transport.last.Network)
	}
}

// Resolve ends with its context, while the network is still being entered. For the
// race detector.
func TestResolveEndsBeforeANetworkIsEntered(t *testing.T) {
	transport, starting, let := blocked()
	a := openedWith(t, agent.Options{Transport: transport})
	defer let()
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "lan"}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := a.Resolve(ctx, newKey(t).Pointer().String(), dht.LevelFresh)
		ended <- err
	}()
	<-starting
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// A caller of Join and the transport share no slice with each other.
func TestJoinSharesNoSlice(t *testing.T) {
	const one, two = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEgWnNwZpmMuwNZjirGhx5ujwiqzmyXNakoi81oGKX35k", "/ip4/127.0.0.1/tcp/2/p2p/12D3KooWEgWnNwZpmMuwNZjirGhx5ujwiqzmyXNakoi81oGKX35k"
	own := []string{one, "own"}
	transport := &nodes{public: own[:1]}
	a := openedWith(t, agent.Options{Transport: transport})
	_ = a.Join(t.Context(), "ipfs", two)
	joined, err := a.Joined()
	require.NoError(t, err)
	require.Equal(t, []string{one, two}, joined.Bootstrap)
	require.Equal(t, []string{one, "own"}, own)
	joined.Bootstrap[0] = "changed"
	require.Equal(t, []string{one, two}, transport.last.Bootstrap)
	require.Equal(t, []string{one, "own"}, own)
}

func (l *loneNode) ServeStreams(string, agent.StreamBounds, func(agent.Stream, func())) {}

func (l *loneNode) OpenStream(context.Context, [][]byte, string, bool) (agent.Stream, error) {
	return nil, dht.ErrUnreachable
}
