package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// The owner decides against the commitment in a step that both keys signed: the
// contact resolves, and advances by what the owner believes.
func TestADecisionAgainstASignedStep(t *testing.T) {
	w := newWorld(t)
	b := w.book
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	s := stepTo(t, "b", "next b", mustCommit("q"))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(s), "t"))
	w.put("next b", &pointer.Card{Next: mustCommit("z"), Succession: chain(s)})
	_, err := w.resolve("bob")
	require.ErrorAs(t, err, new(*DuplicityError))
	c := must(b.Confirm(pointerOf("b"), Confirmation{Next: mustCommit("z")}))
	require.Equal(t, mustCommit("z"), c.Next)
	_, err = w.resolve("bob")
	require.NoError(t, err)
	require.NoError(t, b.applySuccession(pointerOf("next b"), []pointer.Succession{s, stepTo(t, "next b", "z", mustCommit("zz"))}, "t"))
	require.Equal(t, pointerOf("z"), must(b.Find("bob")).Pointer)
}

// A step rests on a decision that was undone while another device's stands; a thief of
// the retired key signs a card. The step stands.
func TestDuplicityTakesBackNoStepOfAnotherDecision(t *testing.T) {
	books := testDevices(t, 3)
	introducedBob(t, books[0], mustCommit("x"))
	require.Error(t, books[0].learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	syncBooks(t, books...)
	for _, b := range books[:2] {
		must(b.Confirm(pointerOf("b"), Confirmation{Next: commitment("b")}))
	}
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	syncBooks(t, books[:2]...)
	must(books[0].Undo())
	syncBooks(t, books[:2]...)
	require.Error(t, books[2].learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")}))
	syncBooks(t, books...)
	require.Equal(t, pointerOf("next b"), must(books[0].Find("bob")).Pointer)
}

// An acceptance of a contact that has the name already confirms its key. It is one step
// for an undo, also with the removal of another contact.
func TestAnAcceptanceOfAKnownContactIsUndone(t *testing.T) {
	for _, replaces := range []string{"", "old"} {
		b := newTestBook(t)
		must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
		must(b.Add(mustName("old"), link("old"), Source{}))
		before := dump(t, b)
		id, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("b"), Channel: "t", Next: commitment("b"), Evidence: []byte("transcript")})
		require.NoError(t, err)
		a := Acceptance{}
		if replaces != "" {
			a.Replaces = pointerOf(replaces)
		}
		must(b.Accept(id, mustName("bob"), a))
		require.Equal(t, Confirmed, must(b.Find("bob")).Pin)
		must(b.Undo())
		require.Equal(t, Claimed, must(b.Find("bob")).Pin)
		require.Equal(t, pointerOf("old"), must(b.Find("old")).Pointer)
		require.Equal(t, Pending, must(b.Suggestion(id.String())).State)
		require.Equal(t, "old", must(b.Undo()).Name)
		view := dump(t, b)
		require.NoError(t, b.Ledger().Rebuild())
		require.Equal(t, view, dump(t, b))
		require.NotEqual(t, before, view)
	}
}

// A commitment that the owner rejected at a key that is now an earlier one is shown, and
// can be believed again.
func TestARejectedCommitmentOfAnEarlierKeyIsBelievedAgain(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.Error(t, b.learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")}))
	must(b.Confirm(pointerOf("b"), Confirmation{Next: mustCommit("evil")})) // by mistake
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "t"))
	c := must(b.Find("bob"))
	require.Equal(t, pointerOf("evil"), c.Pointer)
	require.Equal(t, []PinClaim{{commitment("b"), Confirmed, factCard, pointerOf("b").String()}}, c.Rejected)
	c = must(b.Confirm(pointerOf("b"), Confirmation{Next: commitment("b")}))
	require.Equal(t, pointerOf("b"), c.Pointer)
	require.Equal(t, commitment("b"), c.Next)
}

// A confirmation of what is so changes nothing, also that of a successor.
func TestAConfirmationIsRepeated(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("evil"))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "t"))
	must(b.Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("evil")}))
	n := entries(b)
	must(b.Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("evil")}))
	require.Equal(t, n, entries(b))
}

// The event of a decision names the pointer that it is about.
func TestTheEventOfADecisionNamesItsPointer(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("next b"), Next: mustCommit("z")}, Source{ReplacePin: true}))
	require.Equal(t, pointerOf("next b"), must(b.Undo()).Contact)
}

// An accepted suggestion that replaces the pin settles what is before it, as a link does.
func TestAnAcceptanceSettlesEarlierKeys(t *testing.T) {
	b := retiredThief(t)
	id, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("next b"), Channel: "t", Next: commitment("next b"), Evidence: []byte("transcript")})
	require.NoError(t, err)
	must(b.Accept(id, mustName("bob"), Acceptance{ReplacePin: true}))
	c := must(b.Find("bob"))
	require.Empty(t, c.Contradictions)
	require.Equal(t, pointerOf("next b"), c.Pointer)
}

// A change within a transaction that is refused after a part of it was made is not half
// made: the transaction fails.
func TestNoPartOfARefusedChangeIsDurable(t *testing.T) {
	claimed := func() *Book {
		b := newTestBook(t)
		must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
		must(b.Add(mustName("carol"), link("c"), Source{}))
		return b
	}
	unproven := func() *Book {
		b := newTestBook(t)
		must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
		require.NoError(t, b.applySuccession(pointerOf("b"), chain(unsigned(t, "b", "next b", pointer.Commitment{})), "t"))
		must(b.Add(mustName("carol"), link("next b"), Source{}))
		return b
	}
	card := newWorld(t).sign("b", &pointer.Card{Next: mustCommit("evil")})
	for name, try := range map[string]struct {
		book *Book
		act  func(*Book) error
	}{
		"a card": {unproven(), func(b *Book) error { return b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}) }},
		"a confirmation": {claimed(), func(b *Book) error {
			_, err := b.Confirm(pointerOf("b"), Confirmation{Card: &card, Next: mustCommit("?")})
			return err
		}},
		"an acceptance": {claimed(), func(b *Book) error {
			id, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("d"), Channel: "t", Next: commitment("d"), Evidence: []byte("transcript")})
			require.NoError(t, err)
			_, err = b.Accept(id, mustName("carol"), Acceptance{Replaces: pointerOf("b")})
			return err
		}},
	} {
		n, view := entries(try.book), dump(t, try.book)
		var refused error
		err := try.book.Update(func(b *Book, _ *ledger.View) error {
			refused = try.act(b)
			return nil
		})
		require.Error(t, refused, name)
		require.ErrorIs(t, err, refused, name)
		require.Equal(t, n, entries(try.book), name)
		require.Equal(t, view, dump(t, try.book), name)
	}
}
