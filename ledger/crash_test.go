package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// A commit of bbolt is: data pages written, synced, the meta page written,
// synced. What a power cut leaves is therefore the file before with any subset
// of the data pages, or, once they are synced, with all of them and any part of
// the meta page. These tests make each such file from images before and after.
// The free pages that a sweep defaces after the commit are part of the next
// commit's unsynced writes.

type commit struct {
	before, after []byte // files
	swept         []byte // after, with the free pages defaced
	data          []int  // pages that differ, but for the meta pages
	metaPage      int
	confirmed     []string // bodies before
	added         []string // bodies of the commit
}

// commits runs updates on a ledger and returns what each did to the file.
func commits(t *testing.T, path string, l *Ledger, updates [][]string) (out []commit) {
	page := os.Getpagesize()
	var all []string
	for e, err := range l.Entries() {
		require.NoError(t, err)
		if e.Kind() == KindApplication {
			all = append(all, string(e.Body))
		}
	}
	for _, u := range updates {
		var c commit
		var err error
		c.confirmed = append([]string(nil), all...)
		c.added = u
		c.before, err = os.ReadFile(path)
		require.NoError(t, err)
		l.gate.RLock() // as a reader does, who holds the sweep off
		_, err = l.Update(func(tx *Tx) error {
			for _, body := range u {
				if _, err := tx.Append([]byte(body)); err != nil {
					return err
				}
				if err := tx.Local().Put("received", []byte(body), []byte(body)); err != nil {
					return err
				}
			}
			return nil
		})
		l.gate.RUnlock()
		require.NoError(t, err)
		all = append(all, u...)
		c.after, err = os.ReadFile(path)
		require.NoError(t, err)
		l.writer.Lock()
		l.sweep()
		l.writer.Unlock()
		c.swept, err = os.ReadFile(path)
		require.NoError(t, err)
		// The clean mark is removed, and the file's growth synced, before any
		// page is written.
		other := 0
		if !bytes.Equal(c.before[:80], c.after[:80]) {
			other = page
		}
		copy(c.before[other:other+page], c.after[other:other+page])
		c.before = append(c.before, make([]byte, len(c.after)-len(c.before))...)
		for p := 0; p*page < len(c.after); p++ {
			if bytes.Equal(c.before[p*page:(p+1)*page], c.after[p*page:(p+1)*page]) {
				continue
			}
			if p < 2 {
				c.metaPage = p
			} else {
				c.data = append(c.data, p)
			}
		}
		out = append(out, c)
	}
	return out
}

// crashed reopens a file as a crash left it, and requires exactly want.
func crashed(t *testing.T, path string, file []byte, what string, want ...[]string) {
	t.Helper()
	overwrite(t, path, file)
	l, err := Open(path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err, what)
	require.Zero(t, undefaced(t, path), what)
	got := bodies(t, l)
	ok := false
	for _, w := range want {
		ok = ok || fmt.Sprint(got) == fmt.Sprint(w)
	}
	require.Truef(t, ok, "%s: got %d entries", what, len(got))
	rows := 0
	require.NoError(t, l.Read(func(v *View) error {
		for _, err := range v.Scan("writes", nil) {
			if err != nil {
				return err
			}
			rows++
		}
		return nil
	}), what)
	require.Equal(t, len(got), rows, what)
	require.ElementsMatch(t, got, local(t, l, "received"), "%s: the device-local rows are of the same commits", what)
	require.NoError(t, l.Close())
}

func TestACrashDropsTheTornWriteAndNothingBeforeIt(t *testing.T) {
	page := os.Getpagesize()
	l, path := newBook(t)
	var updates [][]string
	for i := range 6 {
		var u []string
		for j := range 1 + 9*(i%2) {
			u = append(u, fmt.Sprintf("key%d.%d=%s", i, j, bytes.Repeat([]byte("x"), 150*(i%3))))
		}
		updates = append(updates, u)
	}
	all := commits(t, path, l, updates)
	require.NoError(t, l.Close())
	temp := filepath.Join(t.TempDir(), "crashed.db")
	subsets, most := 0, uint64(16)
	if lawtest.Long() {
		most = 256
	}
	for i, c := range all {
		merge := func(pick uint64) []byte {
			b := bytes.Clone(c.before)
			for j, p := range c.data {
				if pick&(1<<j) != 0 {
					copy(b[p*page:(p+1)*page], c.after[p*page:(p+1)*page])
				}
			}
			return b
		}
		require.NotEmpty(t, c.data)
		// Any subset of the data pages: all subsets of few, a sample of many.
		n := uint64(1) << min(len(c.data), 63)
		step := max(1, n/most)
		if step > 1 {
			step |= 1
		}
		for pick := uint64(0); pick < n; pick += step {
			crashed(t, temp, merge(pick), fmt.Sprintf("commit %d, subset %b of pages %v", i, pick, c.data), c.confirmed)
			subsets++
		}
		// Each page of them cut in the middle.
		for j := range c.data {
			b := merge(1<<j - 1)
			p := c.data[j] * page
			copy(b[p:p+page/2], c.after[p:p+page/2])
			crashed(t, temp, b, fmt.Sprintf("commit %d, page %d half written", i, c.data[j]), c.confirmed)
		}
		// Then the sweep, as far as it came.
		full := append(append([]string(nil), c.confirmed...), c.added...)
		for b, p := bytes.Clone(c.after), 0; p < len(b); p += page {
			if !bytes.Equal(b[p:p+page], c.swept[p:p+page]) {
				copy(b[p:p+pageHeader/2], c.swept[p:])
				crashed(t, temp, b, fmt.Sprintf("commit %d, half of page %d swept", i, p/page), full)
				copy(b[p:p+page], c.swept[p:])
				crashed(t, temp, b, fmt.Sprintf("commit %d, swept up to page %d", i, p/page), full)
			}
		}
		// Or the meta page, up to each byte that it says something in.
		for cut := 0; cut <= 100; cut++ {
			if !lawtest.Long() && cut%8 > 1 && (cut < 78 || cut > 81) {
				continue // within a field; the checksum ends at 80
			}
			b := merge(^uint64(0))
			p := c.metaPage * page
			copy(b[p:p+cut], c.after[p:p+cut])
			want := [][]string{c.confirmed}
			if cut >= 80 {
				want = [][]string{full}
			} else if bytes.Equal(b[p:p+80], c.after[p:p+80]) {
				want = [][]string{full} // the bytes left to write are the same
			}
			crashed(t, temp, b, fmt.Sprintf("commit %d, meta page up to byte %d", i, cut), want...)
		}
	}
	require.Greater(t, subsets, len(all))
}

// An open after a crash finds free pages that were never defaced, and does it.
func TestAnOpenAfterACrashDefacesFreePages(t *testing.T) {
	l, path := newBook(t)
	for i := range 20 {
		_, err := l.Append(fmt.Appendf(nil, "key%d=%d", i, i))
		require.NoError(t, err)
	}
	want := bodies(t, l)
	// Commit behind the sweep's back, as a crash right after the commit would
	// leave it.
	require.NoError(t, l.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketLog))
		key := bytes.Clone(logKey(0, 1))
		return b.Put(key, bytes.Clone(b.Get(key)))
	}))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	temp := filepath.Join(t.TempDir(), "crashed.db")
	require.NoError(t, os.WriteFile(temp, b, 0o600))
	require.NotZero(t, undefaced(t, temp))
	o, err := Open(temp, testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	require.Equal(t, want, bodies(t, o))
	require.Zero(t, undefaced(t, temp))
	verified(t, o)
	require.NoError(t, o.Close())
}

// A crash in Create leaves the temporary file at most: nothing at the path.
func TestACrashInCreateLeavesNoHalfLedger(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	l, err := newLedger(path+".new-1", testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	require.NoError(t, l.openFile(os.O_RDWR|os.O_CREATE|os.O_EXCL, 0))
	require.Error(t, l.fill(func(*writing) error { return os.ErrDeadlineExceeded }))
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	l2, err := Create(path, Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, multi{}, testOptions())
	require.NoError(t, err, "what is left over is in nobody's way")
	require.NoError(t, l2.Close())
	require.NoError(t, l.Close())
}
