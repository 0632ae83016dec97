package petname

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// introductionUntil is an introduction to the owner by alice that ends after a time.
func introductionUntil(t tb, about string, life time.Duration) []byte {
	t.Helper()
	signed, err := introduce.Introduction{To: pointerOf("me"), About: pointerOf(about), Suggested: about, Expires: epoch.Add(life)}.Sign(testKey("alice"), &noise{h: [32]byte{byte(len(about)), about[len(about)-1]}}, epoch)
	require.NoError(t, err)
	return signed.Bytes()
}

// countScanned returns the number of rows that a scan for pending suggestions reads.
func countScanned(t tb, b *Book) (n int) {
	t.Helper()
	require.NoError(t, b.read(func(v *ledger.View) error {
		for _, err := range b.pending(v) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}))
	return n
}

// requireRebuilt checks that the view is the one that a replay of the entries derives.
func requireRebuilt(t tb, b *Book) {
	t.Helper()
	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, dump(t, b), view)
}

// What has expired is not scanned, and leaves the book with its bodies, unless a decision
// rests on it.
func TestExpiredSuggestionsLeaveTheBook(t *testing.T) {
	b := newTestBook(t)
	now := epoch
	b.now = func() time.Time { return now }
	mustAdd(t, b, "alice", "alice")
	ids := map[string]SuggestionID{}
	for _, about := range []string{"short", "long", "accepted", "declined", "muted", "retracted"} {
		life := time.Hour
		if about == "long" {
			life = 10 * 24 * time.Hour
		}
		ids[about] = receive(t, b, introductionUntil(t, about, life))
	}
	_, err := b.Accept(ids["accepted"], mustName("bob"), Acceptance{})
	require.NoError(t, err)
	for about, never := range map[string]bool{"declined": false, "muted": true} {
		_, err := b.Decline(ids[about], never)
		require.NoError(t, err)
	}
	receive(t, b, retraction(t, "alice", introductionUntil(t, "retracted", time.Hour)))
	require.Equal(t, 2, countScanned(t, b))
	evidence := must(b.Evidence(pointerOf("accepted")))

	now = epoch.Add(2 * time.Hour)
	require.Equal(t, 1, countScanned(t, b), "only what has not ended")
	n, err := b.DropExpired(epoch)
	require.NoError(t, err)
	require.Zero(t, n, "all ended later")
	view := entries(b)
	n, err = b.DropExpired(now)
	require.NoError(t, err)
	require.Equal(t, 3, n, "short, declined, retracted")
	require.Equal(t, view, entries(b), "no entry is written for it")
	n, err = b.DropExpired(now)
	require.NoError(t, err)
	require.Zero(t, n)
	for about, is := range map[string]bool{"short": false, "long": true, "accepted": true, "declined": false, "muted": true, "retracted": false} {
		_, err := b.Suggestion(ids[about].String())
		require.Equal(t, is, err == nil, "%s: %v", about, err)
	}
	require.Equal(t, evidence, must(b.Evidence(pointerOf("accepted"))))
	dropped := 0
	for e, err := range b.Log() {
		require.NoError(t, err)
		if e.Dropped {
			dropped++
		}
	}
	require.Equal(t, 3, dropped)
	_, _, err = b.receiveBytes(introductionUntil(t, "short", time.Hour), "drop")
	require.ErrorAs(t, err, new(*introduce.ExpiredError), "it is refused if it comes again")
	signed, err := introduce.Introduction{To: pointerOf("me"), About: pointerOf("muted"), Suggested: "x", Expires: now.Add(time.Hour)}.Sign(testKey("alice"), nil, now)
	require.NoError(t, err)
	_, _, err = b.Receive(signed, "drop")
	require.ErrorIs(t, err, ErrMuted)
	requireRebuilt(t, b)
	require.NotEmpty(t, inbox(t, b))
	for err := range b.Ledger().Verify(t.Context()) {
		require.NoError(t, err)
	}
}

// A suggestion that two devices received is dropped with both of its entries. A device
// that has them still, and one that has dropped them, agree after it has dropped them,
// too.
func TestASuggestionOfTwoDevicesIsDropped(t *testing.T) {
	books := testDevices(t, 2)
	mustAdd(t, books[0], "alice", "alice")
	syncBooks(t, books...)
	for _, b := range books {
		b.now = func() time.Time { return epoch }
		receive(t, b, introductionUntil(t, "bob", time.Hour))
	}
	syncBooks(t, books...)
	one := books[0].Ledger().Heads()[0]
	require.NoError(t, books[0].Ledger().DropBodies(func(*ledger.View) ([]ledger.ID, error) {
		return []ledger.ID{{Device: one.Device, Number: one.Number}}, nil
	}))
	requireRebuilt(t, books[0])
	require.Equal(t, 1, countScanned(t, books[0]), "the other entry has it still")
	for i, b := range books {
		n, err := b.DropExpired(epoch.Add(2 * time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1+i, n)
		requireRebuilt(t, b)
		require.Zero(t, countScanned(t, b))
	}
	syncBooks(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
}

// A decision on another device, after the suggestion was dropped on this one, does no
// harm.
func TestADecisionOnADroppedSuggestion(t *testing.T) {
	books := testDevices(t, 2)
	mustAdd(t, books[0], "alice", "alice")
	for _, b := range books {
		b.now = func() time.Time { return epoch }
	}
	id := receive(t, books[0], introductionUntil(t, "bob", time.Hour))
	syncBooks(t, books...)
	_, err := books[1].Accept(id, mustName("bob"), Acceptance{})
	require.NoError(t, err)
	n, err := books[0].DropExpired(epoch.Add(2 * time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	syncBooks(t, books...)
	for _, b := range books {
		c, err := b.ByPointer(pointerOf("bob"))
		require.NoError(t, err)
		require.Equal(t, "bob", c.Name.String())
		requireRebuilt(t, b)
	}
	n, err = books[1].DropExpired(epoch.Add(2 * time.Hour))
	require.NoError(t, err)
	require.Zero(t, n, "it was accepted")
}

// A device that writes one suggestion many times fills no row, and its view is that of a
// replay.
func TestManyEntriesOfOneSuggestion(t *testing.T) {
	b := newTestBook(t)
	b.now = func() time.Time { return epoch }
	mustAdd(t, b, "alice", "alice")
	receive(t, b, introductionUntil(t, "bob", time.Hour))
	w := fromIntroduction(must(introduce.Open(introductionUntil(t, "bob", time.Hour))), Introduced, "drop")
	for i := range 2 * maxEntries {
		w.Channel = fmt.Sprint("drop", i)
		require.NoError(t, b.update(func(tx *ledger.Tx) error { return appendAct(tx, act{Op: opSuggest, Suggestion: &w}) }))
	}
	n, err := b.DropExpired(epoch.Add(2 * time.Hour))
	require.NoError(t, err)
	require.Zero(t, n)
	requireRebuilt(t, b)
	require.Len(t, inbox(t, b), 1)
}

// Whatever was received, decided and dropped, in whatever order, the view is the one that
// a replay derives, and what is pending has not ended.
func TestLawDroppedSuggestionsLeaveTheViewOfAReplay(t *testing.T) {
	lawtest.Check(t, 60, func(rt *rapid.T) {
		dir := lawtest.FastDir(t)
		books := devices(rt, dir, 2)
		defer func() {
			for _, b := range books {
				require.NoError(rt, b.Close())
			}
		}()
		now := epoch
		for _, b := range books {
			b.now = func() time.Time { return now }
		}
		mustAdd(t, books[0], "alice", "alice")
		syncBooks(rt, books...)
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			b := books[rapid.IntRange(0, 1).Draw(rt, "device")]
			about := fmt.Sprint("p", rapid.IntRange(0, 4).Draw(rt, "about"))
			life := time.Duration(rapid.IntRange(1, 5).Draw(rt, "life")) * time.Hour
			signed := introductionUntil(rt, about, life)
			id := fromIntroduction(must(introduce.Open(signed)), Introduced, "drop").id()
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				_, _, _ = b.receiveBytes(signed, "drop") // it may have expired
			case 2:
				_, _ = b.Decline(id, rapid.Bool().Draw(rt, "never"))
			case 3:
				_, _ = b.Accept(id, mustName(about), Acceptance{})
			case 4:
				_, _, _ = b.receiveBytes(retraction(t, "alice", signed), "drop")
			case 5:
				now = epoch.Add(time.Duration(rapid.IntRange(0, 6*60).Draw(rt, "minutes")) * time.Minute)
				_, err := b.DropExpired(now)
				require.NoError(rt, err)
			case 6:
				syncBooks(rt, books...)
			}
		}
		for _, b := range books {
			view := dump(rt, b)
			require.NoError(rt, b.Ledger().Rebuild())
			require.Equal(rt, dump(rt, b), view)
			for s, err := range b.Inbox() {
				require.NoError(rt, err)
				require.True(rt, s.Expires.After(now))
			}
		}
	})
}
