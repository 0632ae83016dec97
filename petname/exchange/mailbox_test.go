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

func mailboxRecord(t *testing.T, c *clock, seed string, sequence uint64) pointer.Record {
	t.Helper()
	r, err := pointer.Sign(testKey(seed), pointer.Fields{Sequence: sequence, Expires: c.Now().Add(time.Hour), Payload: []byte("sealed")})
	require.NoError(t, err)
	return r
}

func getRecord(t *testing.T, s dht.Store, p pointer.Pointer) []byte {
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
	mine := newMailbox(c.Now)
	mine.wake = func() { woken++ }
	others := mailboxForPeers{mine}
	a, b := mailboxRecord(t, c, "a", 1), mailboxRecord(t, c, "b", 1)

	_, err := mine.Put(ctx, a.Pointer(), a.Bytes())
	require.ErrorIs(t, err, errNotFetched, "nobody has it yet: it isn't stored")
	require.Equal(t, a.Bytes(), getRecord(t, others, a.Pointer()))
	require.Nil(t, getRecord(t, others, b.Pointer()))

	_, err = others.Put(ctx, b.Pointer(), b.Bytes())
	require.ErrorIs(t, err, errNotAwaited)
	require.Nil(t, getRecord(t, mine, b.Pointer())) // from now on it is awaited
	_, err = others.Put(ctx, b.Pointer(), b.Bytes())
	require.NoError(t, err)
	require.Equal(t, b.Bytes(), getRecord(t, mine, b.Pointer()))
	require.Equal(t, 1, woken)
	_, err = others.Put(ctx, b.Pointer(), b.Bytes())
	require.NoError(t, err)
	require.Equal(t, 1, woken, "the same again is no news")

	// What others left isn't given to others, nor does it take the place of mine.
	require.Nil(t, getRecord(t, others, b.Pointer()))
	newer := mailboxRecord(t, c, "a", 2)
	_, err = others.Put(ctx, newer.Pointer(), newer.Bytes())
	require.ErrorIs(t, err, errNotAwaited)
	require.Equal(t, a.Bytes(), getRecord(t, others, a.Pointer()))
}

func TestAShelfRefusesWhatDoesNotVerifyAndWhatIsOld(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	mine := newMailbox(c.Now)
	old, fresh := mailboxRecord(t, c, "a", 1), mailboxRecord(t, c, "a", 2)
	getRecord(t, mine, old.Pointer())
	others := mailboxForPeers{mine}
	_, err := others.Put(ctx, fresh.Pointer(), fresh.Bytes())
	require.NoError(t, err)
	_, err = others.Put(ctx, old.Pointer(), old.Bytes())
	require.ErrorIs(t, err, dht.ErrOlder)
	_, err = others.Put(ctx, fresh.Pointer(), []byte("garbage"))
	require.ErrorIs(t, err, pointer.ErrInvalid)
	other := mailboxRecord(t, c, "b", 9)
	_, err = others.Put(ctx, fresh.Pointer(), other.Bytes())
	require.ErrorIs(t, err, pointer.ErrInvalid)
	require.Equal(t, fresh.Bytes(), getRecord(t, mine, fresh.Pointer()))
	c.now = c.now.Add(awaitDuration + time.Second)
	_, err = others.Put(ctx, fresh.Pointer(), fresh.Bytes())
	require.ErrorIs(t, err, errNotAwaited, "nobody has looked for it for long")
}

func TestAShelfIsBounded(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	mine := newMailbox(c.Now)
	kept := mailboxRecord(t, c, "kept", 1)
	_, err := mine.Put(ctx, kept.Pointer(), kept.Bytes())
	require.ErrorIs(t, err, errNotFetched)
	for i := range maxMailboxRecords + 10 {
		c.now = c.now.Add(time.Millisecond)
		p := pointerOf(fmt.Sprint(i))
		getRecord(t, mine, p)
		if len(mine.outgoing) < maxMailboxRecords {
			mine.outgoing[p] = kept
		}
	}
	require.Len(t, mine.awaited, maxMailboxRecords)
	came := mailboxRecord(t, c, "0", 1)
	_, err = mailboxForPeers{mine}.Put(ctx, came.Pointer(), came.Bytes())
	require.NoError(t, err)
	more := mailboxRecord(t, c, "more", 1)
	_, err = mine.Put(ctx, more.Pointer(), more.Bytes())
	require.ErrorIs(t, err, errNotFetched)
	require.Len(t, mine.outgoing, maxMailboxRecords)
	require.Nil(t, getRecord(t, mailboxForPeers{mine}, more.Pointer()), "there is no room")

	c.now = c.now.Add(awaitDuration)
	getRecord(t, mine, pointerOf("x"))
	require.Len(t, mine.awaited, 1, "what was long ago makes room")
	require.Empty(t, mine.incoming, "and its received data is removed")
	c.now = c.now.Add(time.Hour)
	late := mailboxRecord(t, c, "late", 1)
	for range 2 { // the first removes another
		_, err = mine.Put(ctx, late.Pointer(), late.Bytes())
		require.ErrorIs(t, err, errNotFetched)
	}
	require.Equal(t, late.Bytes(), getRecord(t, mailboxForPeers{mine}, late.Pointer()))
	require.Len(t, mine.outgoing, 1)
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
				return carol.Mailbox()
			}
			return alice.Mailbox()
		}
		_, err := p.suggestPaired(paired(bob), "paired", "") // says where it is
		require.NoError(t, err)
	}
	require.NoError(t, alice.putKnown(pointerOf("carol"), pointer.Details{Sealing: identityOf(carol).Sealing, Addresses: [][]byte{{1}}}))
	require.NoError(t, carol.putKnown(pointerOf("alice"), pointer.Details{Sealing: identityOf(alice).Sealing, Addresses: [][]byte{{1}}}))
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
