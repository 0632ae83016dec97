package agent_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
)

// connected reports whether a node has a connection to another's host.
func connected(hub, other agent.Node) bool {
	type hosted interface{ Host() host.Host }
	return len(hub.(hosted).Host().Network().ConnsToPeer(other.(hosted).Host().ID())) > 0
}

// An agent that runs looks for the cards of contacts, as for their messages, as a
// client with a throw-away peer key. That client leaves a network with the agent.
func TestCardsAreNotLookedForUnderTheOwnPeerKey(t *testing.T) {
	hub := served(t, nil)
	a := served(t, addrs(t, hub))
	_, err := agent.CardsOf(a).Best(t.Context(), newKey(t).Pointer(), dht.LevelAny)
	require.ErrorIs(t, err, dht.ErrNotFound)
	unlinkable, own := agent.UnlinkableOf(a), agent.NodeOf(a)
	require.NotNil(t, unlinkable)
	require.NotEqual(t, own.ID(), unlinkable.ID())
	require.True(t, connected(agent.NodeOf(hub), unlinkable))

	join(t, a, "off")
	require.Nil(t, agent.UnlinkableOf(a))
	require.Eventually(t, func() bool { return !connected(agent.NodeOf(hub), unlinkable) }, patience, 10*time.Millisecond)
}

// A throw-away peer key is used for an hour at most: requests under one key can
// be linked.
func TestAThrowAwayPeerIsReplacedAfterItsLife(t *testing.T) {
	a := served(t, addrs(t, served(t, nil)))
	used := func(ago time.Duration) string {
		node, err := agent.UnlinkableNode(t.Context(), a, ago)
		require.NoError(t, err)
		return node.ID()
	}
	first := used(0)
	require.Equal(t, first, used(agent.UnlinkableLifetime/2))
	require.NotEqual(t, first, used(agent.UnlinkableLifetime/2))
}
