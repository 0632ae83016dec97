package agent_test

import (
	"context"
	"net"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
)

// listens reports whether something accepts connections at the address of a node.
func listens(t *testing.T, addr string) bool {
	t.Helper()
	m, err := multiaddr.NewMultiaddr(addr)
	require.NoError(t, err)
	network, host, err := manet.DialArgs(m.Decapsulate(multiaddr.StringCast("/p2p/" + addr[len(addr)-52:])))
	require.NoError(t, err)
	c, err := net.Dial(network, host)
	if err != nil {
		return false
	}
	require.NoError(t, c.Close())
	return true
}

// run runs an agent, and returns when it serves. The function that it returns ends
// the run, and waits for it.
func run(t *testing.T, a *agent.Agent) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	require.Eventually(t, func() bool { _, err := a.Status(); return err == nil }, patience, time.Millisecond)
	return func() {
		t.Helper()
		cancel()
		require.NoError(t, <-ended)
	}
}

var bubbledGoroutine = regexp.MustCompile(`(?m)^goroutine \d+ .*synctest bubble`)

// bubbled counts the goroutines of synctest bubbles.
func bubbled() int {
	b := make([]byte, 1<<20)
	return len(bubbledGoroutine.FindAll(b[:runtime.Stack(b, true)], -1))
}

// Run ends with its context. Nothing listens then, and Status reports that the
// agent does not run. It can run again, under the same peer key.
func TestRunLeavesNoListener(t *testing.T) {
	a, hub := opened(t), served(t, nil)
	var peer string
	for range 2 {
		end := run(t, a)
		join(t, a, addrs(t, hub)...)
		at := addrs(t, a)
		status, err := a.Status()
		require.NoError(t, err)
		if peer != "" {
			require.Equal(t, peer, status.Peer)
		}
		peer = status.Peer
		require.True(t, listens(t, at[0]))
		_, err = a.Publish(t.Context(), draft(agent.WaitSome))
		require.NoError(t, err)
		end()
		require.False(t, listens(t, at[0]))
		_, err = a.Status()
		require.ErrorIs(t, err, agent.ErrNotServing)
		unreached(t, a)
		// The agent still works, as a client with a throw-away peer key.
		_, err = a.Publish(t.Context(), draft(agent.WaitSome))
		require.NoError(t, err)
		require.NotEqual(t, peer, agent.NodeOf(a).ID())
	}
}

// Run leaves no goroutine behind. It waits for what is being stored, for a bounded
// time.
func TestRunLeavesNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		add(t, a, "bob", newKey(t).Pointer())
		usesFake(t, a, &silent{})
		_, err := a.Publish(t.Context(), draft(agent.WaitNone))
		require.NoError(t, err)
		synctest.Wait()
		before := bubbled()
		for range 3 {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx) }()
			synctest.Wait()
			require.Greater(t, bubbled(), before)
			time.Sleep(time.Hour - 2*agent.LookUpTimeout)
			_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone)) // stored by a router that never responds
			require.NoError(t, err)
			require.NoError(t, <-ended)
			require.Equal(t, time.Hour+agent.FinishTimeout, time.Since(began))
			synctest.Wait()
			require.Equal(t, before, bubbled())
		}
	})
}

// Run ends when the agent is closed.
func TestRunEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := agent.Open(t.Context(), filepath.Join(t.TempDir(), "home"), agent.Options{Create: &agent.Profile{}})
		require.NoError(t, err)
		ended := make(chan error)
		go func() { ended <- a.Run(t.Context()) }()
		synctest.Wait()
		require.NoError(t, a.Close())
		require.NoError(t, <-ended)
		require.ErrorIs(t, a.Run(t.Context()), agent.ErrClosed)
		require.ErrorIs(t, a.Start(t.Context()), agent.ErrClosed)
	})
}

// Close frees the home and the port: a second Open works, and the same peer
// listens again.
func TestASecondOpenAfterCloseWorks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	open := func(listen string) *agent.Agent {
		a, err := agent.Open(t.Context(), dir, agent.Options{Create: &agent.Profile{}, Transport: libp2p.New(libp2p.Options{Timeout: patient, Listen: []string{listen}})})
		require.NoError(t, err)
		require.NoError(t, a.Start(t.Context()))
		return a
	}
	first := open("/ip4/127.0.0.1/tcp/0")
	bob := add(t, first, "bob", newKey(t).Pointer())
	_, err := agent.Open(t.Context(), dir, agent.Options{})
	require.ErrorIs(t, err, ledger.ErrInUse)
	at, me := addrs(t, first), first.Pointer()
	require.NoError(t, first.Close())
	require.False(t, listens(t, at[0]))

	second := open(at[0][:len(at[0])-len("/p2p/")-52])
	defer func() { require.NoError(t, second.Close()) }()
	require.Equal(t, at, addrs(t, second))
	require.Equal(t, me, second.Pointer())
	c, err := second.Lookup("bob")
	require.NoError(t, err)
	require.Equal(t, bob.ID, c.ID)
}

// Start of an agent that runs changes nothing.
func TestStartTwice(t *testing.T) {
	a := served(t, nil)
	node, before := agent.NodeOf(a), addrs(t, a)
	require.NoError(t, a.Start(t.Context()))
	require.Same(t, node, agent.NodeOf(a))
	require.Equal(t, before, addrs(t, a))
}

// A Run of an agent that was started ends what Start began.
func TestRunEndsWhatStartBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		require.NoError(t, a.Start(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, a.Run(ctx))
		_, err := a.Status()
		require.ErrorIs(t, err, agent.ErrNotServing)
	})
}

// A start that fails leaves an agent that does not run, and works as a client.
func TestAStartThatFailsLeavesAClient(t *testing.T) {
	hub := served(t, nil)
	a := openedWith(t, agent.Options{Transport: libp2p.New(libp2p.Options{Timeout: patient, Listen: []string{"/ip4/300.0.0.1/tcp/0"}})})
	join(t, a, addrs(t, hub)...)
	same := unchanged(t, a.Dir())
	var bad *agent.AddressError
	require.ErrorAs(t, a.Start(t.Context()), &bad)
	require.Equal(t, "listen", bad.Kind)
	same()
	_, err := a.Status()
	require.ErrorIs(t, err, agent.ErrNotServing)
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	require.Equal(t, 1, out.Receipt.Stored)
}
