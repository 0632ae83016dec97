package ledger

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A statement that is repeated in other entries is refused: it could fill the bound of
// statements, so that the owner could not remove the device.
func TestARepeatedStatementTakesNoRoom(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	_, body, err := a.Entry(ID{a.Device(), 2}) // the admission of two
	require.NoError(t, err)
	wires, _ := chainOf(a.Book(), "two", Entry{}, b.st.Load().branches[0].clock, maxStatements-2, KindAdmit, func(int) []byte { return body })
	start := time.Now()
	_, err = a.Merge(seq(wires...))
	t.Logf("merge of %d replays: %v, %v", len(wires), err, time.Since(start))
	err = a.RemoveDevice(identity, deviceID("two"))
	require.NoError(t, err, "the owner removes the stolen device")
}

// Entries of a removed device that one ledger stored before it knew of the removal are no
// obstacle to the sync with another one.
func TestAFloodBeforeARemovalStopsNoSync(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	c := join(t, a, "three")
	require.NoError(t, c.RemoveDevice(identity, b.Device()))
	wires, _ := chainOf(a.Book(), "two", Entry{}, 1<<60, maxLate+maxDeferred+2, KindApplication, app("f"))
	_, err := a.Merge(seq(wires...)) // a does not know of the removal
	require.NoError(t, err)
	_, err = a.Append([]byte("k=honest"))
	require.NoError(t, err)
	syncs(t, a, c, 3)
	require.Equal(t, []string{"honest"}, get(t, c, "k"))
}

// Branches over the bound are no obstacle to the sync of two devices that stored others.
func TestForksOverTheBoundStopNoSync(t *testing.T) {
	for name, long := range map[string]int{"one call": maxDeferred + 3, "chunks": 3} {
		t.Run(name, func(t *testing.T) {
			a, _ := newBook(t)
			join(t, a, "two")
			c := join(t, a, "three")
			pullAll := func(to, from *Ledger) error {
				if name == "one call" {
					_, err := to.Merge(seq(missing(t, from, to.Heads())...))
					if err != nil {
						t.Log(err)
					}
					return nil
				}
				ws := missing(t, from, to.Heads())
				for len(ws) > 0 { // as a sync in bounded memory does: two entries a call
					n := min(2, len(ws))
					if _, err := to.Merge(seq(ws[:n]...)); err != nil {
						t.Log(err)
					}
					ws = ws[n:]
				}
				return nil
			}
			require.NoError(t, pullAll(a, c))
			for i := range maxBranches {
				w, _ := chainOf(a.Book(), "two", Entry{}, 1<<60, 1, KindApplication, app(fmt.Sprint("c", i)))
				merges(t, c, w...)
			}
			w, _ := chainOf(a.Book(), "two", Entry{}, 1<<60, long, KindApplication, app("a"))
			_, err := a.Merge(seq(w...))
			require.NoError(t, err)
			_, err = a.Append([]byte("k=honest"))
			require.NoError(t, err)
			require.NoError(t, pullAll(c, a))
			require.Equal(t, []string{"honest"}, get(t, c, "k"))
		})
	}
}

// writeAround has b and c write while a knows only that f has removed b, and then a write.
func writeAround(t *testing.T, a, b, c, f *Ledger) {
	t.Helper()
	_, err := b.Append([]byte("k=of two"))
	require.NoError(t, err)
	pull(t, c, b)
	_, err = c.Append([]byte("j=of three"))
	require.NoError(t, err)
	pull(t, a, f)
	merges(t, a, missing(t, c, a.Heads())...)
	_, err = a.Append([]byte("m=honest"))
	require.NoError(t, err)
}

// What a device left out because it did not count can count later: the entries of the
// device stay acceptable.
func TestARemovalThatIsUndoneStopsNoSync(t *testing.T) {
	later, steps := succeeded(t)
	a, _ := newBook(t)
	b, c, f := join(t, a, "two"), join(t, a, "three"), join(t, a, "five")
	for range 2 {
		for _, l := range []*Ledger{b, c, f} {
			syncs(t, a, l, 1)
		}
	}
	require.NoError(t, f.RemoveDevice(identity, b.Device())) // five is stolen, with the retired key
	writeAround(t, a, b, c, f)
	require.NoError(t, c.RemoveDevice(later, f.Device(), steps...))
	syncs(t, a, c, 4)
	require.Equal(t, []string{"honest"}, get(t, c, "m"))
	require.Equal(t, digest(t, a), digest(t, c))
}

// The same with honest devices alone.
func TestHonestDevicesThatRemoveEachOtherSync(t *testing.T) {
	for i := range 8 {
		a, _ := newBook(t)
		b, c, f := join(t, a, "two"), join(t, a, "three"), join(t, a, "five")
		exchange(t, a, b, c, f)
		for range i {
			_, err := c.Append([]byte("z=1"))
			require.NoError(t, err)
		}
		exchange(t, a, b, c, f)
		require.NoError(t, f.RemoveDevice(identity, b.Device())) // offline
		writeAround(t, a, b, c, f)
		require.NoError(t, c.RemoveDevice(identity, f.Device()))
		syncs(t, a, c, 4)
		require.Equal(t, []string{"honest"}, get(t, c, "m"))
	}
}

// A thief of a device key undoes no statement of the device by a fork.
func TestAForkUndoesNoRemoval(t *testing.T) {
	a, _ := newBook(t)
	b, c, d := join(t, a, "two"), join(t, a, "three"), join(t, a, "four")
	exchange(t, a, b, c, d)
	require.NoError(t, c.RemoveDevice(identity, d.Device()))
	rm, _, err := c.Entry(ID{c.Device(), 1})
	require.NoError(t, err)
	exchange(t, a, b, c)
	_, err = d.Append([]byte("k=late"))
	require.NoError(t, err)
	merges(t, a, smallerThan(a.Book(), "three", Entry{}, 1, rm.clock, rm.hash))
	merges(t, a, missing(t, d, a.Heads())...)
	require.Empty(t, get(t, a, "k"), "of a device that the identity removed")
}

// A removal that names the last entry of the owner takes back all that a thief of the
// device key did after it.
func TestARemovalNamesTheOwnersBranch(t *testing.T) {
	a, _ := newBook(t)
	b, c := join(t, a, "two"), join(t, a, "three")
	_, err := c.Append([]byte("j=of three"))
	require.NoError(t, err)
	exchange(t, a, b, c)
	g, _, err := a.Entry(ID{a.Device(), 1})
	require.NoError(t, err)
	o, _, err := a.Entry(ID{a.Device(), 2})
	require.NoError(t, err)
	own := c.st.Load().branches[0]
	merges(t, c, smallerThan(a.Book(), "one", g, 2, o.clock, o.hash))
	require.NoError(t, c.RemoveDeviceAfter(identity, Head{a.Device(), own.head, own.hash}))
	exchange(t, b, c)
	require.Equal(t, []string{"of three"}, get(t, b, "j"))
	require.Len(t, b.Devices(), 3)
	require.Empty(t, get(t, b, "evil"))
}

// A device whose key was copied cannot write any more, but admits its successor.
func TestADeviceThatForkedAdmitsItsSuccessor(t *testing.T) {
	a, _ := newBook(t)
	_, err := a.Append([]byte("k=1"))
	require.NoError(t, err)
	g, _, err := a.Entry(ID{a.Device(), 1})
	require.NoError(t, err)
	o, _, err := a.Entry(ID{a.Device(), 2})
	require.NoError(t, err)
	merges(t, a, smallerThan(a.Book(), "one", g, 2, o.clock, o.hash))
	err = a.AdmitDevice(identity, publicKey("new"), "new")
	require.NoError(t, err, "doc.go: the copy can write again under a new device key")
}

// chainOf forges n entries of a device after prev (zero: from entry 1).
func chainOf(book BookID, device string, prev Entry, clock uint64, n int, kind Kind, body func(i int) []byte) (wires [][]byte, es []Entry) {
	for i := range n {
		clock += 1 << 16
		e := Entry{id: ID{Number: prev.id.Number + 1}, kind: kind, prev: prev.hash, clock: clock}
		w, out := forge(book, testKey(device), e, body(i))
		wires, es, prev = append(wires, w), append(es, out), out
	}
	return wires, es
}

func app(s string) func(int) []byte {
	return func(i int) []byte { return fmt.Appendf(nil, "%s%d=x", s, i) }
}

func joinAs(t testing.TB, from *Ledger, device string) *Ledger {
	t.Helper()
	o, err := Join(filepath.Join(t.TempDir(), device+".db"), identityPointer(t), testKey(device), seq(missing(t, from, nil)...), multi{}, testOptions())
	require.NoError(t, err)
	t.Cleanup(func() { _ = o.Close() })
	return unsynced(o)
}

// syncs runs rounds of both directions; returns the last errors.
func syncs(t testing.TB, a, b *Ledger, rounds int) (ea, eb error) {
	for range rounds {
		_, ea = a.Merge(seq(missing(t, b, a.Heads())...))
		_, eb = b.Merge(seq(missing(t, a, b.Heads())...))
	}
	return
}

// smallerThan forges entry number of a device after prev whose hash is smaller than that of other.
func smallerThan(book BookID, device string, prev Entry, number, clock uint64, other Hash) []byte {
	for i := uint64(0); ; i++ {
		e := Entry{id: ID{Number: number}, kind: KindApplication, prev: prev.hash, clock: clock + i}
		if w, out := forge(book, testKey(device), e, []byte("evil=1")); bytes.Compare(out.hash[:], other[:]) < 0 {
			return w
		}
	}
}
