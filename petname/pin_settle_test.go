package petname

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// However many claims and decisions are on record, one act of the owner settles
// them, and one undo reverts it.
func TestOneActSettlesAnyNumberOfClaims(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	require.NoError(t, b.update(func(tx *ledger.Tx) error { // by a device of another version
		for i := range 2*maxDiffering + 2 {
			fact := &wireFact{Kind: factCard, By: pointerOf("b").String(), Channel: "t", Next: mustCommit(fmt.Sprint(i)).Bytes()}
			if err := appendAct(tx, act{Op: opLearn, Contact: pointerOf("b").Bytes(), Fact: fact}); err != nil {
				return err
			}
		}
		for i := range 2*maxReplaced + 2 {
			fact := &wireFact{Kind: factConfirm, By: byOwner, Channel: "t", Next: mustCommit(fmt.Sprint(i)).Bytes()}
			if err := appendAct(tx, act{Op: opPin, Contact: pointerOf("b").Bytes(), Fact: fact, Pin: newWirePin(nil, nil)}); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NotEmpty(t, must(b.Find("bob")).Contradictions)
	before := must(b.Find("bob"))
	require.NoError(t, replaceBob(b, commitment("b")))
	c := must(b.Find("bob"))
	require.Empty(t, c.Contradictions)
	require.Equal(t, commitment("b"), c.Next)
	must(b.Undo())
	require.Equal(t, before, must(b.Find("bob")))
	require.NoError(t, replaceBob(b, commitment("b")))
	require.Empty(t, must(b.Find("bob")).Contradictions)
	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, view, dump(t, b))
}

// Decisions do not grow with the number of those before them.
func TestADecisionReplacesThoseThatStand(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("x"))
	for i := range 50 {
		n := entries(b)
		require.NoError(t, replaceBob(b, mustCommit(fmt.Sprint(i%2))))
		require.Equal(t, n+1, entries(b))
	}
}

// The addition of a contact with its decision is one step.
func TestAnAdditionWithADecisionIsOneStep(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("x"))
	must(b.Remove(pointerOf("b")))
	must(b.Add(mustName("robert"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{ReplacePin: true}))
	ev := must(b.Undo())
	require.Equal(t, "name", ev.Op)
	require.Equal(t, "robert", ev.Name)
	c := must(b.ByPointer(pointerOf("b")))
	require.True(t, c.Name.IsZero())
	require.False(t, c.Removed.IsZero())
	require.Equal(t, mustCommit("x"), c.Next)
	require.Equal(t, "remove", must(b.Undo()).Op)
	require.Equal(t, "bob", must(b.Find("bob")).Name.String())
}

// Decisions about several pointers of a contact are one step.
func TestAConfirmationOfSeveralPointersIsOneStep(t *testing.T) {
	books := testDevices(t, 2)
	must(books[0].Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	syncBooks(t, books...)
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	require.NoError(t, books[0].learnCard(pointerOf("next b"), pointer.Card{Next: commitment("next b")}))
	require.Error(t, books[1].learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")})) // a thief of the retired key
	syncBooks(t, books...)
	require.Error(t, books[0].learnCard(pointerOf("next b"), pointer.Card{Next: mustCommit("evil")}))
	before := must(books[0].Find("bob"))
	require.Len(t, before.Contradictions, 2)
	c := must(books[0].Confirm(pointerOf("b"), Confirmation{Next: commitment("next b")}))
	require.Empty(t, c.Contradictions)
	require.Equal(t, pointerOf("next b"), c.Pointer)
	require.Equal(t, commitment("next b"), c.Next)
	must(books[0].Undo())
	require.Equal(t, before, must(books[0].Find("bob")))
}

// A confirmation that names a successor without a step on record changes nothing, also if an
// earlier key of the contact is in doubt.
func TestAConfirmationDropsNoSuccessor(t *testing.T) {
	books := testDevices(t, 2)
	addedBob(pointer.Commitment{})(books[0])
	syncBooks(t, books...)
	require.NoError(t, books[0].learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.NoError(t, books[0].applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	addedBob(mustCommit("false"))(books[1])
	syncBooks(t, books...)
	c := must(books[0].Find("bob"))
	require.Equal(t, pointerOf("next b"), c.Pointer)
	require.Len(t, c.Contradictions, 1)
	n := entries(books[0])
	_, err := books[0].Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("elsewhere")})
	require.ErrorIs(t, err, ErrNothingToConfirm)
	require.Equal(t, n, entries(books[0]))
	c = must(books[0].Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("next b")}))
	require.Empty(t, c.Contradictions)
}

// The attack: the holder of the key signs cards in turn, so that the newest is not
// the one that the owner was shown. A confirmation that names the commitment
// believes no other, in any order.
func TestAConfirmationNamesTheCard(t *testing.T) {
	w := newWorld(t)
	b := w.book
	introducedBob(t, b, mustCommit("x"))
	honest, evil := w.sign("b", &pointer.Card{Next: commitment("b")}), w.sign("b", &pointer.Card{Next: mustCommit("evil")})
	require.Error(t, b.LearnCard(honest))
	for _, newest := range []*pointer.Record{&evil, nil, &honest} {
		c := must(b.Confirm(pointerOf("b"), Confirmation{Card: newest, Next: commitment("b")}))
		require.Equal(t, commitment("b"), c.Next)
		require.Equal(t, Confirmed, c.Pin)
		require.Empty(t, c.Contradictions)
	}
	// The card that the owner rejected is shown, and stops a resolution.
	c := must(b.Find("bob"))
	require.Len(t, c.Rejected, 1)
	require.Equal(t, PinClaim{mustCommit("evil"), Confirmed, factCard, pointerOf("b").String()}, c.Rejected[0])
	w.put("b", &pointer.Card{Next: mustCommit("evil")})
	_, err := w.resolve("bob")
	require.ErrorAs(t, err, new(*DuplicityError))
	// The owner may believe it later.
	c = must(b.Confirm(pointerOf("b"), Confirmation{Next: mustCommit("evil")}))
	require.Equal(t, mustCommit("evil"), c.Next)
	require.Equal(t, commitment("b"), c.Rejected[0].Next)
	// A commitment that no card states is not believed, nor that of a third party.
	n := entries(b)
	for _, next := range []pointer.Commitment{mustCommit("unknown"), mustCommit("x")} {
		_, err := b.Confirm(pointerOf("b"), Confirmation{Card: &honest, Next: next})
		require.ErrorIs(t, err, ErrNothingToConfirm)
	}
	_, err = b.Confirm(pointerOf("b"), Confirmation{Next: commitment("b"), Successor: pointerOf("next b")})
	require.Error(t, err)
	require.Equal(t, n, entries(b))
}

// Of a contact of which nothing is known, a confirmation names the commitment of
// the card at hand.
func TestAConfirmationOfABareContactNamesTheCard(t *testing.T) {
	w := newWorld(t)
	w.add("bob", "b")
	card := w.sign("b", &pointer.Card{Next: commitment("b")})
	_, err := w.book.Confirm(pointerOf("b"), Confirmation{Card: &card, Next: mustCommit("evil")})
	require.ErrorIs(t, err, ErrNothingToConfirm)
	c := must(w.book.Confirm(pointerOf("b"), Confirmation{Card: &card, Next: commitment("b")}))
	require.Equal(t, commitment("b"), c.Next)
}

// Whatever the owner decides and undoes, and whatever thieves sign: while the
// commitment at a contact's first pointer stays confirmed, the contact does not come
// back from the key that opens it, and it moves to no other key.
func TestLawAConfirmedContactNeverComesBack(t *testing.T) {
	newDir := rapidDirs(t)
	signer := newWorld(t)
	moved, rejected := 0, 0
	lawtest.Check(t, 60, func(rt *rapid.T) {
		w := newPinWorld(rt, newDir(rt))
		card := func(next pointer.Commitment) *pointer.Record {
			r := signer.sign("a", &pointer.Card{Next: next})
			return &r
		}
		next := func() pointer.Commitment {
			return rapid.SampledFrom([]pointer.Commitment{commitment("a"), commitment("a"), mustCommit("evil 1"), mustCommit("evil 2")}).Draw(rt, "next")
		}
		w.named(link("a"), Source{})
		last := make([]Contact, len(w.books))
		for range rapid.IntRange(1, 20).Draw(rt, "acts") {
			i := rapid.IntRange(0, len(w.books)-1).Draw(rt, "device")
			b := w.books[i]
			switch rapid.IntRange(0, 7).Draw(rt, "act") {
			case 0:
				w.claim()
			case 1:
				w.apply(w.steps(true, true))
			case 2:
				_ = b.learnCard(pointerOf("a"), pointer.Card{Next: next()})
			case 3:
				_, _ = b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: next()}, Source{ReplacePin: true})
			case 4:
				_, _ = b.Confirm(pointerOf("a"), Confirmation{Card: card(next())})
			case 5:
				_, _ = b.Confirm(pointerOf("a"), Confirmation{Next: next()})
			case 6:
				_, _ = b.Undo()
			case 7:
				pull(rt, b, w.book())
			}
			for i, b := range w.books {
				before, c := last[i], w.contact(b)
				last[i] = c
				if len(before.Chain) == 0 || before.Chain[0].Pin != Confirmed || c.Chain[0] != before.Chain[0] {
					continue
				}
				if len(before.Chain) > 1 {
					moved++
					require.GreaterOrEqual(rt, len(c.Chain), 2, "the contact came back to its first key")
					require.Equal(rt, before.Chain[1].Pointer, c.Chain[1].Pointer)
				}
				if len(c.Chain) > 1 {
					i := slices.IndexFunc([]string{"next a", "evil 1", "evil 2"}, func(seed string) bool { return pointerOf(seed) == c.Chain[1].Pointer })
					opens := []pointer.Commitment{commitment("a"), mustCommit("evil 1"), mustCommit("evil 2")}[i]
					require.Equal(rt, c.Chain[0].Next, opens)
				}
				if len(c.Rejected) > 0 {
					rejected++
				}
			}
		}
		syncBooks(rt, w.books...)
		for _, b := range w.books {
			require.Equal(rt, dump(rt, w.books[0]), dump(rt, b))
		}
	})
	require.Positive(t, moved)
	require.Positive(t, rejected)
}
