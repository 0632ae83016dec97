package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// image is a closed ledger's file and all that reading it must give.
type image struct {
	t      *testing.T
	bytes  []byte
	path   string
	rows   map[string]string // table/key → value
	absent []string          // keys that are not there, around those that are
	bodies []string
	heads  []Head
	count  int
}

// makeImage writes n entries in a few transactions, so that the file holds free
// pages with stale contents, and closes it.
func makeImage(t *testing.T, n int) *image {
	l, path := newBook(t)
	for i := range n {
		_, err := l.Append(fmt.Appendf(nil, "key%03d=%s", i*7%n, bytes.Repeat([]byte{'a' + byte(i%26)}, 40)))
		require.NoError(t, err)
	}
	m := &image{t: t, path: path, rows: map[string]string{}}
	require.NoError(t, l.Read(func(v *View) error {
		for kv, err := range v.Scan("writes", nil) {
			require.NoError(t, err)
			m.rows[string(kv.Key)] = string(kv.Value)
			m.absent = append(m.absent, string(kv.Key)+"\x00", string(kv.Key[:len(kv.Key)-1]))
		}
		m.count = len(m.rows)
		return nil
	}))
	m.bodies, m.heads = bodies(t, l), l.Heads()
	require.NoError(t, l.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	m.bytes = b
	return m
}

func named(err error) bool {
	var d *DamagedError
	return errors.As(err, &d) && d.At != "" && d.Path != ""
}

// check reads everything. What comes must be right, or a *DamagedError.
func (m *image) check(l *Ledger, extra int) error {
	var met error
	meet := func(err error) bool {
		if err == nil {
			return false
		}
		if !named(err) {
			panic(fmt.Sprintf("not a DamagedError: %v", err))
		}
		met = err
		return true
	}
	wrong := func(format string, args ...any) { panic("served: " + fmt.Sprintf(format, args...)) }
	if got := l.Heads(); extra == 0 && (len(got) != len(m.heads) || got[0] != m.heads[0]) {
		wrong("heads %v", got)
	}
	meet(l.Read(func(v *View) error {
		for k, want := range m.rows {
			got, err := v.Get("writes", []byte(k))
			if !meet(err) && string(got) != want {
				wrong("row %q: %q", k, got)
			}
		}
		for _, k := range m.absent {
			got, err := v.Get("writes", []byte(k))
			if !meet(err) && got != nil {
				wrong("absent row %q: %q", k, got)
			}
		}
		n, whole := 0, true
		for kv, err := range v.Scan("writes", nil) {
			if meet(err) {
				whole = false
				break
			}
			n++
			if want, ok := m.rows[string(kv.Key)]; (!ok || want != string(kv.Value)) && extra == 0 {
				wrong("scanned %q: %q", kv.Key, kv.Value)
			}
		}
		if whole && n != m.count+extra {
			wrong("%d rows", n)
		}
		if n, err := v.Count("writes"); !meet(err) && n != m.count+extra {
			wrong("count %d", n)
		}
		_, ok, err := v.Last("writes", nil)
		if !meet(err) && !ok {
			wrong("no last row")
		}
		return nil
	}))
	var got []string
	whole := true
	for e, err := range l.Entries() {
		if meet(err) {
			whole = false
		} else if e.Kind() == KindApplication {
			got = append(got, string(e.Body))
		}
	}
	if whole && fmt.Sprint(got[:len(got)-extra]) != fmt.Sprint(m.bodies) {
		wrong("entries %q", got)
	}
	for _, err := range l.Missing(nil) {
		meet(err)
	}
	forks, err := l.Forks()
	if !meet(err) && len(forks) != 0 {
		wrong("forks %v", forks)
	}
	return met
}

// try opens the file as it is, reads all, writes, and reads all again. It
// returns the damage that was met.
func (m *image) try(write bool) (met error) {
	open := func() *Ledger {
		l, err := Open(m.path, testKey("one"), multi{}, testOptions())
		if err != nil {
			if !named(err) {
				panic(fmt.Sprintf("opening: not a DamagedError: %v", err))
			}
			met = err
			return nil
		}
		return l
	}
	l := open()
	if l == nil {
		return met
	}
	met = m.check(l, 0)
	if write {
		_, err := l.Append([]byte("zzz=new"))
		if err != nil && !named(err) {
			panic(fmt.Sprintf("appending: not a DamagedError: %v", err))
		}
		if err := l.Close(); err != nil {
			panic(err)
		}
		if err != nil {
			return err
		}
		before := met
		if l = open(); l == nil {
			return met
		}
		after := m.check(l, 1)
		if before == nil && after != nil {
			panic(fmt.Sprintf("a write onto damage that was not met destroyed more: %v", after))
		}
		met = before
	}
	if err := l.Close(); err != nil {
		panic(err)
	}
	return met
}

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

// restore makes b the file, in place: truncating first would be slow on ext4.
func (m *image) restore(b []byte) {
	f, err := os.OpenFile(m.path, os.O_RDWR, 0)
	require.NoError(m.t, err)
	_, err = f.WriteAt(b, 0)
	require.NoError(m.t, err)
	require.NoError(m.t, f.Truncate(int64(len(b))))
	require.NoError(m.t, f.Close())
}

func TestAFlippedByteIsNamedAndNeverServed(t *testing.T) {
	m := makeImage(t, 6)
	met := 0
	for off := range m.bytes {
		if off%256 != 0 && bytes.Count(m.bytes[off&^15:off|15], []byte{0}) == 15 {
			continue // slack between pages' contents: a sample will do
		}
		if m.flip(off, []byte{0x01, 0x80, 0xff, 0x10, 0x03}[off%5], false) != nil {
			met++
		}
	}
	t.Logf("%d of %d bytes are met when everything is read", met, len(m.bytes))
	require.Greater(t, met, 1000)
}

func TestAFlippedByteInALargerTree(t *testing.T) {
	m := makeImage(t, 150)
	page := os.Getpagesize()
	met, tried := 0, 0
	for off := range m.bytes {
		in := off % page
		kind := m.bytes[off-in+8]
		// The head of each page, all of the pages that lead to others, and a
		// sample of the rest.
		if in < 16 || (kind == flagBranch || kind == flagFree) && in < 200 || off%1009 == 0 {
			tried++
			if m.flip(off, []byte{0x01, 0xff, 0x02, 0x04, 0x08, 0x10, 0x20}[off%7], false) != nil {
				met++
			}
		}
	}
	t.Logf("%d of %d changed bytes are met when everything is read", met, tried)
}

func TestWritingOnUnmetDamageDestroysNothing(t *testing.T) {
	m := makeImage(t, 6)
	for off := range m.bytes {
		in := off % os.Getpagesize()
		if in < 64 || off%211 == 0 {
			m.flip(off, []byte{0x01, 0x80, 0xff, 0x02, 0x04}[off%5], true)
		}
	}
}

func TestACutFileIsNamed(t *testing.T) {
	m := makeImage(t, 40)
	page := os.Getpagesize()
	cut := func(n int) {
		defer func() {
			if r := recover(); r != nil {
				t.Fatalf("cut to %d bytes: %v", n, r)
			}
		}()
		m.restore(m.bytes[:n])
		m.try(false)
	}
	for n := 0; n < len(m.bytes); n += page {
		cut(n)
		cut(n + 1)
		cut(n + page - 1)
		cut(n + page/2)
	}
	for n := len(m.bytes) - page; n < len(m.bytes); n += 5 {
		cut(n)
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
	m := makeImage(t, 6)
	for off := 0; off < len(m.bytes); off += 7 {
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
		found := 0
		for err := range l.Verify(context.Background()) {
			require.Truef(t, named(err), "%v", err)
			found++
		}
		require.NotZerof(t, found, "byte %d", off)
		require.NoError(t, l.Close())
	}
}

// Every pointer of every branch page, led to every branch page and to a leaf:
// a cycle among branches would have bbolt recurse until the stack ends the
// process, which nothing can recover.
func TestNoPointerBetweenPagesLeadsAstray(t *testing.T) {
	m := makeImage(t, 150)
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
