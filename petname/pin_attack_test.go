package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// introducedBob has the owner accept eve's introduction of bob with a commitment.
func introducedBob(t *testing.T, b *Book, next pointer.Commitment) {
	t.Helper()
	require.NoError(t, addAll(b, []Naming{{mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: next},
		Source{Kind: string(Introduced), By: pointerOf("eve").String(), Channel: "test"}}}))
}

// The attack: an introducer, or anyone that alters c= in a link, states bob's
// true pointer with a commitment to a key of its own. Later one step without
// bob's signature, in a chain of an introduction or in the card of any pointer of
// the attacker, would move the contact.
func TestAFalseClaimMovesNoContact(t *testing.T) {
	for name, enter := range map[string]func(*Book){
		"introduction": func(b *Book) { introducedBob(t, b, mustCommit("evil")) },
		"altered link": func(b *Book) {
			must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: mustCommit("evil")}, Source{}))
		},
	} {
		w := newWorld(t)
		enter(w.book)
		steps := chain(unsigned(t, "b", "evil", commitment("evil")))
		w.put("b", &pointer.Card{Nickname: "Bob", Next: commitment("b")})
		w.put("evil", &pointer.Card{Next: commitment("evil"), Succession: steps})
		require.NoError(t, w.book.applySuccession(pointerOf("b"), steps, "test"), name)
		_, err := w.resolve(pointerOf("evil").String())
		require.NoError(t, err, name)
		c := must(w.book.Find("bob"))
		require.Equal(t, pointerOf("b"), c.Pointer, name)
		require.Equal(t, pointerOf("evil"), c.Unproven, name)
		require.Equal(t, Claimed, c.Pin, name)

		// Bob's own card contradicts the claim, and that is recorded.
		for range 2 {
			_, err = w.resolve("bob")
			require.ErrorAs(t, err, new(*ContradictionError), name)
		}
		c = must(w.book.Find("bob"))
		require.Len(t, c.Contradictions, 1, name)
		require.False(t, c.Contradictions[0].Duplicity, name)
		require.Len(t, c.Contradictions[0].Claims, 2, name)
		n := entries(w.book)
		_, err = w.resolve("bob")
		require.Error(t, err)
		require.Equal(t, n, entries(w.book), "recorded once")

		// The owner believes the card. Undo takes that back.
		card := w.sign("b", &pointer.Card{Next: commitment("b")})
		c = must(w.book.Confirm(pointerOf("b"), Confirmation{Card: &card}))
		require.Empty(t, c.Contradictions, name)
		require.Equal(t, commitment("b"), c.Next, name)
		require.Equal(t, Confirmed, c.Pin, name)
		require.True(t, c.Unproven.IsZero(), name)
		_, err = w.resolve("bob")
		require.NoError(t, err, name)
		must(w.book.Undo())
		require.Len(t, must(w.book.Find("bob")).Contradictions, 1, name)

		// Or it has bob's true link, over another channel.
		c = must(w.book.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{ReplacePin: true}))
		require.Empty(t, c.Contradictions, name)
		require.Equal(t, commitment("b"), c.Next, name)
		require.ErrorAs(t, w.book.applySuccession(pointerOf("b"), steps, "test"), new(*SuccessionError), name)
		require.Equal(t, pointerOf("b"), must(w.book.Find("bob")).Pointer, name)
	}
}

// A false pin can be got rid of: under the same name, after a removal, and under
// another name.
func TestAFalsePinCanBeReplaced(t *testing.T) {
	truth := pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}
	for name, before := range map[string]func(*Book) string{
		"same name": func(*Book) string { return "bob" },
		"removed": func(b *Book) string {
			must(b.Remove(pointerOf("b")))
			return "bob"
		},
		"other name": func(b *Book) string {
			must(b.Remove(pointerOf("b")))
			return "robert"
		},
	} {
		b := newTestBook(t)
		introducedBob(t, b, mustCommit("evil"))
		as := mustName(before(b))
		_, err := b.Add(as, truth, Source{})
		require.ErrorAs(t, err, new(*ContradictionError), name)
		c := must(b.Add(as, truth, Source{ReplacePin: true}))
		require.Equal(t, as, c.Name, name)
		require.Equal(t, commitment("b"), c.Next, name)
		require.Empty(t, c.Contradictions, name)
		n := entries(b)
		must(b.Add(as, truth, Source{ReplacePin: true}))
		must(b.Add(as, truth, Source{}))
		require.Equal(t, n, entries(b), "repeating it changes nothing")
		_, err = b.Add(as, link("b"), Source{ReplacePin: true})
		require.ErrorIs(t, err, ErrNoCommitment, name)
	}
}

// A step that opens only a claim is shown, and the contact advances when the
// owner confirms the claim, or when the contact's own card does.
func TestTheOwnerDecidesOnAStepThatAClaimProves(t *testing.T) {
	steps := chain(unsigned(t, "b", "next b", commitment("next b")))
	for name, decide := range map[string]func(b *Book){
		"owner": func(b *Book) { must(b.Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("next b")})) },
		"card":  func(b *Book) { require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")})) },
	} {
		b := newTestBook(t)
		introducedBob(t, b, commitment("b"))
		require.NoError(t, b.applySuccession(pointerOf("b"), steps, "test"))
		n := entries(b)
		require.NoError(t, b.applySuccession(pointerOf("b"), steps, "test"))
		require.Equal(t, n, entries(b), "stored once")
		require.Equal(t, pointerOf("next b"), must(b.Find("bob")).Unproven)
		decide(b)
		c := must(b.Find("bob"))
		require.Equal(t, pointerOf("next b"), c.Pointer, name)
		require.True(t, c.Unproven.IsZero(), name)
		require.Equal(t, Pin(""), c.Pin, "what comes after needs the owner's act to pin")
		require.NoError(t, b.learnCard(pointerOf("next b"), pointer.Card{Next: mustCommit("evil")}))
		require.Equal(t, Pin(""), must(b.Find("bob")).Pin, name)
	}
}

// The record of a contact is that of its pointer while only a claim proves its
// successor: a step without the old key's signature leads no resolution on.
func TestAClaimLeadsNoResolutionOn(t *testing.T) {
	for name, test := range map[string]struct {
		enter func(*Book)
		step  pointer.Succession
	}{
		"entered, unsigned": {func(b *Book) {
			must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
		}, unsigned(t, "b", "next b", commitment("next b"))},
		"introduced, signed": {func(b *Book) { introducedBob(t, b, commitment("b")) }, step(t, "b")},
	} {
		w := newWorld(t)
		test.enter(w.book)
		w.put("b", &pointer.Card{Successor: pointerOf("next b")}) // a card without a commitment confirms nothing
		w.put("next b", &pointer.Card{Next: commitment("next b"), Succession: chain(test.step)})
		for range 2 {
			res, err := w.resolve("bob")
			require.NoError(t, err, name)
			require.Equal(t, pointerOf("b"), res.Last().Pointer, name)
			require.Equal(t, pointerOf("next b"), res.Last().Unproven, name)
		}
		require.Equal(t, pointerOf("next b"), must(w.book.Find("bob")).Unproven, name)
		_, err := w.book.Confirm(pointerOf("b"), Confirmation{})
		require.ErrorIs(t, err, ErrNothingToConfirm, name)
		must(w.book.Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("next b")}))
		res, err := w.resolve("bob")
		require.NoError(t, err, name)
		require.Equal(t, pointerOf("next b"), res.Last().Pointer, name)
	}
}

// Without anything to believe, Confirm refuses.
func TestConfirmNeedsSomethingToBelieve(t *testing.T) {
	b := newTestBook(t)
	_, err := b.Confirm(pointerOf("b"), Confirmation{})
	require.ErrorIs(t, err, ErrNotFound)
	introducedBob(t, b, mustCommit("evil"))
	n := entries(b)
	_, err = b.Confirm(pointerOf("b"), Confirmation{})
	require.ErrorIs(t, err, ErrNothingToConfirm)
	w := newWorld(t)
	other := w.sign("c", &pointer.Card{Next: commitment("c")})
	_, err = b.Confirm(pointerOf("b"), Confirmation{Card: &other})
	require.ErrorIs(t, err, ErrNothingToConfirm, "the record of another pointer")
	bare := w.sign("b", nil)
	_, err = b.Confirm(pointerOf("b"), Confirmation{Card: &bare})
	require.ErrorIs(t, err, ErrNothingToConfirm)
	require.Equal(t, n, entries(b))
}

// A contact cannot be moved by the owner's decision to another contact's pointer,
// or to the owner's.
func TestConfirmDoesNotMergeContacts(t *testing.T) {
	for to, name := range map[string]string{"me": "", "carol": "carol"} {
		b := newTestBook(t)
		if name != "" {
			must(b.Add(mustName(name), link(to), Source{}))
		}
		introducedBob(t, b, mustCommit(to))
		require.Error(t, b.applySuccession(pointerOf("b"), chain(unsigned(t, "b", to, commitment("x"))), "test"), to)
		require.True(t, must(b.Find("bob")).Unproven.IsZero(), to)
	}
}

// Two decisions that devices made apart are a contradiction of their own, which
// a third decision settles on all devices; its undo brings it back.
func TestDecisionsThatDifferAreShown(t *testing.T) {
	books := testDevices(t, 2)
	introducedBob(t, books[0], mustCommit("x"))
	pull(t, books[1], books[0])
	for i, next := range []pointer.Commitment{commitment("b"), mustCommit("evil")} {
		must(books[i].Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: next}, Source{ReplacePin: true}))
	}
	syncBooks(t, books...)
	for _, b := range books {
		require.Len(t, must(b.Find("bob")).Contradictions, 1)
	}
	must(books[1].Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{ReplacePin: true}))
	syncBooks(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
	for _, b := range books {
		c := must(b.Find("bob"))
		require.Empty(t, c.Contradictions)
		require.Equal(t, commitment("b"), c.Next)
	}
	_, err := books[0].Undo()
	require.ErrorIs(t, err, ErrChanged, "the other device decided after it")
	must(books[1].Undo())
	require.Len(t, must(books[1].Find("bob")).Contradictions, 1)
}

// The cards that a holder of the key signs are recorded up to a bound.
func TestCardsOfAContactAreBounded(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, commitment("b"))
	for i := range 3 * maxCards {
		_ = b.learnCard(pointerOf("b"), pointer.Card{Next: mustCommit(string(rune('A' + i)))})
	}
	cards := 0
	for _, f := range must(b.Find("bob")).Provenance {
		if f.Kind == factCard {
			cards++
		}
	}
	require.Equal(t, maxCards, cards)
}

// An act about pins from another device is bounded and exact.
func TestAnActAboutPinsIsChecked(t *testing.T) {
	fact := &wireFact{Kind: factConfirm, By: byOwner, Channel: "test", Next: commitment("b").Bytes()}
	good := act{Op: opPin, Contact: pointerOf("b").Bytes(), Fact: fact, Pin: newWirePin([]pointer.Commitment{commitment("x")}, nil)}
	_, err := good.encode()
	require.NoError(t, err)
	without := *fact
	without.Next = nil
	many := make([][]byte, maxDiffering+1)
	for i := range many {
		many[i] = commitment("x").Bytes()
	}
	for name, change := range map[string]func(*act){
		"no commitment":       func(a *act) { a.Fact = &without },
		"no pin":              func(a *act) { a.Pin = nil },
		"not a commitment":    func(a *act) { a.Pin = &wirePin{Differs: [][]byte{{1}}, Replaces: []wireEntry{}} },
		"too many":            func(a *act) { a.Pin = &wirePin{Differs: many, Replaces: []wireEntry{}} },
		"a device of 3 bytes": func(a *act) { a.Pin = &wirePin{Differs: [][]byte{}, Replaces: []wireEntry{{Device: []byte{1, 2, 3}}}} },
		"too many replaced":   func(a *act) { a.Pin = &wirePin{Differs: [][]byte{}, Replaces: make([]wireEntry, maxReplaced+1)} },
		"undo with a name":    func(a *act) { *a = act{Op: opUndo, Number: 1, Contact: a.Contact, Name: "bob", Pin: a.Pin} },
		"another op":          func(a *act) { *a = act{Op: opName, Contact: a.Contact, Name: "bob", Pin: a.Pin} },
	} {
		bad := good
		change(&bad)
		_, err := bad.encode()
		require.Error(t, err, name)
	}
}

// A true link that the owner enters agrees with the card, and settles a third
// party's contradiction.
func TestALinkThatAgreesWithTheCardSettlesAThirdPartysClaim(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("evil"))
	require.ErrorAs(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}), new(*ContradictionError))
	require.Len(t, must(b.Find("bob")).Contradictions, 1)
	c := must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
	require.Empty(t, c.Contradictions)
	require.Equal(t, commitment("b"), c.Next)
	require.Equal(t, Confirmed, c.Pin)
}

// The attack: a thief of a retired key shows its cards. They are not recorded, so
// they contradict nothing.
func TestACardOfARetiredKeyContradictsNothing(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	n := entries(b)
	require.NoError(t, b.learnCard(pointerOf("a"), pointer.Card{Next: mustCommit("thief")}))
	require.Equal(t, n, entries(b))
	require.Empty(t, must(b.byName(mustName("alice"))).Contradictions)
}

// A contradiction at an earlier pointer leaves no pin at the current one, and is
// settled with it.
func TestConfirmSettlesEarlierPointers(t *testing.T) {
	books := testDevices(t, 2)
	must(books[0].Add(mustName("alice"), link("a"), Source{}))
	pull(t, books[1], books[0])
	require.NoError(t, books[0].learnCard(pointerOf("a"), pointer.Card{Next: commitment("a")}))
	require.NoError(t, books[0].applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	require.NoError(t, books[1].learnCard(pointerOf("a"), pointer.Card{Next: mustCommit("thief")}))
	syncBooks(t, books...)
	c := must(books[1].byName(mustName("alice")))
	require.Len(t, c.Contradictions, 1)
	require.Equal(t, pointerOf("next a"), c.Pointer)
	require.True(t, c.Next.IsZero())
	n := entries(books[1])
	_, err := books[1].Confirm(pointerOf("a"), Confirmation{})
	require.ErrorAs(t, err, new(*DuplicityError), "the key signed two: the owner names one")
	require.Equal(t, n, entries(books[1]))
	must(books[1].Confirm(pointerOf("a"), Confirmation{Next: mustCommit("thief")}))
	require.Equal(t, pointerOf("a"), must(books[1].byName(mustName("alice"))).Pointer)
	must(books[1].Undo())
	must(books[1].Confirm(pointerOf("a"), Confirmation{Next: commitment("a")}))
	require.Equal(t, pointerOf("next a"), must(books[1].byName(mustName("alice"))).Pointer)
	must(books[1].Undo())
	must(books[1].Confirm(pointerOf("a"), Confirmation{Successor: pointerOf("next a")}))
	syncBooks(t, books...)
	for _, b := range books {
		c := must(b.byName(mustName("alice")))
		require.Empty(t, c.Contradictions)
		require.Equal(t, pointerOf("next a"), c.Pointer)
		require.Equal(t, commitment("next a"), c.Next)
	}
}

// A confirmed claim does not move a contact to a pointer that became another
// contact's since.
func TestConfirmAdvancesToNoOtherContact(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, mustCommit("c"))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(unsigned(t, "b", "c", commitment("c"))), "test"))
	require.Equal(t, pointerOf("c"), must(b.Find("bob")).Unproven)
	must(b.Add(mustName("carol"), link("c"), Source{}))
	n := entries(b)
	_, err := b.Confirm(pointerOf("b"), Confirmation{Successor: pointerOf("c")})
	require.ErrorAs(t, err, new(*ConflictError))
	require.Equal(t, n, entries(b))
}

// A third party's claim about a contact with a confirmed pin is stored with its
// source, and changes nothing.
func TestAFalseClaimOfAConfirmedContactIsKept(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, addAll(b, []Naming{{mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: mustCommit("evil")},
		Source{Kind: string(Introduced), By: pointerOf("eve").String()}}}))
	c := must(b.byName(mustName("alice")))
	require.Equal(t, commitment("a"), c.Next)
	require.Equal(t, Confirmed, c.Pin)
	require.Empty(t, c.Contradictions)
	require.Equal(t, mustCommit("evil"), c.Provenance[len(c.Provenance)-1].Next)
}

// A commitment that both keys signed is confirmed: a lost key after it is
// followed, also when its card has no commitment.
func TestASignedStepConfirmsTheNextOne(t *testing.T) {
	w := newWorld(t)
	confirmedAlice(t, w.book)
	w.put("a", &pointer.Card{Successor: pointerOf("next a")})
	w.put("next a", &pointer.Card{Successor: pointerOf("next next a"), Succession: chain(step(t, "a"))})
	w.put("next next a", &pointer.Card{Succession: chain(unsigned(t, "next a", "next next a", commitment("next next a")))})
	res, err := w.resolve("alice")
	require.NoError(t, err)
	require.Equal(t, pointerOf("next next a"), res.Last().Pointer)
	require.Equal(t, pointerOf("next next a"), must(w.book.byName(mustName("alice"))).Pointer)
}

// Of a contact whose key signed steps to two successors, the owner has followed the one, and has
// given the other one a name. A decision for the other one by its commitment moves no contact onto
// that name: neither could be resolved.
func TestADecisionAboutAnEarlierPointerMovesNoContactOntoAnother(t *testing.T) {
	books := testDevices(t, 2)
	b := books[0]
	must(b.Add(mustName("bob"), link("b"), Source{}))
	syncBooks(t, books...)
	require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")}))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "t"))
	require.NoError(t, books[1].learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")}))
	require.NoError(t, books[1].applySuccession(pointerOf("b"), chain(stepTo(t, "b", "evil", commitment("evil"))), "t"))
	syncBooks(t, books...)
	c := must(b.Confirm(pointerOf("b"), Confirmation{Next: commitment("b")}))
	require.Equal(t, pointerOf("next b"), c.Pointer)
	must(b.Add(mustName("mallory"), pointer.Link{Pointer: pointerOf("evil")}, Source{}))
	n := entries(b)
	_, err := b.Confirm(pointerOf("b"), Confirmation{Next: mustCommit("evil")})
	require.ErrorAs(t, err, new(*ConflictError))
	require.Equal(t, n, entries(b))
	require.Equal(t, pointerOf("next b"), must(b.Find("bob")).Pointer)
	require.Equal(t, pointerOf("evil"), must(b.Find("mallory")).Pointer)
}
