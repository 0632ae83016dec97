package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"os"
)

// bbolt trusts its pages. On a damaged one it can read a stale page that a
// flipped bit made reachable, recurse in a cycle of branch pages until the
// stack overflow ends the process, or return a page in use as a free one. None
// of these is a panic that could be recovered. So this file reads pages itself,
// by plain reads with all bounds checked, and maintains three invariants:
//
//   - Branch pages of a bucket are walked before bbolt walks them: the depth is even
//     and no page occurs twice, so there is no cycle. (Once for each bucket and open
//     file, at first use; about one page in a hundred is a branch.)
//   - Free pages are defaced, so that a flipped pointer cannot lead to stale
//     content, and an older meta page cannot restore an older state.
//   - The list of free pages is the one written at the last close, or is checked
//     against all reachable pages.
//
// The layout is bbolt's (internal/common/page.go, meta.go), in native byte
// order: page header = id 8, flags 2, count 2, overflow 4; branch element = pos
// 4, ksize 4, page 8; leaf element = flags 4, pos 4, ksize 4, vsize 4.

const (
	pageHeader  = 16
	elemSize    = 16
	flagBranch  = 0x01
	flagLeaf    = 0x02
	flagFree    = 0x10
	metaMagic   = 0xED0CDAED
	maxDepth    = 32
	maxOverflow = 1 << 16
	cleanOffset = 512 // of the clean mark within the meta page, whose tail bbolt leaves unused
	cleanSize   = 24
)

var (
	ne       = binary.NativeEndian
	defaced  = [pageHeader]byte{'p', 'e', 't', 'n', 'a', 'm', 'e', 's', 'f', 'r', 'e', 'e', 'p', 'a', 'g', 'e'}
	cleanTag = [8]byte{'c', 'l', 'e', 'a', 'n', 'p', 'n', '1'}
)

// pages reads the pages of one file.
type pages struct {
	f    pageFile
	size int64
	path string
	meta meta
}

// pageFile is the file of the pages, beside bbolt's own access to it.
type pageFile interface {
	io.ReaderAt
	io.WriterAt
	Stat() (os.FileInfo, error)
	Sync() error
}

// meta is the content of the newest valid meta page.
type meta struct {
	slot                     int64
	root, freelist, end, txn uint64
}

func (p *pages) bad(at string, err error) error {
	return &DamagedError{Path: p.path, At: at, Err: err}
}

func (p *pages) badPage(id uint64, format string, args ...any) error {
	return p.bad(fmt.Sprintf("page %d", id), fmt.Errorf(format, args...))
}

// openPages reads the newest meta page.
func openPages(f pageFile, path string, pageSize int) (*pages, error) {
	p := &pages{f: f, size: int64(pageSize), path: path}
	found := false
	for slot := range int64(2) {
		got, _, ok := readMeta(f, slot*p.size)
		if !ok {
			continue
		}
		got.slot = slot
		if !found || got.txn > p.meta.txn {
			p.meta, found = got, true
		}
	}
	if !found {
		return nil, p.bad("the meta pages", errors.New("neither is valid"))
	}
	return p, nil
}

// readMeta reads a meta page, and the page size that it states.
func readMeta(f io.ReaderAt, at int64) (m meta, pageSize uint32, ok bool) {
	var b [80]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return meta{}, 0, false
	}
	c := b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(c[:56])
	if ne.Uint32(c) != metaMagic || ne.Uint64(c[56:]) != sum.Sum64() {
		return meta{}, 0, false
	}
	return meta{root: ne.Uint64(c[16:]), freelist: ne.Uint64(c[32:]), end: ne.Uint64(c[40:]), txn: ne.Uint64(c[48:])}, ne.Uint32(c[8:]), true
}

// checkSize compares the size of the file with the one that the meta page
// implies.
func (p *pages) checkSize() error {
	info, err := p.f.Stat()
	if err != nil {
		return err
	}
	if want := int64(p.meta.end) * p.size; p.meta.end > 1<<40 || info.Size() < want {
		return p.bad("the end of the file", fmt.Errorf("cut off: %d bytes, %d were written", info.Size(), want))
	}
	return nil
}

// header reads a page's header and checks its invariants.
func (p *pages) header(id uint64) (flags uint16, overflow uint32, err error) {
	var h [pageHeader]byte
	if !p.in(id) {
		return 0, 0, p.badPage(id, "outside of the file's %d pages", p.meta.end)
	}
	if _, err := p.f.ReadAt(h[:], int64(id)*p.size); err != nil {
		return 0, 0, p.badPage(id, "%w", err)
	}
	return p.checkHeader(id, h[:])
}

func (p *pages) checkHeader(id uint64, h []byte) (flags uint16, overflow uint32, err error) {
	if [pageHeader]byte(h) == defaced {
		return 0, 0, p.badPage(id, "is free, but something leads to it")
	}
	if got := ne.Uint64(h); got != id {
		return 0, 0, p.badPage(id, "calls itself page %d", got)
	}
	flags, overflow = ne.Uint16(h[8:]), ne.Uint32(h[12:])
	if overflow > maxOverflow || id+uint64(overflow) >= p.meta.end {
		return 0, 0, p.badPage(id, "overflows by %d pages", overflow)
	}
	return flags, overflow, nil
}

// read returns a whole page with its overflow.
func (p *pages) read(id uint64) (b []byte, flags uint16, err error) {
	return p.readInto(make([]byte, p.size), id)
}

// readInto is read into a buffer of one page. For a page with overflow it
// allocates a larger one.
func (p *pages) readInto(b []byte, id uint64) (_ []byte, flags uint16, err error) {
	if !p.in(id) {
		return nil, 0, p.badPage(id, "outside of the file's %d pages", p.meta.end)
	}
	if _, err := p.f.ReadAt(b, int64(id)*p.size); err != nil {
		return nil, 0, p.badPage(id, "%w", err)
	}
	flags, overflow, err := p.checkHeader(id, b[:pageHeader])
	if err != nil || overflow == 0 {
		return b, flags, err
	}
	b = append(b, make([]byte, int64(overflow)*p.size)...)
	if _, err := p.f.ReadAt(b[p.size:], (int64(id)+1)*p.size); err != nil {
		return nil, 0, p.badPage(id, "%w", err)
	}
	return b, flags, nil
}

// elements calls each with the elements of a branch or leaf page, after
// checking bounds and key order. For a branch, child is set; for a leaf, value
// and bucket.
func (p *pages) elements(id uint64, b []byte, each func(key, value []byte, child uint64, bucket bool) error) error {
	flags, count := ne.Uint16(b[8:]), int(ne.Uint16(b[10:]))
	if pageHeader+count*elemSize > len(b) {
		return p.badPage(id, "%d elements do not fit", count)
	}
	var before []byte
	for i := range count {
		at := pageHeader + i*elemSize
		var pos, ksize, vsize, child uint64
		var bucket bool
		if flags == flagBranch {
			pos, ksize, child = uint64(ne.Uint32(b[at:])), uint64(ne.Uint32(b[at+4:])), ne.Uint64(b[at+8:])
		} else {
			f := ne.Uint32(b[at:])
			if f > 1 {
				return p.badPage(id, "element %d has flags %#x", i, f)
			}
			bucket = f == 1
			pos, ksize, vsize = uint64(ne.Uint32(b[at+4:])), uint64(ne.Uint32(b[at+8:])), uint64(ne.Uint32(b[at+12:]))
		}
		from := uint64(at) + pos
		if pos < elemSize || ksize == 0 || from+ksize+vsize > uint64(len(b)) {
			return p.badPage(id, "element %d lies outside of the page", i)
		}
		key := b[from : from+ksize]
		if i > 0 && bytes.Compare(before, key) >= 0 {
			return p.badPage(id, "keys of elements %d and %d are out of order", i-1, i)
		}
		before = key
		if err := each(key, b[from+ksize:from+ksize+vsize], child, bucket); err != nil {
			return err
		}
	}
	return nil
}

// bitmap is a set of page ids.
type bitmap []uint64

func newBitmap(n uint64) bitmap             { return make(bitmap, n/64+1) }
func (m bitmap) has(id uint64) bool         { return m[id/64]&(1<<(id%64)) != 0 }
func (m bitmap) add(id uint64)              { m[id/64] |= 1 << (id % 64) }
func (p *pages) newSet() bitmap             { return newBitmap(p.meta.end) }
func (p *pages) in(id uint64) bool          { return id >= 2 && id < p.meta.end }
func isInline(root uint64) bool             { return root == 0 }
func (p *pages) bucketRoot(v []byte) uint64 { return ne.Uint64(v) }

// root reads the root bucket, which is one leaf page with buckets only, and
// returns their root pages, 0 for an inline bucket.
func (p *pages) root() (map[string]uint64, error) {
	b, flags, err := p.read(p.meta.root)
	if err != nil {
		return nil, err
	}
	if flags != flagLeaf {
		return nil, p.badPage(p.meta.root, "not the root: flags %#x", flags)
	}
	roots := map[string]uint64{}
	err = p.elements(p.meta.root, b, func(key, value []byte, _ uint64, bucket bool) error {
		if !bucket || len(value) < 16 {
			return p.badPage(p.meta.root, "%q is no bucket", key)
		}
		root := p.bucketRoot(value)
		roots[string(key)] = root
		if isInline(root) {
			in := value[16:]
			if len(in) < pageHeader || ne.Uint64(in) != 0 || ne.Uint16(in[8:]) != flagLeaf {
				return p.badPage(p.meta.root, "bucket %q is no leaf", key)
			}
			return p.elements(p.meta.root, in, func(_, _ []byte, _ uint64, bucket bool) error {
				if bucket {
					return p.badPage(p.meta.root, "a bucket within bucket %q", key)
				}
				return nil
			})
		}
		if !p.in(root) {
			return p.badPage(p.meta.root, "bucket %q leads to page %d", key, root)
		}
		return nil
	})
	return roots, err
}

// walk visits a bucket's tree level by level and adds its pages to seen. It
// reads branch pages only, unless leaf is set: then leaves too.
func (p *pages) walk(root uint64, seen bitmap, leaf func(id uint64, overflow uint32) error) error {
	if isInline(root) {
		return nil
	}
	level := []uint64{root}
	for range maxDepth {
		flags, _, err := p.header(level[0])
		if err != nil {
			return err
		}
		if flags == flagLeaf {
			for _, id := range level {
				if !p.in(id) || seen.has(id) {
					return p.badPage(id, "more than one pointer leads to it")
				}
				seen.add(id)
				if leaf == nil {
					continue
				}
				flags, overflow, err := p.header(id)
				if err != nil {
					return err
				}
				if flags != flagLeaf {
					return p.badPage(id, "flags %#x, a leaf was to be there", flags)
				}
				if err := leaf(id, overflow); err != nil {
					return err
				}
			}
			return nil
		}
		var below []uint64
		page := make([]byte, p.size)
		for _, id := range level {
			b, flags, err := p.readInto(page, id)
			if err != nil {
				return err
			}
			if flags != flagBranch || ne.Uint16(b[10:]) == 0 {
				return p.badPage(id, "flags %#x, a branch was to be there", flags)
			}
			for i := range uint64(len(b)) / uint64(p.size) {
				if seen.has(id + i) {
					return p.badPage(id, "more than one pointer leads to it")
				}
				seen.add(id + i)
			}
			err = p.elements(id, b, func(_, _ []byte, child uint64, _ bool) error {
				if !p.in(child) || seen.has(child) {
					return p.badPage(id, "leads to page %d", child)
				}
				below = append(below, child)
				return nil
			})
			if err != nil {
				return err
			}
		}
		level = below
	}
	return p.badPage(root, "the tree is too deep")
}

// descend walks from a bucket's root to the leaf for key, as bbolt does, and
// checks the pages on this path only.
func (p *pages) descend(root uint64, key []byte) error {
	if isInline(root) {
		return nil
	}
	id := root
	for range maxDepth {
		b, flags, err := p.read(id)
		if err != nil {
			return err
		}
		if flags == flagLeaf {
			return nil
		}
		if flags != flagBranch || ne.Uint16(b[10:]) == 0 {
			return p.badPage(id, "flags %#x, a branch was to be there", flags)
		}
		to := uint64(0)
		err = p.elements(id, b, func(k, _ []byte, child uint64, _ bool) error {
			if to == 0 || bytes.Compare(k, key) <= 0 {
				to = child
			}
			return nil
		})
		if err != nil {
			return err
		}
		id = to
	}
	return p.badPage(root, "the tree is too deep")
}

// reachable returns the set of all pages in use.
func (p *pages) reachable() (bitmap, error) {
	seen := p.newSet()
	seen.add(0)
	seen.add(1)
	mark := func(id uint64) error {
		_, overflow, err := p.header(id)
		for i := uint64(0); err == nil && i <= uint64(overflow); i++ {
			if seen.has(id + i) {
				return p.badPage(id+i, "in use twice")
			}
			seen.add(id + i)
		}
		return err
	}
	if err := mark(p.meta.root); err != nil {
		return nil, err
	}
	if err := mark(p.meta.freelist); err != nil {
		return nil, err
	}
	roots, err := p.root()
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		err := p.walk(root, seen, func(id uint64, overflow uint32) error {
			for i := uint64(1); i <= uint64(overflow); i++ {
				if seen.has(id + i) {
					return p.badPage(id+i, "in use twice")
				}
				seen.add(id + i)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// freeList returns the bytes of the list of free pages, and their checksum.
func (p *pages) freeList() (list []byte, sum uint32, err error) {
	id := p.meta.freelist
	b, flags, err := p.read(id)
	if err != nil {
		return nil, 0, err
	}
	if flags != flagFree {
		return nil, 0, p.badPage(id, "flags %#x, the list of free pages was to be there", flags)
	}
	n, at := uint64(ne.Uint16(b[10:])), uint64(pageHeader)
	if n == 0xffff {
		n, at = ne.Uint64(b[at:]), at+8
	}
	if n > (uint64(len(b))-at)/8 {
		return nil, 0, p.badPage(id, "%d free pages do not fit", n)
	}
	return b[at : at+8*n], crc32.Checksum(b[:at+8*n], castagnoli()), nil
}

// free returns the ids of the free pages and the checksum of their list.
func (p *pages) free() ([]uint64, uint32, error) {
	list, sum, err := p.freeList()
	if err != nil {
		return nil, 0, err
	}
	ids := make([]uint64, len(list)/8)
	for i := range ids {
		ids[i] = ne.Uint64(list[8*i:])
		if !p.in(ids[i]) || ids[i] == p.meta.root || ids[i] == p.meta.freelist || i > 0 && ids[i] <= ids[i-1] {
			return nil, 0, p.badPage(p.meta.freelist, "page %d cannot be free", ids[i])
		}
	}
	return ids, sum, nil
}

// deface overwrites the headers of free pages.
func (p *pages) deface(ids []uint64) error {
	for _, id := range ids {
		if _, err := p.f.WriteAt(defaced[:], int64(id)*p.size); err != nil {
			return err
		}
	}
	return nil
}

// The clean mark, in the unused tail of the newest meta page, records that all
// free pages of this transaction are defaced, and the checksum of their list.
// It is not synced: without it, the next Open checks all pages. It is removed,
// with a sync, before the first commit after an Open.
//
//	clean mark = "cleanpn1" ‖ transaction 8 ‖ checksum of the free list 4 ‖ crc32c of all that 4

func (p *pages) cleanMark(list uint32) (b [cleanSize]byte) {
	copy(b[:], cleanTag[:])
	ne.PutUint64(b[8:], p.meta.txn)
	ne.PutUint32(b[16:], list)
	ne.PutUint32(b[20:], crc32.Checksum(b[:20], castagnoli()))
	return b
}

// markClean sets the clean mark. It syncs first: after a power cut, a mark must
// imply that the free pages are defaced on the disk.
func (p *pages) markClean(list uint32) error {
	if err := p.f.Sync(); err != nil {
		return err
	}
	mark := p.cleanMark(list)
	_, err := p.f.WriteAt(mark[:], p.markAt())
	return err
}

// unmark removes the clean mark, before free pages are written.
func (p *pages) unmark() error {
	if _, err := p.f.WriteAt(make([]byte, cleanSize), p.markAt()); err != nil {
		return err
	}
	return p.f.Sync()
}

func (p *pages) markAt() int64 { return p.meta.slot*p.size + cleanOffset }

// recover checks the file at open: the size, the root and the free list. After
// a close that is all. After a crash it reads all pages, checks that no page in
// use is in the free list, and defaces the free ones, unless the file is read-only.
func (p *pages) recover(readOnly bool) (clean bool, err error) {
	if err := p.checkSize(); err != nil {
		return false, err
	}
	if _, err := p.root(); err != nil {
		return false, err
	}
	_, sum, err := p.freeList()
	if err != nil {
		return false, err
	}
	var got [cleanSize]byte
	if _, err := p.f.ReadAt(got[:], p.markAt()); err != nil {
		return false, p.bad("the meta pages", err)
	}
	if got == p.cleanMark(sum) {
		return true, nil
	}
	free, _, err := p.free()
	if err != nil {
		return false, err
	}
	seen, err := p.reachable()
	if err != nil {
		return false, err
	}
	for _, id := range free {
		if seen.has(id) {
			return false, p.badPage(id, "both in use and free")
		}
	}
	if readOnly {
		return false, nil
	}
	return false, p.deface(free)
}
