package petname

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func isKept(t *testing.T, b *Book, seed string) bool {
	t.Helper()
	checkKept(t, b)
	c, err := b.ByPointer(pointerOf(seed))
	require.NoError(t, err)
	return c.Republished
}

// The mark of a kept contact is synced between the owner's devices. If they
// disagree the contact is not kept, because keeping reveals that the owner
// knows it. A removal always ends it.
func TestKeepingOnSeveralDevices(t *testing.T) {
	alice, p := mustName("alice"), pointerOf("a")
	for _, tc := range []struct {
		name string
		a, b func(b *Book) // at the same time
		want bool
	}{
		{"both", func(b *Book) { must(setKept(b, p, true)) }, func(b *Book) { must(setKept(b, p, true)) }, true},
		{"one", func(b *Book) { must(setKept(b, p, true)) }, func(b *Book) {}, true},
		{"on and off", func(b *Book) { must(setKept(b, p, true)) }, func(b *Book) { must(setKept(b, p, true)); must(setKept(b, p, false)) }, false},
		{"kept and renamed", func(b *Book) { must(setKept(b, p, true)) }, func(b *Book) { must(b.Rename(p, mustName("al"), Source{})) }, true},
		{"kept and removed", func(b *Book) { must(setKept(b, p, true)) }, func(b *Book) { must(b.Remove(p)) }, false},
		{"kept, and removed and added again", func(b *Book) { must(setKept(b, p, true)) },
			func(b *Book) { must(b.Remove(p)); must(b.Add(alice, link("a"), Source{})) }, false},
		{"kept and undone", func(b *Book) { must(setKept(b, p, true)) }, func(b *Book) { must(setKept(b, p, true)); must(b.Undo()) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := twoDevices(t)
			tc.a(a)
			tc.b(b)
			syncBooks(t, a, b)
			require.Equal(t, dump(t, a), dump(t, b))
			require.Equal(t, tc.want, isKept(t, a, "a"))
			// Naming a contact again does not keep it again; a later act
			// counts.
			_, _ = a.Remove(p)
			must(a.Add(alice, link("a"), Source{}))
			require.False(t, isKept(t, a, "a"))
			must(setKept(a, p, true))
			syncBooks(t, a, b)
			require.True(t, isKept(t, b, "a"))
		})
	}
}

// If one device undoes the addition of a contact that another device kept, a
// later addition does not restore the mark.
func TestAKeepDoesNotComeBackWithTheName(t *testing.T) {
	books := testDevices(t, 2)
	a, b := books[0], books[1]
	must(a.Add(mustName("alice"), link("a"), Source{}))
	pull(t, b, a)
	must(setKept(b, pointerOf("a"), true))
	pull(t, a, b)
	require.True(t, isKept(t, a, "a"))
	must(a.Undo())
	syncBooks(t, a, b)
	checkKept(t, b)
	must(b.Add(mustName("alice"), link("a"), Source{}))
	syncBooks(t, a, b)
	require.False(t, isKept(t, a, "a"))
}

// Undoing brings back what was: the keep, its end, and the keep that a removal
// ended, unless another device said no meanwhile.
func TestUndoOfKeeping(t *testing.T) {
	p := pointerOf("a")
	a, b := twoDevices(t)
	must(setKept(a, p, true))
	ev := must(a.Undo())
	require.Equal(t, "keep", ev.Op)
	require.Equal(t, p, ev.Contact)
	require.False(t, isKept(t, a, "a"))
	must(setKept(a, p, true))
	must(setKept(a, p, false))
	require.Equal(t, "unkeep", must(a.Undo()).Op)
	require.True(t, isKept(t, a, "a"))
	must(a.Remove(p))
	must(a.Undo())
	require.True(t, isKept(t, a, "a"))

	pull(t, b, a)
	must(setKept(b, p, false))
	must(a.Remove(p))
	pull(t, a, b)
	must(a.Undo())
	require.False(t, isKept(t, a, "a"), "the other device said no")

	a, b = twoDevices(t)
	must(setKept(a, p, true))
	pull(t, b, a)
	must(setKept(b, p, false))
	pull(t, a, b)
	_, err := a.Undo()
	require.ErrorIs(t, err, ErrChanged)
}

func TestKeepErrors(t *testing.T) {
	b := newTestBook(t)
	_, err := setKept(b, pointerOf("a"), true)
	require.ErrorIs(t, err, ErrNotFound)
	must(b.Add(mustName("alice"), link("a"), Source{}))
	require.ErrorIs(t, b.SetRepublished([]pointer.Pointer{pointerOf("a"), pointerOf("b")}, true), ErrNotFound)
	require.False(t, isKept(t, b, "a"), "all or none")
	n := entries(b)
	must(setKept(b, pointerOf("a"), false))
	require.Equal(t, n, entries(b), "no change, no entry")
	must(b.Remove(pointerOf("a")))
	_, err = setKept(b, pointerOf("a"), true)
	require.ErrorIs(t, err, ErrNotFound)
}

// Those that are kept are found without reading the whole book, however many
// they are.
func TestManyKept(t *testing.T) {
	b, err := Create(filepath.Join(lawtest.FastDir(t), "ledger.db"), testKey("me"), testKey("one"), testOptions())
	require.NoError(t, err)
	defer b.Close()
	var namings []Naming
	var all []pointer.Pointer
	for i := range 2*chunk + 3 {
		seed := fmt.Sprint("many ", i)
		namings = append(namings, Naming{mustName(fmt.Sprint("name ", i)), link(seed), Source{Lookalike: true}})
		all = append(all, pointerOf(seed))
	}
	require.NoError(t, addAll(b, namings))
	require.NoError(t, b.SetRepublished(all, true))
	n := 0
	for c, err := range b.Republished() {
		require.NoError(t, err)
		require.True(t, c.Republished)
		n++
	}
	require.Equal(t, len(all), n)
	require.NoError(t, b.SetRepublished(all, true))
	require.NoError(t, b.SetRepublished(all[:5], false))
	require.NoError(t, b.Ledger().Read(func(v *ledger.View) error {
		n, err = v.Count(tableKept)
		return err
	}))
	require.Equal(t, len(all)-5, n)
}

// A contact that moves to its next key is kept where it is now.
func TestAKeptContactAdvances(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	must(setKept(b, pointerOf("a"), true))
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	for c, err := range b.Republished() {
		require.NoError(t, err)
		require.Equal(t, pointerOf("a"), c.ID)
		require.Equal(t, pointerOf("next a"), c.Pointer)
	}
	require.True(t, isKept(t, b, "next a"))
	must(setKept(b, pointerOf("next a"), false))
	require.False(t, isKept(t, b, "a"))
	must(b.Undo())
	require.True(t, isKept(t, b, "a"))
}
