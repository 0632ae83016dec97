package engine

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/kad"
)

// A publication is promised once 15 have stored it; but a verb on its own ends
// only when the copies that are on their way have arrived, or it would take
// them with it.
func TestPublishSettles(t *testing.T) {
	var first *kad.Node
	for range 24 {
		c := kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true}
		if first != nil {
			c.Bootstrap = first.Addrs()
		}
		n, err := kad.Start(context.Background(), c)
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		if first == nil {
			first = n
		}
	}
	e := opened(t)
	_, err := e.Join(context.Background(), JoinArgs{Targets: first.Addrs()})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	e.settles = patience
	rounds := []string{"some", "all"}
	if os.Getenv("PETNAME_TEST_LONG") == "1" {
		rounds = slices.Repeat(rounds, 3)
	}
	for _, wait := range rounds {
		out, err := e.Publish(context.Background(), PublishArgs{Lifetime: time.Hour, Wait: wait})
		if err == nil {
			require.GreaterOrEqual(t, out.Stored, 15)
		} else { // on a machine that is too busy to dial each peer in time
			require.Equal(t, ExitNetwork, Classify(err).Exit, "%v", err)
			require.NotZero(t, out.Stored)
		}
		require.GreaterOrEqual(t, out.Asked, out.Stored)
		require.NoError(t, e.network.Wait(ended), "nothing goes on any more")
	}
}

// A card says how to seal something for its owner, and the home has the keys.
func TestCardsOfferTheHomesSealingKeys(t *testing.T) {
	e := opened(t)
	_, err := e.Publish(context.Background(), PublishArgs{Lifetime: time.Hour, Wait: "none"})
	require.NoError(t, err)
	record, _, err := e.held(e.book.Identity())
	require.NoError(t, err)
	card, ok := record.Card()
	require.True(t, ok)
	keys, err := e.home.Sealing()
	require.NoError(t, err)
	require.Len(t, card.Sealing, 2)
	require.Equal(t, keys.Public(), card.Sealing)
}

// Two copies of one home that publish at once may use one sequence twice: one of
// the two records wins, the same one for both, and each goes on above it.
func TestTwoPublishersAtOnceEndInOneWinner(t *testing.T) {
	hub := opened(t)
	at, err := hub.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	one := opened(t)
	dir := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(dir, os.DirFS(one.home.Dir)))
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(name, 0o600)
		}
		return err
	}))
	two, err := Open(dir, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, two.Close()) })

	both := []*Engine{one, two}
	paths := []string{"/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}
	for _, e := range both {
		_, err := e.Join(context.Background(), JoinArgs{Targets: at.Addrs})
		require.NoError(t, err)
	}
	var wg sync.WaitGroup
	for i, e := range both {
		wg.Go(func() {
			// The one that loses is told: that there is a better one, or that nobody
			// took its own.
			_, err := e.Publish(context.Background(), PublishArgs{Path: paths[i], Lifetime: time.Hour, Wait: "all"})
			if err != nil {
				assert.Contains(t, []int{ExitUnverified, ExitNetwork}, Classify(err).Exit, "%v", err)
			}
		})
	}
	wg.Wait()
	me := one.book.Identity().String()
	seen := map[string]bool{}
	for _, e := range both {
		res, err := e.Resolve(context.Background(), ResolveArgs{Path: me, Fresh: "fresh", Timeout: patience})
		require.NoError(t, err)
		seen[res.Value] = true
	}
	require.Len(t, seen, 1)
	last := uint64(0)
	for _, e := range both {
		out, err := e.Publish(context.Background(), PublishArgs{Lifetime: time.Hour, Wait: "all"})
		require.NoError(t, err)
		require.Greater(t, out.Sequence, max(last, 1))
		require.True(t, seen[out.Value], "the winner's value stays")
		last = out.Sequence
	}
}

// A node reads back what it published, once its last copies are out, and says so:
// what peers said of the put proves nothing.
func TestANodeReadsBackWhatItPublished(t *testing.T) {
	var addrs []string
	for range 5 {
		e := opened(t)
		s, err := e.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
		require.NoError(t, err)
		if addrs != nil {
			_, err = e.Join(context.Background(), JoinArgs{Targets: addrs})
			require.NoError(t, err)
		}
		addrs = s.Addrs
	}
	e := opened(t)
	_, err := e.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	_, err = e.Join(context.Background(), JoinArgs{Targets: addrs})
	require.NoError(t, err)
	before, err := e.Status(context.Background(), NoArgs{})
	require.NoError(t, err)
	require.Nil(t, before.Put)
	out, err := e.Publish(context.Background(), PublishArgs{Lifetime: time.Hour, Wait: "some"})
	require.NoError(t, err)
	e.tail.Wait()
	after, err := e.Status(context.Background(), NoArgs{})
	require.NoError(t, err)
	require.Equal(t, out.Sequence, after.Put.Sequence)
	require.NotNil(t, after.Put.Confirmed)
	require.Empty(t, after.Put.Problem)
	require.Greater(t, *after.Put.Confirmed, 0)
	require.LessOrEqual(t, *after.Put.Confirmed, 5)
}

// A record that was published in vain is stored as soon as there is somebody to
// store it, and node status says what came of that.
func TestAPublicationInVainIsMadeUpFor(t *testing.T) {
	other, e := opened(t), opened(t)
	s, err := other.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	_, err = e.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	out, err := e.Publish(context.Background(), PublishArgs{Lifetime: time.Hour, Wait: "some"})
	require.Error(t, err)
	require.Zero(t, out.Stored)
	_, err = e.Join(context.Background(), JoinArgs{Targets: s.Addrs})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		now, err := e.Status(context.Background(), NoArgs{})
		return err == nil && now.Put != nil && now.Put.Sequence == out.Sequence && now.Put.Stored == 1
	}, patience, 10*time.Millisecond)
}

// A node that joined routers alone has my record stored again by them; it doesn't
// claim to have read back what it can't.
func TestMyRecordIsPutAgainByRouters(t *testing.T) {
	router, e := opened(t), opened(t)
	require.NoError(t, router.ListenHTTP("127.0.0.1:0"))
	s, err := router.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	_, err = e.Join(context.Background(), JoinArgs{Targets: []string{s.HTTP}})
	require.NoError(t, err)
	_, err = e.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	_, err = e.Publish(context.Background(), PublishArgs{Lifetime: time.Hour, Wait: "some"})
	require.NoError(t, err)
	mine, _, err := e.held(e.book.Identity())
	require.NoError(t, err)
	receipt, err := (&ownNetwork{lazyNetwork{engine: e}}).Put(context.Background(), mine.Pointer(), mine.Bytes())
	require.NoError(t, err)
	require.Equal(t, 1, receipt.Stored)
	now, err := e.Status(context.Background(), NoArgs{})
	require.NoError(t, err)
	require.Equal(t, 1, now.Put.Stored)
	require.Nil(t, now.Put.Confirmed)
	require.NotEmpty(t, now.Put.Problem)
}

// Node status counts whom the book keeps, also while the keeper is at work and
// hasn't read it again.
func TestStatusCountsWhomTheBookKeeps(t *testing.T) {
	e := opened(t)
	_, err := e.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	_, err = e.Add(context.Background(), AddArgs{Name: "bob", Target: opened(t).book.Identity().String()})
	require.NoError(t, err)
	for _, on := range []bool{true, false} {
		_, err := e.mark(KeepArgs{Names: []string{"bob"}}, on)
		require.NoError(t, err)
		now, err := e.Status(context.Background(), NoArgs{})
		require.NoError(t, err)
		require.Equal(t, on, now.Keep.Kept == 1)
	}
}

// What a node does until it is told to end, it ends at once: only what is being
// stored is let done.
func TestStoppingWaitsForPutsAlone(t *testing.T) {
	e := opened(t)
	_, err := e.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	e.stop()
	e.runs.Wait()
	require.NoError(t, e.life.Err(), "puts could go on")
}
