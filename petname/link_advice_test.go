package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// The attack: the contact alice has rotated, by a step that the old key signed. A sender that
// alters the commitment in a link to alice's current pointer, or an introducer that states
// another one, gets no advice to remove alice: the link is what is false, under a new name as
// well as under alice's.
func TestAnAlteredLinkIsNoReasonToRemoveAContact(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	altered := pointer.Link{Pointer: pointerOf("next a"), Next: mustCommit("evil")}
	for _, s := range []Source{{}, {Channel: "argument"}} {
		_, err := b.Add(mustName("alice two"), altered, s)
		var differing *ContradictionError
		require.ErrorAs(t, err, &differing)
		require.Equal(t, altered.Pointer, differing.Pointer)
	}
	var named *NamedError
	err := addAll(b, []Naming{{mustName("alice two"), altered, Source{Kind: string(Introduced), By: pointerOf("eve").String()}}})
	require.ErrorAs(t, err, &named)
	require.Equal(t, mustName("alice"), named.Name)
	_, err = b.Add(mustName("alice two"), altered, Source{ReplacePin: true})
	require.ErrorAs(t, err, &named)

	c := must(b.Find("alice"))
	require.Equal(t, altered.Pointer, c.Pointer)
	require.Empty(t, c.Contradictions)
	require.ErrorAs(t, c.PinnedByLink(altered), new(*ContradictionError), "the key never signed it")
	require.NoError(t, c.PinnedByLink(pointer.Link{Pointer: altered.Pointer, Next: commitment("next a")}))
	require.ErrorAs(t, c.Pinned(altered.Pointer, altered.Next), new(*DuplicityError), "in a card the key signed it")
}

// The attack: contact alice moved twice, by steps that the old keys signed. An old bare pointer
// between, or an altered link or introduction of it, is a conflict; its text advises to ask for the
// newest link, and no removal.
func TestALinkOfAMiddlePointerIsNoReasonToRemoveAContact(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	require.NoError(t, b.applySuccession(pointerOf("next a"), chain(step(t, "next a")), "test"))
	altered := pointer.Link{Pointer: pointerOf("next a"), Next: mustCommit("evil")}
	for _, l := range []pointer.Link{{Pointer: pointerOf("next a")}, altered} {
		for _, s := range []Source{{}, {Kind: string(Introduced), By: pointerOf("eve").String()}} {
			err := addAll(b, []Naming{{mustName("alice two"), l, s}})
			var conflict *ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Len(t, conflict.Contacts, 1)
			require.ErrorContains(t, err, "may be old or altered; ask its owner for the newest link")
			require.NotContains(t, err.Error(), "remove")
		}
	}
	require.Equal(t, pointerOf("next next a"), must(b.Find("alice")).Pointer)
}

// A contact that came to a pointer without the signature of its old key, or has no confirmed
// pin there, may be another party than the one of the link: the owner removes it first.
func TestALinkOfAnotherPartyIsNoName(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(unsigned(t, "a", "next a", commitment("next a"))), "test"))
	must(b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("next a"), Next: commitment("next a")}, Source{Kind: string(Paired)}))
	require.Equal(t, Confirmed, must(b.Find("alice")).Pin)
	_, err := b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("next a"), Next: mustCommit("evil")}, Source{})
	require.ErrorAs(t, err, new(*ConflictError))
}

// A contact was removed, and its current pointer was added under another name. An addition by its
// first pointer names that contact: the removed one has no name to remove.
func TestAFormerPointerOfANamedContactNamesIt(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	_, err := b.Remove(pointerOf("a"))
	require.NoError(t, err)
	must(b.Add(mustName("anny"), pointer.Link{Pointer: pointerOf("next a"), Next: commitment("next a")}, Source{}))
	_, err = b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a")}, Source{})
	var named *NamedError
	require.ErrorAs(t, err, &named)
	require.Equal(t, mustName("anny"), named.Name)
	require.Equal(t, pointerOf("next a"), named.Contact)
}
