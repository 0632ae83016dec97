package petname

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// documented reports whether a change may be refused with such an error.
func documented(err error) bool {
	var (
		taken     *TakenError
		named     *NamedError
		conflict  *ConflictError
		duplicity *DuplicityError
	)
	return errors.As(err, &taken) || errors.As(err, &named) || errors.As(err, &conflict) || errors.As(err, &duplicity) || errors.As(err, new(*ContradictionError)) || errors.As(err, new(*SuccessionError)) ||
		errors.Is(err, ErrNotFound) || errors.Is(err, ErrNothingToUndo) || errors.Is(err, ErrChanged)
}

// For any acts on several devices, and any order of sync: all devices have one
// view, a name belongs to one contact or is in conflict and does not resolve,
// and the owner's acts resolve every conflict, on any device.
func TestDevicesConvergeAndOnlyTheUserSettles(t *testing.T) {
	newDir := rapidDirs(t)
	names := []string{"alice", "Alice", "bob", "carol", "dora"}
	conflicts, moved, twins, settled := 0, 0, 0, map[string]int{}
	lawtest.Check(t, 25, func(rt *rapid.T) {
		books := devices(rt, newDir(rt), rapid.IntRange(2, 4).Draw(rt, "devices"))
		defer func() {
			for _, b := range books {
				require.NoError(rt, b.Close())
			}
		}()
		pool := []pointer.Pointer{pointerOf("a"), pointerOf("b"), pointerOf("next a")}
		chains := [][]pointer.Succession{
			chain(step(rt, "a")), chain(step(rt, "a"), step(rt, "next a")), chain(stepTo(rt, "a", "next a", commitment("x"))), chain(stepTo(rt, "a", "b", commitment("b"))), chain(unsigned(rt, "a", "next a", commitment("x"))),
		}
		pick := rapid.IntRange(0, len(books)-1)
		drawName := func() name.Name { return mustName(rapid.SampledFrom(names).Draw(rt, "name")) }
		check := func(b *Book, err error) {
			if err != nil {
				require.Truef(rt, documented(err), "%v", err)
			}
			checkBijection(rt, b, names)
		}
		if rapid.IntRange(0, 3).Draw(rt, "twins") == 0 { // otherwise conflicts are rare
			must(books[0].Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{}))
			must(books[1].Add(mustName("bob"), link("next a"), Source{}))
			require.NoError(rt, books[0].applySuccession(pointerOf("a"), chain(step(rt, "a")), "test"))
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			b := books[pick.Draw(rt, "device")]
			p := rapid.SampledFrom(pool).Draw(rt, "pointer")
			var err error
			switch rapid.IntRange(0, 12).Draw(rt, "op") {
			case 0, 1, 2:
				next := rapid.SampledFrom([]pointer.Commitment{{}, {}, commitment("a"), commitment("a"), commitment("x"), mustCommit("b")}).Draw(rt, "next")
				_, err = b.Add(drawName(), pointer.Link{Pointer: p, Next: next}, Source{})
			case 3:
				_, err = b.Rename(p, drawName(), Source{})
			case 4:
				_, err = b.Remove(p)
			case 5:
				_, err = b.Undo()
			case 6:
				_, err = b.SharePublic(p, drawName())
			case 7:
				_, err = b.Unshare(drawName())
			case 8:
				_, err = setKept(b, p, rapid.Bool().Draw(rt, "keep"))
			case 9, 10:
				err = b.applySuccession(pointerOf("a"), rapid.SampledFrom(chains).Draw(rt, "chain"), "test")
				if c, _ := b.ByPointer(pointerOf("a")); c.Pointer != c.ID {
					moved++
				}
			default:
				pull(rt, b, books[pick.Draw(rt, "from")])
			}
			check(b, err)
		}
		syncBooks(rt, books...)
		view := dump(rt, books[0])
		for _, b := range books {
			require.Equal(rt, view, dump(rt, b))
			check(b, nil)
			require.NoError(rt, b.Ledger().Rebuild())
			require.Equal(rt, view, dump(rt, b))
		}

		// One act after another, each on any device, each settling something.
		for round := 0; ; round++ {
			require.Less(rt, round, 50, "settling comes to an end")
			b := books[pick.Draw(rt, "settler")]
			open := slices.DeleteFunc(contacts(rt, b), func(c Contact) bool { return c.Conflict == nil })
			if len(open) == 0 {
				break
			}
			conflicts++
			c := rapid.SampledFrom(open).Draw(rt, "conflict")
			fresh := mustName(fmt.Sprintf("fresh %d", round))
			how := rapid.SampledFrom([]string{"rename", "remove", "add again"}).Draw(rt, "how")
			if slices.ContainsFunc(contacts(rt, b), func(o Contact) bool { return o.ID != c.ID && o.Pointer == c.Pointer }) {
				how = "remove" // a contact with two names: only a removal decides between them
				twins++
			}
			var err error
			switch how {
			case "rename":
				_, err = b.Rename(c.ID, fresh, Source{})
			case "remove":
				_, err = b.Remove(c.ID)
			case "add again":
				_, err = b.Add(fresh, pointer.Link{Pointer: c.ID}, Source{})
			}
			require.NoError(rt, err)
			settled[how]++
			for _, after := range contacts(rt, b) {
				require.False(rt, after.ID == c.ID && after.Conflict != nil)
			}
			check(b, nil)
			syncBooks(rt, books...)
		}
		for _, b := range books {
			require.Equal(rt, dump(rt, books[0]), dump(rt, b))
			check(b, nil)
		}
	})
	require.Positive(t, conflicts, "no history had a conflict")
	require.Positive(t, moved, "in no history did anybody move")
	require.Positive(t, twins, "in no history had anybody two names")
	require.Len(t, settled, 3, "not every way of settling was tried: %v", settled)
}

// twoDevices is a book on two devices, where both know alice already.
func twoDevices(t *testing.T) (a, b *Book) {
	books := testDevices(t, 2)
	_, err := books[0].Add(mustName("alice"), link("a"), Source{})
	require.NoError(t, err)
	pull(t, books[1], books[0])
	return books[0], books[1]
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What two devices do without knowing of each other: what then stands on both,
// whichever way they sync, and whichever has the faster clock.
func TestConcurrentEdits(t *testing.T) {
	alice, al, ali := mustName("alice"), mustName("al"), mustName("ali")
	pa, pb := pointerOf("a"), pointerOf("b")
	type do func(t *testing.T, b *Book)
	rename := func(n name.Name) do {
		return func(t *testing.T, b *Book) { _, err := b.Rename(pa, n, Source{}); require.NoError(t, err) }
	}
	remove := func(t *testing.T, b *Book) { _, err := b.Remove(pa); require.NoError(t, err) }
	add := func(n name.Name, l pointer.Link) do {
		return func(t *testing.T, b *Book) { _, err := b.Add(n, l, Source{}); require.NoError(t, err) }
	}
	seq := func(dos ...do) do {
		return func(t *testing.T, b *Book) {
			for _, d := range dos {
				d(t, b)
			}
		}
	}
	undo := func(t *testing.T, b *Book) { _, err := b.Undo(); require.NoError(t, err) }
	nothing := func(*testing.T, *Book) {}
	names := func(ns ...name.Name) func(*testing.T, *Book) {
		return func(t *testing.T, b *Book) {
			c, err := b.ByPointer(pa)
			require.NoError(t, err)
			if len(ns) == 1 {
				require.Nil(t, c.Conflict)
				require.Equal(t, ns[0].Key(), c.Name.Key())
				return
			}
			require.NotNil(t, c.Conflict)
			require.ElementsMatch(t, ns, c.Conflict.Names)
			require.False(t, c.Conflict.Removed)
		}
	}
	gone := func(ns ...name.Name) func(*testing.T, *Book) {
		return func(t *testing.T, b *Book) {
			c, err := b.ByPointer(pa)
			require.NoError(t, err)
			require.NotNil(t, c.Conflict)
			require.Equal(t, ns, c.Conflict.Names)
			require.True(t, c.Conflict.Removed)
		}
	}
	for name, test := range map[string]struct {
		one, two do
		want     func(t *testing.T, b *Book)
	}{
		"two new names of one contact": {rename(al), rename(ali), names(al, ali)},
		"the same new name":            {rename(al), rename(al), names(al)},
		"two spellings of one name":    {rename(al), rename(mustName("AL")), names(al)},
		"renamed and removed":          {rename(al), remove, gone(al)},
		"renamed, and left alone":      {rename(al), nothing, names(al)},
		"renamed away and back":        {seq(rename(al), rename(alice)), nothing, names(alice)},
		"removed on both": {remove, remove, func(t *testing.T, b *Book) {
			c, err := b.ByPointer(pa)
			require.NoError(t, err)
			require.Nil(t, c.Conflict)
			require.False(t, c.Removed.IsZero())
			_, err = b.Lookup(alice)
			require.ErrorIs(t, err, ErrNotFound)
		}},
		"removed, and removed and added again": {remove, seq(remove, add(alice, link("a"))), gone(alice)},
		"its adding undone, and renamed":       {undo, rename(al), gone(al)},
		"a rename undone, and removed":         {seq(rename(al), undo), remove, gone(alice)},
		"a removal undone, and left alone":     {seq(remove, undo), nothing, names(alice)},
		"a removal undone, and renamed":        {seq(remove, undo), rename(al), names(alice, al)},
		"one name for two contacts": {rename(al), add(al, link("b")), func(t *testing.T, b *Book) {
			_, err := b.Lookup(al)
			var conflict *ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, al, conflict.Name)
			require.Len(t, conflict.Contacts, 2)
			for _, c := range conflict.Contacts {
				require.Equal(t, []name.Name{al}, c.Conflict.Names)
				require.Len(t, c.Conflict.Pointers, 1)
				require.NotEqual(t, c.ID, c.Conflict.Pointers[0])
			}
		}},
		"a freed name given away there, and here a new one": {seq(rename(al), add(alice, link("b"))), rename(ali), func(t *testing.T, b *Book) {
			names(al, ali)(t, b)
			p, err := b.Lookup(alice)
			require.NoError(t, err)
			require.Equal(t, pb, p)
		}},
		"two commitments": {add(alice, pointer.Link{Pointer: pa, Next: commitment("x")}), add(alice, pointer.Link{Pointer: pa, Next: commitment("y")}),
			func(t *testing.T, b *Book) {
				c, err := b.ByPointer(pa)
				require.NoError(t, err)
				require.NotEmpty(t, c.Contradictions)
				require.True(t, c.Next.IsZero(), "no clock picks a commitment")
				_, err = b.Add(alice, pointer.Link{Pointer: pa, Next: commitment("y")}, Source{})
				require.ErrorAs(t, err, new(*ContradictionError))
				require.ErrorAs(t, b.learnCard(pa, pointer.Card{Next: commitment("x")}), new(*ContradictionError))
			}},
	} {
		for _, swapped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, swapped), func(t *testing.T) {
				t.Parallel()
				a, b := twoDevices(t)
				if swapped && name != "its adding undone, and renamed" { // only its own device can undo
					a, b = b, a
				}
				test.one(t, a)
				test.two(t, b)
				syncBooks(t, a, b)
				require.Equal(t, dump(t, a), dump(t, b))
				for _, book := range []*Book{a, b} {
					checkBijection(t, book, []string{"alice", "al", "ali"})
					test.want(t, book)
				}
			})
		}
	}
}

// nameConflict has one name for two contacts; kindConflict one contact with two
// names, one of them contested.
func nameConflict(t *testing.T) (a, b *Book) {
	a, b = twoDevices(t)
	must(a.Add(mustName("bob"), link("b"), Source{}))
	must(b.Add(mustName("bob"), link("c"), Source{}))
	syncBooks(t, a, b)
	return a, b
}

func TestEachWayOfSettlingANameOfTwo(t *testing.T) {
	bob := mustName("bob")
	for how, settle := range map[string]func(b *Book) error{
		"rename": func(b *Book) error { _, err := b.Rename(pointerOf("b"), mustName("bobby"), Source{}); return err },
		"remove": func(b *Book) error { _, err := b.Remove(pointerOf("b")); return err },
		"add again by pointer": func(b *Book) error {
			_, err := b.Add(mustName("bobby"), link("b"), Source{})
			return err
		},
		"undo": func(b *Book) error { _, err := b.Undo(); return err },
	} {
		t.Run(how, func(t *testing.T) {
			a, b := nameConflict(t)
			// Taking the name in conflict settles nothing, and is refused.
			var conflict *ConflictError
			for _, seed := range []string{"b", "d"} {
				_, err := a.Add(bob, link(seed), Source{})
				require.ErrorAs(t, err, &conflict)
			}
			_, err := a.Rename(pointerOf("a"), bob, Source{})
			require.ErrorAs(t, err, &conflict)
			_, err = a.Resolve(t.Context(), nil, "bob", "")
			require.ErrorAs(t, err, &conflict)
			require.ErrorContains(t, err, pointerOf("b").String())
			require.ErrorContains(t, err, pointerOf("c").String())

			before := observe(t, a)
			require.NoError(t, settle(a))
			pull(t, b, a)
			for _, book := range []*Book{a, b} {
				p, err := book.Lookup(bob)
				require.NoError(t, err)
				require.Equal(t, pointerOf("c"), p)
				c, err := book.byName(bob)
				require.NoError(t, err)
				require.Nil(t, c.Conflict)
				checkBijection(t, book, []string{"alice", "bob", "bobby"})
			}
			if how != "undo" { // what settled a conflict can be undone as well
				must(a.Undo())
				require.Equal(t, before, observe(t, a))
			}
		})
	}
}

// observe returns the contacts of a book, without the facts of acts.
func observe(t *testing.T, b *Book) (all []Contact) {
	for _, seed := range []string{"a", "b", "c"} {
		c, err := b.ByPointer(pointerOf(seed))
		require.NoError(t, err)
		c.Provenance = nil
		all = append(all, c)
	}
	return all
}

// A removal is permanent: a later card is recorded, and restores no name.
func TestRemovalSticks(t *testing.T) {
	a, b := twoDevices(t)
	removed := must(a.Remove(pointerOf("a")))
	require.NoError(t, b.learnCard(pointerOf("a"), pointer.Card{Nickname: "Alice", Next: commitment("x")}))
	syncBooks(t, a, b)
	c := must(a.ByPointer(pointerOf("a")))
	require.True(t, c.Name.IsZero())
	require.Nil(t, c.Conflict)
	require.Equal(t, removed.Removed, c.Removed)
	require.Equal(t, commitment("x"), c.Next)
	require.Empty(t, contacts(t, a))
}

// The order of two entries that were written years apart by their clocks
// depends on what they saw: the later act counts, whatever its time.
func TestClocksDecideNothing(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		a, b := twoDevices(t)
		if swapped {
			a, b = b, a
		}
		must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
		pull(t, b, a)
		must(b.Rename(pointerOf("a"), mustName("alia"), Source{}))
		syncBooks(t, a, b)
		for _, book := range []*Book{a, b} {
			require.Equal(t, "alia", must(book.ByPointer(pointerOf("a"))).Name.String())
		}
	}
	// Three devices whose clocks run 70 years apart give one name each: all
	// three are candidates on each device.
	books := testDevices(t, 3)
	for i, b := range books {
		must(b.Add(mustName("bob"), link(fmt.Sprint("contact ", i)), Source{}))
	}
	syncBooks(t, books...)
	for _, b := range books {
		_, err := b.Lookup(mustName("bob"))
		var conflict *ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Len(t, conflict.Contacts, 3)
	}
	var times []time.Time
	for e, err := range books[0].Log() {
		require.NoError(t, err)
		times = append(times, e.At)
	}
	require.Greater(t, slices.MaxFunc(times, time.Time.Compare).Sub(slices.MinFunc(times, time.Time.Compare)), 20*365*24*time.Hour, "the clocks are apart")
}
