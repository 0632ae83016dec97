package agent_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
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

// A URL where another web server answers is refused, beside routers as well: nothing is saved,
// and the networks of before stay in use.
func TestAJoinOfAWebServerChangesNothing(t *testing.T) {
	a, r := opened(t), newRouter(t)
	ctx := t.Context()
	join(t, a, r.URL)
	was, err := a.Joined()
	require.NoError(t, err)
	files := httptest.NewServer(http.FileServer(http.Dir(t.TempDir())))
	t.Cleanup(files.Close)
	for _, targets := range [][]string{{files.URL}, {r.URL, files.URL}, {files.URL, "http://127.0.0.1:1"}} {
		same := unchanged(t, a.Dir())
		err := a.Join(ctx, targets...)
		require.ErrorIs(t, err, delegated.ErrNoRouter, "%q", targets)
		require.ErrorIs(t, err, dht.ErrUnreachable, "%q", targets)
		require.NotErrorAs(t, err, new(*agent.JoinError), "%q", targets)
		require.ErrorContains(t, err, "nothing was changed: router "+files.URL+": is no router", "%q", targets)
		same()
		joined, err := a.Joined()
		require.NoError(t, err)
		require.Equal(t, was, joined, "%q", targets)
	}
	_, puts := r.asked()
	_, err = a.Publish(ctx, draft(agent.WaitSome))
	require.NoError(t, err)
	_, now := r.asked()
	require.Equal(t, puts+1, now)
}

// The error of a join that replaced networks and cannot be used yet has the targets that
// restore them.
func TestAJoinThatCannotBeUsedYetNamesWhatItReplaced(t *testing.T) {
	a, ctx := opened(t), t.Context()
	const dead = "http://127.0.0.1:1"
	peer := "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	was := []string{"http://127.0.0.1:2", "http://127.0.0.1:3"}
	for _, c := range []struct {
		before home.Config
		want   []string
	}{
		{home.Config{Network: "off"}, nil},
		{home.Config{Network: "off", Routers: []string{dead}}, nil},
		{home.Config{Network: "off", Routers: was}, was},
		{home.Config{Network: "lan", Routers: was}, append([]string{"lan"}, was...)},
		{home.Config{Network: "peers", Bootstrap: []string{peer}}, []string{peer}},
		{home.Config{Network: "ipfs", Bootstrap: []string{peer}, Routers: was}, append([]string{"ipfs", peer}, was...)},
	} {
		require.NoError(t, agent.HomeOf(a).SetConfig(c.before))
		var saved *agent.JoinError
		require.ErrorAs(t, a.Join(ctx, dead), &saved)
		require.Equal(t, c.want, saved.Before)
		joined, err := a.Joined()
		require.NoError(t, err)
		require.Equal(t, []string{dead}, joined.Routers)
	}
}

// A web server that a home is configured with is not counted among those that answered.
func TestAWebServerIsNoPeerThatAnswered(t *testing.T) {
	a, r := opened(t), newRouter(t)
	files := httptest.NewServer(http.FileServer(http.Dir(t.TempDir())))
	t.Cleanup(files.Close)
	absent := newKey(t).Pointer().String()
	for _, c := range []struct {
		routers []string
		err     error
		reason  string
	}{
		{[]string{files.URL}, dht.ErrUnreachable, "is no router"},
		{[]string{files.URL, r.URL}, dht.ErrNotFound, "1 peer answered"},
	} {
		require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "off", Routers: c.routers}))
		_, err := a.Resolve(t.Context(), absent, dht.LevelFresh)
		require.ErrorIs(t, err, c.err)
		require.ErrorContains(t, err, c.reason)
	}
}

// A pairing does not wait for a web server that is no router.
func TestPairingFailsAtOnceIfNoRouterIsJoined(t *testing.T) {
	a := opened(t)
	files := httptest.NewServer(http.FileServer(http.Dir(t.TempDir())))
	t.Cleanup(files.Close)
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "off", Routers: []string{files.URL}}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // otherwise a failure waits for the code to expire
	defer cancel()
	_, err := a.Pair(ctx, "742-tunnel-orbit-candy")
	require.ErrorIs(t, err, delegated.ErrNoRouter)
	_, err = a.Invite(ctx, agent.InvitationTerms{Uses: 1, Lifetime: time.Hour})
	require.ErrorIs(t, err, delegated.ErrNoRouter)

	files.Close() // now its port refuses connections
	_, err = a.Pair(ctx, "742-tunnel-orbit-candy")
	require.ErrorIs(t, err, dht.ErrUnreachable)
	_, err = a.Invite(ctx, agent.InvitationTerms{Uses: 1, Lifetime: time.Hour})
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.NoError(t, ctx.Err())
}
