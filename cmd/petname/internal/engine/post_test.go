package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
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

// A throw-away peer key is used for an hour at most: requests under one key can
// be linked.
func TestAThrowAwayPeerIsReplacedAfterItsLife(t *testing.T) {
	e := served(t, served(t, nil).network.Addrs())
	c, err := e.home.Config()
	require.NoError(t, err)
	used := func(ago time.Duration) string {
		e.mu.Lock()
		e.asideSince = e.asideSince.Add(-ago)
		e.mu.Unlock()
		node, err := e.nameless(t.Context(), c)
		require.NoError(t, err)
		return node.ID()
	}
	first := used(0)
	require.Equal(t, first, used(asideLife/2))
	require.NotEqual(t, first, used(asideLife/2))
}

// Only a node of the public network uses relays. A node of another network
// starts with none.
func TestRelaysAreForThePublicNetwork(t *testing.T) {
	e := opened(t)
	relay := "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	_, err := e.Serve(t.Context(), []string{"/ip4/127.0.0.1/tcp/0"}, relay)
	require.Equal(t, ExitUsage, Classify(err).Exit, "%v", err)
	unreached(t, e)
}

// If a contact is paired under a name that is taken, the contact waits in the
// inbox, and the error contains its pointer.
func TestAPairingStandsIfTheNameIsTaken(t *testing.T) {
	alice := served(t, nil)
	bob := opened(t)
	_, err := bob.Join(t.Context(), JoinArgs{Targets: alice.network.Addrs()})
	require.NoError(t, err)
	_, err = bob.Add(t.Context(), AddArgs{Name: "alice", Target: opened(t).book.Identity().String()})
	require.NoError(t, err)
	require.NoError(t, alice.home.SetConfig(home.Config{Network: "peers", Bootstrap: alice.network.Addrs()}))
	invited, err := alice.Invite(t.Context(), InviteArgs{Expires: time.Hour, Uses: 1})
	require.NoError(t, err)
	out, err := bob.Pair(t.Context(), PairArgs{Text: invited.Link, As: "alice"})
	require.Equal(t, "name_taken", Classify(err).Code, "%v", err)
	require.Equal(t, alice.book.Identity().String(), out.Pointer)
	require.Equal(t, "petname accept "+out.Suggestion+" --as NAME", Classify(err).Next)
	waits, err := bob.book.Suggestion(out.Suggestion)
	require.NoError(t, err)
	require.Equal(t, petname.Pending, waits.State)
}
