package ledger

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// Version vectors of many branches fit the rows of the index.
func TestLongVersionVectorsFitTheFile(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two") // the thief's, with the identity key
	var all [][]byte
	n := 66
	bodies := make([][]byte, n)
	for i := range n {
		var err error
		bodies[i], err = admit(a.Book(), identity, nil, &noise{}, ID{deviceID("two"), uint64(i) + 1}, deviceID(fmt.Sprint("x", i)), "x")
		require.NoError(t, err)
	}
	wires, es := chainOf(a.Book(), "two", Entry{}, b.st.Load().branches[0].clock, n, KindAdmit, func(i int) []byte { return bodies[i] })
	all = append(all, wires...)
	prev := es[n-1]
	clock := prev.clock
	for j := range maxBranches {
		var seen []Head
		for i := range n {
			w, e := forge(a.Book(), testKey(fmt.Sprint("x", i)), Entry{id: ID{Number: 1}, kind: KindApplication, clock: clock}, fmt.Appendf(nil, "b%d=1", j))
			all = append(all, w)
			seen = append(seen, Head{e.id.Device, 1, e.hash})
		}
		slices.SortFunc(seen, func(a, b Head) int { return bytes.Compare(a.Device[:], b.Device[:]) })
		clock++
		w, e := forge(a.Book(), testKey("two"), Entry{id: ID{Number: prev.id.Number + 1}, kind: KindApplication, prev: prev.hash, seen: seen, clock: clock}, []byte("s=1"))
		all, prev = append(all, w), e
	}
	start := time.Now()
	merges(t, a, all...)
	t.Logf("merge of %d: %v; vector of %d", len(all), time.Since(start), len(a.st.Load().first(deviceID("two")).past))
	require.NoError(t, a.Close())
	a, err := openAs(a, "one")
	require.NoError(t, err)
	a.Close()
}

// The name of a removed device whose admissions do not stand does not depend on the order.
func TestTheNameOfARemovedDeviceDoesNotDependOnTheOrder(t *testing.T) {
	a, _ := newBook(t)
	b, c := join(t, a, "two"), join(t, a, "three")
	d, x := join(t, a, "d"), join(t, a, "x")
	exchange(t, a, b, c, d, x)
	require.NoError(t, a.RemoveDevice(identity, b.Device()))
	require.NoError(t, a.RemoveDevice(identity, c.Device()))
	require.NoError(t, b.AdmitDevice(identity, publicKey("four"), "phone"))
	require.NoError(t, c.AdmitDevice(identity, publicKey("four"), "tablet"))
	fromB, fromC := missing(t, b, d.Heads()), missing(t, c, d.Heads())
	merges(t, d, missing(t, a, d.Heads())...)
	merges(t, x, missing(t, a, x.Heads())...)
	merges(t, d, append(slices.Clone(fromB), fromC...)...)
	merges(t, x, append(slices.Clone(fromC), fromB...)...)
	require.NoError(t, d.RemoveDevice(identity, deviceID("four")))
	for range 3 {
		syncs(t, d, x, 1)
		syncs(t, a, d, 1)
		syncs(t, a, x, 1)
	}
	require.Equal(t, digest(t, x), digest(t, d))
	require.ElementsMatch(t, x.Devices(), d.Devices())
}

// A statement that upgrades a file keeps the evidence that it has.
func TestAStatementKeepsOldEvidence(t *testing.T) {
	a, path := newBook(t)
	_, err := a.Append([]byte("k=1"))
	require.NoError(t, err)
	other := drafted(t, a, "one", []byte("k=2"))
	other.number, other.prev = 2, hashAt(t, a, a.self, 1)
	other.noBody = true
	edit(t, a, func(tx *bbolt.Tx) error {
		c, err := newChain(tx, bucketIndex, path)
		if err != nil {
			return err
		}
		_, err = c.put(fmt.Appendf(nil, "fork\x00\x00\x00\x000"), other.wire())
		return err
	})
	a, err = openAs(a, "one")
	require.NoError(t, err)
	defer a.Close()
	forks, err := a.Forks()
	require.NoError(t, err)
	t.Logf("forks before any merge: %d", len(forks))
	require.NoError(t, a.AdmitDevice(identity, publicKey("two"), "two"))
	merges(t, a, missing(t, a, nil)...)
	forks, err = a.Forks()
	require.NoError(t, err)
	require.Len(t, forks, 1)
}

// Admissions that do not stand take no place of a device.
func TestLateAdmissionsDoNotFillTheBook(t *testing.T) {
	later, steps := succeeded(t)
	a, _ := newBook(t)
	b := join(t, a, "two")
	require.NoError(t, a.RemoveDevice(later, b.Device(), steps...))
	bodies := make([][]byte, maxDevices-2)
	for i := range bodies {
		var err error
		bodies[i], err = admit(a.Book(), identity, nil, &noise{}, ID{deviceID("two"), uint64(i) + 1}, deviceID(fmt.Sprint("x", i)), "x")
		require.NoError(t, err)
	}
	w, _ := chainOf(a.Book(), "two", Entry{}, b.st.Load().branches[0].clock, len(bodies), KindAdmit, func(i int) []byte { return bodies[i] })
	merges(t, a, w...)
	t.Logf("devices shown: %d", len(a.Devices()))
	require.NoError(t, a.AdmitDevice(later, publicKey("new"), "new", steps...))
}

// A device cannot bring back an old name of another one.
func TestAnOldNameIsNotRepeated(t *testing.T) {
	a, _ := newBook(t)
	join(t, a, "two")
	_, body, err := a.Entry(ID{a.Device(), 2})
	require.NoError(t, err)
	require.NoError(t, a.AdmitDevice(identity, publicKey("two"), "stolen phone"))
	w, _ := chainOf(a.Book(), "two", Entry{}, maxClock-1<<17, 1, KindAdmit, func(int) []byte { return body })
	merges(t, a, w...)
	require.NoError(t, a.AdmitDevice(identity, publicKey("two"), "stolen phone!"))
	require.Equal(t, "stolen phone!", a.Devices()[1].Name)
}

// A device that joins again under a key that forked continues the branch that counts.
func TestADeviceThatJoinsAgainContinuesTheBranchThatCounts(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	_, err := b.Append([]byte("k=1"))
	require.NoError(t, err)
	pull(t, a, b)
	e, _, err := a.Entry(ID{b.Device(), 1})
	require.NoError(t, err)
	merges(t, a, smallerThan(a.Book(), "two", Entry{}, 1, e.clock, e.hash))
	n := joinAs(t, a, "two") // the device again, from the book
	_, err = n.Append([]byte("k=2"))
	require.NoError(t, err)
}

// A row with a right checksum that cannot be the place of a branch is damage.
func TestRowsOfBranchesAreChecked(t *testing.T) {
	for name, bad := range map[string]branchRow{
		"a parent, from 1":  {Parent: 0, From: 1, Counted: maxNumber},
		"parent of another": {Parent: 0, From: 2, Counted: maxNumber},
		"from beyond":       {Parent: -1, From: 1 << 40, Counted: maxNumber},
		"no parent, from 2": {Parent: -1, From: 2, Counted: maxNumber},
		"parent, from far":  {Parent: 0, From: 1 << 50, Counted: 1<<50 - 1},
		"counted beyond":    {Parent: -1, From: 1, Counted: 1<<64 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, path := newBook(t)
			b := join(t, a, "two")
			c := join(t, a, "three")
			_, err := b.Append([]byte("k=1"), []byte("k=2"))
			require.NoError(t, err)
			exchange(t, a, b, c)
			edit(t, a, func(tx *bbolt.Tx) error {
				ch, err := newChain(tx, bucketIndex, path)
				if err != nil {
					return err
				}
				_, err = ch.put(branchKey(1), canonical.MustMarshal(bad))
				return err
			})
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("panic: %v", r)
				}
			}()
			l, err := openAs(a, "one")
			if err != nil {
				t.Log("open:", err)
				return
			}
			defer l.Close()
			try := func(what string, f func()) {
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("%s: panic: %v", what, r)
					}
				}()
				done := make(chan struct{})
				_ = done
				f()
			}
			try("verify", func() {
				n := 0
				for err := range l.Verify(context.Background()) {
					n++
					if n < 3 {
						t.Log("verify:", err)
					}
				}
				if n == 0 {
					t.Errorf("verify found nothing")
				}
			})
			l.Close()
			l, err = openAs(l, "one")
			require.NoError(t, err)
			defer l.Close()
			try("missing", func() {
				for _, err := range l.Missing(nil) {
					if err != nil {
						t.Log("missing:", err)
					}
				}
			})
			try("entries", func() {
				for _, err := range l.Entries() {
					if err != nil {
						t.Log("entries", err)
					}
				}
			})
			try("append", func() { _, err := l.Append([]byte("z=1")); t.Log("append:", err) })
			try("remove", func() { t.Log("remove:", l.RemoveDevice(identity, deviceID("two"))) })
		})
	}
}

// A power cut at any operation of the commit that upgrades a file leaves the old or the
// new state.
func TestACrashInTheUpgradeLosesNothing(t *testing.T) {
	for _, what := range []string{"admit", "fork"} {
		l, path := newBook(t)
		for i := range 40 {
			_, err := l.Append(app("k")(i))
			require.NoError(t, err)
		}
		l.writer.Lock()
		l.sweep()
		l.writer.Unlock()
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		heads := l.Heads()
		l.gate.RLock() // no sweep
		if what == "admit" {
			require.NoError(t, l.AdmitDevice(identity, publicKey("two"), "two"))
		} else {
			e, _, err := l.Entry(ID{l.Device(), 3})
			require.NoError(t, err)
			w, _ := forge(l.Book(), testKey("one"), Entry{id: ID{Number: 4}, kind: KindApplication, prev: e.hash, clock: 1 << 60}, []byte("k=f"))
			merges(t, l, w)
		}
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		heads2 := l.Heads()
		l.gate.RUnlock()
		require.EqualValues(t, fileFormat, l.st.Load().format)
		page := os.Getpagesize()
		before = append(before, make([]byte, len(after)-len(before))...)
		var data []int
		for p := 2; p*page < len(after); p++ {
			if !bytes.Equal(before[p*page:(p+1)*page], after[p*page:(p+1)*page]) {
				data = append(data, p)
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		opened := 0
		for n := range 120 {
			f := bytes.Clone(before)
			for _, p := range data {
				if n > 100 || r.IntN(2) == 0 {
					copy(f[p*page:(p+1)*page], after[p*page:(p+1)*page])
				}
			}
			if n > 100 { // torn meta
				cut := r.IntN(page)
				for m := range 2 {
					copy(f[m*page:m*page+cut], after[m*page:m*page+cut])
				}
			}
			p := filepath.Join(t.TempDir(), "c.db")
			require.NoError(t, os.WriteFile(p, f, 0o600))
			o, err := Open(p, testKey("one"), multi{}, testOptions())
			require.NoError(t, err, "%s %d", what, n)
			got := o.Heads()
			if !equalHeads(got, heads) && !equalHeads(got, heads2) {
				t.Errorf("%s %d: heads %v", what, n, got)
			}
			for err := range o.Verify(context.Background()) {
				t.Errorf("%s %d: %v", what, n, err)
			}
			opened++
			o.Close()
		}
		t.Log(what, len(data), "pages,", opened, "crashes")
	}
}

func equalHeads(a, b []Head) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
