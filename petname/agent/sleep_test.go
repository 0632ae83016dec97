package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
)

// An agent that runs fetches messages within a minute of waking, and not before.
func TestMessagesAreFetchedSoonAfterASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock dhttest.Clock
		a := openedWith(t, agent.Options{Now: clock.Now})
		add(t, a, "bob", newKey(t).Pointer())
		r := &refusing{own: a.Pointer()}
		usesFake(t, a, r)
		require.NoError(t, a.Start(t.Context()))
		time.Sleep(agent.SyncEvery / 2)
		_, before := r.counts()
		clock.Sleep(60 * time.Hour)
		time.Sleep(time.Minute)
		synctest.Wait()
		_, after := r.counts()
		require.Greater(t, after, before)
		time.Sleep(time.Minute)
		synctest.Wait()
		_, later := r.counts()
		require.Equal(t, after, later, "once")
	})
}

// The life of a throw-away peer key passes while the machine sleeps.
func TestAThrowAwayPeerIsReplacedAfterASleep(t *testing.T) {
	var clock dhttest.Clock
	a := openedWith(t, agent.Options{Transport: &nodes{}, Now: clock.Now})
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "lan"}))
	require.NoError(t, a.Start(t.Context()))
	first, err := agent.UnlinkableNode(t.Context(), a, 0)
	require.NoError(t, err)
	clock.Sleep(agent.UnlinkableLifetime)
	second, err := agent.UnlinkableNode(t.Context(), a, 0)
	require.NoError(t, err)
	require.NotEqual(t, first.ID(), second.ID())
}
