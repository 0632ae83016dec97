package petname

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// step is the honest succession of one of the test keys: the key "next a"
// follows "a", and commits to "next next a".
func step(t tb, seed string) pointer.Succession {
	t.Helper()
	return stepTo(t, seed, "next "+seed, commitment("next "+seed))
}

func stepTo(t tb, old, next string, commits pointer.Commitment) pointer.Succession {
	t.Helper()
	s, err := pointer.Succeed(pointerOf(old), testKey(next), commits, testKey(old))
	require.NoError(t, err)
	return s
}

func chain(steps ...pointer.Succession) []pointer.Succession { return steps }

// pinnedAlice has the book know alice by a link with its commitment.
func pinnedAlice(t *testing.T, b *Book) {
	t.Helper()
	_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{})
	require.NoError(t, err)
}

// confirmedAlice has the book know alice by a link and by her card, which agrees
// with it.
func confirmedAlice(t *testing.T, b *Book) {
	t.Helper()
	pinnedAlice(t, b)
	require.NoError(t, b.learnCard(pointerOf("a"), pointer.Card{Next: commitment("a")}))
}

// A contact moves with its keys: name, history, edges and the way back from the
// old pointer stay.
func TestAContactAdvancesToTheKeyItCommittedTo(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	_, err := b.SharePublic(pointerOf("a"), mustName("al"))
	require.NoError(t, err)
	two := chain(step(t, "a"), step(t, "next a"))
	require.NoError(t, b.applySuccession(pointerOf("a"), two, "test"))
	last := pointerOf("next next a")

	for _, text := range []string{"alice", pointerOf("a").String(), pointerOf("next a").String(), last.String()} {
		c, err := b.Find(text)
		require.NoError(t, err, text)
		require.Equal(t, mustName("alice"), c.Name)
		require.Equal(t, pointerOf("a"), c.ID)
		require.Equal(t, last, c.Pointer)
		require.Equal(t, commitment("next next a"), c.Next)
		require.Len(t, c.Provenance, 2)
		require.Equal(t, "succession", c.Provenance[1].Kind)
		require.Equal(t, last, c.Provenance[1].Pointer)
	}
	p, err := b.Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, last, p)
	public, err := PublishableEdges(b.Edges())
	require.NoError(t, err)
	require.Equal(t, map[string]pointer.Edge{"al": {Pointer: last, Next: commitment("next next a")}}, public)

	n := entries(b)
	require.NoError(t, b.applySuccession(pointerOf("a"), two, "test"), "known already")
	require.NoError(t, b.applySuccession(pointerOf("next a"), two[1:], "test"))
	require.Equal(t, n, entries(b))

	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, view, dump(t, b))

	// What is known of each pointer is compared with what was pinned for it.
	for seed, next := range map[string]pointer.Commitment{"a": commitment("a"), "next a": commitment("next a"), "next next a": commitment("next next a")} {
		c, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf(seed), Next: next}, Source{})
		require.NoError(t, err)
		require.Equal(t, last, c.Pointer)
	}
	for seed, next := range map[string]pointer.Commitment{"next a": commitment("next a"), "next next a": commitment("next next a")} {
		_, err = b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf(seed), Next: commitment("thief")}, Source{})
		var differs *ContradictionError
		require.ErrorAs(t, err, &differs)
		require.Equal(t, next, differs.Claims[0].Next)
	}
	_, err = b.Add(mustName("alice"), link("another"), Source{})
	require.Equal(t, &TakenError{mustName("alice"), last}, err, "the current pointer")
	_, err = b.Add(mustName("alice two"), pointer.Link{Pointer: last}, Source{})
	require.Equal(t, &NamedError{mustName("alice"), last}, err)

	c, err := b.Rename(last, mustName("Alice"), Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), c.ID)
	c, err = b.Remove(pointerOf("next a"))
	require.NoError(t, err)
	require.False(t, c.Removed.IsZero())
	public, err = PublishableEdges(b.Edges())
	require.NoError(t, err)
	require.Empty(t, public)
	c, err = b.Add(mustName("alice"), pointer.Link{Pointer: last}, Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), c.ID)
}

// The attack: a holder of the current key, of the next one, or of none, states
// a successor. No contact advances, and nothing is written.
func TestAStepThatOpensNoPinnedCommitmentAdvancesNoContact(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	_, err := b.Add(mustName("bob"), link("b"), Source{}) // nothing pinned
	require.NoError(t, err)
	unsigned := step(t, "a")
	unsigned.NewSignature = make([]byte, 64)
	view, n := dump(t, b), entries(b)
	for name, steps := range map[string][]pointer.Succession{
		"by the old key alone":           chain(stepTo(t, "a", "thief", commitment("thief"))),
		"unsigned by the new key":        chain(unsigned),
		"on from the true key, unopened": chain(step(t, "a"), stepTo(t, "next a", "thief", commitment("thief"))),
		"in a circle":                    chain(step(t, "a"), stepTo(t, "next a", "a", commitment("a"))),
	} {
		var succession *SuccessionError
		require.ErrorAs(t, b.applySuccession(pointerOf("a"), steps, "test"), &succession, name)
		require.Equal(t, pointerOf("a"), succession.Pointer)
	}
	// No succession counts for a pointer without a pinned commitment or outside
	// of the book.
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "test"))
	require.NoError(t, b.applySuccession(pointerOf("c"), chain(step(t, "c")), "test"))
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "c")), "test"))
	require.NoError(t, b.applySuccession(pointerOf("a"), nil, "test"))
	require.Equal(t, n, entries(b))
	require.Equal(t, view, dump(t, b))
}

// A contact that commits to the owner's key cannot advance to it.
func TestNoContactAdvancesToTheOwnersPointer(t *testing.T) {
	b := newTestBook(t)
	_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: mustCommit("me")}, Source{})
	require.NoError(t, err)
	require.ErrorIs(t, b.applySuccession(pointerOf("a"), chain(stepTo(t, "a", "me", commitment("me"))), "test"), ErrOwnPointer)
}

// A new key that commits to two next ones is caught, on one device at once, and
// on two when they meet, which are of one mind then.
func TestTwoSuccessionsAreDuplicity(t *testing.T) {
	books := testDevices(t, 2)
	pinnedAlice(t, books[0])
	pull(t, books[1], books[0])
	one, other := step(t, "a"), stepTo(t, "a", "next a", commitment("other"))
	require.NoError(t, books[0].applySuccession(pointerOf("a"), chain(one), "test"))
	want := &DuplicityError{pointerOf("next a"), commitment("next a"), commitment("other")}
	require.Equal(t, want, books[0].applySuccession(pointerOf("a"), chain(other), "test"))
	require.Equal(t, want, books[0].learnCard(pointerOf("next a"), pointer.Card{Next: commitment("other")}))

	require.NoError(t, books[1].applySuccession(pointerOf("a"), chain(other), "test"))
	syncBooks(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
	for _, b := range books {
		c, err := b.byName(mustName("alice"))
		require.NoError(t, err)
		require.NotEmpty(t, c.Contradictions)
		require.Equal(t, pointerOf("next a"), c.Pointer, "the key is proven, and neither of the two after it")
		require.True(t, c.Next.IsZero())
		require.Len(t, c.Provenance, 4, "the evidence is kept")
		_, err = b.Resolve(t.Context(), &dht.Resolver{}, "alice", dht.LevelAny)
		require.ErrorAs(t, err, new(*DuplicityError))
		checkBijection(t, b, []string{"alice"})
	}
}

// A contact that was named before and after a rotation, on one device or on
// two, has two names: a conflict, which removing one of them resolves.
func TestAContactThatAdvancesToAnotherContactIsAConflict(t *testing.T) {
	for _, keep := range []string{"a", "next a"} {
		books := testDevices(t, 2)
		pinnedAlice(t, books[0])
		pull(t, books[1], books[0])
		_, err := books[1].Add(mustName("alice two"), link("next a"), Source{})
		require.NoError(t, err)

		n := entries(books[1])
		var conflict *ConflictError
		require.ErrorAs(t, books[1].applySuccession(pointerOf("a"), chain(step(t, "a")), "test"), &conflict)
		require.Len(t, conflict.Contacts, 2)
		require.Equal(t, n, entries(books[1]))

		require.NoError(t, books[0].applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
		syncBooks(t, books...)
		require.Equal(t, dump(t, books[0]), dump(t, books[1]))
		b := books[0]
		for _, name := range []string{"alice", "alice two"} {
			_, err := b.Lookup(mustName(name))
			require.ErrorAs(t, err, &conflict, name)
			require.Len(t, conflict.Contacts, 1)
			require.Len(t, conflict.Contacts[0].Conflict.Pointers, 1)
		}
		require.Len(t, contacts(t, b), 2)
		_, err = b.Add(mustName("alice"), link("next a"), Source{})
		require.ErrorAs(t, err, &conflict, "naming picks neither")
		public, err := PublishableEdges(b.Edges())
		require.NoError(t, err)
		require.Empty(t, public)

		gone := map[string]string{"a": "next a", "next a": "a"}[keep]
		_, err = b.Remove(pointerOf(gone))
		require.NoError(t, err)
		c, err := b.ByPointer(pointerOf("next a"))
		require.NoError(t, err)
		require.Nil(t, c.Conflict)
		require.Equal(t, pointerOf(keep), c.ID)
		require.Equal(t, pointerOf("next a"), c.Pointer)
		p, err := b.Lookup(c.Name)
		require.NoError(t, err)
		require.Equal(t, c.Pointer, p)
		checkBijection(t, b, []string{"alice", "alice two"})

		_, err = b.Undo() // and it is a conflict again
		require.NoError(t, err)
		require.Len(t, contacts(t, b), 2)
		_, err = b.Lookup(c.Name)
		require.ErrorAs(t, err, &conflict)
	}
}

// Nor does taking a removal back put two contacts at one pointer.
func TestUndoRestoresNoContactAtThePointerOfAnother(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	_, err := b.Add(mustName("alice two"), link("next a"), Source{})
	require.NoError(t, err)
	_, err = b.Remove(pointerOf("next a"))
	require.NoError(t, err)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	_, err = b.Undo()
	require.ErrorAs(t, err, new(*ConflictError))
	p, err := b.Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), p)
}

// Forgetting the link that pinned the commitment forgets what rested on it.
func TestUndoOfThePinUndoesTheAdvance(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	_, err := b.Undo()
	require.NoError(t, err)
	_, err = b.Lookup(mustName("alice"))
	require.ErrorIs(t, err, ErrNotFound)
	c, err := b.Add(mustName("anna"), link("a"), Source{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), c.Pointer)
	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, view, dump(t, b))
}

// The owner's succession must be signed and in order; earlier pointers of the
// owner stay the owner's, and are refused as contacts.
func TestEarlierPointersOfTheOwnerStayTheOwners(t *testing.T) {
	b := newTestBook(t)
	for name, steps := range map[string][]pointer.Succession{
		"from another": chain(step(t, "a")),
		"with a gap":   chain(step(t, "me"), step(t, "next next me")),
		"unsigned":     chain(func() pointer.Succession { s := step(t, "me"); s.NewSignature = make([]byte, 64); return s }()),
	} {
		require.ErrorAs(t, b.SetOwnSuccession(steps, pointer.Commitment{}), new(*SuccessionError), name)
		require.Equal(t, pointerOf("me"), b.Identity())
	}
	require.NoError(t, b.SetOwnSuccession(chain(step(t, "me"), step(t, "next me")), pointer.Commitment{}))
	require.Equal(t, pointerOf("next next me"), b.Identity())
	for _, seed := range []string{"me", "next me", "next next me"} {
		_, err := b.Add(mustName("myself"), link(seed), Source{})
		require.ErrorIs(t, err, ErrOwnPointer, seed)
	}
}

// A book that was created after a recovery is younger than the owner's first key. Its
// succession starts before the identity that created it, and has to include it.
func TestABookOfARecoveredIdentityKnowsTheKeysBefore(t *testing.T) {
	b := newTestBook(t)
	require.ErrorAs(t, b.SetOwnSuccession(chain(stepTo(t, "lost", "other", commitment("other"))), pointer.Commitment{}), new(*SuccessionError))
	require.Equal(t, pointerOf("me"), b.Identity())
	lost := stepTo(t, "lost", "me", commitment("me"))
	require.NoError(t, b.SetOwnSuccession(chain(lost), pointer.Commitment{}))
	require.Equal(t, pointerOf("me"), b.Identity())
	require.NoError(t, b.ReserveSequence(Published{Value: "/ipfs/bafkqaaa", Sequence: 3}))
	require.NoError(t, b.SetOwnSuccession(chain(lost, step(t, "me")), pointer.Commitment{}))
	require.Equal(t, pointerOf("next me"), b.Identity())
	for _, seed := range []string{"lost", "me", "next me"} {
		_, err := b.Add(mustName("myself"), link(seed), Source{})
		require.ErrorIs(t, err, ErrOwnPointer, seed)
	}
	p, err := b.Published()
	require.NoError(t, err)
	require.Equal(t, Published{Value: "/ipfs/bafkqaaa"}, p)
	require.NoError(t, b.ReserveSequence(Published{Sequence: 1}))
}

// The attack: a contact commits to a retired key of bob that it stole, and
// advances to it. A look-up of bob's old pointer would return the thief.
func TestNoContactAdvancesToAnEarlierPointerOfAnother(t *testing.T) {
	b := newTestBook(t)
	_, err := b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{})
	require.NoError(t, err)
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b"), step(t, "next b")), "test"))
	for i := range 8 { // some before bob in the order of pointers, some after
		seed, name := fmt.Sprint("eve ", i), mustName(fmt.Sprint("eve ", i))
		_, err := b.Add(name, pointer.Link{Pointer: pointerOf(seed), Next: mustCommit("next b")}, Source{})
		require.NoError(t, err)
		for _, steps := range [][]pointer.Succession{
			chain(stepTo(t, seed, "next b", commitment("thief"))),
			chain(stepTo(t, seed, "next b", mustCommit("thief")), stepTo(t, "next b", "thief", commitment("thief"))),
		} {
			var conflict *ConflictError
			require.ErrorAs(t, b.applySuccession(pointerOf(seed), steps, "test"), &conflict)
		}
		for _, old := range []string{"b", "next b", "next next b"} {
			c, err := b.ByPointer(pointerOf(old))
			require.NoError(t, err)
			require.Equal(t, mustName("bob"), c.Name)
			require.Equal(t, pointerOf("next next b"), c.Pointer)
		}
		p, err := b.Lookup(name)
		require.NoError(t, err)
		require.Equal(t, pointerOf(seed), p)
	}
}

// The attack: a malicious device advances more contacts to one pointer than are
// listed. None of their names resolves, on any device, in any order of sync;
// when only one is left, its name resolves.
func TestMoreContactsAtOnePointerThanAreListedAreInConflict(t *testing.T) {
	const n = maxRivals + 6
	books := testDevices(t, 2)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("one of many ", i)
	}
	slices.SortFunc(ids, func(a, b string) int { return bytes.Compare(pointerOf(a).Bytes(), pointerOf(b).Bytes()) })
	var namings []Naming
	for _, id := range ids {
		namings = append(namings, Naming{mustName(id), pointer.Link{Pointer: pointerOf(id), Next: mustCommit("all")}, Source{}})
	}
	require.NoError(t, addAll(books[0], namings))
	pull(t, books[1], books[0])
	move := func(b *Book, ids []string) {
		for _, id := range ids {
			evidence, err := pointer.EncodeSuccession(chain(stepTo(t, id, "all", commitment("all"))))
			require.NoError(t, err)
			require.NoError(t, b.update(func(tx *ledger.Tx) error {
				return appendAct(tx, act{Op: opAdvance, Contact: pointerOf(id).Bytes(), Fact: &wireFact{Kind: "succession"}, Chain: evidence})
			}))
		}
	}
	move(books[0], ids[n/2:])
	move(books[1], ids[:n/2])
	syncBooks(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
	for _, id := range ids {
		_, err := books[0].Lookup(mustName(id))
		require.ErrorAs(t, err, new(*ConflictError))
	}
	for _, id := range ids[:n-1] {
		_, err := books[0].Remove(pointerOf(id))
		require.NoError(t, err)
	}
	checkBijection(t, books[0], ids)
	p, err := books[0].Lookup(mustName(ids[n-1]))
	require.NoError(t, err)
	require.Equal(t, pointerOf("all"), p)
	pull(t, books[1], books[0])
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
}

// unsigned is a step that the old key didn't sign: it is lost, or not the
// speaker's.
func unsigned(t tb, old, next string, commits pointer.Commitment) pointer.Succession {
	t.Helper()
	s, err := pointer.Succeed(pointerOf(old), testKey(next), commits, nil)
	require.NoError(t, err)
	return s
}

// The attack: alice rotated from a to b to c; a thief has the retired b, and
// states to books that only know a that b committed to a key of the thief. They
// advance to b at most, show the thief's key as unproven, and later advance
// along alice's own chain.
func TestAThiefOfARetiredKeyAdvancesNoContact(t *testing.T) {
	honest := chain(step(t, "a"), step(t, "next a"))
	forged := chain(unsigned(t, "a", "next a", mustCommit("thief")), stepTo(t, "next a", "thief", commitment("thief")))
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.ErrorAs(t, b.applySuccession(pointerOf("a"), forged, "test"), new(*SuccessionError))
	require.NoError(t, b.applySuccession(pointerOf("a"), forged[:1], "test"))
	c, err := b.byName(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), c.Pointer)
	require.True(t, c.Next.IsZero())

	// The thief's cards pin nothing there, and so advance no contact.
	require.NoError(t, b.learnCard(pointerOf("next a"), pointer.Card{Next: mustCommit("thief")}))
	require.NoError(t, b.applySuccession(pointerOf("next a"), forged[1:], "test"))
	w := newWorld(t)
	w.book = b
	w.put("next a", &pointer.Card{Next: mustCommit("thief"), Succession: forged})
	res, err := w.resolve("alice")
	require.NoError(t, err)
	require.Equal(t, pointerOf("thief"), res.Last().Unproven)
	require.Equal(t, pointerOf("next a"), res.Last().Pointer)

	// Alice's own chain does, whichever comes first.
	require.NoError(t, b.applySuccession(pointerOf("a"), honest, "test"))
	early := newTestBook(t)
	confirmedAlice(t, early)
	require.NoError(t, early.applySuccession(pointerOf("a"), honest, "test"))
	require.ErrorAs(t, early.applySuccession(pointerOf("next a"), forged, "test"), new(*SuccessionError))
	require.NoError(t, early.applySuccession(pointerOf("a"), forged[:1], "test"))
	for _, b := range []*Book{b, early} {
		c, err := b.byName(mustName("alice"))
		require.NoError(t, err)
		require.Equal(t, pointerOf("next next a"), c.Pointer)
		require.Equal(t, commitment("next next a"), c.Next)
		require.Empty(t, c.Contradictions)
	}
}

// A contact whose old key is lost is followed for one step, and further after a
// new link from the contact.
func TestALostKeyIsFollowedByOneStep(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(unsigned(t, "a", "next a", commitment("next a"))), "test"))
	require.NoError(t, b.applySuccession(pointerOf("next a"), chain(step(t, "next a")), "test"), "nothing is known to prove it")
	p, err := b.Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("next a"), p)
	_, err = b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("next a"), Next: commitment("next a")}, Source{})
	require.NoError(t, err)
	require.NoError(t, b.applySuccession(pointerOf("next a"), chain(step(t, "next a")), "test"))
	p, err = b.Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("next next a"), p)
}

// The attack: a thief of the old key shows another device, which pinned nothing, a
// card of his. When the devices meet it is duplicity, and the proven move stands:
// the name doesn't go back to the stolen key.
func TestDuplicityRevertsNoProvenAdvance(t *testing.T) {
	books := testDevices(t, 2)
	_, err := books[0].Add(mustName("alice"), link("a"), Source{})
	require.NoError(t, err)
	pull(t, books[1], books[0])
	require.NoError(t, books[0].learnCard(pointerOf("a"), pointer.Card{Next: commitment("a")}))
	require.NoError(t, books[0].applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	require.NoError(t, books[1].learnCard(pointerOf("a"), pointer.Card{Next: mustCommit("thief")}))
	syncBooks(t, books...)
	for _, b := range books {
		p, err := b.Lookup(mustName("alice"))
		require.NoError(t, err)
		require.Equal(t, pointerOf("next a"), p)
		c, err := b.byName(mustName("alice"))
		require.NoError(t, err)
		require.NotEmpty(t, c.Contradictions)
	}
	// With the thief's own step there are two next keys, and neither is taken.
	require.NoError(t, books[1].update(func(tx *ledger.Tx) error {
		evidence, err := pointer.EncodeSuccession(chain(stepTo(t, "a", "thief", commitment("thief"))))
		require.NoError(t, err)
		return appendAct(tx, act{Op: opAdvance, Contact: pointerOf("a").Bytes(), Chain: evidence,
			Fact: &wireFact{Kind: factSuccession, By: "a lying device", Channel: "test"}})
	}))
	syncBooks(t, books...)
	require.Equal(t, dump(t, books[0]), dump(t, books[1]))
	p, err := books[0].Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("a"), p)
}
