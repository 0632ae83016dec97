package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// An edge is public by the user's act only: removing the contact ends it, and
// adding the contact again doesn't bring it back; undoing the removal does.
func TestEdgesEndWithTheirContact(t *testing.T) {
	a, b := twoDevices(t)
	pa, label := pointerOf("a"), mustName("friend")
	must(a.SharePublic(pa, label))
	pull(t, b, a)
	must(a.Remove(pa))
	must(b.SharePublic(pa, mustName("pal"))) // b doesn't know yet
	syncBooks(t, a, b)
	public := func(book *Book) map[string]pointer.Edge { return must(PublishableEdges(book.Edges())) }
	require.Empty(t, public(a))
	must(a.Add(mustName("alice"), link("a"), Source{}))
	require.Empty(t, public(a), "added again, not shared again")
	must(a.Undo())
	must(a.Undo())
	require.Equal(t, map[string]pointer.Edge{"friend": {Pointer: pa}, "pal": {Pointer: pa}}, public(a))
	syncBooks(t, a, b)
	require.Equal(t, public(a), public(b))
}

// An edge stays when its contact is renamed, or added again with a link that
// has more fields. While a removal of the contact is in conflict it is not
// published.
func TestEdgesOfContactsThatStay(t *testing.T) {
	a, b := twoDevices(t)
	pa, friend := pointerOf("a"), mustName("friend")
	must(a.SharePublic(pa, friend))
	must(a.SharePublic(pa, mustName("pal"))) // two labels of one contact are no conflict
	must(a.Add(mustName("alice"), pointer.Link{Pointer: pa, Next: commitment("x")}, Source{}))
	must(a.Rename(pa, mustName("al"), Source{}))
	want := pointer.Edge{Pointer: pa, Next: commitment("x")}
	require.Equal(t, map[string]pointer.Edge{"friend": want, "pal": want}, must(PublishableEdges(a.Edges())))
	must(b.SharePublic(pa, mustName("buddy")))
	must(b.Remove(pa))
	syncBooks(t, a, b)
	for _, book := range []*Book{a, b} {
		require.True(t, must(book.ByPointer(pa)).Conflict.Removed)
		require.Empty(t, must(PublishableEdges(book.Edges())))
	}
	must(b.Rename(pa, mustName("alice"), Source{}))
	require.Equal(t, map[string]pointer.Edge{"friend": want, "pal": want}, must(PublishableEdges(b.Edges())))
}

// Devices that disagree on an edge publish none, until the user shares or
// unshares it.
func TestEdgesInConflictAreNotPublished(t *testing.T) {
	label := mustName("friend")
	for name, test := range map[string]struct{ one, two func(b *Book) }{
		"two contacts under one label": {
			func(b *Book) { must(b.SharePublic(pointerOf("a"), label)) },
			func(b *Book) { must(b.SharePublic(pointerOf("b"), mustName("FRIEND"))) },
		},
		"shared and unshared": {
			func(b *Book) { must(b.SharePublic(pointerOf("a"), label)); must(b.Undo()) },
			func(b *Book) { must(b.SharePublic(pointerOf("a"), label)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := twoDevices(t)
			must(a.Add(mustName("bob"), link("b"), Source{}))
			syncBooks(t, a, b)
			test.one(a)
			test.two(b)
			syncBooks(t, a, b)
			require.Equal(t, dump(t, a), dump(t, b))
			require.Empty(t, must(PublishableEdges(a.Edges())))
			for e, err := range a.Edges() {
				require.NoError(t, err)
				require.True(t, e.Conflict)
			}
			view := dump(t, a)
			e := must(a.SharePublic(pointerOf("b"), label))
			require.False(t, e.Conflict)
			require.Equal(t, map[string]pointer.Edge{"friend": {Pointer: pointerOf("b")}}, must(PublishableEdges(a.Edges())))
			must(a.Undo())
			require.Empty(t, must(PublishableEdges(a.Edges())))
			require.NotEqual(t, view, dump(t, a)) // the conflict is a's word now, and no less open
			for e, err := range a.Edges() {
				require.NoError(t, err)
				require.True(t, e.Conflict)
			}
			must(a.Unshare(label))
			for range a.Edges() {
				t.Fatal("unsharing leaves nothing")
			}
		})
	}
}

// A device undoes its addition of a contact that another device has shared meanwhile. When the
// contact is added again, nobody has shared it.
func TestAnUndoneAdditionBringsNoEdgeBack(t *testing.T) {
	for again := range 2 {
		books := testDevices(t, 2)
		must(books[1].Add(mustName("carol"), link("c"), Source{}))
		syncBooks(t, books...)
		must(books[0].Add(mustName("bob"), link("b"), Source{}))
		syncBooks(t, books...)
		must(books[1].SharePublic(pointerOf("b"), mustName("lover")))
		must(books[1].ShareWith(pointerOf("b"), pointerOf("c"), mustName("cc")))
		must(books[1].ShareWith(pointerOf("c"), pointerOf("b"), mustName("other")))
		syncBooks(t, books...)
		must(books[0].Undo())
		syncBooks(t, books...)
		must(books[again].Add(mustName("robert"), link("b"), Source{}))
		syncBooks(t, books...)
		for _, b := range books {
			require.Empty(t, must(PublishableEdges(b.Edges())))
			require.Empty(t, must(PublishableEdges(b.EdgesWith(pointerOf("b")))))
			require.Empty(t, must(PublishableEdges(b.EdgesWith(pointerOf("c")))))
		}
	}
}
