package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/introduce"
)

// A fetch drops suggestions that expired a day ago, and before the last entry of the book.
// A clock that jumped ahead drops none, also after entries under it.
func TestAFetchDropsWhatHasExpired(t *testing.T) {
	c := &offClock{}
	a := openedWith(t, agent.Options{Now: c.now})
	uses(t, a, newRouter(t))
	alice := newKey(t)
	add(t, a, "alice", alice.Pointer())
	now := c.now()
	signed, err := introduce.Introduction{To: a.Pointer(), About: newKey(t).Pointer(), Suggested: "bob", Expires: now.Add(time.Hour)}.Sign(alice, nil, now)
	require.NoError(t, err)
	id, _, err := agent.BookOf(a).Receive(signed, "drop")
	require.NoError(t, err)
	fetch := func() bool {
		_, err := a.Fetch(t.Context(), false)
		require.NoError(t, err)
		_, err = agent.BookOf(a).Suggestion(id.String())
		return err == nil
	}
	c.off = 20 * year
	require.True(t, fetch())
	add(t, a, "under the wrong clock", newKey(t).Pointer())
	require.True(t, fetch())
	c.off = 3 * time.Hour
	add(t, a, "carol", newKey(t).Pointer())
	require.True(t, fetch(), "for a day it is shown as expired")
	c.off = 26 * time.Hour
	require.False(t, fetch())
}
