package petname

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// list returns a list that alice shares with the owner, with the version as its label.
func list(t testing.TB, version int) []byte {
	t.Helper()
	return sharedBy(t, "alice", uint64(version), fmt.Sprint("v", version), "bob")
}

// listOf returns the version of the newest list of alice; 0: none.
func listOf(t tb, b *Book) int {
	t.Helper()
	edges, err := b.EdgesFrom(pointerOf("alice"))
	require.NoError(t, err)
	return int(edges.Version)
}

// storedLists returns the number of lists whose body is in the ledger.
func storedLists(t tb, b *Book) (n int) {
	t.Helper()
	for e, err := range b.Log() {
		require.NoError(t, err)
		if e.Statement == "edges" {
			n++
		}
	}
	return n
}

func dropExpired(t tb, b *Book) (n int) {
	t.Helper()
	n, err := b.DropExpired(epoch.AddDate(-60, 0, 0))
	require.NoError(t, err)
	return n
}

// The bodies of lists that a newer one replaces leave the ledger, whatever the time is. The newest
// one stays, older ones are refused as before, and the view is that of a replay.
func TestListsThatAreReplacedLeaveTheBook(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "dave", "dave")
	receive(t, b, sharedBy(t, "dave", 1, "other", "bob"))
	for version := range 40 {
		receive(t, b, list(t, version+1))
	}
	n := entries(b)
	require.Equal(t, 39, dropExpired(t, b))
	require.Zero(t, dropExpired(t, b))
	require.Equal(t, n, entries(b), "no entry is written for it")
	require.Equal(t, 2, storedLists(t, b))
	require.Equal(t, 40, listOf(t, b))
	requireRebuilt(t, b)
	require.Equal(t, 40, listOf(t, b))
	for _, version := range []int{1, 39, 40} {
		_, fresh, err := b.receiveBytes(list(t, version), "drop")
		require.NoError(t, err)
		require.False(t, fresh, version)
	}
	receive(t, b, list(t, 41))
	require.Equal(t, 1, dropExpired(t, b))
	require.Equal(t, 41, listOf(t, b))
	edges, err := b.EdgesFrom(pointerOf("dave"))
	require.NoError(t, err)
	require.Len(t, edges.Edges, 1)
	requireRebuilt(t, b)
	for err := range b.Ledger().Verify(t.Context()) {
		require.NoError(t, err)
	}
}

// A device drops the lists that another one received only after it has entered the newest one
// itself. So the removal of the other device, from an entry before the newest list on, leaves
// every device with the same list, and none with an older one than before.
func TestTheRemovalOfADeviceRestoresNoOlderList(t *testing.T) {
	books := testDevices(t, 3)
	mustAdd(t, books[0], "alice", "alice")
	syncBooks(t, books...)
	for version := range 5 {
		receive(t, books[1], list(t, version+1))
	}
	syncBooks(t, books...)
	require.Zero(t, dropExpired(t, books[2]), "the newest one is another device's")
	for version := range 20 {
		receive(t, books[1], list(t, version+6))
	}
	pull(t, books[2], books[1]) // the first device knows of five lists
	n := entries(books[2])
	require.Equal(t, 24, dropExpired(t, books[2]))
	require.Equal(t, n+1, entries(books[2]), "it enters the newest one")
	require.Zero(t, dropExpired(t, books[2]))
	require.Equal(t, n+1, entries(books[2]))
	requireRebuilt(t, books[2])

	require.NoError(t, books[0].Ledger().RemoveDevice(testKey("me"), books[1].Ledger().Device()))
	pull(t, books[2], books[0])
	_, err := books[0].Ledger().Merge(slices.Values(missing(t, books[2], books[0].Ledger().Heads())))
	if err != nil {
		require.ErrorIs(t, err, ledger.ErrRefused, "entries of the removed device")
	}
	for _, b := range []*Book{books[0], books[2]} {
		require.Equal(t, 25, listOf(t, b))
		requireRebuilt(t, b)
		require.Equal(t, 25, listOf(t, b))
		_, fresh, err := b.receiveBytes(list(t, 24), "drop")
		require.NoError(t, err)
		require.False(t, fresh)
	}
}

// Devices that receive lists in any order, exchange them and drop different bodies have the newest
// list of all, the view of a replay, and few bodies.
func TestLawDroppedListsLeaveTheNewestOne(t *testing.T) {
	signed := make([][]byte, 60)
	for version := range signed {
		signed[version] = list(t, version+1)
	}
	lawtest.Check(t, 30, func(rt *rapid.T) {
		books := devices(rt, lawtest.FastDir(t), 3)
		defer func() {
			for _, b := range books {
				require.NoError(rt, b.Close())
			}
		}()
		mustAdd(t, books[0], "alice", "alice")
		syncBooks(rt, books...)
		newest := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			i := rapid.IntRange(0, 2).Draw(rt, "device")
			switch rapid.IntRange(0, 4).Draw(rt, "do") {
			case 0:
				pull(rt, books[i], books[(i+1)%3])
			case 1:
				before := listOf(rt, books[i])
				dropExpired(rt, books[i])
				require.Equal(rt, before, listOf(rt, books[i]))
			default:
				version := rapid.IntRange(1, len(signed)).Draw(rt, "version")
				_, _, err := books[i].receiveBytes(signed[version-1], "drop")
				require.NoError(rt, err)
				newest = max(newest, version)
			}
		}
		syncBooks(rt, books...)
		for range 2 {
			for _, b := range books {
				dropExpired(rt, b)
			}
			syncBooks(rt, books...)
		}
		for _, b := range books {
			require.Equal(rt, newest, listOf(rt, b))
			require.LessOrEqual(rt, storedLists(rt, b), maxOldLists+3)
			requireRebuilt(rt, b)
			require.Equal(rt, newest, listOf(rt, b))
		}
	})
}
