package ledger

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// flip tries the file with the byte at off changed.
func (m *image) flip(off int, with byte, write bool) (met error) {
	defer func() {
		if r := recover(); r != nil {
			m.t.Fatalf("byte %d (page %d + %d) changed by %#x: %v", off, off/os.Getpagesize(), off%os.Getpagesize(), with, r)
		}
	}()
	b := bytes.Clone(m.bytes)
	b[off] ^= with
	m.restore(b)
	return m.try(write)
}

func (m *image) restore(b []byte) { overwrite(m.t, m.path, b) }

// overwrite writes b to the file in place: truncating first would be slow on
// ext4.
func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = f.WriteAt(b, 0)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(int64(len(b))))
	require.NoError(t, f.Close())
}

// flips changes the byte at each of the offsets in turn. A changed byte in a row
// of the view, the log or the device-local tables must be detected. A changed byte
// elsewhere must be detected if it is read.
func (m *image) flips(offs []int) {
	met := map[string]int{}
	for i, off := range offs {
		p := m.part[off]
		if m.flip(off, []byte{0x01, 0x80, 0xff, 0x10, 0x03, 0x02, 0x04}[(i+off)%7], false) != nil {
			met[p.page]++
			met[p.row]++
			continue
		}
		require.Falsef(m.t, p.row == bucketView || p.row == bucketLog || p.row == bucketLocal, "byte %d, in a row of the %s, was not detected", off, p.row)
	}
	for _, kind := range []string{bucketView, bucketLog, bucketLocal, bucketIndex, "leaf", "root", "free list"} {
		require.NotZerof(m.t, met[kind], "no damage to %q was detected: %v", kind, met)
	}
}

func TestAFlippedByteIsNamedAndNeverServed(t *testing.T) {
	m := makeImage(t, 6, 40)
	m.flips(m.sample(2))
}

func TestAFlippedByteInALargerTree(t *testing.T) {
	m := makeImage(t, 40, 700)
	offs := m.sample(1)
	if !lawtest.Long() { // the other test covers the meta pages, and slack needs few samples
		offs = slices.DeleteFunc(offs, func(off int) bool { return off < 2*os.Getpagesize() || m.part[off].at == partSlack })
	}
	branches := 0
	for _, off := range offs {
		if m.part[off].page == "branch" {
			branches++
		}
	}
	require.Greater(t, branches, 32)
	m.flips(offs)
}

func TestWritingOnUnmetDamageDestroysNothing(t *testing.T) {
	m := makeImage(t, 6, 40)
	wrote := 0
	for i, off := range m.sample(1) {
		if m.flip(off, []byte{0x01, 0x80, 0xff, 0x02, 0x04}[(i+off)%5], true) == nil {
			wrote++
		}
	}
	require.NotZero(t, wrote)
}

// Open refuses a file that is shorter than its written part. The space that
// bbolt allocates beyond that is empty, and may be missing.
func TestACutFileIsNamed(t *testing.T) {
	page := os.Getpagesize()
	var m *image
	for n := 30; ; n++ { // until Open does not read the last page
		require.Less(t, n, 60)
		m = makeImage(t, n, 40)
		last := m.part[(int(m.pages.meta.end)-1)*page]
		if last.page == "unused" || last.page == "leaf" && (last.bucket == bucketView || last.bucket == bucketLocal) {
			break
		}
	}
	end := int(m.pages.meta.end) * page
	require.Less(t, end, len(m.bytes), "the file has slack behind its last page")
	cut := func(n int) {
		defer func() {
			if r := recover(); r != nil {
				t.Fatalf("cut to %d bytes: %v", n, r)
			}
		}()
		m.restore(m.bytes[:n])
		l, err := Open(m.path, testKey("one"), multi{}, testOptions())
		if n < end {
			require.Truef(t, named(err), "cut to %d of %d bytes: %v", n, end, err)
			return
		}
		require.NoError(t, err)
		require.NoErrorf(t, m.check(l, 0), "cut to %d bytes, of which %d are in use", n, end)
		verified(t, l)
		require.NoError(t, l.Close())
	}
	for n := 0; n < len(m.bytes); n += page {
		if n > end+page && n%(16*page) != 0 && !lawtest.Long() {
			continue // only slack
		}
		cut(n)
		cut(n + 1)
		cut(n + page/2)
		cut(n + page - 1)
	}
	cut(len(m.bytes))
	if lawtest.Long() {
		for n := end - page; n <= end+page; n += 5 { // all remainders, over the two pages
			cut(n)
		}
		for n := end - 20; n <= end+20; n++ {
			cut(n)
		}
	}
}

func TestGarbageIsNoLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	for _, b := range [][]byte{{}, {0}, []byte("hello"), make([]byte, 4096), make([]byte, 1<<16), bytes.Repeat([]byte{0xff}, 1<<16)} {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		_, err := Open(path, testKey("one"), multi{}, testOptions())
		require.Truef(t, named(err), "%d bytes: %v", len(b), err)
		got, rerr := os.ReadFile(path)
		require.NoError(t, rerr)
		require.Equal(t, b, got, "it stays as it is")
	}
}

func TestVerifyFindsWhatReadingMeets(t *testing.T) {
	m := makeImage(t, 6, 40)
	verify := func(l *Ledger) (found int) {
		for err := range l.Verify(context.Background()) {
			require.Truef(t, named(err), "%v", err)
			found++
		}
		return found
	}
	l, err := Open(m.path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	require.Zero(t, verify(l))
	require.NoError(t, l.Close())
	checked := map[string]int{}
	for _, off := range m.sample(1) {
		if m.flip(off, 0x55, false) == nil {
			continue
		}
		b := bytes.Clone(m.bytes)
		b[off] ^= 0x55
		m.restore(b)
		l, err := Open(m.path, testKey("one"), multi{}, testOptions())
		if err != nil {
			continue
		}
		require.NotZerof(t, verify(l), "byte %d", off)
		checked[m.part[off].row]++
		require.NoError(t, l.Close())
	}
	require.NotZero(t, checked[bucketView])
	require.NotZero(t, checked[bucketLog])
	require.NotZero(t, checked[bucketLocal])
}

// Every pointer of every branch page, led to every branch page and to a leaf:
// a cycle among branches would have bbolt recurse until the stack ends the
// process, which nothing can recover.
func TestNoPointerBetweenPagesLeadsAstray(t *testing.T) {
	m := makeImage(t, 40, 700)
	page := os.Getpagesize()
	var branches, targets []int
	for p := 2; p*page < len(m.bytes); p++ {
		if h := m.bytes[p*page:]; ne.Uint64(h) == uint64(p) && ne.Uint16(h[8:]) == flagBranch {
			branches = append(branches, p)
		}
	}
	require.NotEmpty(t, branches)
	targets = append(append(targets, branches...), 2, 3, 5, len(m.bytes)/page-1)
	met := 0
	for _, p := range branches {
		for i := range int(ne.Uint16(m.bytes[p*page+10:])) {
			for _, to := range targets {
				b := bytes.Clone(m.bytes)
				at := p*page + pageHeader + i*elemSize + 8
				if ne.Uint64(b[at:]) == uint64(to) {
					continue
				}
				ne.PutUint64(b[at:], uint64(to))
				m.restore(b)
				require.Errorf(t, m.try(false), "page %d, pointer %d to page %d", p, i, to)
				met++
			}
		}
	}
	require.NotZero(t, met)
}

// A scan reports a row that its page no longer counts, and a page that its
// parent no longer counts.
func TestAScanReportsEveryMissingRow(t *testing.T) {
	m := makeImage(t, 40, 700)
	page := os.Getpagesize()
	tried := map[string]int{}
	for p := 2; p*page < len(m.bytes); p++ {
		part := m.part[p*page]
		if part.bucket != bucketView {
			continue
		}
		b := bytes.Clone(m.bytes)
		h := b[p*page:]
		n := ne.Uint16(h[10:])
		if part.page == "branch" { // removes its second page and moves the third there
			require.Greater(t, n, uint16(2))
			for at := pageHeader + elemSize; at < pageHeader+int(n-1)*elemSize; at += elemSize {
				copy(h[at:at+elemSize], h[at+elemSize:at+2*elemSize])
				ne.PutUint32(h[at:], ne.Uint32(h[at:])+elemSize) // an offset relative to the element
			}
		}
		ne.PutUint16(h[10:], n-1)
		m.restore(b)
		l, err := Open(m.path, testKey("one"), multi{}, testOptions())
		require.NoError(t, err)
		err = l.Read(func(v *View) error {
			for _, err := range v.Scan("writes", nil) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		require.Truef(t, named(err), "%s %d: %v", part.page, p, err)
		require.NoError(t, l.Close())
		tried[part.page]++
	}
	require.NotZero(t, tried["branch"])
	require.Greater(t, tried["leaf"], 3)
}

// Verify compares the log with the heads in memory.
func TestVerifyFindsAHeadThatDiffersFromMemory(t *testing.T) {
	l, _ := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	st := l.st.Load().clone()
	st.branches[0].hash[0] ^= 1
	l.st.Store(st)
	require.Equal(t, 1, verifies(t, l))
}
