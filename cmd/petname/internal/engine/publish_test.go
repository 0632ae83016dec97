package engine

import (
	"context"
	"testing"
	"time"

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
	for _, wait := range []string{"some", "all", "some", "all", "some", "all"} {
		out, err := e.Publish(context.Background(), PublishArgs{Lifetime: time.Hour, Wait: wait})
		require.NoError(t, err)
		require.GreaterOrEqual(t, out.Stored, 15)
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
