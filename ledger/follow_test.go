package ledger

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// trueSuccession returns what a device follows that knows the first n of the two rotations of
// succeeded.
func trueSuccession(t testing.TB, n int) Followed {
	t.Helper()
	_, steps := succeeded(t)
	keys := []string{"second", "third", "fourth"}
	next, err := pointer.Commit(publicKeyOf(keys[n]))
	require.NoError(t, err)
	return Followed{Steps: steps[:n], Next: next}
}

// chainFrom returns steps from a key to n others of its holder, and the last of these: no card
// committed to the first one.
func chainFrom(t testing.TB, from ed25519.PrivateKey, n int) (last ed25519.PrivateKey, steps []pointer.Succession) {
	t.Helper()
	for i := range n {
		old, err := pointer.FromPublicKey(from.Public())
		require.NoError(t, err)
		next, err := pointer.Commit(publicKeyOf(fmt.Sprint("own ", i+1)))
		require.NoError(t, err)
		to := testKey(fmt.Sprint("own ", i))
		s, err := pointer.Succeed(old, to, next, from)
		require.NoError(t, err)
		steps, from = append(steps, s), to
	}
	return from, steps
}

func removedNames(l *Ledger) (all []string) {
	for _, d := range l.Devices() {
		if d.Removed {
			all = append(all, d.Name)
		}
	}
	return all
}

// The attack: a thief of the first key signs steps to keys of its own. Its removal of the owner's
// device, also after an early entry of it, comes before or after the owner's under the true later
// key, at a device that knows of the rotations or not, or that was told of a part of them.
func TestAChainThatNothingCommittedToRemovesNothing(t *testing.T) {
	later, steps := succeeded(t)
	for _, knows := range []int{0, 1, 2} {
		for _, thiefFirst := range []bool{false, true} {
			for name, chain := range map[string]func() (ed25519.PrivateKey, []pointer.Succession){
				"of one step":    func() (ed25519.PrivateKey, []pointer.Succession) { return chainFrom(t, identity, 1) },
				"of two steps":   func() (ed25519.PrivateKey, []pointer.Succession) { return chainFrom(t, identity, 2) },
				"of three steps": func() (ed25519.PrivateKey, []pointer.Succession) { return chainFrom(t, identity, 3) },
				"of 30 steps":    func() (ed25519.PrivateKey, []pointer.Succession) { return chainFrom(t, identity, 30) },
				"after a true step": func() (ed25519.PrivateKey, []pointer.Succession) {
					return continued(t, steps[:1], testKey("second"), 3)
				},
				"after both steps": func() (ed25519.PrivateKey, []pointer.Succession) { return continued(t, steps, later, 3) },
			} {
				t.Run(fmt.Sprint(name, knows, thiefFirst), func(t *testing.T) {
					a, _ := newBook(t)
					b, c := join(t, a, "two"), join(t, a, "three") // two is the thief's, and follows nothing
					early := head(t, a)
					_, err := a.Append([]byte("k=owners"))
					require.NoError(t, err)
					exchange(t, a, b, c)
					require.NoError(t, a.Follow(trueSuccession(t, 2)))
					require.NoError(t, c.Follow(trueSuccession(t, knows)))
					key, fake := chain()
					require.NoError(t, b.RemoveDeviceAfter(key, early, fake...))
					removal := missing(t, b, c.Heads())
					if thiefFirst {
						merges(t, c, removal...)
						require.Empty(t, removedNames(c))
					}
					require.NoError(t, a.RemoveDevice(later, b.Device(), steps...))
					merges(t, c, missing(t, a, c.Heads())...)
					outranks, err := c.RemovesUnderLaterKey(b.Device(), removal)
					require.NoError(t, err)
					require.False(t, outranks)
					exchange(t, a, c)
					merges(t, a, removal...)
					merges(t, c, removal...)
					for _, l := range []*Ledger{a, c} {
						require.Equal(t, []string{"two"}, removedNames(l))
						require.Equal(t, []string{"owners"}, get(t, l, "k"))
						for err := range l.Verify(t.Context()) {
							require.NoError(t, err)
						}
					}
					_, err = a.Append([]byte("k=again"))
					require.NoError(t, err)
				})
			}
		}
	}
}

// continued returns a chain that begins with true steps to a key that the thief has too.
func continued(t testing.TB, steps []pointer.Succession, from ed25519.PrivateKey, n int) (ed25519.PrivateKey, []pointer.Succession) {
	t.Helper()
	key, own := chainFrom(t, from, n)
	return key, append(steps[:len(steps):len(steps)], own...)
}

func head(t testing.TB, l *Ledger) Head {
	t.Helper()
	for _, h := range l.Heads() {
		if h.Device == l.Device() {
			return h
		}
	}
	require.Fail(t, "it has written nothing")
	return Head{}
}

// The attack: such a chain admits a device, names another one, and revives a removed one.
func TestAChainThatNothingCommittedToAdmitsNothing(t *testing.T) {
	later, steps := succeeded(t)
	a, _ := newBook(t)
	b, c := join(t, a, "two"), join(t, a, "three")
	exchange(t, a, b, c)
	key, fake := chainFrom(t, identity, 3)
	require.NoError(t, b.AdmitDevice(key, publicKey("four"), "four", fake...))
	require.NoError(t, b.AdmitDevice(key, publicKey("three"), "evil", fake...))
	d := joinAs(t, b, "four")
	_, err := d.Append([]byte("k=evil"))
	require.NoError(t, err)
	for _, l := range []*Ledger{a, c} {
		require.NoError(t, l.Follow(trueSuccession(t, 0)))
	}
	merges(t, a, missing(t, d, a.Heads())...)
	exchange(t, a, c)
	for _, l := range []*Ledger{a, c} {
		require.Len(t, l.Devices(), 3)
		require.Empty(t, get(t, l, "k"))
		for _, d := range l.Devices() {
			require.NotEqual(t, "evil", d.Name)
		}
	}

	require.NoError(t, a.RemoveDevice(later, b.Device(), steps...))
	require.NoError(t, b.RemoveDeviceAfter(key, Head{Device: c.Device()}, fake...))
	require.NoError(t, b.AdmitDevice(key, publicKey("two"), "two again", fake...))
	exchange(t, a, c)
	merges(t, c, missing(t, b, c.Heads())...)
	exchange(t, a, c)
	require.Equal(t, []string{"two"}, removedNames(c))
	require.Len(t, c.Devices(), 3)
}

// A removal and an admission by the true later key stand on a device that knows of no rotation:
// its own commitment is what they open. A removal by the first key stands, below them.
func TestAChainThatOpensTheCommitmentStands(t *testing.T) {
	later, steps := succeeded(t)
	a, _ := newBook(t)
	b, c := join(t, a, "two"), join(t, a, "three")
	exchange(t, a, b, c)
	require.NoError(t, c.Follow(trueSuccession(t, 0)))
	require.NoError(t, b.RemoveDevice(identity, a.Device())) // the thief's, with the first key
	merges(t, c, missing(t, b, c.Heads())...)
	require.Equal(t, []string{"one"}, removedNames(c))
	require.NoError(t, a.RemoveDevice(testKey("second"), b.Device(), steps[:1]...))
	require.NoError(t, a.AdmitDevice(later, publicKey("four"), "four", steps...))
	outranks, err := c.RemovesUnderLaterKey(a.Device(), missing(t, a, c.Heads()))
	require.NoError(t, err)
	require.True(t, outranks)
	merges(t, c, missing(t, a, c.Heads())...)
	require.Equal(t, []string{"two"}, removedNames(c))
	require.Len(t, c.Devices(), 4)
}

// A statement that does not verify at first stands once the ledger follows its key, and what
// counts is the same whatever comes first.
func TestStatementsAndSuccessionsInAnyOrderEndTheSame(t *testing.T) {
	later, steps := succeeded(t)
	a, _ := newBook(t)
	b, c, e := join(t, a, "two"), join(t, a, "three"), join(t, a, "five")
	exchange(t, a, b, c, e)
	genesis := missing(t, a, nil)
	key, fake := chainFrom(t, identity, 3)
	require.NoError(t, b.RemoveDeviceAfter(key, head(t, a), fake...))
	require.NoError(t, b.AdmitDevice(key, publicKey("four"), "four", fake...))
	require.NoError(t, b.RemoveDevice(identity, e.Device()))
	_, err := a.Append([]byte("k=owners"))
	require.NoError(t, err)
	require.NoError(t, a.RemoveDevice(testKey("second"), b.Device(), steps[:1]...))
	require.NoError(t, a.RemoveDevice(later, c.Device(), steps...))
	require.NoError(t, a.AdmitDevice(later, publicKey("six"), "six", steps...))
	heads := e.Heads()
	of := [][][]byte{missing(t, a, heads), missing(t, b, heads)}
	unknown := trueSuccession(t, 0)
	unknown.Next, err = pointer.Commit(publicKeyOf("elsewhere"))
	require.NoError(t, err)
	var want Hash
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		l, err := Join(filepath.Join(lawtest.FastDir(t), fmt.Sprint(i)), identityPointer(t), testKey("five"), seq(genesis...), multi{}, testOptions())
		require.NoError(t, err)
		unsynced(l)
		lists := [][]func(){nil, nil, nil}
		for j, wires := range of {
			for _, w := range wires {
				lists[j] = append(lists[j], func() { merges(t, l, w) })
			}
		}
		for _, f := range []Followed{unknown, trueSuccession(t, 0), trueSuccession(t, 1), trueSuccession(t, 2)} {
			if f.Next != unknown.Next || rng.IntN(2) == 0 {
				lists[2] = append(lists[2], func() { require.NoError(t, l.Follow(f)) })
			}
		}
		for len(lists[0])+len(lists[1])+len(lists[2]) > 0 {
			if j := rng.IntN(3); len(lists[j]) > 0 {
				lists[j][0]()
				lists[j] = lists[j][1:]
			}
		}
		if i == 0 {
			want = digest(t, l)
		}
		require.Equal(t, want, digest(t, l))
		require.Equal(t, []string{"owners"}, get(t, l, "k"))
		require.ElementsMatch(t, []string{"two", "three"}, removedNames(l))
		require.Len(t, l.Devices(), 5)
		require.NoError(t, l.Close())
	}
}

// A statement by a key that the ledger did not follow is stored, and stands when it does.
func TestAStatementThatDidNotVerifyStandsLater(t *testing.T) {
	later, steps := succeeded(t)
	a, _ := newBook(t)
	b, c := join(t, a, "two"), join(t, a, "three")
	exchange(t, a, b, c)
	lost := trueSuccession(t, 0)
	lost.Next = pointer.Commitment{}
	require.NoError(t, c.Follow(lost))
	_, err := b.Append([]byte("k=two"))
	require.NoError(t, err)
	require.NoError(t, a.RemoveDevice(later, b.Device(), steps...))
	merges(t, c, missing(t, b, c.Heads())...)
	merges(t, c, missing(t, a, c.Heads())...)
	require.Empty(t, removedNames(c))
	require.Equal(t, []string{"two"}, get(t, c, "k"))
	c = reopen(t, c, "three")
	require.Empty(t, removedNames(c), "the file has the succession")
	require.NoError(t, c.Follow(trueSuccession(t, 1)))
	require.Equal(t, []string{"two"}, removedNames(c))
	require.Empty(t, get(t, c, "k"), "after its end")
	for err := range c.Verify(t.Context()) {
		require.NoError(t, err)
	}
	c = reopen(t, c, "three")
	require.Equal(t, []string{"two"}, removedNames(c))
	before := c.st.Load().txn
	require.NoError(t, c.Follow(trueSuccession(t, 1)))
	require.Equal(t, before, c.st.Load().txn, "nothing is written of what the file has")
}

// The attack: the device that joins receives the thief's removal too, after an early entry of the
// owner's device, which has since written more than is stored of a removed one.
func TestADeviceThatJoinsFollowsNoSuchChain(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	require.NoError(t, a.AdmitDevice(identity, publicKey("three"), "three"))
	key, fake := chainFrom(t, identity, 3)
	exchange(t, a, b)
	require.NoError(t, b.RemoveDeviceAfter(key, head(t, a), fake...))
	entries := missing(t, b, nil)
	for i := range maxLate + 10 {
		_, err := a.Append(fmt.Appendf(nil, "k%d=1", i))
		require.NoError(t, err)
	}
	entries = append(entries, missing(t, a, b.Heads())...)
	f := trueSuccession(t, 1)
	o := testOptions()
	o.Followed = &f
	c, err := Join(filepath.Join(t.TempDir(), "three.db"), identityPointer(t), testKey("three"), seq(entries...), multi{}, o)
	require.NoError(t, err)
	defer c.Close()
	require.Empty(t, removedNames(c))
	require.Equal(t, []string{"1"}, get(t, c, fmt.Sprintf("k%d", maxLate+9)))

	o.Followed = &Followed{Steps: f.Steps[:1:1], Next: f.Next}
	o.Followed.Steps = append(o.Followed.Steps, f.Steps[0])
	_, err = Join(filepath.Join(t.TempDir(), "other.db"), identityPointer(t), testKey("three"), seq(entries...), multi{}, o)
	require.Error(t, err)
}

// This device signs no statement that would not stand here.
func TestNoStatementIsWrittenByAChainThatIsNotFollowed(t *testing.T) {
	later, steps := succeeded(t)
	a, _ := newBook(t)
	b := join(t, a, "two")
	require.NoError(t, a.Follow(trueSuccession(t, 1)))
	key, fake := chainFrom(t, identity, 2)
	heads := a.Heads()
	err := a.RemoveDevice(key, b.Device(), fake...)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "succession")
	require.ErrorIs(t, a.AdmitDevice(key, publicKey("three"), "three", fake...), ErrRefused)
	require.Equal(t, heads, a.Heads())
	require.NoError(t, a.RemoveDevice(identity, b.Device()))
	renewed, err := a.RenewRemovals(later, []DeviceID{b.Device()}, steps...)
	require.NoError(t, err)
	require.Equal(t, []DeviceID{b.Device()}, renewed)
}

// A succession that does not verify, or is another identity's, is refused and changes nothing, and
// a damaged row of the file is named.
func TestASuccessionThatDoesNotVerifyIsNotFollowed(t *testing.T) {
	a, path := newBook(t)
	require.NoError(t, a.Follow(trueSuccession(t, 1)))
	want := a.st.Load().followed
	_, steps := succeeded(t)
	forged := steps[0]
	forged.NewSignature = make([]byte, 64)
	_, other := chainFrom(t, testKey("other"), 1)
	long := make([]pointer.Succession, pointer.MaxKept+1)
	for name, steps := range map[string][]pointer.Succession{"a gap": steps[1:], "twice": {steps[0], steps[0]}, "a signature": {forged}, "another identity": other, "long": long} {
		require.Error(t, a.Follow(Followed{Steps: steps}), name)
		require.Same(t, want, a.st.Load().followed)
	}
	for _, row := range [][]byte{{}, {0xa0}, []byte("text"), rowOfKeys(t, 1<<8), (&followed{keys: []pointer.Pointer{{}}}).row()} {
		err := a.write(func(w *writing) error {
			if _, err := w.index.put(followedKey, row); err != nil {
				return err
			}
			_, err := readFollowed(w.index)
			require.ErrorAs(t, err, new(*DamagedError))
			return errors.New("undone")
		})
		require.EqualError(t, err, "undone")
	}
	require.NoError(t, a.Close())
	a, err := Open(path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	defer a.Close()
	require.True(t, want.equal(a.st.Load().followed))
}

// rowOfKeys returns a row with n keys.
func rowOfKeys(t testing.TB, n int) []byte {
	f := &followed{}
	for range n {
		f.keys = append(f.keys, identityPointer(t))
	}
	return f.row()
}
