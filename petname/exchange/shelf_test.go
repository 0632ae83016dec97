package exchange

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

func shelfRecord(t *testing.T, c *clock, seed string, sequence uint64) pointer.Record {
	t.Helper()
	r, err := pointer.Sign(testKey(seed), pointer.Fields{Sequence: sequence, Expires: c.Now().Add(time.Hour), Payload: []byte("sealed")})
	require.NoError(t, err)
	return r
}

func onShelf(t *testing.T, s dht.Store, p pointer.Pointer) []byte {
	t.Helper()
	var found []byte
	for a, err := range s.Get(context.Background(), p) {
		require.NoError(t, err)
		found = a.Record
	}
	return found
}

func TestAShelfGivesWhatWasSaidAndTakesWhatIsAwaited(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	woken := 0
	mine := newShelf(c.Now)
	mine.wake = func() { woken++ }
	others := counter{mine}
	a, b := shelfRecord(t, c, "a", 1), shelfRecord(t, c, "b", 1)

	_, err := mine.Put(ctx, a.Pointer(), a.Bytes())
	require.ErrorIs(t, err, errShelf, "nobody has it yet: it isn't stored")
	require.Equal(t, a.Bytes(), onShelf(t, others, a.Pointer()))
	require.Nil(t, onShelf(t, others, b.Pointer()))

	_, err = others.Put(ctx, b.Pointer(), b.Bytes())
	require.ErrorIs(t, err, errNotAwaited)
	require.Nil(t, onShelf(t, mine, b.Pointer())) // from now on it is awaited
	_, err = others.Put(ctx, b.Pointer(), b.Bytes())
	require.NoError(t, err)
	require.Equal(t, b.Bytes(), onShelf(t, mine, b.Pointer()))
	require.Equal(t, 1, woken)
	_, err = others.Put(ctx, b.Pointer(), b.Bytes())
	require.NoError(t, err)
	require.Equal(t, 1, woken, "the same again is no news")

	// What others left isn't given to others, nor does it take the place of mine.
	require.Nil(t, onShelf(t, others, b.Pointer()))
	newer := shelfRecord(t, c, "a", 2)
	_, err = others.Put(ctx, newer.Pointer(), newer.Bytes())
	require.ErrorIs(t, err, errNotAwaited)
	require.Equal(t, a.Bytes(), onShelf(t, others, a.Pointer()))
}

func TestAShelfRefusesWhatDoesNotVerifyAndWhatIsOld(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	mine := newShelf(c.Now)
	old, fresh := shelfRecord(t, c, "a", 1), shelfRecord(t, c, "a", 2)
	onShelf(t, mine, old.Pointer())
	others := counter{mine}
	_, err := others.Put(ctx, fresh.Pointer(), fresh.Bytes())
	require.NoError(t, err)
	_, err = others.Put(ctx, old.Pointer(), old.Bytes())
	require.ErrorIs(t, err, dht.ErrOlder)
	_, err = others.Put(ctx, fresh.Pointer(), []byte("garbage"))
	require.ErrorIs(t, err, pointer.ErrInvalid)
	other := shelfRecord(t, c, "b", 9)
	_, err = others.Put(ctx, fresh.Pointer(), other.Bytes())
	require.ErrorIs(t, err, pointer.ErrInvalid)
	require.Equal(t, fresh.Bytes(), onShelf(t, mine, fresh.Pointer()))
	c.now = c.now.Add(awaitTime + time.Second)
	_, err = others.Put(ctx, fresh.Pointer(), fresh.Bytes())
	require.ErrorIs(t, err, errNotAwaited, "nobody has looked for it for long")
}

func TestAShelfIsBounded(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	mine := newShelf(c.Now)
	kept := shelfRecord(t, c, "kept", 1)
	_, err := mine.Put(ctx, kept.Pointer(), kept.Bytes())
	require.ErrorIs(t, err, errShelf)
	for i := range maxShelf + 10 {
		c.now = c.now.Add(time.Millisecond)
		p := pointerOf(fmt.Sprint(i))
		onShelf(t, mine, p)
		if len(mine.said) < maxShelf {
			mine.said[p] = kept
		}
	}
	require.Len(t, mine.awaited, maxShelf)
	came := shelfRecord(t, c, "0", 1)
	_, err = counter{mine}.Put(ctx, came.Pointer(), came.Bytes())
	require.NoError(t, err)
	more := shelfRecord(t, c, "more", 1)
	_, err = mine.Put(ctx, more.Pointer(), more.Bytes())
	require.ErrorIs(t, err, errShelf)
	require.Len(t, mine.said, maxShelf)
	require.Nil(t, onShelf(t, counter{mine}, more.Pointer()), "there is no room")

	c.now = c.now.Add(awaitTime)
	onShelf(t, mine, pointerOf("x"))
	require.Len(t, mine.awaited, 1, "what was long ago makes room")
	require.Empty(t, mine.came, "and its received data is removed")
	c.now = c.now.Add(time.Hour)
	late := shelfRecord(t, c, "late", 1)
	for range 2 { // the first removes another
		_, err = mine.Put(ctx, late.Pointer(), late.Bytes())
		require.ErrorIs(t, err, errShelf)
	}
	require.Equal(t, late.Bytes(), onShelf(t, counter{mine}, late.Pointer()))
	require.Len(t, mine.said, 1)
}

// Two who can reach each other need no network between.
func TestLettersGoDirectlyWhenTheNetworkIsGone(t *testing.T) {
	ctx := context.Background()
	alice, bob, carol := three(t)
	alice.fetch(t)
	carol.fetch(t)
	for _, p := range []*person{alice, carol} { // its cards are cached
		p.c.Direct = func([][]byte) dht.Store {
			if p == alice {
				return carol.Counter()
			}
			return alice.Counter()
		}
		_, err := p.met(paired(bob), "paired", "") // says where it is
		require.NoError(t, err)
	}
	require.NoError(t, alice.remember(pointerOf("carol"), pointer.Details{Sealing: mustMe(carol).Sealing, Addresses: [][]byte{{1}}}))
	require.NoError(t, carol.remember(pointerOf("alice"), pointer.Details{Sealing: mustMe(alice).Sealing, Addresses: [][]byte{{1}}}))
	alice.c.Store, carol.c.Store = dht.MultiStore{}, dht.MultiStore{}

	_, err := carol.Sync(ctx, carol.key) // she waits
	require.NoError(t, err)
	sent, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	require.Equal(t, Stored, sent)
	report, err := carol.Sync(ctx, carol.key)
	require.NoError(t, err)
	require.Len(t, report.Fresh, 1)
	report, err = alice.Sync(ctx, alice.key)
	require.NoError(t, err)
	require.Empty(t, report.Waiting)
}
