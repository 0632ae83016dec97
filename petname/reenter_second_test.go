package petname

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Of a copy that does not count there is another copy. The first one is repaired, the owner takes
// its acts back on another device, and then the second one is repaired: that brings none of them
// back.
func TestASecondRepairBringsNothingBackThatTheOwnerTookBack(t *testing.T) {
	forks := 0
	for seed := range 6 {
		f := newFork(t, t.TempDir(), func(b *Book) {
			mustAdd(t, b, "bob", "b")
			mustAdd(t, b, "carol", "c")
			mustAdd(t, b, "dora", "d")
			_, err := b.SharePublic(pointerOf("c"), mustName("carl"))
			require.NoError(t, err)
			_, err = setKept(b, pointerOf("c"), true)
			require.NoError(t, err)
			require.NoError(t, b.SetNickname("before"))
		})
		for _, b := range []*Book{f.one, f.two} {
			_, err := b.SharePublic(pointerOf("b"), mustName("bobby"))
			require.NoError(t, err)
			_, err = setKept(b, pointerOf("b"), true)
			require.NoError(t, err)
			require.NoError(t, b.SetNickname("mine"))
			_, err = b.Unshare(mustName("carl"))
			require.NoError(t, err)
			_, err = setKept(b, pointerOf("c"), false)
			require.NoError(t, err)
			_, err = b.Remove(pointerOf("d"))
			require.NoError(t, err)
			if b == f.two {
				mustAdd(t, b, "zed", "z"+string(rune('a'+seed)))
			}
		}
		if !f.meet(t) {
			continue
		}
		forks++
		r1, _ := f.repaired(t, "new1", nil)
		mergeAll(t, f.counts, f.third, r1)
		b := f.third
		_, err := b.Unshare(mustName("bobby"))
		require.NoError(t, err)
		_, err = setKept(b, pointerOf("b"), false)
		require.NoError(t, err)
		require.NoError(t, b.SetNickname("before"))
		_, err = b.SharePublic(pointerOf("c"), mustName("carl"))
		require.NoError(t, err)
		_, err = setKept(b, pointerOf("c"), true)
		require.NoError(t, err)
		mustAdd(t, b, "dora", "d")
		mergeAll(t, f.counts, f.third, r1)
		mergeAll(t, f.lost, f.third)
		want := effects(t, b)
		r2, out := f.repaired(t, "new2", nil)
		require.Zero(t, out.Entered)
		require.NotEmpty(t, out.Conflicts)
		mergeAll(t, f.counts, f.third, r1, r2)
		require.Equal(t, want, effects(t, f.third), "seed %d", seed)
	}
	require.Positive(t, forks)
}
