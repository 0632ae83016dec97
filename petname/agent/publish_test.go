package agent_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// A publication counts as stored once 15 peers have stored it. An agent that does
// not run returns only when the copies that are under way have arrived: they would
// end with its process.
func TestPublishSettles(t *testing.T) {
	var first *kad.Node
	for range 24 {
		c := kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true}
		if first != nil {
			c.Bootstrap = first.Addrs()
		}
		n, err := kad.Start(t.Context(), c)
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		if first == nil {
			first = n
		}
	}
	a := opened(t)
	join(t, a, first.Addrs()...)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	agent.SetFinishTimeout(a, patience)
	rounds := []agent.Wait{agent.WaitSome, agent.WaitAll}
	if lawtest.Long() {
		rounds = slices.Repeat(rounds, 3)
	}
	for _, wait := range rounds {
		out, err := a.PublishDraft(t.Context(), draft(wait))
		if err == nil {
			require.GreaterOrEqual(t, out.Receipt.Stored, 15)
		} else { // on a machine that is too busy to dial each peer in time
			require.True(t, agent.IsNetwork(err), "%v", err)
			require.NotZero(t, out.Receipt.Stored)
		}
		require.GreaterOrEqual(t, out.Receipt.Asked, out.Receipt.Stored)
		require.NoError(t, agent.NodeOf(a).Wait(ended), "no put is under way")
	}
}

// Two copies of one home that publish at once may use one sequence twice: one of
// the two records wins, the same one for both, and each continues above it.
func TestTwoPublishersAtOnceEndInOneWinner(t *testing.T) {
	hub := served(t, nil)
	one := opened(t)
	two, err := copied(one, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, two.Close()) })

	both := []*agent.Agent{one, two}
	paths := []string{"/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}
	for _, a := range both {
		join(t, a, addrs(t, hub)...)
	}
	var wg sync.WaitGroup
	for i, a := range both {
		wg.Go(func() {
			// The one that loses is notified: that there is a better one, or that no
			// peer accepted its own.
			_, err := a.Publish(context.Background(), draft(agent.WaitAll, value(paths[i])))
			if err != nil {
				assert.True(t, unverified(err) || agent.IsNetwork(err), "%v", err)
			}
		})
	}
	wg.Wait()
	me := one.Pointer().String()
	seen := map[string]bool{}
	for _, a := range both {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		res, err := a.Resolve(ctx, me, dht.LevelFresh)
		cancel()
		require.NoError(t, err)
		seen[res.Value] = true
	}
	require.Len(t, seen, 1)
	last := uint64(0)
	for _, a := range both {
		out, err := a.PublishDraft(t.Context(), draft(agent.WaitAll))
		var foreign *agent.SupersededError
		if errors.As(err, &foreign) { // the owner decides which of the two values is to stand
			require.True(t, foreign.Foreign)
			out, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value(foreign.Newest.Value)))
		}
		require.NoError(t, err)
		require.Greater(t, out.Sequence, max(last, 1))
		require.True(t, seen[out.Value], "the winner's value stays")
		last = out.Sequence
	}
}

// An agent that runs looks for what it published once the last copies are stored,
// and its status has the result: the acknowledgements of a put prove nothing.
func TestAnAgentThatRunsConfirmsWhatItPublished(t *testing.T) {
	var bootstrap []string
	for range 5 {
		a := opened(t)
		require.NoError(t, a.Start(t.Context()))
		if bootstrap != nil {
			join(t, a, bootstrap...)
		}
		bootstrap = addrs(t, a)
	}
	a := opened(t)
	require.NoError(t, a.Start(t.Context()))
	join(t, a, bootstrap...)
	before, err := a.Status()
	require.NoError(t, err)
	require.Nil(t, before.Put)
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	agent.WaitTasks(a)
	after, err := a.Status()
	require.NoError(t, err)
	require.Equal(t, out.Sequence, after.Put.Sequence)
	require.NotNil(t, after.Put.Confirmed)
	require.NoError(t, after.Put.Problem)
	require.Greater(t, *after.Put.Confirmed, 0)
	require.LessOrEqual(t, *after.Put.Confirmed, 5)
}

// A record that no peer stored is stored as soon as there is a peer, and the
// status has the result.
func TestAFailedPublicationIsRepeated(t *testing.T) {
	other, a := served(t, nil), served(t, nil)
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.Error(t, err)
	require.Zero(t, out.Receipt.Stored)
	join(t, a, addrs(t, other)...)
	require.Eventually(t, func() bool {
		now, err := a.Status()
		return err == nil && now.Put != nil && now.Put.Sequence == out.Sequence && now.Put.Receipt.Stored == 1
	}, patience, 10*time.Millisecond)
}

// An agent that joined routers alone has the owner's record stored again by them.
// It does not report that it confirmed what it cannot.
func TestTheOwnRecordIsPutAgainByRouters(t *testing.T) {
	router, a := served(t, nil), opened(t)
	server := httptest.NewServer(router.Router())
	t.Cleanup(server.Close)
	join(t, a, server.URL)
	require.NoError(t, a.Start(t.Context()))
	_, err := a.Publish(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	mine := held(t, a, a.Pointer())
	receipt, err := agent.OwnNetworkOf(a).Put(t.Context(), mine.Pointer(), mine.Bytes())
	require.NoError(t, err)
	require.Equal(t, 1, receipt.Stored)
	now, err := a.Status()
	require.NoError(t, err)
	require.Equal(t, 1, now.Put.Receipt.Stored)
	require.Nil(t, now.Put.Confirmed)
	require.Error(t, now.Put.Problem)
}

// The status counts the contacts that the book marks as kept, also while the
// republisher has not read the book again.
func TestStatusCountsTheKeptContactsOfTheBook(t *testing.T) {
	a := served(t, nil)
	bob := add(t, a, "bob", newKey(t).Pointer())
	for _, on := range []bool{true, false} {
		require.NoError(t, a.SetRepublished([]pointer.Pointer{bob.ID}, on))
		now, err := a.Status()
		require.NoError(t, err)
		require.Equal(t, on, now.Republished == 1)
	}
}

// What an agent that runs does ends at once when it is stopped. Only what is being
// stored may finish.
func TestStoppingWaitsForPutsAlone(t *testing.T) {
	a := served(t, nil)
	agent.StopLoops(a)
	require.NoError(t, agent.TasksContextOf(a).Err(), "puts could continue")
}
