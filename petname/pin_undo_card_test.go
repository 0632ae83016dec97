package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// stolenBob returns a world with a contact bob at "b", whose thief publishes a card
// with a commitment and a successor that opens it. source is that of the contact, and
// next its commitment; zero: none.
func stolenBob(t *testing.T, next pointer.Commitment, source Source) (*world, pointer.Record) {
	w := newWorld(t)
	require.NoError(t, addAll(w.book, []Naming{{mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: next}, source}}))
	card := pointer.Card{Nickname: "thief", Next: mustCommit("thief"), Successor: pointerOf("thief"), Succession: chain(stepTo(t, "b", "thief", commitment("thief")))}
	w.put("b", &card)
	w.put("thief", &pointer.Card{Nickname: "thief", Next: commitment("thief"), Succession: card.Succession})
	return w, w.sign("b", &card)
}

// The attack: a thief of the key of a contact publishes a card that names its own
// commitment and a successor. The owner believes it in any way that there is, the card
// and the step are recorded, and the owner undoes the act: the contact is back at its
// key, and the card, received again, proves as little as before.
func TestAnUndoneActLeavesNoCardThatNamesItsSuccessor(t *testing.T) {
	none := pointer.Commitment{}
	third := Source{Kind: string(Introduced), By: pointerOf("eve").String(), Channel: "test"}
	link := pointer.Link{Pointer: pointerOf("b"), Next: mustCommit("thief")}
	for name, test := range map[string]struct {
		next   pointer.Commitment
		source Source
		act    func(w *world, card *pointer.Record) error
	}{
		"confirmation of a bare contact": {none, Source{}, func(w *world, card *pointer.Record) error {
			_, err := w.book.Confirm(pointerOf("b"), Confirmation{Card: card, Successor: pointerOf("thief")})
			return err
		}},
		"confirmation of a third party's claim": {mustCommit("thief"), third, func(w *world, card *pointer.Record) error {
			_, err := w.book.Confirm(pointerOf("b"), Confirmation{Card: card})
			return err
		}},
		"link that replaces": {none, Source{}, func(w *world, _ *pointer.Record) error {
			_, err := w.book.Add(mustName("bob"), link, Source{ReplacePin: true})
			return err
		}},
		"link": {none, Source{}, func(w *world, _ *pointer.Record) error {
			_, err := w.book.Add(mustName("bob"), link, Source{})
			return err
		}},
		"pairing": {none, Source{}, func(w *world, _ *pointer.Record) error {
			return addAll(w.book, []Naming{{mustName("bob"), link, Source{Kind: string(Paired)}}})
		}},
	} {
		w, card := stolenBob(t, test.next, test.source)
		for range 2 { // the undo leaves nothing that a second act could rest on
			require.NoError(t, test.act(w, &card), name)
			_, err := w.resolve("bob") // as Agent.Confirm does
			require.NoError(t, err, name)
			require.Equal(t, pointerOf("thief"), must(w.book.Find("bob")).Pointer, name)
			must(w.book.Undo())
			for range 2 {
				c := must(w.book.Find("bob"))
				require.Equal(t, pointerOf("b"), c.Pointer, name)
				require.Equal(t, test.next, c.Next, name)
				require.NotEqual(t, Confirmed, c.Pin, name)
				require.Empty(t, c.Nickname, name)
				res, err := w.resolve("bob")
				require.NoError(t, err, name)
				require.Equal(t, pointerOf("thief"), res.Last().Unproven, name)
			}
		}
		// Bob's own link meets no confirmed commitment of the thief.
		must(w.book.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{ReplacePin: true}))
		c := must(w.book.Find("bob"))
		require.Equal(t, pointerOf("b"), c.Pointer, name)
		require.Equal(t, commitment("b"), c.Next, name)
	}
}

// The attack: after the undo, a third party's claim with any commitment makes the
// recorded card count again. It may contradict that claim, and moves no contact.
func TestAThirdPartysClaimMakesNoUndoneCardProveAnything(t *testing.T) {
	for _, next := range []string{"thief", "other"} {
		w, card := stolenBob(t, pointer.Commitment{}, Source{})
		must(w.book.Confirm(pointerOf("b"), Confirmation{Card: &card, Successor: pointerOf("thief")}))
		_, err := w.resolve("bob")
		require.NoError(t, err)
		must(w.book.Undo())
		introducedBob(t, w.book, mustCommit(next))
		c := must(w.book.Find("bob"))
		require.Equal(t, pointerOf("b"), c.Pointer, next)
		require.NotEqual(t, Confirmed, c.Pin, next)
	}
}

// A card that names its successor counts as long as anything is on record that it adds
// to: of two links that two devices entered, one is undone.
func TestACardStandsOnWhatIsLeft(t *testing.T) {
	books := testDevices(t, 2)
	link := pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}
	must(books[0].Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b")}, Source{}))
	syncBooks(t, books...)
	for _, b := range books {
		must(b.Add(mustName("bob"), link, Source{}))
	}
	require.NoError(t, books[0].learnCard(pointerOf("b"), pointer.Card{Next: commitment("b"), Successor: pointerOf("next b"), Succession: chain(step(t, "b"))}))
	syncBooks(t, books...)
	for _, b := range books {
		require.Equal(t, Confirmed, must(b.Find("bob")).Pin)
		must(b.Undo())
		syncBooks(t, books...)
	}
	require.Equal(t, Pin(""), must(books[0].Find("bob")).Pin)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
}

// A step that the owner's link let a contact advance by does not outlive the link, even
// if the key signed two cards since.
func TestAnUndoneLinkLeavesNoStep(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b")}, Source{}))
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: mustCommit("evil")}, Source{}))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "test"))
	require.Equal(t, pointerOf("evil"), must(b.Find("bob")).Pointer)
	must(b.Undo())
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.Error(t, b.learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")}))
	c := must(b.Find("bob"))
	require.Len(t, c.Contradictions, 1)
	require.Equal(t, pointerOf("b"), c.Pointer)
}

// What the holder of a key introduced while the owner believed that a contact moved to
// it is not in the inbox after the undo of that, and cannot be accepted; nor is what a
// contact introduced whose addition was undone. It is there again with the act.
func TestAnUndoneActLeavesNoIntroduction(t *testing.T) {
	w, card := stolenBob(t, pointer.Commitment{}, Source{})
	b := w.book
	confirm := func() {
		must(b.Confirm(pointerOf("b"), Confirmation{Card: &card, Successor: pointerOf("thief")}))
		_, err := w.resolve("bob")
		require.NoError(t, err)
	}
	confirm()
	receive(t, b, introduced(t, "thief", "me", "mallory"))
	id := inbox(t, b)[0].ID
	must(b.Undo())
	require.Empty(t, inbox(t, b))
	_, err := b.Accept(id, mustName("mallory"), Acceptance{})
	require.ErrorIs(t, err, ErrUnknownSender)
	confirm()
	require.Len(t, inbox(t, b), 1)
	must(b.Accept(id, mustName("mallory"), Acceptance{}))

	b = newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	receive(t, b, introduced(t, "alice", "me", "bob"))
	must(b.Remove(pointerOf("alice")))
	require.Len(t, inbox(t, b), 1, "the statements of a contact that was removed stay")
	must(b.Undo())
	must(b.Undo())
	require.Empty(t, inbox(t, b))
}

// What cards alone prove stands after the undo of a link that agreed: the step that the
// contact advanced by, although the key signs another card later, and the card itself,
// although one that names its successor was received before.
func TestAnUndoneLinkTakesNothingThatCardsProve(t *testing.T) {
	link := pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b")}, Source{}))
	must(b.Add(mustName("bob"), link, Source{}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "test"))
	must(b.Undo())
	_, err := b.Ledger().Append(marshal(act{Op: opLearn, Contact: pointerOf("b").Bytes(),
		Fact: &wireFact{Kind: factCard, By: pointerOf("b").String(), Next: mustCommit("evil").Bytes()}})) // of another device
	require.NoError(t, err)
	c := must(b.Find("bob"))
	require.Len(t, c.Contradictions, 1)
	require.Equal(t, pointerOf("next b"), c.Pointer)

	b = newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b")}, Source{}))
	must(b.Add(mustName("bob"), link, Source{}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b"), Successor: pointerOf("next b")}))
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	n := entries(b)
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b"), Successor: pointerOf("next b")}))
	require.Equal(t, n, entries(b), "each is recorded once")
	must(b.Undo())
	require.Equal(t, Confirmed, must(b.Find("bob")).Pin)
}

// The attack: a third party claims what the owner believed for a while. The card that
// was received meanwhile confirms its commitment as if the owner had not.
func TestAnUndoneClaimStandsBesideNoCard(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b")}, Source{}))
	require.NoError(t, replaceBob(b, mustCommit("evil")))
	require.Error(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	must(b.Undo())
	introducedBob(t, b, mustCommit("evil"))
	c := must(b.Find("bob"))
	require.Empty(t, c.Contradictions)
	require.Equal(t, commitment("b"), c.Next)
}
