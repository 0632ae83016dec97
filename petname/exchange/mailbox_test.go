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

func TestAMailboxStoresOnlyAwaitedRecords(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	woken := 0
	box := newMailbox(c.Now)
	box.wake = func() { woken++ }
	peers := mailboxForPeers{box}
	a, b := mailboxRecord(t, c, "a", 1), mailboxRecord(t, c, "b", 1)

	_, err := box.Put(ctx, a.Pointer(), a.Bytes())
	require.ErrorIs(t, err, errNotFetched, "a record in memory is not stored")
	require.Equal(t, a.Bytes(), getRecord(t, peers, a.Pointer()))
	require.Nil(t, getRecord(t, peers, b.Pointer()))

	_, err = peers.Put(ctx, b.Pointer(), b.Bytes())
	require.ErrorIs(t, err, errNotAwaited)
	require.Nil(t, getRecord(t, box, b.Pointer())) // from now on a record is awaited
	_, err = peers.Put(ctx, b.Pointer(), b.Bytes())
	require.NoError(t, err)
	require.Equal(t, b.Bytes(), getRecord(t, box, b.Pointer()))
	require.Equal(t, 1, woken)
	_, err = peers.Put(ctx, b.Pointer(), b.Bytes())
	require.NoError(t, err)
	require.Equal(t, 1, woken, "the same record does not wake again")

	// Peers do not get records of other peers, and cannot replace those of the Exchange.
	require.Nil(t, getRecord(t, peers, b.Pointer()))
	newer := mailboxRecord(t, c, "a", 2)
	_, err = peers.Put(ctx, newer.Pointer(), newer.Bytes())
	require.ErrorIs(t, err, errNotAwaited)
	require.Equal(t, a.Bytes(), getRecord(t, peers, a.Pointer()))
}

func TestAMailboxRefusesInvalidAndOlderRecords(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	box := newMailbox(c.Now)
	old, fresh := mailboxRecord(t, c, "a", 1), mailboxRecord(t, c, "a", 2)
	getRecord(t, box, old.Pointer())
	peers := mailboxForPeers{box}
	_, err := peers.Put(ctx, fresh.Pointer(), fresh.Bytes())
	require.NoError(t, err)
	_, err = peers.Put(ctx, old.Pointer(), old.Bytes())
	require.ErrorIs(t, err, dht.ErrOlder)
	_, err = peers.Put(ctx, fresh.Pointer(), []byte("garbage"))
	require.ErrorIs(t, err, pointer.ErrInvalid)
	other := mailboxRecord(t, c, "b", 9)
	_, err = peers.Put(ctx, fresh.Pointer(), other.Bytes())
	require.ErrorIs(t, err, pointer.ErrInvalid)
	require.Equal(t, fresh.Bytes(), getRecord(t, box, fresh.Pointer()))
	c.now = c.now.Add(awaitDuration + time.Second)
	_, err = peers.Put(ctx, fresh.Pointer(), fresh.Bytes())
	require.ErrorIs(t, err, errNotAwaited, "it is no longer awaited")
}

func TestAMailboxIsBounded(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	box := newMailbox(c.Now)
	record := mailboxRecord(t, c, "record", 1)
	_, err := box.Put(ctx, record.Pointer(), record.Bytes())
	require.ErrorIs(t, err, errNotFetched)
	for i := range maxMailboxRecords + 10 {
		c.now = c.now.Add(time.Millisecond)
		p := pointerOf(fmt.Sprint(i))
		getRecord(t, box, p)
		if len(box.outgoing) < maxMailboxRecords {
			box.outgoing[p] = record
		}
	}
	require.Len(t, box.awaited, maxMailboxRecords)
	incoming := mailboxRecord(t, c, "0", 1)
	_, err = mailboxForPeers{box}.Put(ctx, incoming.Pointer(), incoming.Bytes())
	require.NoError(t, err)
	more := mailboxRecord(t, c, "more", 1)
	_, err = box.Put(ctx, more.Pointer(), more.Bytes())
	require.ErrorIs(t, err, errNotFetched)
	require.Len(t, box.outgoing, maxMailboxRecords)
	require.Nil(t, getRecord(t, mailboxForPeers{box}, more.Pointer()), "there is no room")

	c.now = c.now.Add(awaitDuration)
	getRecord(t, box, pointerOf("x"))
	require.Len(t, box.awaited, 1, "expired ones are removed")
	require.Empty(t, box.incoming, "also their received records")
	c.now = c.now.Add(time.Hour)
	late := mailboxRecord(t, c, "late", 1)
	for range 2 { // the first Put removes expired records
		_, err = box.Put(ctx, late.Pointer(), late.Bytes())
		require.ErrorIs(t, err, errNotFetched)
	}
	require.Equal(t, late.Bytes(), getRecord(t, mailboxForPeers{box}, late.Pointer()))
	require.Len(t, box.outgoing, 1)
}

// Two peers that can reach each other need no network.
func TestMessagesAreSentDirectlyWithoutANetwork(t *testing.T) {
	ctx := context.Background()
	alice, bob, carol := three(t)
	alice.fetch(t)
	carol.fetch(t)
	for _, p := range []*person{alice, carol} { // the cards are cached
		p.c.Direct = func([][]byte) dht.Store {
			if p == alice {
				return carol.Mailbox()
			}
			return alice.Mailbox()
		}
		_, err := p.suggestPaired(paired(bob), "paired", "") // with the addresses of bob
		require.NoError(t, err)
	}
	require.NoError(t, alice.putKnown(pointerOf("carol"), pointer.Details{Sealing: identityOf(carol).Sealing, Addresses: [][]byte{{1}}}))
	require.NoError(t, carol.putKnown(pointerOf("alice"), pointer.Details{Sealing: identityOf(alice).Sealing, Addresses: [][]byte{{1}}}))
	alice.c.Store, carol.c.Store = dht.MultiStore{}, dht.MultiStore{}

	_, err := carol.Sync(ctx, carol.key) // she awaits records
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
