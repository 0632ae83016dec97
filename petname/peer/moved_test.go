package peer

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// rotate has a person's key go on to the next, whom others follow.
func (p *person) rotate(t testing.TB, others ...*person) {
	t.Helper()
	next := testKey(p.name + "'s next")
	step, err := pointer.Succeed(pointerOf(p.name), next, pointer.Commitment{}, p.key)
	require.NoError(t, err)
	require.NoError(t, p.book.Rotated([]pointer.Succession{step}))
	p.key = next
	card := pointer.Card{Nickname: p.name, Sealing: mustMe(p).Sealing, Succession: []pointer.Succession{step}}
	r, err := pointer.Sign(next, pointer.Fields{Sequence: 1, Expires: p.clock.Now().AddDate(0, 3, 0), Card: &card})
	require.NoError(t, err)
	_, err = p.network.Put(context.Background(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
	for _, o := range others {
		require.NoError(t, o.book.Succeed(pointerOf(p.name), []pointer.Succession{step}))
	}
}

// What was on its way to somebody whose key has gone on reaches the next key.
func TestMessagesFollowAContactToItsNextKey(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	offline := alice.c.Store
	alice.c.Store = dht.All{}
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.Error(t, err)
	alice.c.Store = offline
	carol.rotate(t, alice)
	report := alice.fetch(t)
	require.Empty(t, report.Stranded)
	require.Len(t, carol.fetch(t).Fresh, 1)
	require.Empty(t, alice.fetch(t).Waiting)
	require.Empty(t, carol.fetch(t).Fresh)
}

// What I said under an earlier key would not be believed: it is told, once, and
// what I say under the new one arrives.
func TestWhatWasSaidUnderAnEarlierKeyIsToldToBeStranded(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	alice.rotate(t, carol)
	report := alice.fetch(t)
	require.Equal(t, map[pointer.Pointer]int{pointerOf("carol"): 1}, report.Stranded)
	require.Empty(t, alice.fetch(t).Stranded)
	_, err = alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	fresh := carol.fetch(t).Fresh
	require.Len(t, fresh, 1)
	at, err := pointer.FromPublicKey(alice.key.Public())
	require.NoError(t, err)
	require.Equal(t, at, fresh[0].By)
}

func TestNothingGoesToWhoWasRemoved(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	_, err = alice.book.Remove(pointerOf("carol"))
	require.NoError(t, err)
	report := alice.fetch(t)
	require.Equal(t, map[pointer.Pointer]int{pointerOf("carol"): 1}, report.Stranded)
	require.Empty(t, report.Waiting)
}
