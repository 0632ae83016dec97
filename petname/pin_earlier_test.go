package petname

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// retiredThief returns a book in which bob moved from "b" to "next b" by a step that
// both keys signed, while a device that did not know of it recorded a card by the
// thief of the retired key "b".
func retiredThief(t *testing.T) *Book {
	books := testDevices(t, 2)
	must(books[0].Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	syncBooks(t, books...)
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	require.NoError(t, books[0].learnCard(pointerOf("next b"), pointer.Card{Next: commitment("next b")}))
	require.Error(t, books[1].learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")}))
	syncBooks(t, books...)
	c := must(books[0].Find("bob"))
	require.Equal(t, pointerOf("next b"), c.Pointer)
	require.Len(t, c.Contradictions, 1)
	return books[0]
}

// The attack: a thief of a retired key signs a card. Only an act that names the
// thief's commitment takes the contact back to that key; one that names what came
// after it leaves the contact where it is.
func TestARetiredKeyIsNotConfirmedUnnamed(t *testing.T) {
	card := newWorld(t).sign("next b", &pointer.Card{Next: commitment("next b")})
	current := pointer.Link{Pointer: pointerOf("next b"), Next: commitment("next b")}
	confirm := func(what Confirmation) func(*Book) error {
		return func(b *Book) error { _, err := b.Confirm(pointerOf("b"), what); return err }
	}
	replace := func(b *Book) error { _, err := b.Add(mustName("bob"), current, Source{ReplacePin: true}); return err }
	for name, act := range map[string]func(b *Book) error{
		"its next key":  confirm(Confirmation{Next: commitment("next b")}),
		"its successor": confirm(Confirmation{Successor: pointerOf("next b")}),
		"its link":      replace,
		"its link, anew": func(b *Book) error {
			must(b.Remove(pointerOf("next b")))
			return replace(b)
		},
		"the commitment that the successor opens": confirm(Confirmation{Next: commitment("b")}),
	} {
		b := retiredThief(t)
		before := must(b.Find("bob"))
		require.NoError(t, act(b), name)
		c := must(b.Find("bob"))
		require.Equal(t, pointerOf("next b"), c.Pointer, name)
		require.Equal(t, commitment("next b"), c.Next, name)
		require.Empty(t, c.Contradictions, name)
		must(b.Undo())
		if name != "its link, anew" {
			require.Equal(t, before, must(b.Find("bob")), name)
		}
	}
	for name, what := range map[string]Confirmation{"no card": {}, "the card of the current key": {Card: &card}} {
		b := retiredThief(t)
		n := entries(b)
		require.ErrorAs(t, confirm(what)(b), new(*ContradictionError), name)
		require.Equal(t, n, entries(b), name)
	}
	b := retiredThief(t)
	require.NoError(t, confirm(Confirmation{Next: mustCommit("evil")})(b))
	require.Equal(t, pointerOf("b"), must(b.Find("bob")).Pointer)
	require.Error(t, confirm(Confirmation{Next: mustCommit("nothing")})(b))
}

// The attack: one device has bob's card, another met only the thief's card and its
// step, so that a merge leads to the thief. The owner names bob's commitment.
func TestAThiefsStepIsNotConfirmedUnnamed(t *testing.T) {
	books := testDevices(t, 2)
	b := books[0]
	must(b.Add(mustName("bob"), link("b"), Source{}))
	syncBooks(t, books...)
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.NoError(t, books[1].learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")}))
	require.NoError(t, books[1].applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "t"))
	syncBooks(t, books...)
	require.True(t, must(b.Find("bob")).Contradictions[0].Duplicity)
	card := newWorld(t).sign("evil", &pointer.Card{Next: commitment("evil")})
	n := entries(b)
	for _, what := range []Confirmation{{}, {Card: &card}} {
		_, err := b.Confirm(pointerOf("b"), what)
		require.ErrorAs(t, err, new(*DuplicityError))
		require.Equal(t, n, entries(b))
	}
	c := must(b.Confirm(pointerOf("b"), Confirmation{Next: commitment("b")}))
	require.Equal(t, pointerOf("b"), c.Pointer)
	require.Equal(t, commitment("b"), c.Next)
	require.Empty(t, c.Contradictions)
}

// A rejected commitment is believed again although the step that it opens is on
// record: the contact advances by it at once.
func TestARejectedCommitmentIsBelievedAgain(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	require.NoError(t, replaceBob(b, mustCommit("evil"))) // by an altered link
	c := must(b.Find("bob"))
	require.Equal(t, pointerOf("b"), c.Pointer)
	require.Equal(t, commitment("b"), c.Rejected[0].Next)
	c = must(b.Confirm(pointerOf("b"), Confirmation{Next: commitment("b")}))
	require.Equal(t, pointerOf("next b"), c.Pointer)
}

// Neither a decision, nor its undo, nor a card moves a contact to the pointer of
// another contact: both would be in conflict.
func TestNothingMovesAContactOntoAnother(t *testing.T) {
	evil := func(b *Book) { must(b.Add(mustName("mallory"), pointer.Link{Pointer: pointerOf("evil")}, Source{})) }
	claimed := func() *Book {
		b := newTestBook(t)
		introducedBob(t, b, mustCommit("evil"))
		require.NoError(t, b.applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "test"))
		evil(b)
		return b
	}
	decided := func() *Book {
		books := testDevices(t, 2)
		b := books[0]
		introducedBob(t, b, mustCommit("x"))
		require.NoError(t, replaceBob(b, mustCommit("evil")))
		require.NoError(t, b.applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "test"))
		require.NoError(t, replaceBob(b, commitment("b")))
		syncBooks(t, books...)
		evil(books[1])
		syncBooks(t, books...)
		return b
	}
	for name, try := range map[string]struct {
		book *Book
		act  func(*Book) error
	}{
		"a decision": {claimed(), func(b *Book) error { return replaceBob(b, mustCommit("evil")) }},
		"a card":     {claimed(), func(b *Book) error { return b.learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")}) }},
		"an undo":    {decided(), func(b *Book) error { _, err := b.Undo(); return err }},
	} {
		n := entries(try.book)
		require.ErrorAs(t, try.act(try.book), new(*ConflictError), name)
		require.Equal(t, n, entries(try.book), name)
		require.Equal(t, pointerOf("evil"), must(try.book.Find("mallory")).Pointer, name)
		require.Equal(t, pointerOf("b"), must(try.book.Find("bob")).Pointer, name)
	}
}

// A link that is recorded beside an error is undone before anything else.
func TestARecordedClaimIsUndone(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	before := must(b.Find("bob"))
	_, err := b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: mustCommit("evil")}, Source{})
	require.ErrorAs(t, err, new(*ContradictionError))
	require.Len(t, must(b.Find("bob")).Contradictions, 1)
	require.Equal(t, "learn", must(b.Undo()).Op)
	require.Equal(t, before, must(b.Find("bob")))
}

// Duplicity is what the key signed, not what the owner confirmed.
func TestAConfirmedClaimIsNoDuplicity(t *testing.T) {
	books := testDevices(t, 2)
	introducedBob(t, books[0], commitment("b"))
	syncBooks(t, books...)
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(unsigned(t, "b", "next b", pointer.Commitment{})), "t"))
	must(books[0].Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("next b")}))
	_ = books[1].learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")})
	syncBooks(t, books...)
	c := must(books[0].Find("bob"))
	require.Len(t, c.Contradictions, 1)
	require.False(t, c.Contradictions[0].Duplicity)
	require.ErrorAs(t, c.Pinned(c.Pointer, pointer.Commitment{}), new(*ContradictionError))
}

// The text of an error does not grow with the number of claims.
func TestAContradictionOfManyClaimsIsShort(t *testing.T) {
	e := &ContradictionError{Contradiction{Pointer: pointerOf("b")}}
	for i := range 2000 {
		e.Claims = append(e.Claims, PinClaim{Next: mustCommit(fmt.Sprint(i))})
	}
	require.Less(t, len(e.Error()), 1000)
	require.Contains(t, e.Error(), "and 1996 more")
}

// A card that names its successor and was recorded by a version before key 24 of an act counts
// as a plain one, whatever is undone: the holder of the key could have signed that one instead.
// Of neither does the owner stay without a way back.
func TestANamingCardOfAnOlderBookCountsAsAPlainOne(t *testing.T) {
	var dumps []Contact
	for _, older := range []bool{true, false} {
		b := newTestBook(t)
		bob := pointerOf("bob")
		must(b.Add(mustName("bob"), pointer.Link{Pointer: bob}, Source{}))
		must(b.Add(mustName("bob"), pointer.Link{Pointer: bob, Next: mustCommit("evil")}, Source{}))
		card := pointer.Card{Next: mustCommit("evil")}
		if older {
			card.Successor = pointerOf("evil")
		}
		a := cardAct(must(b.ByPointer(bob)), card)
		a.NamesSuccessor = false
		require.NoError(t, b.update(func(tx *ledger.Tx) error { return appendAct(tx, a) }))
		must(b.Undo()) // the link
		require.Equal(t, Confirmed, must(b.ByPointer(bob)).Pin)
		require.Error(t, b.learnCard(bob, pointer.Card{Next: commitment("bob")}), "his own card contradicts it")
		must(b.Add(mustName("bob"), pointer.Link{Pointer: bob, Next: commitment("bob")}, Source{ReplacePin: true}))
		c := must(b.ByPointer(bob))
		require.Equal(t, commitment("bob"), c.Next)
		require.Empty(t, c.Contradictions)
		dumps = append(dumps, c)
	}
	require.Equal(t, dumps[1].Rejected, dumps[0].Rejected)
	require.Equal(t, dumps[1].Chain, dumps[0].Chain)
}
