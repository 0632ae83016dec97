package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// A confirmed pin of a removed contact counts when the owner adds its later key under another
// name, if the old keys signed the steps to that key and the link has the same commitment.
func TestAConfirmationComesBackUnderAnotherName(t *testing.T) {
	signed := step(t, "a")
	lost := unsigned(t, "a", "next a", commitment("next a"))
	agreed := pointer.Link{Pointer: pointerOf("next a"), Next: commitment("next a")}
	card := func(t *testing.T, b *Book) {
		require.NoError(t, b.learnCard(pointerOf("next a"), pointer.Card{Next: commitment("next a")}))
	}
	owner := func(t *testing.T, b *Book) { // where a card pins nothing
		r, err := pointer.Sign(testKey("next a"), pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: epoch.AddDate(0, 1, 0), Card: &pointer.Card{Next: commitment("next a")}})
		require.NoError(t, err)
		_, err = b.Confirm(pointerOf("a"), Confirmation{Card: &r, Next: commitment("next a")})
		require.NoError(t, err)
		require.Equal(t, Confirmed, must(b.byName(mustName("alice"))).Pin)
	}
	nothing := func(*testing.T, *Book) {}
	for what, c := range map[string]struct {
		steps   []pointer.Succession
		confirm func(*testing.T, *Book)
		link    pointer.Link
		pin     Pin
	}{
		"by both keys": {chain(signed), nothing, agreed, Confirmed},
		"by a card":    {chain(signed), card, agreed, Confirmed},
		"passed":       {chain(signed, step(t, "next a")), nothing, agreed, Confirmed},
		"old key lost": {chain(lost), owner, agreed, Claimed},
		"lost, and passed": {chain(lost), func(t *testing.T, b *Book) {
			owner(t, b)
			require.NoError(t, b.applySuccession(pointerOf("next a"), chain(step(t, "next a")), "test"))
		}, agreed, Claimed},
		"after a lost one": {chain(lost), func(t *testing.T, b *Book) {
			owner(t, b)
			require.NoError(t, b.applySuccession(pointerOf("next a"), chain(step(t, "next a")), "test"))
		}, pointer.Link{Pointer: pointerOf("next next a"), Next: commitment("next next a")}, Claimed},
		"a claim": {chain(stepTo(t, "a", "next a", pointer.Commitment{})), func(t *testing.T, b *Book) {
			_, err := b.Add(mustName("alice"), agreed, Source{})
			require.NoError(t, err)
		}, agreed, Claimed},
		"another commitment": {chain(signed), card, pointer.Link{Pointer: agreed.Pointer, Next: mustCommit("thief")}, Claimed},
		"bare":               {chain(signed), card, pointer.Link{Pointer: agreed.Pointer}, ""},
		"never there":        {nil, nothing, agreed, Claimed},
	} {
		t.Run(what, func(t *testing.T) {
			b := newTestBook(t)
			confirmedAlice(t, b)
			if c.steps != nil {
				require.NoError(t, b.applySuccession(pointerOf("a"), c.steps, "test"))
			}
			c.confirm(t, b)
			_, err := b.Remove(pointerOf("a"))
			require.NoError(t, err)
			for range 2 {
				al, err := b.Add(mustName("al"), c.link, Source{})
				require.NoError(t, err)
				require.Equal(t, c.link.Pointer, al.ID, "a contact of its own")
				require.Equal(t, c.link.Next, al.Next)
				require.Equal(t, c.pin, al.Pin)
				_, err = b.Undo() // the name and the confirmation are one step
				require.NoError(t, err)
				_, err = b.ByPointer(c.link.Pointer)
				require.ErrorIs(t, err, ErrNotFound)
			}
		})
	}
}

// What a confirmation is for: the next key alone, after a loss, and no third party against it.
func TestAConfirmationThatCameBackHolds(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	_, err := b.Remove(pointerOf("a"))
	require.NoError(t, err)
	carol := Source{Kind: string(Introduced), By: pointerOf("carol").String(), Channel: "test"}
	_, err = b.Add(mustName("al"), pointer.Link{Pointer: pointerOf("next a"), Next: commitment("next a")}, carol)
	require.NoError(t, err)
	require.ErrorAs(t, b.learnCard(pointerOf("next a"), pointer.Card{Next: mustCommit("thief")}), new(*ContradictionError), "a thief of the key")
	_, err = b.Confirm(pointerOf("next a"), Confirmation{Next: commitment("next a")})
	require.NoError(t, err)
	require.NoError(t, b.applySuccession(pointerOf("next a"), chain(unsigned(t, "next a", "next next a", commitment("next next a"))), "test"))
	require.Equal(t, pointerOf("next next a"), must(b.byName(mustName("al"))).Pointer)
}

// Attack: mallory stole alice's key, and her removed contact has a confirmed pin there by a
// step of both keys. Alice's true link pins what it states, as a claim, and mallory's pin is no
// contradiction of it.
func TestAnotherTrailConfirmsNothingOfALink(t *testing.T) {
	b := newTestBook(t)
	addMallory(t, b, "mallory", "m", "a")
	require.NoError(t, b.applySuccession(pointerOf("m"), mallorysSteps(t, "m", "a")[:1], "test"))
	_, err := b.Remove(pointerOf("m"))
	require.NoError(t, err)
	alice, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), alice.ID)
	require.Equal(t, commitment("a"), alice.Next)
	require.Equal(t, Claimed, alice.Pin)
	require.Empty(t, alice.Contradictions)
}
