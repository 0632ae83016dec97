package ledger

import "hash/crc32"

// The list of free pages, their defacing and the check at open: the invariants
// stand in pages.go.

const (
	cleanOffset = 512 // of the clean mark within the meta page, whose tail bbolt leaves unused
	cleanSize   = 24
)

var (
	defaced  = [pageHeader]byte{'p', 'e', 't', 'n', 'a', 'm', 'e', 's', 'f', 'r', 'e', 'e', 'p', 'a', 'g', 'e'}
	cleanTag = [8]byte{'c', 'l', 'e', 'a', 'n', 'p', 'n', '1'}
)

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

// cleanMark returns the mark for a checksum of the list of free pages.
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

// markAt returns the position of the clean mark in the file, in bytes.
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
