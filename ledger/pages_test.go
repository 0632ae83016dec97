package ledger

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// undefaced returns the number of free pages of a file that are not defaced.
func undefaced(t *testing.T, path string) (n int) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	p, err := openPages(f, path, os.Getpagesize())
	require.NoError(t, err)
	free, _, err := p.free()
	require.NoError(t, err)
	for _, id := range free {
		var h [pageHeader]byte
		_, err := f.ReadAt(h[:], int64(id)*p.size)
		require.NoError(t, err)
		if string(h[:]) != "petnamesfreepage" {
			n++
		}
	}
	return n
}

func TestFreePagesAreDefacedAfterEachCommit(t *testing.T) {
	l, path := newBook(t)
	for range 5 {
		_, err := l.Append([]byte("a=1"))
		require.NoError(t, err)
		require.Zero(t, undefaced(t, path))
	}
	// A reader may still use pages that a commit frees: these pages stay, and
	// the next sweep defaces them.
	l.gate.RLock()
	_, err := l.Append([]byte("a=2"))
	l.gate.RUnlock()
	require.NoError(t, err)
	require.NotZero(t, undefaced(t, path))
	_, err = l.Append([]byte("a=3"))
	require.NoError(t, err)
	require.Zero(t, undefaced(t, path))
}

// Only a closed file is marked as having defaced free pages.
func TestOnlyCloseMarksAFileAsClean(t *testing.T) {
	l, path := newBook(t)
	require.True(t, l.clean, "Create closed the file")
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	crashed := func() bool {
		t.Helper()
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		other := t.TempDir() + "/copy.db"
		require.NoError(t, os.WriteFile(other, b, 0o600))
		o, err := Open(other, testKey("one"), multi{}, testOptions())
		require.NoError(t, err)
		defer o.Close()
		return !o.clean
	}
	require.True(t, crashed())
	l = reopen(t, l, "one")
	require.True(t, l.clean)
	_, err = l.Append([]byte("a=2"))
	require.NoError(t, err)
	require.True(t, crashed())
	l.broken = os.ErrDeadlineExceeded // the content of free pages is unknown
	l = reopen(t, l, "one")
	require.False(t, l.clean)
	verified(t, l)
}

// freeList returns the page of the free list of an image, and its ids.
func (m *image) freeList() (page []byte, ids []uint64) {
	page = m.bytes[int64(m.pages.meta.freelist)*m.pages.size:][:m.pages.size]
	for i := range int(ne.Uint16(page[10:])) {
		ids = append(ids, ne.Uint64(page[pageHeader+8*i:]))
	}
	return page, ids
}

func TestAFreeListThatDoesNotHoldIsNamed(t *testing.T) {
	m := makeImage(t, 40, 700)
	page, ids := m.freeList()
	require.Greater(t, len(ids), 4)
	whole := bytes.Clone(m.bytes)
	with := func(ids []uint64) []byte {
		copy(m.bytes, whole)
		ne.PutUint16(page[10:], uint16(len(ids)))
		for i, id := range ids {
			ne.PutUint64(page[pageHeader+8*i:], id)
		}
		return m.bytes
	}
	cases := map[string][]uint64{
		"twice the same":       append([]uint64{ids[0]}, append([]uint64{ids[0]}, ids[2:]...)...),
		"out of order":         append([]uint64{ids[1], ids[0]}, ids[2:]...),
		"a meta page":          append([]uint64{1}, ids[1:]...),
		"beyond the last page": append(slices.Clone(ids[:len(ids)-1]), m.pages.meta.end),
	}
	kinds := map[string]bool{}
	for id := uint64(2); id < m.pages.meta.end; id++ {
		kind := m.part[int64(id)*m.pages.size].page
		if kind == "unused" || kinds[kind] {
			continue
		}
		at, found := slices.BinarySearch(ids, id)
		require.False(t, found)
		kinds[kind] = true
		cases["a page in use: "+kind] = slices.Insert(slices.Clone(ids), at, id)
	}
	require.Len(t, kinds, 4, "leaf, branch, root and the list itself")
	for name, ids := range cases {
		m.restore(with(ids))
		_, err := Open(m.path, testKey("one"), multi{}, testOptions())
		require.Truef(t, named(err), "%s: %v", name, err)
		got, err := os.ReadFile(m.path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(m.bytes, got), "%s: it stays as it is", name)

		// Verify finds the damage in an open file.
		m.restore(whole)
		l, err := Open(m.path, testKey("one"), multi{}, testOptions())
		require.NoError(t, err)
		require.Zero(t, verifies(t, l))
		m.restore(with(ids))
		require.NotZero(t, verifies(t, l), name)
		m.restore(whole)
		require.NoError(t, l.Close())
	}
	// A page that is in no list is lost, which does no harm.
	m.restore(whole)
	l, err := Open(m.path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	m.restore(with(ids[1:]))
	require.NotZero(t, verifies(t, l))
	m.restore(whole)
	require.NoError(t, l.Close())
}

// recordedFile is a file of pages that records writes and syncs.
type recordedFile struct {
	pageFile
	calls []string
}

func (r *recordedFile) WriteAt(b []byte, at int64) (int, error) {
	r.calls = append(r.calls, fmt.Sprintf("write %d at %d", len(b), at))
	return r.pageFile.WriteAt(b, at)
}

func (r *recordedFile) Sync() error {
	r.calls = append(r.calls, "sync")
	return r.pageFile.Sync()
}

// On the disk, the clean mark is removed before the first commit writes to free
// pages, and set after all of them were defaced.
func TestTheCleanMarkIsSyncedAgainstThePages(t *testing.T) {
	l, _ := newBook(t)
	l = reopen(t, l, "one")
	require.True(t, l.clean)
	file := &recordedFile{pageFile: l.file}
	l.pages.f = file
	mark := fmt.Sprintf("write %d at %d", cleanSize, l.pages.markAt())
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	require.Equal(t, []string{mark, "sync"}, file.calls[:2])

	l.free = []uint64{} // the state of the pages is unknown: Close defaces them all
	file.calls = nil
	mark = fmt.Sprintf("write %d at %d", cleanSize, l.pages.markAt())
	require.NoError(t, l.Close())
	last := len(file.calls) - 2
	require.Positive(t, last, "pages were defaced")
	require.Equal(t, []string{"sync", mark}, file.calls[last:])
	require.NotContains(t, file.calls[:last], mark)
}
