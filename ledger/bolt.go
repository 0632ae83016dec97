package ledger

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"os"

	"github.com/petnames-go/petnames/ledger/durable"
)

// BoltRow is one row of a bbolt file: the name of its top-level bucket, its key
// and its value.
type BoltRow struct {
	Bucket     string
	Key, Value []byte
}

// ReadBolt yields the rows of a bbolt file that is not a ledger, as far as they
// can be read: a *DamagedError for each page that bbolt did not write in that
// form, and the rows of all other pages. It reads with the checks that guard a
// ledger, and not with bbolt, so that no damage makes it panic, fault or loop.
// A bbolt file has no checksums: the caller verifies the content of the rows.
//
// It changes nothing and takes no lock. The caller may keep the slices.
func ReadBolt(path string) iter.Seq2[BoltRow, error] {
	return func(yield func(BoltRow, error) bool) {
		f, err := durable.Open(path)
		if err != nil {
			yield(BoltRow{}, err)
			return
		}
		defer f.Close()
		p, err := openPages(f, path, boltPageSize(f))
		if err != nil {
			yield(BoltRow{}, err)
			return
		}
		r := &boltReader{pages: p, seen: p.newSet(), yield: yield}
		if _, _, ok := readMeta(f, (1-p.meta.slot)*p.size); !ok {
			r.report(p.bad("the meta pages", errors.New("one is not valid: the last change may be missing")))
		}
		free, _, err := p.free()
		r.report(err)
		for _, id := range free {
			r.seen.add(id) // so that a damaged pointer does not lead to a stale page
		}
		r.tree(p.meta.root, r.bucket)
	}
}

// boltPageSize returns the page size that the first valid meta page states. The
// position of the second meta page depends on the page size, so all sizes are
// tried.
func boltPageSize(f io.ReaderAt) int {
	if _, size, ok := readMeta(f, 0); ok && size >= 1024 && size <= 1<<24 {
		return int(size)
	}
	for at := int64(1024); at <= 1<<24; at *= 2 {
		if _, size, ok := readMeta(f, at); ok && int64(size) == at {
			return int(size)
		}
	}
	return os.Getpagesize()
}

// boltReader reads the trees of one file. After a damaged page it continues
// with the next one.
type boltReader struct {
	*pages
	seen  bitmap
	leafs int // depth of the first leaf read in the tree; -1: none yet
	yield func(BoltRow, error) bool
	ended bool
}

// keyRange is the range of the keys of a page, according to the branch page
// above: from ≤ key < to; nil is no bound.
type keyRange struct{ from, to []byte }

// contains reports whether the key is in the range.
func (b keyRange) contains(key []byte) bool {
	return bytes.Compare(key, b.from) >= 0 && (b.to == nil || bytes.Compare(key, b.to) < 0)
}

var errEnded = errors.New("the caller ended it")

// report yields err to the caller, unless it is nil or the caller ended the iteration.
func (r *boltReader) report(err error) {
	if err != nil && !errors.Is(err, errEnded) && !r.ended {
		r.ended = !r.yield(BoltRow{}, err)
	}
}

// each is called with an element of a leaf page; bucket reports whether the element
// is a bucket and not a row.
type each func(key, value []byte, bucket bool) error

// tree reads a tree of pages, and calls row for the elements of its leaves.
func (r *boltReader) tree(root uint64, row each) {
	outer := r.leafs
	r.leafs = -1
	r.page(root, keyRange{}, 0, row)
	r.leafs = outer
}

// page reads a page and the pages below it. within is the range of its keys.
func (r *boltReader) page(id uint64, within keyRange, depth int, row each) {
	switch {
	case r.ended:
		return
	case depth == maxDepth:
		r.report(r.badPage(id, "the tree is too deep"))
		return
	case !r.in(id) || r.seen.has(id):
		r.report(r.badPage(id, "is free or read before, or outside of the file, but something leads to it"))
		return
	}
	r.seen.add(id)
	b, flags, err := r.read(id)
	if err != nil {
		r.report(err)
		return
	}
	if flags == flagLeaf {
		if r.leafs < 0 {
			r.leafs = depth
		}
		if r.leafs != depth {
			r.report(r.badPage(id, "is a leaf at depth %d, and others are at %d", depth, r.leafs))
		}
		r.report(r.leaf(id, b, within, row))
		return
	}
	if flags != flagBranch {
		r.report(r.badPage(id, "flags %#x, a branch or a leaf was to be there", flags))
		return
	}
	type element struct {
		key   []byte
		child uint64
	}
	var children []element
	err = r.elements(id, b, func(key, _ []byte, child uint64, _ bool) error {
		if !within.contains(key) {
			return r.badPage(id, "a key of another page is on it")
		}
		children = append(children, element{key, child})
		return nil
	})
	for i, e := range children {
		childRange := keyRange{e.key, within.to}
		if i+1 < len(children) {
			childRange.to = children[i+1].key
		}
		r.page(e.child, childRange, depth+1, row)
	}
	r.report(err)
}

// leaf calls row for the elements of a leaf page.
func (r *boltReader) leaf(id uint64, b []byte, within keyRange, row each) error {
	return r.elements(id, b, func(key, value []byte, _ uint64, bucket bool) error {
		if !within.contains(key) {
			return r.badPage(id, "a key of another page is on it")
		}
		return row(key, value, bucket)
	})
}

// bucket yields the rows of a bucket, which is an element of the root. A small bucket
// is inline: its only page is in the value of the element.
func (r *boltReader) bucket(name, value []byte, bucket bool) error {
	if !bucket || len(value) < 16 {
		r.report(r.badPage(r.meta.root, "%q is no bucket", name))
		return nil
	}
	row := func(key, value []byte, nested bool) error {
		if nested {
			return r.badPage(r.meta.root, "a bucket within bucket %q", name)
		}
		if !r.ended {
			r.ended = !r.yield(BoltRow{string(name), key, value}, nil)
		}
		if r.ended {
			return errEnded
		}
		return nil
	}
	root := r.bucketRoot(value)
	if !isInline(root) {
		r.tree(root, row)
		return nil
	}
	inline := value[16:]
	if len(inline) < pageHeader || ne.Uint64(inline) != 0 || ne.Uint16(inline[8:]) != flagLeaf {
		r.report(r.badPage(r.meta.root, "bucket %q is no leaf", name))
		return nil
	}
	r.report(r.leaf(r.meta.root, inline, keyRange{}, row))
	return nil
}
