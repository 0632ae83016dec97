package ledger

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// copyOf returns another copy of a ledger, with the same key.
func copyOf(t testing.TB, l *Ledger, device string) *Ledger {
	b, err := os.ReadFile(l.path)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	o := testOptions()
	o.Now = l.now
	c, err := Open(path, testKey(device), multi{}, o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return unsynced(c)
}

func bodiesOf(t testing.TB, l *Ledger, last Head, after uint64) (out []string) {
	for e, err := range l.Chain(last, after) {
		require.NoError(t, err)
		out = append(out, string(e.Body))
	}
	return out
}

// Two copies of a file that both write are a fork on every device. On the copy whose branch does
// not count each write fails, and states since when; what does not count can be read.
func TestTwoCopiesAreAForkOnEveryDevice(t *testing.T) {
	outcomes := map[bool]int{}
	for seed := range uint64(16) {
		a, _ := newBook(t)
		c := join(t, a, "three")
		_, err := a.Append([]byte("k=before"))
		require.NoError(t, err)
		b := copyOf(t, a, "one")
		r := rand.New(rand.NewPCG(seed, 1))
		na, nb := 1+r.IntN(3), 1+r.IntN(3)
		for i := range na {
			_, err := a.Append(fmt.Appendf(nil, "a%d=%d of a", i, seed))
			require.NoError(t, err)
		}
		for i := range nb {
			_, err := b.Append(fmt.Appendf(nil, "b%d=%d of b", i, seed))
			require.NoError(t, err)
		}
		for _, l := range []*Ledger{a, b, c} {
			own, counts, err := l.Own()
			require.NoError(t, err)
			require.True(t, counts)
			require.Equal(t, l != c, own.Own)
		}
		for range 3 {
			for _, l := range []*Ledger{a, b} { // through the third: two copies have no session
				merges(t, c, missing(t, l, c.Heads())...)
				merges(t, l, missing(t, c, l.Heads())...)
			}
		}
		won, lost, n, mark := a, b, nb, "b"
		if _, counts, err := a.Own(); err == nil && !counts {
			won, lost, n, mark = b, a, na, "a"
		}
		outcomes[won == a]++
		for _, l := range []*Ledger{a, b, c} {
			forks, err := l.Forks()
			require.NoError(t, err)
			require.Len(t, forks, 1)
			branches, err := l.Branches(a.Device())
			require.NoError(t, err)
			require.Len(t, branches, 2)
			var uncounted []string
			for e, err := range l.Uncounted() {
				require.NoError(t, err)
				uncounted = append(uncounted, string(e.Body))
			}
			require.Len(t, uncounted, n)
			for _, branch := range branches {
				require.Equal(t, forks[0].Kept.ID().Number-1, branch.Shared)
				if !branch.Counts() {
					require.Equal(t, branch.Shared, branch.Counted)
					require.Equal(t, uncounted, bodiesOf(t, l, branch.Head, branch.Counted))
					require.Equal(t, fmt.Sprintf("%s0=%d of %s", mark, seed, mark), uncounted[0])
				}
				require.Equal(t, l != c && branch.Counts() == (l == won), branch.Own)
			}
			verified(t, l)
		}
		_, err = won.Append([]byte("k=after"))
		require.NoError(t, err)
		_, err = lost.Append([]byte("k=lost"))
		var fork *ForkError
		require.ErrorAs(t, err, &fork)
		require.ErrorIs(t, err, ErrFork)
		require.Equal(t, uint64(n), fork.Entries)
		own, counts, err := lost.Own()
		require.NoError(t, err)
		require.False(t, counts)
		first, _ := lost.firstOf(t, own.Head, own.Counted)
		require.Equal(t, first.Time(), fork.Since)
		merged, err := lost.MergedOwn()
		require.NoError(t, err)
		require.NotZero(t, merged.Entries)
		for _, err := range c.Chain(Head{a.Device(), 2, Hash{1}}, 0) {
			require.ErrorContains(t, err, "no entry")
		}
	}
	require.Len(t, outcomes, 2, "either copy can lose")
}

func (l *Ledger) firstOf(t testing.TB, last Head, after uint64) (e Entry, body []byte) {
	for eb, err := range l.Chain(last, after) {
		require.NoError(t, err)
		return eb.Entry, eb.Body
	}
	return e, nil
}

// A merge of entries under the own key is evidence of another copy, also if it makes no fork. What
// other devices wrote, and what was merged before, is none.
func TestEntriesUnderTheOwnKeyAreEvidenceOfACopy(t *testing.T) {
	a, _ := newBook(t)
	c := join(t, a, "three")
	b := copyOf(t, a, "one")
	_, err := a.Append([]byte("k=1"), []byte("k=2"))
	require.NoError(t, err)
	_, err = c.Append([]byte("j=1"))
	require.NoError(t, err)
	merges(t, c, missing(t, a, c.Heads())...)
	for range 2 {
		merges(t, b, missing(t, c, b.Heads())...)
		merges(t, a, missing(t, c, a.Heads())...)
		m, err := b.MergedOwn()
		require.NoError(t, err)
		require.Equal(t, uint64(2), m.Entries)
		head, _, err := b.Entry(ID{b.Device(), 4})
		require.NoError(t, err)
		require.Equal(t, head.Time(), m.Last)
		for _, l := range []*Ledger{a, c} {
			m, err := l.MergedOwn()
			require.NoError(t, err)
			require.Zero(t, m)
		}
	}
	_, counts, err := b.Own()
	require.NoError(t, err)
	require.True(t, counts)
	_, err = b.Append([]byte("k=3"))
	require.NoError(t, err, "a linear copy continues")
}

// A removed device cannot write, and what it wrote after its end can be read.
func TestWhatARemovedDeviceWroteCanBeRead(t *testing.T) {
	a, _ := newBook(t)
	c := join(t, a, "three")
	_, err := c.Append([]byte("k=1"))
	require.NoError(t, err)
	merges(t, a, missing(t, c, a.Heads())...)
	_, err = c.Append([]byte("k=2"))
	require.NoError(t, err)
	require.NoError(t, a.RemoveDevice(identity, c.Device()))
	merges(t, c, missing(t, a, c.Heads())...)
	_, err = c.Append([]byte("k=3"))
	require.ErrorAs(t, err, new(*RemovedError))
	own, counts, err := c.Own()
	require.NoError(t, err)
	require.False(t, counts)
	require.Equal(t, []string{"k=2"}, bodiesOf(t, c, own.Head, own.Counted))
}
