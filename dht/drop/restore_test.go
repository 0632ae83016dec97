package drop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// exchange lets b poll and acknowledge, and a receive the acknowledgement; it
// returns the messages that b received.
func exchange(t *testing.T, a, b *Channel, store *archive, now time.Time) []string {
	t.Helper()
	put(t, a, store, now)
	got := pollAndProcess(t, b, store, now)
	put(t, b, store, now)
	pollAndProcess(t, a, store, now)
	return got
}

// The sender restores a backup, and reuses numbers that the other
// side has received: no new message is confused with an old one.
func TestSenderWithAnOldStateLosesNoQueuedMessage(t *testing.T) {
	for name, queued := range map[string][]string{
		"fewer than were sent since": {"new"},
		"as many":                    {"new", "newer"},
		"more":                       {"new", "newer", "newest"},
		"none, until later":          {},
	} {
		t.Run(name, func(t *testing.T) {
			alice, bob, a, b := pair(t)
			store, now := newArchive(), start
			mustSend(t, a, "one")
			require.Equal(t, []string{"one"}, exchange(t, a, b, store, now))
			backup := a.State()
			mustSend(t, a, "two", "three")
			now = now.Add(time.Hour)
			require.Equal(t, []string{"two", "three"}, exchange(t, a, b, store, now))

			a = mustOpen(t, alice, bob, backup)
			mustSend(t, a, queued...)
			now = now.Add(time.Hour)
			put(t, a, store, now)
			var got []string
			got = append(got, pollAndProcess(t, b, store, now)...)
			if len(queued) > 0 {
				require.True(t, b.Due(now), "to acknowledge its position")
			}
			put(t, b, store, now)
			pollAndProcess(t, a, store, now)
			now = now.Add(time.Hour)
			mustSend(t, a, "last")
			got = append(got, exchange(t, a, b, store, now)...)
			require.Equal(t, append(queued, "last"), got)
			require.Zero(t, a.Waiting())
		})
	}
}

// A sender that lost its state sends more messages than before.
func TestSenderWithoutStateLosesNoQueuedMessage(t *testing.T) {
	alice, bob, a, b := pair(t)
	store, now := newArchive(), start
	mustSend(t, a, "one", "two")
	require.Equal(t, []string{"one", "two"}, exchange(t, a, b, store, now))
	a = mustOpen(t, alice, bob, nil)
	mustSend(t, a, "1", "2", "3", "4")
	now = now.Add(time.Hour)
	require.Empty(t, exchange(t, a, b, store, now))
	require.Equal(t, 4, a.Waiting())
	require.True(t, a.Due(now))
	now = now.Add(time.Hour)
	require.Equal(t, []string{"1", "2", "3", "4"}, exchange(t, a, b, store, now))
	require.Zero(t, a.Waiting())
}

// A recipient that restores a backup learns how many messages it lost.
func TestRecipientWithAnOldStateReportsLosses(t *testing.T) {
	alice, bob, a, b := pair(t)
	store, now := newArchive(), start
	mustSend(t, a, "one")
	exchange(t, a, b, store, now)
	backup := b.State()
	mustSend(t, a, "two", "three")
	now = now.Add(time.Hour)
	exchange(t, a, b, store, now)
	mustSend(t, a, "four")
	now = now.Add(time.Hour)
	put(t, a, store, now)

	b = mustOpen(t, bob, alice, backup)
	result := poll(t, b, store, now)
	require.Equal(t, []string{"four"}, texts(result.Messages))
	require.Equal(t, uint64(2), result.Lost)
	_, err := b.Outgoing(now)
	require.ErrorIs(t, err, errUnsaved, "a crash would lose the state and report it again")
	require.Equal(t, uint64(4), result.Messages[0].Counter)
	require.Zero(t, poll(t, b, store, now).Lost, "it is reported once")
	require.Equal(t, []string{"four"}, pollAndProcess(t, b, store, now))
	put(t, b, store, now)
	pollAndProcess(t, a, store, now)
	require.Zero(t, a.Waiting())

	// Also if no message follows it; and an older record fills the gap.
	put(t, a, store, now.Add(time.Hour))
	b = mustOpen(t, bob, alice, backup)
	result = poll(t, b, store, now)
	require.Empty(t, result.Messages)
	require.Equal(t, uint64(3), result.Lost)
	b = mustOpen(t, bob, alice, backup)
	store.serve = func(_ pointer.Pointer, all [][]byte) [][]byte { return all }
	result = poll(t, b, store, now)
	require.Equal(t, []string{"two", "three", "four"}, texts(result.Messages))
	require.Zero(t, result.Lost)
}

// A new message under a number that is pending has another
// ID: a caller that uses the ID processes both.
func TestReusedNumberHasAnotherID(t *testing.T) {
	alice, bob, a, b := pair(t)
	store, now := newArchive(), start
	backup := a.State()
	mustSend(t, a, "one")
	put(t, a, store, now)
	first := poll(t, b, store, now).Messages
	a = mustOpen(t, alice, bob, backup)
	mustSend(t, a, "other")
	now = now.Add(time.Hour)
	put(t, a, store, now)
	second := poll(t, b, store, now).Messages
	require.Equal(t, []string{"other"}, texts(second))
	require.Equal(t, first[0].Counter, second[0].Counter)
	require.NotEqual(t, first[0].ID, second[0].ID)
	serve := store.serve
	store.serve = func(_ pointer.Pointer, all [][]byte) [][]byte { return all[:min(1, len(all))] }
	require.Equal(t, second, poll(t, b, store, now).Messages, "an older record doesn't take its place")
	store.serve = serve
	require.Error(t, b.Done(first[0]), "it would acknowledge the other")
	require.NoError(t, b.Done(second[0]))
	put(t, b, store, now)
	pollAndProcess(t, a, store, now)
	require.Zero(t, a.Waiting())
}

// Both sides restored old states, with the same number in different streams:
// the recipient ignores the messages and acknowledges; the sender continues there.
func TestDivergedStreamsConverge(t *testing.T) {
	for name, done := range map[string]bool{"when the last message is processed": true, "when it is still pending": false} {
		t.Run(name, func(t *testing.T) {
			_, _, a, b := pair(t)
			store, now := newArchive(), start
			mustSend(t, a, "one")
			put(t, a, store, now)
			result := poll(t, b, store, now)
			if done {
				require.NoError(t, b.Done(result.Messages[0]))
				put(t, b, store, now)
			}
			// As if the party had once acknowledged another first message.
			a.base, a.queue = position{Counter: 1, Chain: hash{1}}, [][]byte{[]byte("two")}
			now = now.Add(time.Hour)
			put(t, a, store, now)
			if done {
				require.Empty(t, pollAndProcess(t, b, store, now))
			} else {
				require.Equal(t, []string{"one"}, pollAndProcess(t, b, store, now), "messages of a different stream are not appended")
			}
			require.Empty(t, poll(t, b, store, now).Messages)
			require.True(t, b.Due(now))
			put(t, b, store, now)
			require.Empty(t, pollAndProcess(t, a, store, now))
			require.Equal(t, 1, a.Waiting())
			put(t, a, store, now.Add(time.Second))
			require.Equal(t, []string{"two"}, pollAndProcess(t, b, store, now))
		})
	}
}

// A gap after pending messages is reported after these.
func TestGapAfterPendingMessagesDropsNone(t *testing.T) {
	alice, bob, a, b := pair(t)
	store, now := newArchive(), start
	backup := b.State()
	for _, m := range []string{"one", "two"} {
		mustSend(t, a, m)
		exchange(t, a, b, store, now)
		now = now.Add(time.Hour)
	}
	mustSend(t, a, "three")
	put(t, a, store, now)
	b = mustOpen(t, bob, alice, backup)
	newest := store.serve
	store.serve = func(_ pointer.Pointer, all [][]byte) [][]byte { return all[:min(1, len(all))] }
	result := poll(t, b, store, now)
	require.Equal(t, []string{"one"}, texts(result.Messages))
	store.serve = newest
	result = poll(t, b, store, now)
	require.Equal(t, []string{"one"}, texts(result.Messages))
	require.Zero(t, result.Lost)
	require.NoError(t, b.Done(result.Messages[0]))
	result = poll(t, b, store, now)
	require.Equal(t, []string{"three"}, texts(result.Messages))
	require.Equal(t, uint64(1), result.Lost)
}

// An earlier acknowledgement does not move the sender back: that would hide
// the loss of the recipient.
func TestEarlierAcknowledgementDoesNotHideALoss(t *testing.T) {
	alice, bob, a, b := pair(t)
	store, now := newArchive(), start
	mustSend(t, a, "one")
	exchange(t, a, b, store, now)
	backup := b.State()
	now = now.Add(time.Hour)
	mustSend(t, a, "two")
	exchange(t, a, b, store, now)
	base := a.base
	b = mustOpen(t, bob, alice, backup)
	now = now.Add(time.Hour)
	put(t, b, store, now)
	pollAndProcess(t, a, store, now)
	require.Equal(t, base, a.base)
	mustSend(t, a, "three")
	put(t, a, store, now)
	result := poll(t, b, store, now)
	require.Equal(t, []string{"three"}, texts(result.Messages))
	require.Equal(t, uint64(1), result.Lost)
}

// A sender that restored an old state repeats less than it did: the later messages
// were read, and stay pending.
func TestReadMessagesStayAfterTheSenderLosesThem(t *testing.T) {
	alice, bob, a, b := pair(t)
	store, now := newArchive(), start
	mustSend(t, a, "one")
	backup := a.State()
	mustSend(t, a, "two")
	put(t, a, store, now)
	require.Equal(t, []string{"one", "two"}, texts(poll(t, b, store, now).Messages))
	a = mustOpen(t, alice, bob, backup)
	now = now.Add(time.Hour)
	put(t, a, store, now)
	require.Equal(t, []string{"one", "two"}, pollAndProcess(t, b, store, now))
}

func TestChainCoversNumberAndMessage(t *testing.T) {
	at := position{Counter: 1, Chain: hash{1}}
	require.Equal(t, at.next([]byte("m")), at.next([]byte("m")))
	require.NotEqual(t, at.next([]byte("m")).Chain, at.next([]byte("n")).Chain)
	require.NotEqual(t, at.next([]byte("m")).Chain, position{Counter: 2, Chain: hash{1}}.next([]byte("m")).Chain)
	require.NotEqual(t, at.next([]byte("m")).Chain, position{Counter: 1, Chain: hash{2}}.next([]byte("m")).Chain)
}

// After a restart the recipient still knows that the sender repeats acknowledged
// messages. It puts the acknowledgement again.
func TestAPendingAcknowledgementSurvivesARestart(t *testing.T) {
	alice, bob, a, b := pair(t)
	store, now := newArchive(), start
	mustSend(t, a, "one")
	put(t, a, store, now)
	require.Equal(t, []string{"one"}, pollAndProcess(t, b, store, now))
	put(t, b, newArchive(), now) // this record is lost
	require.False(t, b.Due(now))
	now = now.Add(repeatAfter)
	put(t, a, store, now)
	require.Empty(t, pollAndProcess(t, b, store, now))
	b = mustOpen(t, bob, alice, b.State())
	require.True(t, b.Due(now))
	put(t, b, store, now)
	poll(t, a, store, now)
	require.Zero(t, a.Waiting())
	require.False(t, mustOpen(t, bob, alice, b.State()).Due(now))
}

// Two copies of a party's device put in one place. Each leaves the record of the other one there
// every second time, so that the other party receives what both sent.
func TestTwoCopiesOfAPartyAreBothReceived(t *testing.T) {
	alice, bob, one, b := pair(t)
	store, now := newArchive(), start
	mustSend(t, one, "before")
	require.Equal(t, []string{"before"}, exchange(t, one, b, store, now))
	two := mustOpen(t, alice, bob, one.State())
	mustSend(t, one, "of one")
	mustSend(t, two, "of two")
	var got []string
	left := 0
	for range 8 {
		for _, copied := range []**Channel{&one, &two} { // in an order in which the second one always replaces the first
			a := *copied
			now = now.Add(time.Minute)
			poll(t, a, store, now)
			stored, err := a.Stored(ctx, store, now)
			require.NoError(t, err)
			if a.Yield(stored, now) {
				require.False(t, a.Yield(stored, now), "once")
				require.Equal(t, a.Waiting() > 0, a.Due(now))
				*copied = mustOpen(t, alice, bob, a.State())
				require.False(t, (*copied).Yield(stored, now), "also after a restart")
				left++
				continue
			}
			if a.Due(now) {
				put(t, a, store, now)
			}
		}
		now = now.Add(time.Minute)
		got = append(got, pollAndProcess(t, b, store, now)...)
		if b.Due(now) {
			put(t, b, store, now)
		}
	}
	require.ElementsMatch(t, []string{"of one", "of two"}, got)
	require.Positive(t, left)
	stored, err := one.Stored(ctx, store, now)
	require.NoError(t, err)
	require.NotZero(t, stored)
	mustSend(t, one, "more")
	put(t, one, store, now.Add(time.Minute))
	require.False(t, one.Yield(stored, now.Add(time.Minute)), "of a store that has not the newest record")
	none, err := one.Stored(ctx, store, now.Add(3*Epoch))
	require.NoError(t, err)
	require.Zero(t, none, "of a later epoch")
	require.False(t, one.Yield(stored, now.Add(3*Epoch)), "of an earlier one")
}
