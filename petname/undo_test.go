package petname

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUndoOfSettlingBringsTheConflictBack(t *testing.T) {
	a, b := nameConflict(t)
	must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
	must(b.Remove(pointerOf("a")))
	syncBooks(t, a, b)
	before := observe(t, b)
	require.NotNil(t, before[0].Conflict)
	for _, settle := range []func() error{
		func() error { _, err := b.Rename(pointerOf("a"), mustName("alia"), Source{}); return err },
		func() error { _, err := b.Remove(pointerOf("a")); return err },
		func() error { _, err := b.Add(mustName("al"), link("a"), Source{}); return err },
	} {
		require.NoError(t, settle())
		c, err := b.ByPointer(pointerOf("a"))
		require.NoError(t, err)
		require.Nil(t, c.Conflict)
		must(b.Undo())
		require.Equal(t, before, observe(t, b))
	}
}

// Undo leaves alone what it can't take back without taking from another.
func TestUndoIsRefused(t *testing.T) {
	alice, al := mustName("alice"), mustName("al")
	refused := func(t *testing.T, b *Book) error {
		view, n := dump(t, b), entries(b)
		_, err := b.Undo()
		require.Error(t, err)
		require.Equal(t, view, dump(t, b))
		require.Equal(t, n, entries(b))
		return err
	}
	t.Run("the old name was taken meanwhile", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.Rename(pointerOf("a"), al, Source{}))
		pull(t, b, a)
		must(b.Add(alice, link("b"), Source{}))
		pull(t, a, b)
		require.Equal(t, &TakenError{alice, pointerOf("b")}, refused(t, a))
	})
	t.Run("a removed contact's name was taken meanwhile", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.Remove(pointerOf("a")))
		pull(t, b, a)
		must(b.Add(alice, link("b"), Source{}))
		pull(t, a, b)
		require.Equal(t, &TakenError{alice, pointerOf("b")}, refused(t, a))
	})
	t.Run("the contact was renamed since", func(t *testing.T) {
		a, b := twoDevices(t)
		must(b.Rename(pointerOf("a"), al, Source{}))
		pull(t, a, b)
		require.ErrorIs(t, refused(t, a), ErrChanged)
	})
	t.Run("the contact was renamed at the same time", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.Rename(pointerOf("a"), al, Source{}))
		must(b.Rename(pointerOf("a"), mustName("ali"), Source{}))
		pull(t, a, b)
		var conflict *ConflictError
		require.ErrorAs(t, refused(t, a), &conflict)
	})
	t.Run("the label leads elsewhere", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.SharePublic(pointerOf("a"), al))
		pull(t, b, a)
		must(b.Add(mustName("bob"), link("b"), Source{}))
		must(b.Unshare(al))
		must(b.SharePublic(pointerOf("b"), al))
		pull(t, a, b)
		require.Equal(t, &TakenError{al, pointerOf("b")}, refused(t, a))
		must(b.Unshare(al))
		pull(t, a, b)
		require.ErrorIs(t, refused(t, a), ErrChanged)
	})
	t.Run("an ended edge's label was taken meanwhile", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.SharePublic(pointerOf("a"), al))
		must(a.Remove(pointerOf("a")))
		pull(t, b, a)
		must(b.Add(mustName("bob"), link("b"), Source{}))
		must(b.SharePublic(pointerOf("b"), al))
		pull(t, a, b)
		require.Equal(t, &TakenError{al, pointerOf("b")}, refused(t, a))
	})
}

// Undoing an acceptance undoes the removal of the contact that it replaced, and
// no earlier removal.
func TestUndoOfAnAcceptanceTakesBackNoOtherRemoval(t *testing.T) {
	for _, c := range []struct {
		instead string
		back    bool
	}{{"carol", true}, {"dave", false}} {
		b := newTestBook(t)
		mustAdd(t, b, "carol", "carol")
		must(b.Remove(pointerOf("carol")))
		_, err := b.Ledger().Append(marshal(act{Op: opName, Contact: pointerOf("bob").Bytes(), Name: "bob",
			Fact: &wireFact{Kind: string(Paired), By: "me", Channel: "link"}, Replaced: pointerOf(c.instead).Bytes()}))
		require.NoError(t, err)
		require.Equal(t, pointerOf("bob"), must(b.byName(mustName("bob"))).Pointer)
		must(b.Undo())
		_, err = b.byName(mustName("bob"))
		require.ErrorIs(t, err, ErrNotFound)
		_, err = b.byName(mustName("carol"))
		require.Equal(t, c.back, err == nil, c.instead)
	}
}
