package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// image is a closed ledger's file and all that reading it must give.
type image struct {
	t      *testing.T
	bytes  []byte
	path   string
	rows   map[string]string // table/key → value
	local  map[string]string // key → value of the device-local table
	absent []string          // keys that are not there, around those that are
	bodies []string
	heads  []Head
	count  int
	pages  *pages
	part   []part // of each byte
}

// part describes the purpose of a byte of the file.
type part struct {
	page string // kind of page
	at   int    // offset in the page's header or in one of its elements; from 32 on in a meta page
	row  string // bucket that contains the byte in a key or value, if any

	bucket string // bucket of the page
}

const (
	partContent = -1 // after the elements
	partSlack   = -2 // unused
)

// makeImage writes n entries of size bytes in as many transactions, so that the
// file holds free pages with stale contents, and closes it.
func makeImage(t *testing.T, n, size int) *image {
	l, path := newBook(t)
	for i := range n {
		value := bytes.Repeat([]byte{'a' + byte(i%26)}, size)
		_, err := l.Update(func(tx *Tx) error {
			_, err := tx.Append(fmt.Appendf(nil, "key%03d=%s", i*7%n, value))
			return errors.Join(err, tx.Local().Put("received", fmt.Appendf(nil, "row%03d", i*7%n), value))
		})
		require.NoError(t, err)
	}
	m := &image{t: t, path: path, rows: map[string]string{}, local: map[string]string{}}
	require.NoError(t, l.Read(func(v *View) error {
		for kv, err := range v.Scan("writes", nil) {
			require.NoError(t, err)
			m.rows[string(kv.Key)] = string(kv.Value)
			m.absent = append(m.absent, string(kv.Key)+"\x00", string(kv.Key[:len(kv.Key)-1]))
		}
		m.count = len(m.rows)
		return nil
	}))
	require.NoError(t, l.ReadLocal(func(v *View) error {
		for kv, err := range v.Scan("received", nil) {
			require.NoError(t, err)
			m.local[string(kv.Key)] = string(kv.Value)
			m.absent = append(m.absent, string(kv.Key)+"\x00")
		}
		require.Len(t, m.local, n)
		return nil
	}))
	m.bodies, m.heads = bodies(t, l), l.Heads()
	require.NoError(t, l.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	m.bytes = b
	m.classify()
	return m
}

// classify sets part. It reads the pages itself. Only the path to each bucket's
// pages comes from the code under test.
func (m *image) classify() {
	t, page := m.t, os.Getpagesize()
	f, err := os.Open(m.path)
	require.NoError(t, err)
	defer f.Close()
	m.pages, err = openPages(f, m.path, page)
	require.NoError(t, err)
	roots, err := m.pages.root()
	require.NoError(t, err)
	bucket := map[uint64]string{m.pages.meta.root: "root"}
	for name, root := range roots {
		seen := m.pages.newSet()
		require.NoError(t, m.pages.walk(root, seen, nil))
		for id := range m.pages.meta.end {
			if seen.has(id) {
				bucket[id] = name
			}
		}
	}
	m.part = make([]part, len(m.bytes))
	fill := func(from, n int, p part) {
		for i := range n {
			m.part[from+i] = p
		}
	}
	for id := 0; id*page < len(m.bytes); id++ {
		b := m.bytes[id*page:]
		name, used := bucket[uint64(id)]
		switch flags := ne.Uint16(b[8:]); {
		case id < 2:
			name = fmt.Sprint("meta ", uint64(id) == uint64(m.pages.meta.slot))
		case uint64(id) == m.pages.meta.freelist:
			name = "free list"
		case !used:
			name = "unused"
		case flags == flagBranch:
			name = "branch"
		case name != "root":
			name = "leaf"
		}
		kind := part{page: name, bucket: bucket[uint64(id)]} // an unused page has no bucket
		slack := kind
		slack.at = partSlack
		fill(id*page, page, slack)
		head := pageHeader
		if id < 2 {
			head = 80
		}
		for i := range head {
			m.part[id*page+i].at = i
		}
		if name == "free list" {
			for i := range 8 * int(ne.Uint16(b[10:])) {
				m.part[id*page+pageHeader+i].at = 32 + i%8
			}
		}
		if id < 2 {
			for i := range cleanSize {
				m.part[id*page+cleanOffset+i].at = 80 + i
			}
		}
		if !used {
			continue
		}
		for i := range int(ne.Uint16(b[10:])) {
			at := pageHeader + i*elemSize
			for j := range elemSize {
				m.part[id*page+at+j].at = pageHeader + j
			}
			pos, size := int(ne.Uint32(b[at:])), int(ne.Uint32(b[at+4:]))
			if name != "branch" {
				pos, size = int(ne.Uint32(b[at+4:])), int(ne.Uint32(b[at+8:]))+int(ne.Uint32(b[at+12:]))
			}
			p := kind
			p.at = partContent
			if name == "leaf" {
				p.row = bucket[uint64(id)]
			}
			fill(id*page+at+pos, size, p)
			if name != "root" {
				continue
			}
			// A small bucket is stored in its parent's value, after its header.
			in, key := at+pos+int(ne.Uint32(b[at+8:]))+16, string(b[at+pos:at+pos+int(ne.Uint32(b[at+8:]))])
			if ne.Uint64(b[in-16:]) != 0 {
				continue
			}
			for j := range int(ne.Uint16(b[in+10:])) {
				e := in + pageHeader + j*elemSize
				from := e + int(ne.Uint32(b[e+4:]))
				fill(id*page+from, int(ne.Uint32(b[e+8:]))+int(ne.Uint32(b[e+12:])), part{page: name, at: partContent, row: key, bucket: kind.bucket})
			}
		}
	}
}

// sample returns evenly spaced offsets into the file: up to n of each part of
// the structure and 40 n of each kind of content. A long run returns 50 times
// as many.
func (m *image) sample(n int) (offs []int) {
	by := map[part][]int{}
	for off, p := range m.part {
		by[p] = append(by[p], off)
	}
	for p, all := range by {
		n := n
		if p.at == partContent {
			n *= 40
		}
		if lawtest.Long() {
			n *= 20
		}
		n = min(n, len(all))
		for i := range n {
			offs = append(offs, all[(2*i+1)*len(all)/(2*n)])
		}
	}
	slices.Sort(offs)
	return offs
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
		if n, err := v.Count("absent"); !meet(err) && n != 0 {
			wrong("count %d of a table without rows", n)
		}
		_, ok, err := v.Last("writes", nil)
		if !meet(err) && !ok {
			wrong("no last row")
		}
		return nil
	}))
	meet(l.ReadLocal(func(v *View) error {
		for k, want := range m.local {
			got, err := v.Get("received", []byte(k))
			if !meet(err) && string(got) != want {
				wrong("local row %q: %q", k, got)
			}
		}
		for _, k := range m.absent {
			got, err := v.Get("received", []byte(k))
			if !meet(err) && got != nil {
				wrong("absent local row %q: %q", k, got)
			}
		}
		n, whole := 0, true
		for kv, err := range v.Scan("received", nil) {
			if meet(err) {
				whole = false
				break
			}
			n++
			if want, ok := m.local[string(kv.Key)]; !ok || want != string(kv.Value) {
				wrong("scanned local %q: %q", kv.Key, kv.Value)
			}
		}
		if whole && n != len(m.local) {
			wrong("%d local rows", n)
		}
		if n, err := v.Count("received"); !meet(err) && n != len(m.local) {
			wrong("local count %d", n)
		}
		if n, err := v.Count("absent"); !meet(err) && n != 0 {
			wrong("local count %d of a table without rows", n)
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
		return unsynced(l)
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
