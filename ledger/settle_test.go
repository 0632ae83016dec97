package ledger

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/pointer"
)

// merges merges entries of which some need not count.
func merges(t testing.TB, to *Ledger, entries ...[]byte) {
	t.Helper()
	if _, err := to.Merge(seq(entries...)); err != nil {
		require.True(t, errorsIsAny(err, ErrFork, ErrRefused), "%v", err)
	}
}

func digest(t require.TestingT, l *Ledger) Hash {
	h, err := l.Digest()
	require.NoError(t, err)
	return h
}

// exchange merges what each of the ledgers lacks, until they have the same entries.
func exchange(t testing.TB, ls ...*Ledger) {
	t.Helper()
	for range 3 {
		for _, to := range ls {
			for _, from := range ls {
				merges(t, to, missing(t, from, to.Heads())...)
			}
		}
	}
	for _, l := range ls[1:] {
		require.Equal(t, digest(t, ls[0]), digest(t, l))
		require.Equal(t, dump(t, ls[0]), dump(t, l))
		require.ElementsMatch(t, ls[0].Devices(), l.Devices())
	}
	for _, l := range ls {
		verified(t, l)
	}
}

func TestASuccessorOfTheIdentityAdmitsAndRemoves(t *testing.T) {
	a, _ := newBook(t)
	later, steps := succeeded(t)
	b := join(t, a, "two")
	require.NoError(t, a.AdmitDevice(later, publicKey("three"), "three", steps...))
	c, err := Join(filepath.Join(t.TempDir(), "c.db"), identityPointer(t), testKey("three"), seq(missing(t, a, nil)...), multi{}, testOptions())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Append([]byte("k=of three"))
	require.NoError(t, err)
	exchange(t, a, b, c)
	require.Equal(t, []string{"of three"}, get(t, b, "k"))
	require.NoError(t, a.RemoveDevice(later, deviceID("three"), steps...))
	_, err = c.Append([]byte("k=late"))
	require.NoError(t, err)
	exchange(t, a, b, c)
	require.Equal(t, []string{"of three"}, get(t, c, "k"))
	_, err = c.Append([]byte("k=later"))
	require.ErrorContains(t, err, "removed")

	// The steps must lead from the identity of the genesis, and both keys sign each.
	unsigned := slices.Clone(steps)
	unsigned[1].OldSignature = nil
	forged := slices.Clone(steps)
	forged[0].OldSignature = bytes.Clone(forged[0].OldSignature)
	forged[0].OldSignature[5] ^= 1
	mallory, err := pointer.FromPublicKey(publicKeyOf("mallory"))
	require.NoError(t, err)
	next, err := pointer.Commit(publicKeyOf("fourth"))
	require.NoError(t, err)
	foreign, err := pointer.Succeed(mallory, later, next, testKey("mallory"))
	require.NoError(t, err)
	heads := a.Heads()
	for name, wrong := range map[string][]pointer.Succession{
		"none": nil, "the first alone": steps[:1], "the last alone": steps[1:], "the old key's signature missing": unsigned,
		"a wrong signature": forged, "of another identity": {foreign}, "twice": append(slices.Clone(steps), steps...),
	} {
		require.Error(t, a.AdmitDevice(later, publicKey("five"), "five", wrong...), name)
		require.Error(t, a.RemoveDevice(later, deviceID("two"), wrong...), name)
	}
	require.Error(t, a.AdmitDevice(testKey("mallory"), publicKey("five"), "five", steps...))
	require.Equal(t, heads, a.Heads())
}

func publicKeyOf(name string) any { return testKey(name).Public() }

// A statement of a version that this program does not know is not taken for a wrong one.
func TestAStatementOfANewerVersionIsNamed(t *testing.T) {
	a := scene(t)
	for kind, body := range map[uint64][]byte{2: {0x87, 3, 0x40}, 3: {0x88, 0x18, 40, 0x40}} {
		d := drafted(t, a, "two", body)
		d.kind = kind
		_, err := a.Merge(seq(d.wire()))
		require.ErrorIs(t, err, ErrRefused)
		require.ErrorContains(t, err, "newer version")
		keeps(t, a, ErrRefused, d.wire())
	}
}

// A removed device, or a thief of its key, replaces none of its entries by others with a
// smaller hash.
func TestARemovedDeviceCannotReplaceWhatItWrote(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	for i := range 5 {
		_, err := b.Append(fmt.Appendf(nil, "k%d=true", i))
		require.NoError(t, err)
	}
	pull(t, a, b)
	c := join(t, a, "three")
	require.NoError(t, a.RemoveDevice(identity, b.Device()))
	first, _, err := a.Entry(ID{b.Device(), 1})
	require.NoError(t, err)
	for i := range 20 { // some of them have a smaller hash
		e := Entry{id: ID{b.Device(), 2}, kind: KindApplication, prev: first.hash, clock: first.clock + uint64(i) + 1}
		w, _ := forge(a.Book(), testKey("two"), e, []byte("k1=false"))
		merges(t, c, w)
	}
	require.Equal(t, []string{"false"}, get(t, c, "k1"), "before the removal one of them counts")
	exchange(t, a, c)
	for i := range 5 {
		require.Equal(t, []string{"true"}, get(t, c, fmt.Sprint("k", i)))
	}
}

// Two devices remove each other: the later key decides, and of one key the hash.
func TestOfTwoDevicesThatRemoveEachOtherOneStays(t *testing.T) {
	later, steps := succeeded(t)
	for _, rotated := range []bool{false, true} {
		a, _ := newBook(t)
		b, c := join(t, a, "two"), join(t, a, "three")
		exchange(t, a, b, c)
		// two is stolen, with the key of the identity. The owner rotates, and removes it.
		require.NoError(t, b.RemoveDevice(identity, c.Device()))
		if rotated {
			require.NoError(t, c.RemoveDevice(later, b.Device(), steps...))
		} else {
			require.NoError(t, c.RemoveDevice(identity, b.Device()))
		}
		merges(t, a, missing(t, b, a.Heads())...)
		exchange(t, a, b, c)
		removed := map[string]bool{}
		for _, d := range a.Devices() {
			removed[d.Name] = d.Removed
		}
		require.NotEqual(t, removed["two"], removed["three"])
		if rotated {
			require.True(t, removed["two"])
		}
		_, err := c.Append([]byte("k=1"))
		require.Equal(t, removed["three"], err != nil)
	}
}

// What a device admits after its end does not count, nor what that device wrote, wherever
// it came first.
func TestADeviceOfALateAdmissionDoesNotCount(t *testing.T) {
	a, _ := newBook(t)
	b, c := join(t, a, "two"), join(t, a, "three")
	exchange(t, a, b, c)
	require.NoError(t, a.RemoveDevice(identity, b.Device()))
	d := join(t, b, "four")
	_, err := d.Append([]byte("k=of four"))
	require.NoError(t, err)
	exchange(t, c, d, b)
	require.Equal(t, []string{"of four"}, get(t, c, "k"))
	exchange(t, a, b, c, d)
	require.Empty(t, get(t, a, "k"))
	require.Len(t, a.Devices(), 3)

	// Admitted again, it counts.
	require.NoError(t, a.AdmitDevice(identity, publicKey("four"), "four"))
	exchange(t, a, c, d)
	require.Equal(t, []string{"of four"}, get(t, c, "k"))
	require.Len(t, a.Devices(), 4)
}

// Of two names that were given to a device at one time, all devices show the same one.
func TestTwoNamesOfADeviceBecomeOne(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	exchange(t, a, b)
	require.NoError(t, a.AdmitDevice(identity, publicKey("two"), "phone"))
	require.NoError(t, b.AdmitDevice(identity, publicKey("two"), "telephone"))
	exchange(t, a, b)
	require.Equal(t, a.Devices()[1].Name, b.Devices()[1].Name)
	require.NoError(t, a.AdmitDevice(identity, publicKey("two"), "mobile"))
	exchange(t, a, b)
	require.Equal(t, "mobile", b.Devices()[1].Name)
}

// A removed device that writes on takes bounded room.
func TestEntriesAfterARemovalAreBounded(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	exchange(t, a, b)
	require.NoError(t, a.RemoveDevice(identity, b.Device()))
	bodies := make([][]byte, maxLate+10)
	for i := range bodies {
		bodies[i] = []byte("k=late")
	}
	_, err := b.Append(bodies...)
	require.NoError(t, err)
	merges(t, a, missing(t, b, a.Heads())...)
	keeps(t, a, ErrRefused, missing(t, b, a.Heads())...)
	require.Empty(t, get(t, a, "k"))
	require.EqualValues(t, maxLate, a.st.Load().first(b.Device()).head)
	verified(t, a)
}

// A file of the first format gets the second one at the next statement or fork, and not
// before.
func TestAFileOfTheFirstFormatIsUpgraded(t *testing.T) {
	l, path := newBook(t)
	_, err := l.Append([]byte("k=1"))
	require.NoError(t, err)
	require.EqualValues(t, firstFormat, l.st.Load().format)
	require.NoError(t, l.AdmitDevice(identity, publicKey("two"), "two"))
	require.EqualValues(t, fileFormat, l.st.Load().format)
	devices, heads := l.Devices(), l.Heads()
	// The rows of the second format go, as in a file of an older program with two devices.
	st := l.st.Load().clone()
	st.format = firstFormat
	edit(t, l, func(tx *bbolt.Tx) error {
		c, err := newChain(tx, bucketIndex, path)
		if err != nil {
			return err
		}
		for _, prefix := range [][]byte{branchPrefix, statementPrefix} {
			for {
				k, _, err := c.scan(prefix).next()
				if err != nil {
					return err
				}
				if !bytes.HasPrefix(k, prefix) {
					break
				}
				if _, err := c.delete(bytes.Clone(k)); err != nil {
					return err
				}
			}
		}
		return st.save(c)
	})
	l, err = openAs(l, "one")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	require.EqualValues(t, firstFormat, l.st.Load().format)
	require.Equal(t, devices, l.Devices())
	_, err = l.Append([]byte("k=1"))
	require.NoError(t, err)
	require.EqualValues(t, firstFormat, l.st.Load().format)
	require.NoError(t, l.RemoveDevice(identity, deviceID("two")))
	require.EqualValues(t, fileFormat, l.st.Load().format)
	require.True(t, l.Devices()[1].Removed)
	require.NotEqual(t, heads, l.Heads())
	require.Equal(t, []string{"1"}, get(t, l, "k"))
	verified(t, l)
}

// The evidence of a fork in a file of the first format stays evidence.
func TestEvidenceOfTheFirstFormatIsPlaced(t *testing.T) {
	a, path := newBook(t)
	_, err := a.Append([]byte("k=1"))
	require.NoError(t, err)
	other := drafted(t, a, "one", []byte("k=2"))
	other.number, other.prev = 2, hashAt(t, a, a.self, 1)
	other.noBody = true
	lost := drafted(t, a, "one", []byte("k=3"))
	lost.prev[0] ^= 1 // the entry before it is nowhere
	edit(t, a, func(tx *bbolt.Tx) error {
		c, err := newChain(tx, bucketIndex, path)
		if err != nil {
			return err
		}
		for i, d := range []*draft{other, lost} {
			if _, err := c.put(fmt.Appendf(nil, "fork\x00\x00\x00\x00%d", i), d.wire()); err != nil {
				return err
			}
		}
		return nil
	})
	a, err = openAs(a, "one")
	require.NoError(t, err)
	defer a.Close()
	merges(t, a, missing(t, a, nil)...)
	forks, err := a.Forks()
	require.NoError(t, err)
	require.Len(t, forks, 1)
	require.Contains(t, [][]byte{hashOfFork(forks[0].Kept), hashOfFork(forks[0].Other)}, other.hash())
	verified(t, a)
}
