package petname

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// With a confirmed pin at alice's first key, and without a confirmation by the owner, the
// name alice is at one of her keys whatever the trails of other contacts, named and removed,
// pass through, and none of her pointers leads elsewhere: by removals, additions under her name,
// undo, and merges of several devices.
func TestLawNoOtherTrailTakesAName(t *testing.T) {
	newDir := rapidDirs(t)
	passed, renamed := 0, 0
	lawtest.Check(t, 20, func(rt *rapid.T) {
		w := newPinWorld(rt, newDir(rt))
		w.named(pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{})
		require.NoError(rt, w.books[0].learnCard(pointerOf("a"), pointer.Card{Next: commitment("a")}))
		syncBooks(rt, w.books...)
		mallory := func() string { return rapid.SampledFrom([]string{"m", "m2", "m5"}).Draw(rt, "mallory") }
		key := func() string { return rapid.SampledFrom(aliceKeys[:2]).Draw(rt, "alice's key") }
		acts := []func(){
			func() { // mallory is a contact, and commits to a key of alice
				b, m := w.book(), mallory()
				if _, err := b.Add(mustName("mal "+m), pointer.Link{Pointer: pointerOf(m)}, Source{}); err == nil {
					_ = b.learnCard(pointerOf(m), pointer.Card{Next: mustCommit(key())})
				}
			},
			func() { _, _ = w.book().Remove(pointerOf(mallory())) },
			func() { // by the stolen key
				m := mallory()
				steps := mallorysSteps(rt, m, key())[:rapid.IntRange(1, 2).Draw(rt, "steps")]
				b := w.book()
				if b.applySuccession(pointerOf(m), steps, "test") == nil && must(readByID(b, m)).Pointer != pointerOf(m) {
					passed++
				}
			},
			func() { // alice is removed
				b := w.book()
				if c, err := b.byName(mustName("alice")); err == nil {
					_, _ = b.Remove(c.ID)
				}
			},
			func() { // and named again
				k := key()
				l, s := pointer.Link{Pointer: pointerOf(k)}, Source{}
				if !rapid.Bool().Draw(rt, "bare") {
					l.Next = commitment(k)
				}
				if rapid.Bool().Draw(rt, "introduced") {
					s = Source{Kind: string(Introduced), By: pointerOf("carol").String(), Channel: "test"}
				}
				if _, err := w.book().Add(mustName("alice"), l, s); err == nil {
					renamed++
				}
			},
			func() { _, _ = w.book().Undo() },
			func() { _ = w.book().applySuccession(pointerOf("a"), chain(step(rt, "a")), "test") },
			func() { k := key(); _ = w.book().learnCard(pointerOf(k), pointer.Card{Next: commitment(k)}) },
		}
		for range 2 {
			w.run(acts, func(Contact) {
				for _, b := range w.books {
					if c, err := b.byName(mustName("alice")); err == nil {
						require.True(rt, slices.Contains(alicesPointers(), c.Pointer), "alice is at %s", c.Pointer)
					}
					for _, p := range alicesPointers() {
						if at, err := b.startOfPath(p.String()); err == nil {
							require.True(rt, slices.Contains(alicesPointers(), at.pointer), "%s leads to %s", p, at.pointer)
						}
					}
				}
			})
		}
	})
	require.Positive(t, passed)
	require.Positive(t, renamed)
}

func readByID(b *Book, seed string) (Contact, error) {
	c, err := b.ByID(pointerOf(seed))
	if err != nil { // it never was a contact
		return Contact{Pointer: pointerOf(seed)}, nil
	}
	return c, nil
}
