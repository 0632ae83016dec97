package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// The attack: the owner has eve's false claim and its own true link, and eve's
// step is on record. Without a card, Confirm believes neither.
func TestConfirmWithoutACardBelievesNoClaim(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("evil"))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(unsigned(t, "b", "evil", commitment("evil"))), "test"))
	_, err := b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{})
	require.ErrorAs(t, err, new(*ContradictionError))
	n := entries(b)
	bare := newWorld(t).sign("b", nil)
	for _, card := range []*pointer.Record{nil, &bare} {
		_, err = b.Confirm(pointerOf("b"), Confirmation{Card: card})
		require.ErrorIs(t, err, ErrNothingToConfirm)
		_, err = b.Confirm(pointerOf("b"), Confirmation{Card: card, Successor: pointerOf("c")})
		require.ErrorIs(t, err, ErrNothingToConfirm, "no step leads there")
	}
	require.Equal(t, n, entries(b))
	require.Equal(t, pointerOf("b"), must(b.Find("bob")).Pointer)
}

// The attack: a thief of the current key shows a new card when the owner confirms.
// The card is recorded, and confirmed only when the owner asks again.
func TestConfirmBelievesNoCardThatWasNotShown(t *testing.T) {
	w := newWorld(t)
	introducedBob(t, w.book, mustCommit("x"))
	require.Error(t, w.book.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	thief := w.sign("b", &pointer.Card{Next: mustCommit("evil"), Succession: chain(stepTo(t, "b", "evil", commitment("evil")))})
	_, err := w.book.Confirm(pointerOf("b"), Confirmation{Card: &thief})
	require.ErrorAs(t, err, new(*DuplicityError))
	c := must(w.book.Find("bob"))
	require.Len(t, c.Contradictions[0].Claims, 3)
	require.Equal(t, pointerOf("b"), c.Pointer)
	must(w.book.Confirm(pointerOf("b"), Confirmation{Card: &thief}))
	require.Empty(t, must(w.book.Find("bob")).Contradictions)
}

// The attack: a thief of the key before signs a card at a pointer that the contact came to without
// the signature of its old key. A confirmation confirms that card only if it names its commitment.
func TestConfirmNamesACardWhereTheOldKeySignedNothing(t *testing.T) {
	w := newWorld(t)
	confirmedAlice(t, w.book)
	require.NoError(t, w.book.applySuccession(pointerOf("a"), chain(unsigned(t, "a", "next a", commitment("next a"))), "test"))
	thief := w.sign("next a", &pointer.Card{Next: mustCommit("evil")})
	for range 2 {
		n := entries(w.book)
		_, err := w.book.Confirm(pointerOf("a"), Confirmation{Card: &thief})
		var unnamed *UnnamedError
		require.ErrorAs(t, err, &unnamed)
		require.Equal(t, UnnamedError{pointerOf("next a"), mustCommit("evil")}, *unnamed)
		require.Equal(t, n, entries(w.book))
		require.Empty(t, must(w.book.Find("alice")).Pin)
	}
	card := w.sign("next a", &pointer.Card{Next: commitment("next a")})
	c := must(w.book.Confirm(pointerOf("a"), Confirmation{Card: &card, Next: commitment("next a")}))
	require.Equal(t, Confirmed, c.Pin)
	require.Equal(t, commitment("next a"), c.Next)
}

// An undone decision takes the steps with it that were recorded because of it.
func TestUndoOfADecisionUndoesWhatRestedOnIt(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("x"))
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: mustCommit("evil")}, Source{ReplacePin: true}))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "test"))
	require.Equal(t, pointerOf("evil"), must(b.Find("bob")).Pointer)
	must(b.Undo())
	c := must(b.Find("bob"))
	require.Equal(t, pointerOf("b"), c.Pointer)
	require.Equal(t, mustCommit("x"), c.Next)
	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, view, dump(t, b))
}

// The attack: one device learnt bob's card, another accepted a false claim before
// it learnt the same card. The merge does not make the contact unresolvable.
func TestAMergeOfTheSameCardSettlesAThirdPartysClaim(t *testing.T) {
	books := testDevices(t, 2)
	must(books[0].Add(mustName("bob"), link("b"), Source{}))
	pull(t, books[1], books[0])
	require.NoError(t, books[0].learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	introducedBob(t, books[1], mustCommit("evil"))
	require.Error(t, books[1].learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	syncBooks(t, books...)
	for _, b := range books {
		c := must(b.Find("bob"))
		require.Empty(t, c.Contradictions)
		require.Equal(t, commitment("b"), c.Next)
	}
}

// The attack: the holder of a key that a false claim commits to signs steps to it
// without end.
func TestStepsThatOnlyAClaimProvesAreBounded(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("evil"))
	n := entries(b)
	for i := range 20 {
		require.NoError(t, b.applySuccession(pointerOf("b"), chain(unsigned(t, "b", "evil", mustCommit(string(rune('A'+i))))), "test"))
	}
	require.Equal(t, n+1, entries(b))
}

// A card that states its commitment and its successor at once pins nothing if
// nothing was known before, in whatever way it arrives.
func TestACardThatNamesItsSuccessorPinsNothingAlone(t *testing.T) {
	w := newWorld(t)
	w.add("bob", "b")
	n := entries(w.book)
	r := w.sign("b", &pointer.Card{Next: mustCommit("evil"), Succession: chain(stepTo(t, "b", "evil", commitment("evil")))})
	require.NoError(t, w.book.LearnCard(r))
	require.Equal(t, n, entries(w.book))
}

// The attack: a contact's edge to a former pointer of another contact, with a
// false commitment. A path through it resolves to the current pointer.
func TestAFalseClaimAboutAFormerPointerStopsNoPath(t *testing.T) {
	w := newWorld(t)
	confirmedAlice(t, w.book)
	w.add("carol", "c")
	require.NoError(t, w.book.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	w.publish("c", pointer.Commitment{}, map[string]pointer.Edge{"al": {Pointer: pointerOf("a"), Next: mustCommit("evil")}})
	w.put("next a", &pointer.Card{Next: commitment("next a")})
	res, err := w.resolve("carol/al")
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), res.Last().Pointer)
}

// Cards that the owner rejected do not keep the true one from being recorded.
func TestRejectedCardsLeaveRoom(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("x"))
	for i := range 2 * maxCards {
		_ = b.learnCard(pointerOf("b"), pointer.Card{Next: mustCommit(string(rune('A' + i)))})
	}
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{ReplacePin: true}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.Equal(t, Confirmed, must(b.Find("bob")).Pin)
}

// A pairing settles claims, and no confirmed commitment.
func TestAPairingSettlesClaims(t *testing.T) {
	paired := func(b *Book) error {
		return addAll(b, []Naming{{mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{Kind: string(Paired)}}})
	}
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("evil"))
	require.NoError(t, paired(b))
	c := must(b.Find("bob"))
	require.Empty(t, c.Contradictions)
	require.Equal(t, commitment("b"), c.Next)
	require.Equal(t, Confirmed, c.Pin)

	b = newTestBook(t)
	introducedBob(t, b, mustCommit("x"))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("x")}))
	require.ErrorAs(t, paired(b), new(*DuplicityError))
}

// A successor that only a claim proves is shown with each resolution, also when
// the card does not name it.
func TestAnUnprovenSuccessorOnRecordIsShown(t *testing.T) {
	w := newWorld(t)
	introducedBob(t, w.book, commitment("b"))
	require.NoError(t, w.book.applySuccession(pointerOf("b"), chain(unsigned(t, "b", "next b", commitment("next b"))), "test"))
	w.put("b", nil)
	res, err := w.book.Resolve(t.Context(), w.resolver, "bob", dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, pointerOf("b"), res.Last().Pointer)
	require.Equal(t, pointerOf("next b"), res.Last().Unproven)
}

// The attack: a claim is on record at a pointer that the old key did not sign, of a third party or
// of the owner's own link, and the thief's card is put beside it. The card is on record then, and
// is still believed by its name alone.
func TestACardBesideAClaimIsConfirmedByItsNameAlone(t *testing.T) {
	for _, source := range []Source{{}, {Kind: string(Introduced), By: pointerOf("carol").String()}} {
		w := newWorld(t)
		confirmedAlice(t, w.book)
		require.NoError(t, w.book.applySuccession(pointerOf("a"), chain(unsigned(t, "a", "next a", commitment("next a"))), "test"))
		_, err := w.book.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("next a"), Next: commitment("next a")}, source)
		require.NoError(t, err)
		thief := w.sign("next a", &pointer.Card{Next: mustCommit("evil")})
		for range 3 {
			_, err = w.book.Confirm(pointerOf("a"), Confirmation{Card: &thief})
			require.Error(t, err)
			require.NotEqual(t, mustCommit("evil"), must(w.book.Find("alice")).Next)
		}
		require.ErrorAs(t, err, new(*UnnamedError))
		c := must(w.book.Confirm(pointerOf("a"), Confirmation{Card: &thief, Next: mustCommit("evil")}))
		require.Equal(t, mustCommit("evil"), c.Next, "the owner named it")
		_, err = w.book.Confirm(pointerOf("a"), Confirmation{Card: &thief})
		require.NoError(t, err, "it is the confirmed one")
	}
}
