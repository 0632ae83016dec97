package exchange

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// putHook is a store that calls then after each put that is stored.
type putHook struct {
	dht.Store
	then func()
}

func (h putHook) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	receipt, err := h.Store.Put(ctx, p, record)
	if receipt.Stored > 0 {
		h.then()
	}
	return receipt, err
}

// A disk that fails between the put of a record and the commit that records the put loses
// nothing: the message is reported as stored by the network, with the error of the disk. It
// stays in the queue, and the recipient processes it once.
func TestAPutThatCannotBeRecordedIsReportedAndRepeated(t *testing.T) {
	ctx, carolsPointer := context.Background(), pointerOf("carol")
	enqueued := func(t *testing.T, alice, bob, carol *person) {
		b, err := message{Kind: kindStatement, Body: alice.introduces(t, bob, carol).Bytes()}.encode()
		require.NoError(t, err)
		alice.edit(t, func(local *ledger.View) error { return enqueue(local, carolsPointer, b) })
	}
	for name, send := range map[string]func(t *testing.T, alice, bob, carol *person) error{
		"Send": func(t *testing.T, alice, bob, carol *person) error {
			sent, err := alice.Send(ctx, alice.key, carolsPointer, alice.introduces(t, bob, carol))
			require.Equal(t, Stored, sent)
			return err
		},
		"flushOutbox": func(t *testing.T, alice, bob, carol *person) error {
			enqueued(t, alice, bob, carol)
			sent, waiting, err := alice.flushOutbox(ctx, alice.key, carolsPointer)
			require.Equal(t, Stored, sent)
			require.Equal(t, 1, waiting)
			return err
		},
		"syncChannel": func(t *testing.T, alice, bob, carol *person) error {
			enqueued(t, alice, bob, carol)
			report := alice.syncChannel(ctx, alice.key, carolsPointer)
			require.Equal(t, map[pointer.Pointer]int{carolsPointer: 1}, report.Waiting)
			require.Len(t, report.Errs, 1)
			return report.Errs[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			alice, bob, carol := three(t)
			network, puts := alice.network, 0
			alice.network = putHook{network, func() {
				puts++
				require.NoError(t, alice.book.Close()) // no write succeeds until the reopen
			}}
			alice.open()
			require.ErrorContains(t, send(t, alice, bob, carol), "closed")
			require.Equal(t, 1, puts)

			alice.network = putHook{network, func() { puts++ }}
			alice.reopen(t)
			require.Len(t, alice.rows(t, tableQueue, nil), 1, "the message is durable")
			require.Empty(t, alice.rows(t, tableOutbox, nil))
			require.Equal(t, 1, alice.fetch(t).Waiting[carolsPointer])
			require.Equal(t, 2, puts, "the put was not recorded, so the record is due")
			require.Len(t, carol.fetch(t).Fresh, 1)
			require.Empty(t, alice.fetch(t).Waiting)
			require.Empty(t, carol.fetch(t).Fresh, "exactly once")
		})
	}
}

// After a commit that failed, a channel is as it was before: it puts and stores no message that
// is still in the outbox, and the message is sent once.
func TestAFailedCommitLeavesTheChannelUnchanged(t *testing.T) {
	alice, bob, carol := three(t)
	ctx, carolsPointer := context.Background(), pointerOf("carol")
	b, err := message{Kind: kindStatement, Body: alice.introduces(t, bob, carol).Bytes()}.encode()
	require.NoError(t, err)
	alice.edit(t, func(local *ledger.View) error { return enqueue(local, carolsPointer, b) })
	c, err := alice.openChannel(ctx, alice.key, carolsPointer)
	require.NoError(t, err)
	valid := c.rows
	c.rows.queue = strings.Repeat("q", 65) // no table can have this name: the commit fails

	queueErr, err := alice.moveToChannel(carolsPointer, c)
	require.NoError(t, queueErr)
	require.Error(t, err)
	require.Zero(t, c.Waiting(), "the message is not in the channel")
	sent, err := alice.putRecord(ctx, c)
	require.Equal(t, Queued, sent)
	require.ErrorContains(t, err, "State", "nothing is put that is not stored")

	require.Error(t, alice.saveChannel(c))
	_, err = c.Put(ctx, c.store, alice.clock.now)
	require.ErrorContains(t, err, "State", "after a save that failed, too")

	c.rows = valid
	require.NoError(t, alice.saveChannel(c))
	require.Empty(t, alice.rows(t, tableQueue, nil))
	require.Len(t, alice.rows(t, tableOutbox, nil), 1, "the message is still in the outbox, and there only")
	sent, waiting, err := alice.flushOutbox(ctx, alice.key, carolsPointer)
	require.NoError(t, err)
	require.Equal(t, Stored, sent)
	require.Equal(t, 1, waiting)
	require.Len(t, carol.fetch(t).Fresh, 1)
}

// A joining of a device whose disk fails ends with the error, and does not wait for the other one;
// the same text continues it.
func TestAJoiningEndsWhenTheDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, phone := two(t)
		alice.handsOver()
		alice.addContacts(t, 150)
		text, _ := pairedDevice(t, alice, phone)
		stop := alice.answersInvitations(t)
		began := time.Now()
		_, _, _, err := phone.JoinBook(t.Context(), phone.key, text, func(JoinProgress) {
			_ = phone.book.Close() // no write succeeds until the reopen
		})
		require.ErrorContains(t, err, "closed")
		require.NotErrorIs(t, err, ErrHandoverTimeout)
		require.Less(t, time.Since(began), time.Minute)
		phone.reopen(t)
		inviter, h, entries, err := phone.JoinBook(t.Context(), phone.key, text, nil)
		stop()
		require.NoError(t, err)
		phone.requireJoined(t, alice, inviter, h, entries)
	})
}
