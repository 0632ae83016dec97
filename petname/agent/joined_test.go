package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
)

// Networks that cannot be used yet are saved, and the error says so.
func TestAJoinThatReachesNobodyIsSaved(t *testing.T) {
	a := opened(t)
	err := a.Join(t.Context(), "http://127.0.0.1:1")
	var saved *agent.JoinError
	require.ErrorAs(t, err, &saved)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	joined, err := a.Joined()
	require.NoError(t, err)
	require.Equal(t, agent.Joined{Network: "off", Bootstrap: []string{}, Routers: []string{"http://127.0.0.1:1"}}, joined)
	require.NoError(t, a.Join(t.Context(), "off"))
	joined, err = a.Joined()
	require.NoError(t, err)
	require.Empty(t, joined.Routers)
}
