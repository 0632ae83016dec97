package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// rowsOfAll returns a book with rows in every table that is searched by pointer:
// a contact that advanced, one that was replaced, a denial, private edges, and
// an offer whose subject is not known.
func rowsOfAll(t *testing.T) (*Book, SuggestionID) {
	t.Helper()
	b := newTestBook(t)
	confirmedAlice(t, b)
	mustAdd(t, b, "bob", "bob")
	mustAdd(t, b, "carol", "carol")
	replaced := receive(t, b, introduced(t, "carol", "me", "dave"))
	_, err := b.Accept(replaced, mustName("dave"), Acceptance{Replaces: pointerOf("bob")})
	require.NoError(t, err)
	_, err = b.ShareWith(pointerOf("carol"), pointerOf("dave"), mustName("friend"))
	require.NoError(t, err)
	_, err = b.SharePublic(pointerOf("carol"), mustName("choir"))
	require.NoError(t, err)
	offer, _ := introducedBoth(t, "a", "me", "erin")
	id, _, err := b.Suggest(Suggestion{Kind: Mutual, Channel: "drop", Evidence: offer})
	require.NoError(t, err)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	return b, id
}

// The attack: a contact offers a mutual introduction, of which no pointer is
// known before both agree. The bytes of the zero pointer are the prefix of every
// row, so a search by it would read the row of another contact, or fail for good.
// The zero pointer has no contact, nothing is found by it, and nothing is changed
// by it.
func TestTheZeroPointerHasNoContact(t *testing.T) {
	b, offer := rowsOfAll(t)
	var zero pointer.Pointer
	n := entries(b)

	like, err := b.NamesLike("alice", zero)
	require.NoError(t, err)
	require.Equal(t, []string{"alice"}, like)
	reasons, err := lookalikes(b, "alice", zero)
	require.NoError(t, err)
	require.Len(t, reasons, 1)
	evidence, err := b.Evidence(zero)
	require.NoError(t, err)
	require.Empty(t, evidence)
	edges, err := b.EdgesFrom(zero)
	require.NoError(t, err)
	require.Equal(t, introduce.Edges{}, edges)
	require.NoError(t, b.learnCard(zero, pointer.Card{Next: commitment("a")}))
	require.NoError(t, b.applySuccession(zero, chain(step(t, "a")), "test"))
	require.False(t, b.IsOwn(zero))

	label := mustName("label")
	second := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"ByPointer":      second(b.ByPointer(zero)),
		"Contradictions": second(b.Contradictions(zero)),
		"Succession":     second(b.Succession(zero)),
		"SharePublic":    second(b.SharePublic(zero, label)),
		"ShareWith":      second(b.ShareWith(zero, pointerOf("carol"), label)),
		"ShareWith of":   second(b.ShareWith(pointerOf("carol"), zero, label)),
		"UnshareWith":    second(b.UnshareWith(zero, mustName("choir"))), // not the public label
		"Rename":         second(b.Rename(zero, label, Source{})),
		"Remove":         second(b.Remove(zero)),
		"Confirm":        second(b.Confirm(zero, Confirmation{})),
		"SetRepublished": b.SetRepublished([]pointer.Pointer{zero}, true),
		"EdgesWith":      firstOf(b.EdgesWith(zero)),
	} {
		require.ErrorIs(t, err, ErrNotFound, name)
	}
	_, err = b.Add(label, pointer.Link{}, Source{})
	require.ErrorContains(t, err, "no pointer")
	_, err = b.Decline(offer, true)
	require.ErrorContains(t, err, "isn't known yet")
	require.Equal(t, n, entries(b))

	require.Len(t, inbox(t, b), 1)
	require.NoError(t, b.Consent(offer))
	_, err = b.Decline(offer, false)
	require.NoError(t, err)
}

func firstOf[T any](all func(func(T, error) bool)) (first error) {
	all(func(_ T, err error) bool {
		first = err
		return false
	})
	return first
}
