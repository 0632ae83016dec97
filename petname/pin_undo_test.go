package petname

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// replaceBob decides that bob's next key is the one of a commitment.
func replaceBob(b *Book, next pointer.Commitment) error {
	_, err := b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: next}, Source{ReplacePin: true})
	return err
}

// At the bound of recorded cards, too, Confirm believes no card that was not shown.
func TestConfirmBelievesNoCardOverTheBound(t *testing.T) {
	w := newWorld(t)
	must(w.book.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	for i := range maxCards {
		_ = w.book.learnCard(pointerOf("b"), pointer.Card{Next: mustCommit(fmt.Sprint(i))})
	}
	thief := w.sign("b", &pointer.Card{Next: mustCommit("evil")})
	_, err := w.book.Confirm(pointerOf("b"), Confirmation{Card: &thief})
	require.Error(t, err, "a card that was never on record was confirmed at once")
}

// Where cards pin nothing, a card that contradicts the owner's own link is not
// believed at once.
func TestConfirmBelievesNoCardAtAnUnsignedPointer(t *testing.T) {
	w := newWorld(t)
	b := w.book
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(unsigned(t, "b", "next b", pointer.Commitment{})), "t"))
	require.Equal(t, pointerOf("next b"), must(b.Find("bob")).Pointer)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("next b"), Next: commitment("next b")}, Source{ReplacePin: true}))
	require.Equal(t, commitment("next b"), must(b.Find("bob")).Next)
	thief := w.sign("next b", &pointer.Card{Next: mustCommit("evil")})
	require.Error(t, b.LearnCard(thief))
	_, err := b.Confirm(pointerOf("next b"), Confirmation{Card: &thief})
	require.Error(t, err)
}

// Of a contact of which nothing is pinned, a card with another successor than the
// one that was shown is not believed.
func TestConfirmBelievesNoOtherSuccessor(t *testing.T) {
	w := newWorld(t)
	w.add("bob", "b")
	w.put("b", &pointer.Card{Next: commitment("b"), Successor: pointerOf("next b"), Succession: chain(step(t, "b"))})
	res, err := w.book.Resolve(t.Context(), w.resolver, "bob", dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, pointerOf("next b"), res.Last().Unproven)
	thief := w.sign("b", &pointer.Card{Next: mustCommit("evil"), Succession: chain(stepTo(t, "b", "evil", commitment("evil")))})
	_, err = w.book.Confirm(pointerOf("b"), Confirmation{Card: &thief})
	require.Error(t, err, "what was shown is next b")
}

// The attack: a device of the book lists entries to come as replaced decisions.
func TestNoDecisionIsReplacedBeforeItIsMade(t *testing.T) {
	books := testDevices(t, 2)
	introducedBob(t, books[0], mustCommit("x"))
	require.Error(t, books[0].learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	syncBooks(t, books...)
	dev := books[0].Ledger().Device()
	now := uint64(0)
	for _, h := range books[0].Ledger().Heads() {
		if h.Device == dev {
			now = h.Number
		}
	}
	require.NoError(t, books[1].update(func(tx *ledger.Tx) error {
		var ids []ledger.ID
		for i := range uint64(maxReplaced) {
			ids = append(ids, ledger.ID{Device: dev, Number: now + 1 + i})
		}
		return appendAct(tx, act{Op: opPin, Contact: pointerOf("b").Bytes(), Fact: &wireFact{Kind: "link", By: byOwner, Channel: "t", Next: mustCommit("x").Bytes()}, Pin: newWirePin(nil, ids)})
	}))
	syncBooks(t, books...)
	card := newWorld(t).sign("b", &pointer.Card{Next: commitment("b")})
	_, err := books[0].Confirm(pointerOf("b"), Confirmation{Card: &card})
	require.NoError(t, err)
	require.Empty(t, must(books[0].Find("bob")).Contradictions)
	require.NoError(t, replaceBob(books[0], commitment("b")))
	require.Empty(t, must(books[0].Find("bob")).Contradictions, "the owner's decisions have no effect, and no error")
	require.Equal(t, commitment("b"), must(books[0].Find("bob")).Next)
}

// A decision replaces all earlier ones: the undo of one between them, on another
// device, brings none of them back.
func TestAnUndoneDecisionBringsBackNoEarlierOne(t *testing.T) {
	books := testDevices(t, 2)
	introducedBob(t, books[0], mustCommit("x"))
	require.NoError(t, replaceBob(books[0], mustCommit("evil"))) // D1: an altered link
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "t"))
	require.Equal(t, pointerOf("evil"), must(books[0].Find("bob")).Pointer)
	syncBooks(t, books...)
	require.NoError(t, replaceBob(books[1], mustCommit("y"))) // D2: by another wrong link
	syncBooks(t, books...)
	require.Equal(t, pointerOf("b"), must(books[0].Find("bob")).Pointer)
	require.NoError(t, replaceBob(books[0], commitment("b"))) // D3: the true link
	require.Equal(t, pointerOf("b"), must(books[0].Find("bob")).Pointer)
	must(books[1].Undo()) // of D2, meanwhile
	syncBooks(t, books...)
	c := must(books[0].Find("bob"))
	require.Equal(t, pointerOf("b"), c.Pointer, "an undone decision moved the contact to what the owner's newest decision rejects")
}

// Two devices decide the same, and one of them undoes it.
func TestAnUndoOfOneOfTwoDecisionsLeavesTheStep(t *testing.T) {
	books := testDevices(t, 2)
	introducedBob(t, books[0], mustCommit("x"))
	require.Error(t, books[0].learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	syncBooks(t, books...)
	card := newWorld(t).sign("b", &pointer.Card{Next: commitment("b")})
	for _, b := range books {
		must(b.Confirm(pointerOf("b"), Confirmation{Card: &card}))
	}
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	syncBooks(t, books...)
	require.Equal(t, pointerOf("next b"), must(books[1].Find("bob")).Pointer)
	must(books[0].Undo())
	syncBooks(t, books...)
	c := must(books[0].Find("bob"))
	require.Equal(t, pointerOf("next b"), c.Pointer, "bob is back at its retired key although the other decision stands")
}

// A decision is undone while another one for the same commitment stands.
func TestTheUndoOfAReplacedDecisionLeavesTheStep(t *testing.T) {
	books := testDevices(t, 2)
	introducedBob(t, books[0], mustCommit("x"))
	require.NoError(t, replaceBob(books[0], commitment("b"))) // D1
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	syncBooks(t, books...)
	require.NoError(t, books[1].update(func(tx *ledger.Tx) error {
		c, err := readByPointer(tx.View(), pointerOf("b"))
		if err != nil {
			return err
		}
		return decide(tx, c, pointerOf("b"), &wireFact{Kind: "paired", By: byOwner, Channel: "t", Next: commitment("b").Bytes()}, false)
	}))
	must(books[0].Undo())
	syncBooks(t, books...)
	c := must(books[0].Find("bob"))
	require.Equal(t, pointerOf("next b"), c.Pointer)
}

// After the undo of a decision, the step that rested on it is shown, and can be
// believed by itself.
func TestAStepWithoutItsDecisionIsShown(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, commitment("b"))
	require.NoError(t, replaceBob(b, commitment("b")))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	require.Equal(t, pointerOf("next b"), must(b.Find("bob")).Pointer)
	must(b.Undo())
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	require.Equal(t, pointerOf("next b"), must(b.Find("bob")).Unproven)
	_, err := b.Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("next b")})
	require.NoError(t, err)
	require.Equal(t, pointerOf("next b"), must(b.Find("bob")).Pointer)
}

// A device has bob's card, another a false link and a thief's signed step: Confirm
// believes the card.
func TestConfirmChoosesTheCardOverALink(t *testing.T) {
	books := testDevices(t, 2)
	must(books[0].Add(mustName("bob"), link("b"), Source{}))
	syncBooks(t, books...)
	require.NoError(t, books[0].learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	must(books[1].Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: mustCommit("evil")}, Source{}))
	require.NoError(t, books[1].applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "test"))
	syncBooks(t, books...)
	require.Len(t, must(books[0].Find("bob")).Contradictions, 1)
	card := newWorld(t).sign("b", &pointer.Card{Next: commitment("b")})
	c := must(books[0].Confirm(pointerOf("b"), Confirmation{Card: &card}))
	require.Equal(t, pointerOf("b"), c.Pointer)
	require.Equal(t, commitment("b"), c.Next)
}

// The attack: a third party's claim, and one card with that commitment and the step
// that opens it.
func TestAThirdPartysClaimAndOneCardMoveNothing(t *testing.T) {
	w := newWorld(t)
	introducedBob(t, w.book, mustCommit("evil"))
	steps := chain(stepTo(t, "b", "evil", commitment("evil")))
	w.put("b", &pointer.Card{Next: mustCommit("evil"), Succession: steps})
	w.put("evil", &pointer.Card{Next: commitment("evil"), Succession: steps})
	res, err := w.resolve("bob")
	require.NoError(t, err)
	require.Equal(t, pointerOf("evil"), res.Last().Unproven)
	require.Equal(t, pointerOf("b"), must(w.book.Find("bob")).Pointer)
}

// A step that the old key did not sign does not keep out the signed one.
func TestAnUnsignedStepKeepsNoSignedOneOut(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, commitment("b"))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(unsigned(t, "b", "next b", mustCommit("evil"))), "t"))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	must(b.Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("next b")}))
	c := must(b.Find("bob"))
	require.Equal(t, commitment("next b"), c.Next)
	require.Equal(t, Confirmed, c.Pin)
}

// Every holder of an invitation by link can accept it: that settles no link that the
// owner entered.
func TestAnInviteeDoesNotSettleTheOwnersOwnLink(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	id, _, err := b.Suggest(Suggestion{Kind: Invited, Pointer: pointerOf("b"), Next: mustCommit("evil"), Channel: "link", Evidence: []byte("transcript")})
	require.NoError(t, err)
	_, err = b.Accept(id, mustName("bob"), Acceptance{})
	require.ErrorAs(t, err, new(*ContradictionError))
	require.Equal(t, commitment("b"), must(b.Find("bob")).Next)
}

// Of two equal decisions one is undone, after two steps.
func TestAnUndoneDecisionLeavesTheStepsAfterIt(t *testing.T) {
	books := testDevices(t, 2)
	introducedBob(t, books[0], mustCommit("x"))
	require.NoError(t, replaceBob(books[0], commitment("b")))
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	require.NoError(t, books[0].applySuccession(pointerOf("next b"), chain(step(t, "next b")), "t"))
	require.Equal(t, pointerOf("next next b"), must(books[0].Find("bob")).Pointer)
	syncBooks(t, books...)
	// replaced by a pairing/confirm of the same commitment on the other device
	require.NoError(t, books[1].update(func(tx *ledger.Tx) error {
		c, err := readByPointer(tx.View(), pointerOf("b"))
		require.NoError(t, err)
		return decide(tx, c, pointerOf("b"), &wireFact{Kind: factConfirm, By: byOwner, Channel: "t", Next: commitment("b").Bytes()}, false)
	}))
	require.Equal(t, pointerOf("next next b"), must(books[1].Find("bob")).Pointer)
	must(books[0].Undo())
	syncBooks(t, books...)
	c := must(books[0].Find("bob"))
	require.Equal(t, pointerOf("next next b"), c.Pointer, "D2 chooses what D1 chose, and the signed steps are gone")
}

// A card confirmed the commitment before the decision, so the undo of the decision
// takes no step back.
func TestAnUndoneDecisionTakesNoProvenStepBack(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	before := must(b.Find("bob"))
	require.Equal(t, Confirmed, before.Pin)
	require.NoError(t, addAll(b, []Naming{{mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: mustCommit("y")}, Source{Kind: "imported", By: pointerOf("eve").String()}}}))
	require.Empty(t, must(b.Find("bob")).Contradictions)
	require.NoError(t, replaceBob(b, commitment("b")))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	require.Equal(t, pointerOf("next b"), must(b.Find("bob")).Pointer)
	must(b.Undo())
	c := must(b.Find("bob"))
	require.Equal(t, pointerOf("next b"), c.Pointer, "bob's card confirmed the commitment before the decision; the undo takes a proven move back")
}
