package petname

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The owner settles each kind of conflict by the name and the pointer, on every device, and
// can undo it.
func TestChooseSettlesEachConflict(t *testing.T) {
	bob := mustName("bob")
	t.Run("one name for two contacts", func(t *testing.T) {
		a, b := nameConflict(t)
		before := observe(t, a)
		c, others, err := a.Choose(bob, pointerOf("c"))
		require.NoError(t, err)
		require.Equal(t, bob, c.Name)
		require.Len(t, others, 1)
		require.Equal(t, pointerOf("b"), others[0].Pointer)
		pull(t, b, a)
		for _, book := range []*Book{a, b} {
			p, err := book.Lookup(bob)
			require.NoError(t, err)
			require.Equal(t, pointerOf("c"), p)
			checkBijection(t, book, []string{"alice", "bob"})
		}
		_, _, err = a.Choose(bob, pointerOf("c"))
		require.ErrorIs(t, err, ErrNoConflict, "it is settled")
		must(a.Undo())
		require.Equal(t, before, observe(t, a))
	})
	t.Run("two names of one contact", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
		must(b.Rename(pointerOf("a"), mustName("ali"), Source{}))
		syncBooks(t, a, b)
		_, _, err := a.Choose(bob, pointerOf("a"))
		require.ErrorIs(t, err, ErrNoConflict, "a name that the conflict is not about")
		c, others, err := a.Choose(mustName("ali"), pointerOf("a"))
		require.NoError(t, err)
		require.Empty(t, others)
		require.Nil(t, c.Conflict)
		require.Equal(t, mustName("ali"), c.Name)
	})
	t.Run("renamed, and removed", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
		must(b.Remove(pointerOf("a")))
		syncBooks(t, a, b)
		c, _, err := b.Choose(mustName("al"), pointerOf("a"))
		require.NoError(t, err)
		require.Nil(t, c.Conflict)
		require.Equal(t, mustName("al"), c.Name)
	})
	a, _ := nameConflict(t)
	entriesBefore := entries(a)
	_, _, err := a.Choose(mustName("alice"), pointerOf("a"))
	require.ErrorIs(t, err, ErrNoConflict)
	_, _, err = a.Choose(bob, pointerOf("a"))
	require.ErrorIs(t, err, ErrNoConflict, "alice is not among the candidates")
	_, _, err = a.Choose(bob, pointerOf("z"))
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, entriesBefore, entries(a), "nothing changes")
}
