package peer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// goesOn has somebody's key go on to the next: a last record of the one, and a
// first of the other.
func (p *person) goesOn(t testing.TB) (from, to pointer.Pointer, chain []pointer.Succession) {
	t.Helper()
	next := testKey(p.name + "'s next")
	after, err := pointer.Commit(testKey(p.name + "'s third").Public())
	require.NoError(t, err)
	step, err := pointer.Succeed(pointerOf(p.name), next, after, p.key)
	require.NoError(t, err)
	chain = []pointer.Succession{step}
	require.NoError(t, p.book.Rotated(chain))
	to, err = pointer.FromPublicKey(next.Public())
	require.NoError(t, err)
	p.publishes(t, p.key, 1, pointer.Card{Nickname: p.name, Next: p.next(), Successor: to})
	p.publishes(t, next, 0, pointer.Card{Nickname: p.name, Next: after, Succession: chain})
	p.key = next
	return pointerOf(p.name), to, chain
}

// publishes puts a card out, with the sealing keys of now.
func (p *person) publishes(t testing.TB, key ed25519.PrivateKey, later uint64, card pointer.Card) {
	t.Helper()
	for _, k := range p.sealing {
		card.Sealing = append(card.Sealing, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	r, err := pointer.Sign(key, pointer.Fields{Sequence: uint64(p.clock.Now().Unix()) + later, Expires: p.clock.Now().AddDate(0, 3, 0), TTL: time.Minute, Card: &card})
	require.NoError(t, err)
	_, err = p.network.Put(context.Background(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
}

func TestAfterMyKeyWentOnWhatIsOnItsWayComesAndIWriteOn(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	for _, said := range []struct {
		by, about, to *person
	}{{carol, bob, alice}, {alice, bob, carol}} { // both have written to each other
		_, err := said.by.Send(ctx, said.by.key, pointerOf(said.to.name), said.by.introduces(t, said.about, said.to))
		require.NoError(t, err)
	}
	require.Len(t, alice.fetch(t).Fresh, 1)
	carol.fetch(t)
	_, err := carol.Send(ctx, carol.key, pointerOf("alice"), carol.introduces(t, bob, alice))
	require.NoError(t, err)

	from, _, chain := alice.goesOn(t)
	require.Len(t, alice.fetch(t).Fresh, 1, "written to the key before")
	require.Empty(t, alice.fetch(t).Fresh, "once")
	alice.reopen(t)
	require.Empty(t, alice.fetch(t).Fresh, "once, after a restart too")

	require.NoError(t, carol.book.Succeed(from, chain))
	report := carol.fetch(t)
	require.Len(t, report.Waiting, 1, "the key before couldn't acknowledge it any more: it goes to the new one")
	require.Empty(t, alice.fetch(t).Fresh, "which has heard it")
	require.Empty(t, carol.fetch(t).Waiting)

	_, err = alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	require.Len(t, carol.fetch(t).Fresh, 1)

	alice.clock.now = alice.clock.now.Add(formerKept + time.Hour)
	alice.fetch(t)
	former, err := alice.formers()
	require.NoError(t, err)
	require.Empty(t, former)
}

func TestWhatAKeyThatIsGoneLeftUnreadIsTold(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(context.Background(), alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	alice.goesOn(t)
	require.Equal(t, map[pointer.Pointer]int{pointerOf("carol"): 1}, alice.fetch(t).Waiting)
	alice.clock.now = alice.clock.now.Add(formerKept + time.Hour)
	report, err := alice.Sync(context.Background(), alice.key)
	require.NoError(t, err)
	require.Len(t, report.Errs, 1)
	require.ErrorContains(t, report.Errs[0], "say it anew")
	require.Empty(t, alice.fetch(t).Waiting)
}

func TestWhatAContactHasNotReadFollowsItToItsNextKey(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	signed := alice.introduces(t, bob, carol)
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), signed)
	require.NoError(t, err)
	carol.sealing = newPerson(t, alice.clock, alice.network, "dave").sealing // and can't find it any more
	from, to, chain := carol.goesOn(t)
	carol.reopen(t)
	require.NoError(t, alice.book.Succeed(from, chain))
	require.Equal(t, map[pointer.Pointer]int{to: 1}, alice.fetch(t).Waiting)
	require.Len(t, carol.fetch(t).Fresh, 1)
	require.Empty(t, alice.fetch(t).Waiting)

	found, _, err := alice.Retract(ctx, alice.key, to, pointerOf("bob"))
	require.NoError(t, err)
	require.Len(t, found, 1, "it is the same person")
	carol.fetch(t)
	require.Empty(t, carol.inbox(t))
}

// Nobody has to resolve anybody by hand.
func TestASyncLearnsThatAContactsKeyWentOn(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(context.Background(), alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	_, to, _ := carol.goesOn(t)                            // before she ever looked
	alice.clock.now = alice.clock.now.Add(2 * time.Minute) // what was cached is old
	alice.fetch(t)
	require.Equal(t, map[pointer.Pointer]int{to: 1}, alice.fetch(t).Waiting)
	require.Len(t, carol.fetch(t).Fresh, 1)
	require.Empty(t, alice.fetch(t).Waiting)
	c, err := alice.book.ByPointer(pointerOf("carol"))
	require.NoError(t, err)
	require.Equal(t, to, c.Pointer)
}

// An invitation is signed by a key: when that has gone on, nobody can answer for
// it, and its maker is told, in the same process and after a restart.
func TestAnInvitationOfAnEarlierKeyIsVoidAndThatIsTold(t *testing.T) {
	for _, restart := range []bool{false, true} {
		c := newClock()
		network := &dht.Memory{Now: c.Now}
		alice := newPerson(t, c, network, "alice")
		_, err := alice.Invite(context.Background(), alice.key, Terms{Terms: pair.Terms{Expires: c.now.Add(time.Hour)}})
		require.NoError(t, err)
		alice.goesOn(t)
		if restart {
			alice.reopen(t)
		}
		report, err := alice.Sync(context.Background(), alice.key)
		require.NoError(t, err)
		require.ErrorIs(t, errors.Join(report.Errs...), ErrOldInvitation)
		require.False(t, alice.Inviting())
		require.Empty(t, alice.fetch(t).Fresh)
	}
}
