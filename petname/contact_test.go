package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// Pinned needs the exported fields of a Contact alone, so that a copy of them in
// another process compares as the book does.
func TestPinnedNeedsExportedFieldsAlone(t *testing.T) {
	first, now, other := pointerOf("alice"), pointerOf("alice 2"), pointerOf("bob")
	pinned, next := mustCommit("alice 2"), mustCommit("alice 3")
	c := Contact{ID: first, Pointer: now, Chain: []Step{{Pointer: first, Next: pinned}, {Pointer: now, Next: next}}}
	require.NoError(t, c.Pinned(first, pinned))
	require.NoError(t, c.Pinned(now, next))
	require.Equal(t, &DuplicityError{first, pinned, next}, c.Pinned(first, next))
	require.Equal(t, &DuplicityError{now, next, pinned}, c.Pinned(now, pinned))
	require.NoError(t, c.Pinned(other, pinned), "a pointer of which nothing is known")
	c.Contradiction = &DuplicityError{now, next, pinned}
	require.Equal(t, error(c.Contradiction), c.Pinned(now, next), "whatever is compared")
}

// A contact that the book returns has its succession, and what contradicts it.
func TestAContactHasItsSuccession(t *testing.T) {
	b := newTestBook(t)
	steps := successionOf(t, 2)
	c, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1")}, Source{})
	require.NoError(t, err)
	require.Equal(t, []Step{{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1")}}, c.Chain)
	require.NoError(t, b.applySuccession(pointerOf("trail 0"), steps))
	c, err = b.byName(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, []Step{
		{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1")},
		{Pointer: pointerOf("trail 1"), Next: mustCommit("trail 2")},
		{Pointer: pointerOf("trail 2"), Next: mustCommit("trail 3")},
	}, c.Chain)
	require.Nil(t, c.Contradiction)
	require.False(t, c.Duplicity)
}
