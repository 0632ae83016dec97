package petname

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// received draws what others can send: a card, which may name the successor that its
// commitment opens, or a step, which the old key may have signed.
func (w *pinWorld) received(keys []string) func(*Book) {
	key := func(label string) string { return rapid.SampledFrom(keys).Draw(w.T, label) }
	at, next, commits := key("at"), key("next"), mustCommit(key("commits"))
	steps := func(old, to string) []pointer.Succession {
		if rapid.Bool().Draw(w.T, "signed") {
			return chain(stepTo(w.T, old, to, commits))
		}
		return chain(unsigned(w.T, old, to, commits))
	}
	if at == next || rapid.Bool().Draw(w.T, "card") {
		card := pointer.Card{Next: mustCommit(next), Nickname: at}
		if at != next && rapid.Bool().Draw(w.T, "names") {
			card.Successor, card.Succession = pointerOf(next), steps(at, next)
		}
		return func(b *Book) { _ = b.learnCard(pointerOf(at), card) }
	}
	s := steps(at, next)
	return func(b *Book) { _ = b.applySuccession(s[0].Old, s, "test") }
}

// An act of the owner and its undo lead to what would be without the act, whatever was
// received before it, while it stood, and again after its undo: whether the act is a
// decision, a link, a pairing, or the acceptance of a third party's claim.
func TestLawAnUndoneActLeavesNothing(t *testing.T) {
	newDir := rapidDirs(t)
	moved, back := 0, 0
	lawtest.Check(t, 120, func(rt *rapid.T) {
		w := &pinWorld{rt, append(devices(rt, newDir(rt), 1), devices(rt, newDir(rt), 1)...), []string{"evil 1"}}
		rt.Cleanup(func() {
			for _, b := range w.books {
				require.NoError(rt, b.Close())
			}
		})
		with, without := w.books[0], w.books[1]
		keys := []string{"a", "next a", "next next a", "evil 1"}
		key := func(label string) string { return rapid.SampledFrom(keys).Draw(rt, label) }
		both := func(ops ...func(*Book)) {
			for _, op := range ops {
				op(with)
				op(without)
			}
		}
		entered := pointer.Link{Pointer: pointerOf("a")}
		if rapid.Bool().Draw(rt, "claimed") {
			entered.Next = mustCommit(key("claim"))
		}
		third := Source{Kind: string(Introduced), By: pointerOf("eve").String(), Channel: "test"}
		source := rapid.SampledFrom([]Source{{}, third}).Draw(rt, "source")
		both(func(b *Book) { require.NoError(rt, addAll(b, []Naming{{mustName("alice"), entered, source}})) })
		for range rapid.IntRange(0, 3).Draw(rt, "before") {
			both(w.received(keys))
		}
		n := entries(with)
		link := pointer.Link{Pointer: with.mustPointer(rt), Next: mustCommit(key("of the act"))}
		var err error
		switch rapid.IntRange(0, 5).Draw(rt, "act") {
		case 0:
			_, err = with.Confirm(pointerOf("a"), Confirmation{})
		case 1:
			_, err = with.Confirm(pointerOf("a"), Confirmation{Next: link.Next})
		case 2:
			_, err = with.Confirm(pointerOf("a"), Confirmation{Successor: pointerOf(key("successor"))})
		case 3:
			_, err = with.Add(mustName("alice"), link, Source{ReplacePin: rapid.Bool().Draw(rt, "replace")})
		case 4:
			err = addAll(with, []Naming{{mustName("alice"), link, Source{Kind: string(Paired), Channel: "test"}}})
		case 5:
			err = addAll(with, []Naming{{mustName("alice"), link, third}})
		}
		if err != nil || entries(with) == n {
			return
		}
		var while []func(*Book)
		for range rapid.IntRange(0, 3).Draw(rt, "while") {
			while = append(while, w.received(keys))
		}
		both(while...)
		stood := must(with.ByPointer(pointerOf("a")))
		_, err = with.Undo()
		require.NoError(rt, err)
		both(while...)
		a, b := must(with.ByPointer(pointerOf("a"))), must(without.ByPointer(pointerOf("a")))
		for i := range a.Chain { // of several, which came first decides, and the act held some back
			require.Equal(rt, b.Chain[min(i, len(b.Chain)-1)].Pointer, a.Chain[i].Pointer)
		}
		if len(while) < 2 {
			require.Equal(rt, summary(b), summary(a))
			require.Equal(rt, b.Nickname, a.Nickname)
		}
		view := dump(rt, with)
		require.NoError(rt, with.Ledger().Rebuild())
		require.Equal(rt, view, dump(rt, with))
		if len(stood.Chain) > 1 {
			moved++
			if len(a.Chain) < len(stood.Chain) {
				back++
			}
		}
	})
	require.Positive(t, moved)
	require.Positive(t, back)
}

// mustPointer returns the current pointer of the contact alice.
func (b *Book) mustPointer(t tb) pointer.Pointer {
	c, err := b.ByPointer(pointerOf("a"))
	require.NoError(t, err)
	return c.Pointer
}
