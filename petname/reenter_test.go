package petname

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// copyBook returns another copy of a book, with the same device key.
func copyBook(t tb, b *Book, from, to, device string) *Book {
	t.Helper()
	bytes, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, bytes, 0o600))
	c, err := Open(to, testKey(device), Options{Now: b.now, Rand: &noise{h: [32]byte{9}}})
	require.NoError(t, err)
	return c
}

// mergeAll merges what the others have, whatever counts of it.
func mergeAll(t tb, books ...*Book) {
	t.Helper()
	for range 3 {
		for _, b := range books {
			for _, from := range books {
				if b.Ledger().Device() == from.Ledger().Device() {
					continue // two copies exchange nothing directly
				}
				_, _, err := b.Ledger().MergePart(slices.Values(missing(t, from, b.Ledger().Heads())))
				if err != nil {
					require.ErrorIs(t, err, ledger.ErrFork)
				}
			}
		}
	}
}

// forkedBooks are two copies of one device's book, and another device.
type forkedBooks struct {
	dir          string
	one, two     *Book // copies
	third        *Book
	lost, counts *Book // of the copies, after meet
}

func newFork(t tb, dir string, before func(b *Book)) *forkedBooks {
	t.Helper()
	books := devices(t, dir, 2)
	third := books[1].Ledger().Device()
	require.NoError(t, books[0].stateDevice(wireDevice{Device: third[:], Key: keyHeld})) // it admits the repaired one
	before(books[0])
	mergeAll(t, books...)
	f := &forkedBooks{dir: dir, one: books[0], third: books[1]}
	f.two = copyBook(t, f.one, filepath.Join(dir, "one.db"), filepath.Join(dir, "copy.db"), "one")
	return f
}

func (f *forkedBooks) close(t tb) {
	for _, b := range []*Book{f.one, f.two, f.third} {
		require.NoError(t, b.Close())
	}
}

// meet brings the copies' entries to all, and reports whether they fork.
func (f *forkedBooks) meet(t tb) bool {
	t.Helper()
	mergeAll(t, f.one, f.third, f.two)
	f.counts, f.lost = f.one, f.two
	if _, counts, err := f.one.Ledger().Own(); err == nil && !counts {
		f.counts, f.lost = f.two, f.one
	}
	_, counts, err := f.lost.Ledger().Own()
	require.NoError(t, err)
	return !counts
}

// repaired returns the book of the new device of the copy that does not count, and the result
// of its Reenter.
func (f *forkedBooks) repaired(t tb, name string, decide func(ReentryConflict) (bool, error)) (*Book, Reentry) {
	t.Helper()
	require.NoError(t, f.third.AdmitDevice(testKey("me"), testKey(name).Public().(ed25519.PublicKey), name, true))
	mergeAll(t, f.one, f.third, f.two)
	b := f.newBook(t, name, name)
	return b, f.reenter(t, b, decide)
}

// newBook returns a new book of the new device, in a file of its own.
func (f *forkedBooks) newBook(t tb, name, file string) *Book {
	t.Helper()
	b, err := Join(filepath.Join(f.dir, file+".db"), f.third.Identity(), testKey(name), slices.Values(missing(t, f.lost, nil)), Options{Now: f.one.now, Rand: &noise{h: [32]byte{7}}})
	require.NoError(t, err)
	return b
}

func (f *forkedBooks) reenter(t tb, b *Book, decide func(ReentryConflict) (bool, error)) Reentry {
	own, _, err := f.lost.Ledger().Own()
	require.NoError(t, err)
	out, err := b.Reenter(f.lost, f.lost.Ledger().Chain(own.Head, own.Counted), own.Counted, decide)
	require.NoError(t, err)
	return out
}

// effects are what acts lead to, by what they are about.
func effects(t tb, b *Book) map[string]string {
	out := map[string]string{}
	for c, err := range b.Contacts() {
		require.NoError(t, err)
		out["contact "+c.ID.String()] = fmt.Sprint(c.Name, c.Conflict != nil)
		if c.Republished {
			out["keep "+c.ID.String()] = "on"
		}
	}
	for e, err := range b.Edges() {
		require.NoError(t, err)
		out["edge "+e.Label] = fmt.Sprint(e.Contact.ID, e.Conflict)
	}
	nickname, err := b.Nickname()
	require.NoError(t, err)
	out["nickname"] = nickname
	return out
}

// edgeRows returns the public edges that a book knows, in effect or not, as the keys of effects.
func edgeRows(t tb, b *Book, labels []string) map[string]bool {
	out := map[string]bool{}
	require.NoError(t, b.read(func(v *ledger.View) error {
		for _, label := range labels {
			state, err := readEdge(v, nil, label)
			require.NoError(t, err)
			out["edge "+label] = len(state.Claims) > 0
		}
		return nil
	}))
	return out
}

// about returns what an act is about, as the keys of effects.
func about(op string, contact pointer.Pointer, label string) []string {
	switch op {
	case "profile":
		return []string{"nickname"}
	case "share", "unshare":
		return []string{"edge " + label}
	case "keep", "unkeep":
		return []string{"keep " + contact.String()}
	}
	return []string{"contact " + contact.String()}
}

// For any acts on two copies of a home and on another device: after the repair each act of
// either copy is in effect or listed as a conflict, all devices have one book, and a
// repair that is begun anew leads to the same.
func TestLawARepairLosesNoActOfEitherCopy(t *testing.T) {
	newDir := rapidDirs(t)
	names := []string{"alice", "bob", "carol"}
	forks, entered, conflicts := 0, 0, map[ReentryReason]int{}
	lawtest.Check(t, 40, func(rt *rapid.T) {
		pool := []pointer.Pointer{pointerOf("a"), pointerOf("b"), pointerOf("c")}
		act := func(b *Book) {
			p := rapid.SampledFrom(pool).Draw(rt, "pointer")
			n := mustName(rapid.SampledFrom(names).Draw(rt, "name"))
			var err error
			switch rapid.IntRange(0, 9).Draw(rt, "op") {
			case 0, 1, 2:
				_, err = b.Add(n, pointer.Link{Pointer: p}, Source{})
			case 3:
				_, err = b.Rename(p, n, Source{})
			case 4:
				_, err = b.Remove(p)
			case 5:
				_, err = b.Undo()
			case 6:
				_, err = b.SharePublic(p, n)
			case 7:
				_, err = b.Unshare(n)
			case 8:
				_, err = setKept(b, p, rapid.Bool().Draw(rt, "keep"))
			case 9:
				err = b.SetNickname(n.String())
			}
			if err != nil {
				require.Truef(rt, documented(err), "%v", err)
			}
		}
		acts := func(b *Book, label string, least int) {
			for range rapid.IntRange(least, 6).Draw(rt, label) {
				act(b)
			}
		}
		f := newFork(rt, newDir(rt), func(b *Book) { acts(b, "before", 0) })
		defer f.close(rt)
		synced := rapid.SampledFrom([]*Book{f.one, f.two}).Draw(rt, "synced")
		for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			acts(f.one, "one", 0)
			acts(f.two, "two", 0)
			acts(f.third, "third", 0)
			if rapid.Bool().Draw(rt, "sync") {
				mergeAll(rt, synced, f.third)
			}
		}
		mine := map[*Book]map[string]string{f.one: effects(rt, f.one), f.two: effects(rt, f.two)}
		sawEdge := map[*Book]map[string]bool{f.one: edgeRows(rt, f.one, names), f.two: edgeRows(rt, f.two, names)}
		if !f.meet(rt) {
			return
		}
		forks++
		before := effects(rt, f.counts)
		touched := map[string]bool{}
		own, _, err := f.lost.Ledger().Own()
		require.NoError(rt, err)
		left, err := (&reentry{shared: own.Counted}).read(f.lost.Ledger().Chain(own.Head, own.Counted))
		require.NoError(rt, err)
		for _, e := range left {
			if e.undone {
				continue
			}
			a := e.act
			op := a.Op.String()
			if a.Op == opUndo && a.Label != "" {
				op = opShare.String()
			} else if a.undoesKeep() {
				op = opKeep.String()
			}
			for _, key := range about(op, optionalPointer(a.Contact), a.Label) {
				touched[key] = true
			}
			for _, w := range a.shares() { // edges that end with a name
				touched["edge "+w.Label] = true
			}
			if a.Keep != 0 { // as the keeping does
				touched["keep "+optionalPointer(a.Contact).String()] = true
			}
		}
		b, out := f.repaired(rt, "new", nil)
		defer b.Close()
		entered += out.Entered
		listed := map[string]bool{}
		for _, c := range out.Conflicts {
			conflicts[c.Reason]++
			for _, key := range about(c.Op, c.Contact, c.Mine) {
				listed[key] = true
			}
			listed["edge "+c.Theirs] = true
			if c.Op == opRemove.String() || c.Op == opName.String() { // a keeping ends with the name
				listed["keep "+c.Contact.String()] = true
			}
		}
		after := effects(rt, b)
		for _, all := range []map[string]string{before, after, mine[f.lost]} {
			for key := range all {
				was, is, wanted := before[key], after[key], mine[f.lost][key]
				if strings.HasPrefix(key, "edge ") && !listed[key] && is != wanted {
					// An edge ends with the name of its contact, whichever branch removed that.
					continue
				}
				if strings.HasPrefix(key, "keep ") && after[strings.Replace(key, "keep", "contact", 1)] != mine[f.lost][strings.Replace(key, "keep", "contact", 1)] {
					continue
				}
				ended := strings.HasSuffix(wanted, " true") && is != "" // a conflict, by an act on the other contact
				if is != wanted && touched[key] && !ended {
					require.Truef(rt, listed[key], "%s: %q, on this copy %q, before %q; conflicts %+v", key, is, wanted, was, out.Conflicts)
				}
				if of, _, _ := strings.Cut(is, " "); was == "" && strings.HasPrefix(key, "edge ") && touched["contact "+of] {
					continue // an edge of another device, in effect once its contact has a name again
				}
				if of, _, _ := strings.Cut(was, " "); is == "" && sawEdge[f.lost][key] && touched["contact "+of] && after["contact "+of] == "" {
					continue // an edge that this copy knew, with the name of its contact
				}
				if is != was && !strings.HasSuffix(was, " true") { // a conflict between two contacts ends with either name
					require.Truef(rt, touched[key], "%s: %q, was %q, and this copy did nothing about it", key, is, was)
				}
			}
		}
		fresh := f.newBook(rt, "new", "again") // after a kill the repair begins with a new file
		again := f.reenter(rt, fresh, nil)
		require.Equal(rt, out, again)
		require.Equal(rt, after, effects(rt, fresh))
		require.NoError(rt, fresh.Close())
		mergeAll(rt, f.third, b, f.one, f.two)
		want, err := b.Ledger().Digest()
		require.NoError(rt, err)
		for _, other := range []*Book{f.one, f.two, f.third} {
			digest, err := other.Ledger().Digest()
			require.NoError(rt, err)
			require.Equal(rt, want, digest)
			require.Equal(rt, dump(rt, b), dump(rt, other))
		}
		checkBijection(rt, b, names)
	})
	t.Logf("%d forks, %d acts entered, conflicts %v", forks, entered, conflicts)
	require.Positive(t, forks)
	require.Positive(t, entered)
	require.Positive(t, conflicts[ReentryTaken])
	require.Positive(t, conflicts[ReentryChanged])
}

// Each kind of act that does not count is entered anew: also what others signed, and decisions.
// A sequence that was used is not used again. What an undo reverted before the fork is undone.
func TestEachKindOfActIsEnteredAnew(t *testing.T) {
	for seed := range 64 {
		f := newFork(t, lawtest.FastDir(t), func(b *Book) {
			must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("b"), Next: commitment("b")}, Source{}))
			must(b.Add(mustName("eve"), link("e"), Source{}))
			must(b.Rename(pointerOf("e"), mustName("evelyn"), Source{}))
			must(b.SharePublic(pointerOf("b"), mustName("bobby")))
			must(b.Add(mustName("zoe"), link("z"), Source{}))
		})
		must(f.one.Add(mustName(fmt.Sprint("first ", seed)), link("first"), Source{}))
		mine := f.two
		must(mine.Undo()) // the addition of zoe
		must(mine.Undo()) // the label bobby
		must(mine.Undo()) // the name evelyn
		must(mine.Add(mustName("carol"), pointer.Link{Pointer: pointerOf("c"), Next: commitment("c"), Nickname: "Carol"}, Source{}))
		must(mine.SharePublic(pointerOf("c"), mustName("friend")))
		must(mine.ShareWith(pointerOf("b"), pointerOf("c"), mustName("for bob")))
		must(setKept(mine, pointerOf("c"), true))
		require.NoError(t, mine.SetNickname("Ana"))
		require.NoError(t, mine.ReserveSequence(Published{Value: "/ipfs/bafkqaaa", Sequence: 7}))
		require.NoError(t, mine.learnCard(pointerOf("b"), pointer.Card{Next: commitment("b"), Nickname: "Bob"}))
		require.NoError(t, mine.applySuccession(pointerOf("b"), chain(step(t, "b")), "test"))
		own := mine.Ledger().Device()
		require.NoError(t, mine.RenameDevice(own, "desk"))
		must(mine.Add(mustName("gone"), link("g"), Source{}))
		must(mine.Remove(pointerOf("g")))
		must(mine.Add(mustName("mistake"), link("mistake"), Source{}))
		must(mine.Undo())
		want, wantProfile := effects(t, mine), must(mine.Nickname())
		if !f.meet(t) || f.lost != mine {
			f.close(t)
			continue
		}
		b, out := f.repaired(t, "new", nil)
		require.Empty(t, out.Conflicts)
		got := effects(t, b)
		for key, is := range want {
			require.Equal(t, is, got[key], key)
		}
		require.NotContains(t, got, "contact "+pointerOf("z").String())
		require.NotContains(t, got, "contact "+pointerOf("g").String())
		for e, err := range b.Log() {
			require.NoError(t, err)
			require.NotEqual(t, "mistake", e.Name, "of acts that another one undoes neither is entered")
		}
		require.Equal(t, wantProfile, must(b.Nickname()))
		require.Contains(t, got, "contact "+pointerOf("first").String(), "of the branch that counts")
		c, err := b.ByPointer(pointerOf("b"))
		require.NoError(t, err)
		require.NotEqual(t, c.ID, c.Pointer, "followed")
		removed, err := b.ByID(pointerOf("g"))
		require.NoError(t, err)
		require.False(t, removed.Removed.IsZero(), "a removal sticks")
		published, err := b.Published()
		require.NoError(t, err)
		require.Equal(t, Published{Value: "/ipfs/bafkqaaa", Sequence: 7}, published)
		require.Error(t, b.ReserveSequence(Published{Value: "/ipfs/bafkqaaa", Sequence: 7}))
		for e, err := range b.EdgesWith(pointerOf("b")) {
			require.NoError(t, err)
			require.Equal(t, "for bob", e.Label)
		}
		devices, err := b.Devices()
		require.NoError(t, err)
		require.Equal(t, "desk", devices[0].Name)
		require.NoError(t, b.Close())
		f.close(t)
		return
	}
	require.Fail(t, "the second copy counts each time")
}

// Of a conflict the owner decides: an act that is entered replaces what the book has, and both
// copies' acts are in the log.
func TestTheOwnerDecidesWhatIsEnteredAnew(t *testing.T) {
	for _, mine := range []bool{false, true} {
		f := newFork(t, lawtest.FastDir(t), func(b *Book) { must(b.Add(mustName("bob"), link("b"), Source{})) })
		var copies = map[*Book]string{f.one: "one", f.two: "two"}
		for b, name := range copies {
			must(b.Rename(pointerOf("b"), mustName("bob of "+name), Source{}))
			must(b.Add(mustName("carol"), link("carol of "+name), Source{}))
		}
		require.True(t, f.meet(t))
		var asked []ReentryReason
		b, out := f.repaired(t, "new", func(c ReentryConflict) (bool, error) {
			asked = append(asked, c.Reason)
			return mine, nil
		})
		require.Equal(t, []ReentryReason{ReentryChanged, ReentryTaken}, asked)
		want := copies[f.counts]
		if mine {
			want = copies[f.lost]
			require.Equal(t, 2, out.Entered)
			require.Empty(t, out.Conflicts)
		} else {
			require.Zero(t, out.Entered)
			require.Len(t, out.Conflicts, 2)
			require.Equal(t, pointerOf("carol of "+copies[f.counts]), out.Conflicts[1].Other)
		}
		c, err := b.Find("bob of " + want)
		require.NoError(t, err)
		require.Equal(t, pointerOf("b"), c.Pointer)
		c, err = b.Find("carol")
		require.NoError(t, err)
		require.Equal(t, pointerOf("carol of "+want), c.Pointer)
		names := map[string]bool{}
		for e, err := range b.Log() {
			require.NoError(t, err)
			names[e.Name] = true
		}
		require.True(t, names["bob of "+copies[f.counts]])
		require.NoError(t, b.Close())
		f.close(t)
	}
}

// A removal that is entered anew ends no edge and no keep that another device stated meanwhile:
// it is a conflict, which the owner decides.
func TestARemovalEnteredAnewEndsNothingThatItDidNotSee(t *testing.T) {
	bob := pointerOf("b")
	for what, state := range map[string]func(b *Book) error{
		"edge": func(b *Book) error { _, err := b.SharePublic(bob, mustName("bobby")); return err },
		"keep": func(b *Book) error { return b.SetRepublished([]pointer.Pointer{bob}, true) },
	} {
		for _, mine := range []bool{false, true} {
			t.Run(fmt.Sprint(what, mine), func(t *testing.T) {
				for seed := range 64 {
					f := newFork(t, lawtest.FastDir(t), func(b *Book) { must(b.Add(mustName("bob"), link("b"), Source{})) })
					must(f.one.Add(mustName(fmt.Sprint("first ", seed)), link("first"), Source{}))
					must(f.two.Remove(bob))
					require.NoError(t, state(f.third))
					if !f.meet(t) || f.lost != f.two {
						f.close(t)
						continue
					}
					before, asked := effects(t, f.counts), 0
					b, out := f.repaired(t, "new", func(c ReentryConflict) (bool, error) {
						asked++
						require.Equal(t, ReentryConflict{Op: "remove", At: c.At, Contact: bob, Reason: ReentryChanged, Theirs: "bob"}, c)
						return mine, nil
					})
					require.Equal(t, 1, asked)
					if mine {
						require.Equal(t, Reentry{Entered: 1}, out)
						require.NotContains(t, effects(t, b), "contact "+bob.String())
					} else {
						require.Len(t, out.Conflicts, 1)
						require.Equal(t, before, effects(t, b))
					}
					require.NoError(t, b.Close())
					f.close(t)
					return
				}
				require.Fail(t, "the second copy counts each time")
			})
		}
	}
}

// A choice between contacts that a copy made is one step of Undo also after its home has joined
// again, as it was there.
func TestOneUndoRevertsAChoiceThatWasEnteredAnew(t *testing.T) {
	for i := 0; ; i++ { // until the branch with the choice is the one that does not count
		bob, other, third := link("bob"), link("other"), link("third")
		f := newFork(t, t.TempDir(), func(b *Book) {
			for _, l := range []pointer.Link{bob, other, third} {
				require.NoError(t, b.update(func(tx *ledger.Tx) error {
					return appendAct(tx, act{Op: opName, Contact: l.Pointer.Bytes(), Name: "bob"})
				}))
			}
		})
		before := effects(t, f.two)
		must(f.one.Add(mustName(fmt.Sprint("carol ", i)), link(fmt.Sprint("carol ", i)), Source{}))
		_, others, err := f.two.Choose(mustName("bob"), bob.Pointer)
		require.NoError(t, err)
		require.Len(t, others, 2)
		if !f.meet(t) || f.lost != f.two {
			f.close(t)
			continue
		}
		b, out := f.repaired(t, "again", nil)
		require.Empty(t, out.Conflicts)
		require.NotEqual(t, before["contact "+bob.Pointer.String()], effects(t, b)["contact "+bob.Pointer.String()])
		must(b.Undo())
		after := effects(t, b)
		for _, l := range []pointer.Link{bob, other, third} {
			id := "contact " + l.Pointer.String()
			require.Equal(t, before[id], after[id])
		}
		_, err = b.Undo()
		require.ErrorIs(t, err, ErrNothingToUndo)
		require.NoError(t, b.Close())
		f.close(t)
		return
	}
}
