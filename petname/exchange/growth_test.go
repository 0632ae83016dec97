package exchange

import (
	"crypto/rand"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// offerUntil makes p process an offer of a mutual introduction by alice that ends at a
// time.
func (p *person) offerUntil(t testing.TB, alice *person, end time.Time) (stop bool, err error) {
	t.Helper()
	note := make([]byte, introduce.MaxNote)
	for i := range note {
		note[i] = 'n'
	}
	_, out, err := mutual.Start(p.clock.now, rand.Reader, alice.key, mutual.Party{Pointer: pointerOf(p.name), Suggested: "x", Note: string(note)},
		mutual.Party{Pointer: pointerOf("somebody"), Suggested: "y"}, end)
	require.NoError(t, err)
	return p.handleMutual(pointerOf(alice.name), out[0].Bytes, &Report{})
}

// stored returns the number of suggestions in the log of p whose body is stored.
func (p *person) stored(t testing.TB) (suggestions int) {
	t.Helper()
	for e, err := range p.book.Log() {
		require.NoError(t, err)
		if e.Op == "suggest" {
			suggestions++
		}
	}
	return suggestions
}

// Offers of one contact that end soon grow the book by no more than a day's messages,
// and once they have ended they are not scanned and leave the ledger.
func TestOffersThatEndSoonDoNotGrowTheBook(t *testing.T) {
	alice, bob, _ := three(t)
	const hour = 960
	size := func() int64 {
		info, err := os.Stat(bob.ledger)
		require.NoError(t, err)
		return info.Size()
	}
	before, accepted := size(), 0
	for i := range hour {
		bob.clock.now = bob.clock.now.Add(time.Hour / hour)
		if _, err := bob.offerUntil(t, alice, bob.clock.now.Add(50*time.Second)); err == nil {
			accepted++
		}
		if i%16 == 0 {
			require.NoError(t, bob.expireSessions(&Report{}))
		}
	}
	grown := size() - before
	t.Logf("%d of %d offers accepted in an hour: the file grew by %d KiB", accepted, hour, grown>>10)
	require.LessOrEqual(t, accepted, maxDailyMessages)
	require.Positive(t, accepted)
	require.Equal(t, accepted, bob.stored(t))
	require.Empty(t, bob.inbox(t))

	// A statement counts against the same budget.
	signed, err := introduce.Retraction{To: pointerOf("bob"), ID: introduce.ID{1}}.Sign(alice.key, bob.clock.now)
	require.NoError(t, err)
	stop, err := bob.handle(t.Context(), pointerOf("alice"), plaintext(t, signed), new(Report))
	require.Error(t, err)
	require.True(t, stop, "it stays with its sender")

	// On the days after, the file does not grow: what has ended makes room.
	for day := range 5 {
		bob.clock.now = bob.clock.now.Add(25 * time.Hour)
		for {
			n, err := bob.book.DropExpired(bob.clock.now.Add(-24 * time.Hour))
			require.NoError(t, err)
			if n == 0 {
				break
			}
		}
		require.Zero(t, bob.stored(t))
		for range hour {
			bob.clock.now = bob.clock.now.Add(time.Second)
			if stop, _ := bob.offerUntil(t, alice, bob.clock.now.Add(5*time.Second)); stop {
				break
			}
			require.NoError(t, bob.expireSessions(&Report{}))
		}
		require.Equal(t, maxDailyMessages, bob.stored(t), day)
		require.Less(t, size()-before, 2*grown+300<<10, day)
	}
	t.Logf("after 5 more days: %d KiB", (size()-before)>>10)
	require.NoError(t, bob.expireSessions(&Report{}))
	require.Empty(t, Check(bob.book))
}

// A contact that sends as many full lists of what it shares as it can, 1,000 of 6 KB each, grows
// the book by what the entries take without the lists: a list leaves when another one replaces
// it. Otherwise the file has 8 MiB.
func TestListsThatReplaceEachOtherDoNotGrowTheBook(t *testing.T) {
	alice, bob, _ := three(t)
	lists := uint64(lawtest.Size(400, 1000))
	edges := map[string]pointer.Edge{}
	for i := range 64 {
		edges[fmt.Sprintf("label-%02d", i)] = pointer.Edge{Pointer: pointerOf(fmt.Sprint("person", i))}
	}
	for version := uint64(1); version <= lists; version++ {
		if version%(maxDailyMessages/2) == 1 {
			bob.clock.now = bob.clock.now.Add(25 * time.Hour)
		}
		bob.clock.now = bob.clock.now.Add(time.Second)
		signed, err := introduce.Edges{To: pointerOf("bob"), Version: version, Edges: edges}.Sign(alice.key, bob.clock.now)
		require.NoError(t, err)
		_, err = bob.handle(t.Context(), pointerOf("alice"), plaintext(t, signed), new(Report))
		require.NoError(t, err)
		if version%5 == 0 {
			_, err := bob.book.DropExpired(bob.clock.now.Add(-24 * time.Hour))
			require.NoError(t, err)
		}
	}
	from, err := bob.book.EdgesFrom(pointerOf("alice"))
	require.NoError(t, err)
	require.Equal(t, lists, from.Version)
	info, err := os.Stat(bob.ledger)
	require.NoError(t, err)
	t.Logf("ledger.db after %d lists: %d KiB", lists, info.Size()>>10)
	require.LessOrEqual(t, info.Size(), int64(2<<20))
}
