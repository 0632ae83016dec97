package petname

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// bobWith is a link to bob with a commitment.
func bobWith(next pointer.Commitment) pointer.Link {
	return pointer.Link{Pointer: pointerOf("b"), Next: next}
}

func replacesPin(next pointer.Commitment) func(*Book) {
	return func(b *Book) { must(b.Add(mustName("bob"), bobWith(next), Source{ReplacePin: true})) }
}

// repairedBob repairs a fork in which mine is lost, and returns bob in the book of the new device
// and the result.
func repairedBob(t *testing.T, before, mine, theirs func(*Book), decide func(ReentryConflict) (bool, error)) (Contact, Reentry) {
	t.Helper()
	for n := range 64 {
		f := newFork(t, lawtest.FastDir(t), before)
		must(f.one.Add(mustName("x"), link(fmt.Sprint("other ", n)), Source{}))
		mine(f.two)
		theirs(f.third)
		if !f.meet(t) || f.lost != f.two {
			f.close(t)
			continue
		}
		b, out := f.repaired(t, "new", decide)
		c := must(b.ByID(pointerOf("b")))
		require.NoError(t, b.Close())
		f.close(t)
		return c, out
	}
	require.Fail(t, "the second copy counts each time")
	return Contact{}, Reentry{}
}

func addedBob(next pointer.Commitment) func(*Book) {
	return func(b *Book) { must(b.Add(mustName("bob"), bobWith(next), Source{})) }
}

// A decision about a next key that a lost branch has rejects what it rejected, and nothing that
// its owner did not see: what another device has learned contradicts it, as after a merge.
func TestADecisionEnteredAnewRejectsOnlyWhatItRejected(t *testing.T) {
	for name, theirs := range map[string]func(*Book){
		"a card": func(b *Book) { require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")})) },
		"a pairing": func(b *Book) {
			must(b.Add(mustName("bob"), bobWith(commitment("b")), Source{Kind: string(Paired), Channel: "test"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, out := repairedBob(t, addedBob(pointer.Commitment{}), replacesPin(mustCommit("evil")), theirs, nil)
			require.Empty(t, out.Conflicts)
			require.Len(t, c.Contradictions, 1, "the confirmed commitment is compared, and not rejected")
			require.Empty(t, c.Pin)
			require.Empty(t, c.Rejected)
		})
	}
	c, out := repairedBob(t, addedBob(commitment("b")), replacesPin(mustCommit("evil")), func(*Book) {}, nil)
	require.Empty(t, out.Conflicts)
	require.Empty(t, c.Contradictions)
	require.Equal(t, mustCommit("evil"), c.Next, "what it rejected counts no more")
}

// A decision that another device made, and that the lost one did not see, is a conflict.
func TestADecisionEnteredAnewReplacesNoneThatItDidNotSee(t *testing.T) {
	for _, mine := range []bool{false, true} {
		asked := 0
		c, out := repairedBob(t, addedBob(pointer.Commitment{}), replacesPin(mustCommit("evil")), replacesPin(commitment("b")), func(c ReentryConflict) (bool, error) {
			asked++
			require.Equal(t, ReentryChanged, c.Reason)
			return mine, nil
		})
		require.Equal(t, 1, asked)
		if mine {
			require.Empty(t, out.Conflicts)
			require.Equal(t, mustCommit("evil"), c.Next)
			continue
		}
		require.Len(t, out.Conflicts, 1)
		require.Equal(t, "pin", out.Conflicts[0].Op)
		require.Equal(t, commitment("b"), c.Next)
	}
}

// What a lost branch decided or learned about a next key moves no contact to the pointer that
// another device gave another contact: it is left out, and listed with that contact.
func TestNothingEnteredAnewMovesAContactOntoAnother(t *testing.T) {
	paired := func(b *Book) {
		id, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("b"), Next: commitment("b"), Channel: "link", Evidence: []byte("transcript")})
		require.NoError(t, err)
		must(b.Accept(id, mustName("bob"), Acceptance{}))
	}
	for name, mine := range map[string]func(*Book){
		"a replacement":  replacesPin(commitment("b")),
		"a confirmation": func(b *Book) { confirmBob(t, b) },
		"a card":         func(b *Book) { require.NoError(t, b.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b")})) },
		"a pairing":      paired,
		"a pairing under another name": func(b *Book) {
			must(b.Rename(pointerOf("b"), mustName("robert"), Source{}))
			must(b.Add(mustName("robert"), bobWith(commitment("b")), Source{Kind: string(Paired), Channel: "test", ReplacePin: true}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, out := repairedBob(t, func(b *Book) { introducedBob(t, b, commitment("b")) }, mine, func(b *Book) {
				require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "test"))
				must(b.Add(mustName("carol"), link("next b"), Source{}))
			}, func(ReentryConflict) (bool, error) { return true, nil })
			require.Equal(t, pointerOf("b"), c.Pointer)
			require.Nil(t, c.Conflict)
			require.NotEmpty(t, out.Conflicts)
			for _, left := range out.Conflicts {
				require.Equal(t, ReentryChanged, left.Reason)
				require.Equal(t, pointerOf("b"), left.Contact)
				require.Equal(t, pointerOf("next b"), left.Other)
				require.Equal(t, "carol", left.Theirs)
			}
		})
	}
}

// confirmBob confirms the next key of bob by his card.
func confirmBob(t *testing.T, b *Book) {
	t.Helper()
	card := newWorld(t).sign("b", &pointer.Card{Next: commitment("b")})
	must(b.Confirm(pointerOf("b"), Confirmation{Card: &card}))
}

// Of the decisions of a lost branch the last one counts, also if it repeats an earlier one.
func TestDecisionsAreEnteredAnewInTheirOrder(t *testing.T) {
	c, out := repairedBob(t, addedBob(pointer.Commitment{}), func(b *Book) {
		replacesPin(commitment("b"))(b)
		replacesPin(mustCommit("evil"))(b)
		replacesPin(commitment("b"))(b)
	}, func(*Book) {}, nil)
	require.Equal(t, commitment("b"), c.Next)
	require.Empty(t, out.Conflicts)
	require.Empty(t, c.Contradictions)
}

// A decision over more commitments than an act has room for is entered as a whole.
func TestALargeDecisionIsEnteredAnew(t *testing.T) {
	many := maxDiffering + 6
	c, _ := repairedBob(t, func(b *Book) {
		addedBob(pointer.Commitment{})(b)
		for i := range many {
			require.NoError(t, b.update(func(tx *ledger.Tx) error {
				return appendAct(tx, act{Op: opLearn, Contact: pointerOf("b").Bytes(), Fact: Source{}.fact(bobWith(mustCommit(fmt.Sprint("claim ", i))))})
			}))
		}
	}, replacesPin(commitment("b")), func(*Book) {}, nil)
	require.Empty(t, c.Contradictions)
	require.Equal(t, commitment("b"), c.Next)
}

// A step that the old key signed is on record after a repair, or listed.
func TestNoStepOfALostBranchDisappears(t *testing.T) {
	c, out := repairedBob(t, addedBob(commitment("b")),
		func(b *Book) { require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "test")) },
		func(b *Book) { _ = b.learnCard(pointerOf("b"), pointer.Card{Next: mustCommit("evil")}) }, nil) // a contradiction
	require.Equal(t, c.ID, c.Pointer)
	require.Len(t, out.Conflicts, 1)
	require.Equal(t, "advance", out.Conflicts[0].Op)
	require.Equal(t, ReentryContradiction, out.Conflicts[0].Reason)
	c, out = repairedBob(t, addedBob(commitment("b")),
		func(b *Book) { require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "test")) },
		func(b *Book) { require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "test")) }, nil)
	require.NotEqual(t, c.ID, c.Pointer)
	require.Empty(t, out.Conflicts, "the book has it")
}

// For any acts about the keys of a contact on a copy that is lost and on another device: a
// repair leads to the pins and the pointer that a merge of two devices leads to, or lists a
// conflict, or shows a contradiction.
func TestLawARepairPinsWhatAMergePins(t *testing.T) {
	newDir := rapidDirs(t)
	evil := mustCommit("evil")
	type do func(*Book) error
	card := func(n pointer.Commitment) do {
		return func(b *Book) error { return b.learnCard(pointerOf("b"), pointer.Card{Next: n}) }
	}
	added := func(n pointer.Commitment, s Source) do {
		return func(b *Book) error { _, err := b.Add(mustName("bob"), bobWith(n), s); return err }
	}
	moved := func(s ...pointer.Succession) do {
		return func(b *Book) error { return b.applySuccession(pointerOf("b"), chain(s...), "test") }
	}
	confirm := func(c Confirmation) do {
		return func(b *Book) error { _, err := b.Confirm(pointerOf("b"), c); return err }
	}
	acts := map[string]do{
		"add": added(commitment("b"), Source{}), "add evil": added(evil, Source{}),
		"replace": added(commitment("b"), Source{ReplacePin: true}), "replace by evil": added(evil, Source{ReplacePin: true}),
		"card": card(commitment("b")), "card of evil": card(evil),
		"step": moved(step(t, "b")), "step to evil": moved(stepTo(t, "b", "evil", commitment("evil"))), "unsigned step to evil": moved(unsigned(t, "b", "evil", commitment("evil"))),
		"confirm": confirm(Confirmation{Next: commitment("b")}), "confirm evil": confirm(Confirmation{Next: evil}), "confirm the successor evil": confirm(Confirmation{Successor: pointerOf("evil")}),
		"pair":   added(commitment("b"), Source{Kind: string(Paired), Channel: "test"}),
		"rename": func(b *Book) error { _, err := b.Rename(pointerOf("b"), mustName("robert"), Source{}); return err },
	}
	texts := slices.Sorted(maps.Keys(acts))
	befores := map[string]do{"bare": added(pointer.Commitment{}, Source{}), "link": added(commitment("b"), Source{}), "false link": added(evil, Source{})}
	state := func(b *Book) string {
		c, err := b.ByID(pointerOf("b"))
		require.NoError(t, err)
		return fmt.Sprint(c.Pointer, c.step(pointerOf("b")), c.Unproven, len(c.Contradictions), len(c.Rejected))
	}
	compared, listed := 0, 0
	lawtest.Check(t, 60, func(rt *rapid.T) {
		several := rapid.SliceOfN(rapid.SampledFrom(texts), 1, 3)
		before := befores[rapid.SampledFrom([]string{"bare", "link", "false link"}).Draw(rt, "before")]
		mine, theirs := several.Draw(rt, "mine"), several.Draw(rt, "theirs")
		run := func(b *Book, all []string) {
			for _, text := range all {
				if err := acts[text](b); err != nil {
					require.Truef(rt, documented(err) || strings.Contains(err.Error(), ErrNothingToConfirm.Error()), "%s: %v", text, err)
				}
			}
		}
		first := func(b *Book) { require.NoError(rt, before(b)) }
		f := newFork(rt, newDir(rt), first)
		defer f.close(rt)
		must(f.one.Add(mustName("x"), link(fmt.Sprint(rapid.IntRange(0, 1<<20).Draw(rt, "other"))), Source{}))
		run(f.two, mine)
		run(f.third, theirs)
		if !f.meet(rt) || f.lost != f.two {
			return
		}
		b, out := f.repaired(rt, "new", nil)
		defer b.Close()
		books := devices(rt, newDir(rt), 2)
		first(books[0])
		mergeAll(rt, books...)
		run(books[0], mine)
		run(books[1], theirs)
		mergeAll(rt, books...)
		merged, repaired := state(books[0]), state(b)
		for _, one := range books {
			require.NoError(rt, one.Close())
		}
		compared++
		if len(out.Conflicts) > 0 {
			listed++
			return
		}
		if len(must(b.ByID(pointerOf("b"))).Contradictions) > 0 {
			return
		}
		require.Equal(rt, merged, repaired)
	})
	t.Logf("%d repairs, %d of them with conflicts", compared, listed)
	require.Greater(t, compared, listed)
	require.Positive(t, listed)
}
