package drop

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

func TestUnsavedStateIsNotPut(t *testing.T) {
	alice, bob, a, b := pair(t)
	now := start
	store := memory(&now)
	mustSend(t, a, "one")
	refused := func(c *Channel) {
		t.Helper()
		_, err := c.Put(ctx, store, now)
		require.ErrorIs(t, err, errUnsaved)
		_, err = c.Outgoing(now)
		require.ErrorIs(t, err, errUnsaved)
	}
	refused(a)
	a.State()
	mustSend(t, a, "two")
	refused(a)
	put(t, a, store, now)
	result := poll(t, b, store, now)
	b.State()
	require.NoError(t, b.Done(result.Messages[0]))
	refused(b)
	put(t, b, store, now)
	poll(t, a, store, now)
	refused(a)
	a.State()
	require.NoError(t, a.Rekey(bob.renewed(t, 33).party()))
	refused(a)
	_ = alice
}

// The network discards records after 48 hours, so they are put again before.
func TestUnacknowledgedIsDueAgain(t *testing.T) {
	alice, bob, a, b := pair(t)
	now := start
	mustSend(t, a, "one")
	put(t, a, memory(&now), now) // lost
	require.False(t, a.Due(now.Add(repeatAfter-time.Millisecond)))
	require.True(t, a.Due(now.Add(repeatAfter)))
	require.True(t, a.Due(now.Add(-repeatAfter)), "the clock went back")
	require.True(t, a.Due(now.Add(Epoch)), "in the next epoch it belongs elsewhere")
	a = mustOpen(t, alice, bob, a.State())
	require.False(t, a.Due(now.Add(time.Hour)), "a restart doesn't put again")
	mustSend(t, a, "two")
	require.True(t, a.Due(now.Add(time.Hour)), "a new message")

	now = now.Add(repeatAfter)
	store := memory(&now)
	put(t, a, store, now)
	require.Equal(t, []string{"one", "two"}, pollAndProcess(t, b, store, now))
	put(t, b, memory(&now), now) // the acknowledgement is lost
	require.False(t, b.Due(now))
	now = now.Add(repeatAfter)
	poll(t, a, store, now)
	require.True(t, a.Due(now))
	put(t, a, store, now)
	require.Empty(t, pollAndProcess(t, b, store, now))
	require.True(t, b.Due(now), "the other still shows what was acknowledged")
	put(t, b, store, now)
	require.False(t, b.Due(now), "and is told once for each of its records")
	require.Empty(t, pollAndProcess(t, b, store, now))
	require.False(t, b.Due(now))
	poll(t, a, store, now)
	require.Zero(t, a.Waiting())
}

func TestFailedPutStaysDue(t *testing.T) {
	_, _, a, _ := pair(t)
	mustSend(t, a, "one")
	a.State()
	_, err := a.Put(ctx, failing{}, start)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.True(t, a.Due(start))
}

// failing is a store that is unreachable.
type failing struct{}

func (failing) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) { yield(dht.Answer{}, dht.ErrUnreachable) }
}

func (failing) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, dht.ErrUnreachable
}

func TestOutgoingRecordIsReadFromAnotherStore(t *testing.T) {
	_, _, a, b := pair(t)
	now := start
	mustSend(t, a, "one")
	a.State()
	rec, err := a.Outgoing(now)
	require.NoError(t, err)
	require.True(t, a.Due(now), "the store hasn't got it")
	polled, err := polledPointers(b, now)
	require.NoError(t, err)
	require.Contains(t, polled, rec.Pointer())
	require.Len(t, polled, 2)
	stream := memory(&now)
	_, err = stream.Put(ctx, rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, pollAndProcess(t, b, stream, now))
	// Both stores yield the same messages.
	store := memory(&now)
	put(t, a, store, now)
	require.Empty(t, pollAndProcess(t, b, store, now))
}

// The sealed content always fits into a record, whatever its numbers.
func TestLargestRecordFits(t *testing.T) {
	alice, bob, _, _ := pair(t)
	for _, size := range []int{1, 22, 23, 24, 255, 256, 4000, MaxMessage} {
		for keys := 1; keys <= 2; keys++ {
			bob := bob
			bob.sealing = bob.sealing[:keys]
			a := mustOpen(t, alice, bob, nil)
			a.base.Counter = maxCounter - 2*MaxQueue
			a.processed.Counter = maxCounter
			key, _, err := a.outboundKey(start)
			require.NoError(t, err)
			a.lastRecord = recordSequence{At: key.Pointer().Bytes(), Sequence: pointer.MaxSequence - 1}
			for i := 0; i < MaxQueue; i++ {
				if a.Send(make([]byte, size)) != nil {
					break
				}
			}
			require.Error(t, a.Send(make([]byte, MaxMessage)))
			a.State()
			rec, err := a.Outgoing(start)
			require.NoError(t, err, size)
			require.LessOrEqual(t, len(rec.Bytes()), pointer.MaxRecord)
			require.Positive(t, len(a.selectMessages().messages))
			_, err = a.Outgoing(start)
			require.ErrorContains(t, err, "sequence", "and after the last number there is none")
		}
	}
}

// A message of as many bytes as there is room for is in the next record, and a longer one is not.
func TestRoomIsWhatTheNextRecordHolds(t *testing.T) {
	for _, size := range []int{1, 24, 255, 256, 3000, MaxMessage} {
		for _, longer := range []int{0, 1} {
			now := start
			store := memory(&now)
			alice, bob, _, _ := pair(t)
			bob.sealing = bob.sealing[:1]
			a := mustOpen(t, alice, bob, nil)
			require.Equal(t, MaxMessage, a.Room())
			for range 4 {
				mustSend(t, a, string(make([]byte, size)))
			}
			room := a.Room()
			require.Equal(t, size == MaxMessage || size == 3000, room == 0, "%d bytes of %d", room, size)
			if n := room + longer; n > 0 && n <= MaxMessage {
				mustSend(t, a, string(make([]byte, n)))
				put(t, a, store, now)
				require.Equal(t, longer == 1, a.NotPut() > 0, "%d bytes behind 4 of %d", n, size)
			}
		}
	}
}

// What a record has no room for, or what is newer than it, is not put.
func TestMessagesThatARecordDoesNotHoldAreNotPut(t *testing.T) {
	alice, bob, a, b := pair(t)
	now := start
	store := memory(&now)
	require.Zero(t, a.NotPut())
	for range 20 {
		mustSend(t, a, string(make([]byte, MaxMessage)))
	}
	require.Equal(t, 20, a.NotPut())
	put(t, a, store, now)
	held := len(poll(t, b, store, now).Messages)
	require.Greater(t, held, 0)
	require.Equal(t, 20-held, a.NotPut())
	a = mustOpen(t, alice, bob, a.State())
	require.Equal(t, 20-held, a.NotPut(), "after a restart")
	pollAndProcess(t, b, store, now)
	now = now.Add(time.Second)
	put(t, b, store, now)
	poll(t, a, store, now)
	require.Equal(t, 20-held, a.Waiting())
	require.Equal(t, 20-held, a.NotPut())
	put(t, a, store, now)
	require.Equal(t, max(0, 20-2*held), a.NotPut())
	mustSend(t, a, "one more")
	require.Equal(t, max(0, 20-2*held)+1, a.NotPut())
}
