package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/pointer"
)

func served(t *testing.T, bootstrap []string) *Engine {
	t.Helper()
	e := opened(t)
	if bootstrap != nil {
		_, err := e.Join(context.Background(), JoinArgs{Targets: bootstrap})
		require.NoError(t, err)
	}
	_, err := e.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	return e
}

// connected reports whether a node has a connection to any of another's hosts.
func connected(hub, other *kad.Node) bool {
	return len(hub.Host().Network().ConnsToPeer(other.Host().ID())) > 0
}

// A node looks for the cards of contacts, as for their letters, as a client with a
// peer key that is thrown away; and that one leaves a network with it.
func TestWhatIsLookedForOfContactsIsNotByTheNodesOwnPeer(t *testing.T) {
	hub := served(t, nil)
	e := served(t, hub.network.Addrs())
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	_, err = (&cards{engine: e}).Best(context.Background(), key.Pointer(), dht.LevelAny)
	require.ErrorIs(t, err, dht.ErrNotFound)
	e.mu.Lock()
	aside, own := e.aside, e.network
	e.mu.Unlock()
	require.NotNil(t, aside)
	require.NotEqual(t, own.ID(), aside.ID())
	require.True(t, connected(hub.network, aside))

	_, err = e.Join(context.Background(), JoinArgs{Targets: []string{"off"}})
	require.NoError(t, err)
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Nil(t, e.aside)
	require.Eventually(t, func() bool { return !connected(hub.network, aside) }, patience, 10*time.Millisecond)
}
