package petname

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// The owner settles each kind of conflict by the name and the pointer, on every device, and
// can undo it.
func TestChooseSettlesEachConflict(t *testing.T) {
	bob := mustName("bob")
	t.Run("one name for two contacts", func(t *testing.T) {
		a, b := nameConflict(t)
		before := observe(t, a)
		c, others, err := a.Choose(bob, pointerOf("c"))
		require.NoError(t, err)
		require.Equal(t, bob, c.Name)
		require.Len(t, others, 1)
		require.Equal(t, pointerOf("b"), others[0].Pointer)
		pull(t, b, a)
		for _, book := range []*Book{a, b} {
			p, err := book.Lookup(bob)
			require.NoError(t, err)
			require.Equal(t, pointerOf("c"), p)
			checkBijection(t, book, []string{"alice", "bob"})
		}
		_, _, err = a.Choose(bob, pointerOf("c"))
		require.ErrorIs(t, err, ErrNoConflict, "it is settled")
		must(a.Undo())
		require.Equal(t, before, observe(t, a))
	})
	t.Run("two names of one contact", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
		must(b.Rename(pointerOf("a"), mustName("ali"), Source{}))
		syncBooks(t, a, b)
		_, _, err := a.Choose(bob, pointerOf("a"))
		require.ErrorIs(t, err, ErrNoConflict, "a name that the conflict is not about")
		c, others, err := a.Choose(mustName("ali"), pointerOf("a"))
		require.NoError(t, err)
		require.Empty(t, others)
		require.Nil(t, c.Conflict)
		require.Equal(t, mustName("ali"), c.Name)
	})
	t.Run("renamed, and removed", func(t *testing.T) {
		a, b := twoDevices(t)
		must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
		must(b.Remove(pointerOf("a")))
		syncBooks(t, a, b)
		c, _, err := b.Choose(mustName("al"), pointerOf("a"))
		require.NoError(t, err)
		require.Nil(t, c.Conflict)
		require.Equal(t, mustName("al"), c.Name)
	})
	a, _ := nameConflict(t)
	entriesBefore := entries(a)
	_, _, err := a.Choose(mustName("alice"), pointerOf("a"))
	require.ErrorIs(t, err, ErrNoConflict)
	_, _, err = a.Choose(bob, pointerOf("a"))
	require.ErrorIs(t, err, ErrNoConflict, "alice is not among the candidates")
	_, _, err = a.Choose(bob, pointerOf("z"))
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, entriesBefore, entries(a), "nothing changes")
}

// Two devices that choose differently are a conflict again: neither contact is lost.
func TestTwoChoicesAreAConflict(t *testing.T) {
	bob := mustName("bob")
	a, b := nameConflict(t)
	must2 := func(c Contact, _ []Contact, err error) Contact { return must(c, err) }
	must2(a.Choose(bob, pointerOf("b")))
	must2(b.Choose(bob, pointerOf("c")))
	for range 2 {
		syncBooks(t, a, b)
		for _, book := range []*Book{a, b} {
			_, err := book.Lookup(bob)
			conflict := (*ConflictError)(nil)
			require.ErrorAs(t, err, &conflict)
			require.Len(t, conflict.Contacts, 2)
		}
	}
	must2(b.Choose(bob, pointerOf("c")))
	syncBooks(t, a, b)
	for _, book := range []*Book{a, b} {
		require.Equal(t, pointerOf("c"), must(book.Lookup(bob)))
	}
}

// One person under two names, by two of its keys, one on each device: the owner settles it by
// either name, with the id of the contact or with the pointer that both have, on every device.
func TestChooseSettlesTwoContactsAtOnePointer(t *testing.T) {
	later := pointerOf("next b")
	for _, c := range []struct {
		name  string
		p     pointer.Pointer
		other string
	}{{"bob", later, "carol"}, {"bob", pointerOf("b"), "carol"}, {"carol", later, "bob"}} {
		books := testDevices(t, 2)
		a, b := books[0], books[1]
		must(a.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
		require.NoError(t, a.applySuccession(pointerOf("b"), chain(step(t, "b")), "test"))
		must(b.Add(mustName("carol"), pointer.Link{Pointer: later}, Source{}))
		syncBooks(t, a, b)
		_, err := a.Lookup(mustName("bob"))
		require.ErrorAs(t, err, new(*ConflictError))
		_, _, err = a.Choose(mustName("dora"), later)
		require.ErrorIs(t, err, ErrNoConflict)

		before := effects(t, a)
		chosen, others, err := a.Choose(mustName(c.name), c.p)
		require.NoError(t, err)
		require.Equal(t, c.name, chosen.Name.String())
		require.Len(t, others, 1)
		syncBooks(t, a, b)
		for _, book := range books {
			p, err := book.Lookup(mustName(c.name))
			require.NoError(t, err)
			require.Equal(t, later, p)
			_, err = book.Lookup(mustName(c.other))
			require.ErrorIs(t, err, ErrNotFound)
			checkBijection(t, book, []string{"bob", "carol"})
		}
		_, _, err = a.Choose(mustName(c.name), c.p)
		require.ErrorIs(t, err, ErrNoConflict, "it is settled")
		must(a.Undo())
		require.Equal(t, before, effects(t, a), "one undo reverts it")
	}
}

// One undo reverts a choice between several contacts, and the next one the change before it.
func TestOneUndoRevertsAChoice(t *testing.T) {
	books := testDevices(t, 3)
	for i, b := range books {
		must(b.Add(mustName("bob"), link(fmt.Sprint("bob ", i)), Source{}))
		must(b.Rename(pointerOf(fmt.Sprint("bob ", i)), mustName("rob"), Source{}))
	}
	syncBooks(t, books...)
	b := books[0]
	before := effects(t, b)
	_, others, err := b.Choose(mustName("rob"), pointerOf("bob 0"))
	require.NoError(t, err)
	require.Len(t, others, 2)
	require.NoError(t, b.Ledger().Rebuild())
	must(b.Undo())
	require.Equal(t, before, effects(t, b))
	ev := must(b.Undo())
	require.Equal(t, "name", ev.Op)
	require.Equal(t, before["contact "+pointerOf("bob 1").String()], effects(t, b)["contact "+pointerOf("bob 1").String()])

	_, _, err = b.Choose(mustName("rob"), pointerOf("bob 2"))
	require.NoError(t, err)
	pull(t, books[1], b)
	must(books[1].Add(mustName("robert"), link("bob 1"), Source{}))
	pull(t, b, books[1])
	after := effects(t, b)
	_, err = b.Undo()
	require.ErrorIs(t, err, ErrChanged, "another device has changed a part of it since")
	require.Equal(t, after, effects(t, b))
}

// A hostile device names more contacts alike than a conflict lists: one choice settles it.
func TestChooseSettlesAConflictOfManyContacts(t *testing.T) {
	books := testDevices(t, 2)
	a, b := books[0], books[1]
	must(a.Add(mustName("bob"), link("b"), Source{}))
	require.NoError(t, b.update(func(tx *ledger.Tx) error {
		for i := range maxRivals + 6 {
			if err := appendAct(tx, act{Op: opName, Contact: pointerOf(fmt.Sprint("evil", i)).Bytes(), Name: "bob"}); err != nil {
				return err
			}
		}
		return nil
	}))
	syncBooks(t, a, b)
	_, others, err := a.Choose(mustName("bob"), pointerOf("b"))
	require.NoError(t, err)
	require.Len(t, others, maxRivals+6)
	p, err := a.Lookup(mustName("bob"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("b"), p)
	must(a.Undo())
	_, err = a.Lookup(mustName("bob"))
	require.ErrorAs(t, err, new(*ConflictError))
}

// For any merge of acts of three devices: of the choices that the error for a name in conflict
// lists, and of those of a contact in conflict, each settles what it is about, and choices one
// after another, each at most once, end all conflicts.
func TestLawChoicesEndAllConflicts(t *testing.T) {
	newDir := rapidDirs(t)
	names := []string{"alice", "bob", "carol"}
	settled, shared := 0, 0
	lawtest.Check(t, 40, func(rt *rapid.T) {
		books := devices(rt, newDir(rt), 3)
		defer func() {
			for _, b := range books {
				require.NoError(rt, b.Close())
			}
		}()
		pool := []pointer.Pointer{pointerOf("a"), pointerOf("b"), pointerOf("next a")}
		if rapid.Bool().Draw(rt, "moved") {
			must(books[0].Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{}))
			require.NoError(rt, books[0].applySuccession(pointerOf("a"), chain(step(rt, "a")), "test"))
		}
		for range rapid.IntRange(3, 20).Draw(rt, "acts") {
			b := rapid.SampledFrom(books).Draw(rt, "device")
			n, p := mustName(rapid.SampledFrom(names).Draw(rt, "name")), rapid.SampledFrom(pool).Draw(rt, "pointer")
			var err error
			switch rapid.IntRange(0, 5).Draw(rt, "op") {
			case 0, 1:
				_, err = b.Add(n, pointer.Link{Pointer: p}, Source{})
			case 2:
				_, err = b.Rename(p, n, Source{})
			case 3:
				_, err = b.Remove(p)
			case 4:
				_, err = b.Undo()
			case 5:
				pull(rt, b, rapid.SampledFrom(books).Draw(rt, "from"))
			}
			require.Truef(rt, err == nil || documented(err), "%v", err)
		}
		syncBooks(rt, books...)
		b := rapid.SampledFrom(books).Draw(rt, "settler")
		typed := make(map[Choice]bool)
		for {
			var choices []Choice
			for _, text := range names {
				var conflict *ConflictError
				if _, err := b.Lookup(mustName(text)); errors.As(err, &conflict) {
					choices = append(choices, conflict.Choices()...)
				}
			}
			for _, c := range contacts(rt, b) {
				if c.Conflict == nil {
					continue
				}
				for _, n := range c.Conflict.Names { // as show prints them
					choices = append(choices, Choice{n, c.Pointer})
				}
				for _, other := range contacts(rt, b) {
					if other.ID != c.ID && other.Pointer == c.Pointer {
						shared++
					}
				}
			}
			if len(choices) == 0 {
				break
			}
			choice := rapid.SampledFrom(choices).Draw(rt, "choice")
			require.False(rt, typed[choice], "a choice that was made settles nothing")
			typed[choice] = true
			_, _, err := b.Choose(choice.Name, choice.Contact)
			require.NoError(rt, err)
			_, err = b.Lookup(choice.Name)
			require.NoError(rt, err)
			settled++
		}
		syncBooks(rt, books...)
		for _, one := range books {
			checkBijection(rt, one, names)
			require.Equal(rt, dump(rt, b), dump(rt, one))
			for _, c := range contacts(rt, one) {
				require.Nil(rt, c.Conflict)
			}
		}
	})
	t.Logf("%d choices, %d of contacts at one pointer", settled, shared)
	require.Positive(t, settled)
	require.Positive(t, shared)
}
