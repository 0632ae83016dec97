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
	c := Contact{ID: first, Pointer: now, Chain: []Step{{Pointer: first, Next: pinned, Pin: Confirmed}, {Pointer: now, Next: next, Pin: Claimed}}}
	require.NoError(t, c.Pinned(first, pinned))
	require.NoError(t, c.Pinned(now, next))
	require.Equal(t, &DuplicityError{first, pinned, next}, c.Pinned(first, next))
	require.Equal(t, &ContradictionError{Contradiction{Pointer: now, Claims: []PinClaim{{Next: next, Pin: Claimed}, {Next: pinned}}}}, c.Pinned(now, pinned))
	require.NoError(t, c.Pinned(other, pinned), "a pointer of which nothing is known")
	claims := []PinClaim{{Next: next, Pin: Confirmed}, {Next: pinned, Pin: Confirmed}}
	c.Contradictions = []Contradiction{{Pointer: now, Claims: claims, Duplicity: true}}
	require.Equal(t, &DuplicityError{now, next, pinned}, c.Pinned(now, next), "whatever is compared")
}

// A contact that the book returns has its succession, and what contradicts it.
func TestAContactHasItsSuccession(t *testing.T) {
	b := newTestBook(t)
	steps := successionOf(t, 2)
	c, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1")}, Source{})
	require.NoError(t, err)
	require.Equal(t, []Step{{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1"), Pin: Claimed}}, c.Chain)
	require.NoError(t, b.applySuccession(pointerOf("trail 0"), steps, "test"))
	c, err = b.byName(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, []Step{
		{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1"), Pin: Claimed},
		{Pointer: pointerOf("trail 1"), Next: mustCommit("trail 2"), Pin: Confirmed},
		{Pointer: pointerOf("trail 2"), Next: mustCommit("trail 3"), Pin: Confirmed},
	}, c.Chain)
	require.Empty(t, c.Contradictions)
}
