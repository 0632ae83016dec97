package ledger

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"time"
)

// ForkError is returned by a write of a device that has forked, if what this file has written
// does not count: another copy of the file wrote under the same key, and its branch counts.
// It wraps [ErrFork].
type ForkError struct {
	Since   time.Time // of the first entry of this file that does not count, by the device's clock
	Entries uint64    // of this file that do not count
}

func (e *ForkError) Error() string {
	return fmt.Sprintf("another copy of this home writes as this device; what was written here since %s does not count", e.Since.UTC().Format(time.DateTime+" MST"))
}

// Unwrap returns ErrFork.
func (e *ForkError) Unwrap() error { return ErrFork }

// RemovedError is returned by a write of a device that was removed from the book.
type RemovedError struct{ Name string }

func (e *RemovedError) Error() string {
	return fmt.Sprintf("device %q was removed from the book; admit a new one", e.Name)
}

// Branch is one chain of entries of a device: the only one, or one of a fork.
type Branch struct {
	Head    Head      // its last stored entry
	At      time.Time // of that entry, by the device's clock
	Shared  uint64    // number of its last entry that another branch has as well; 0: none is shared
	Counted uint64    // number of its last entry that counts; 0: none counts
	Own     bool      // of this device: this file continues it
}

// Counts reports whether all entries of the branch count.
func (b Branch) Counts() bool { return b.Counted == b.Head.Number }

// Branches returns the branches of a device that have entries, in the order in which this
// file learned of them: one, or several of a device that has forked.
func (l *Ledger) Branches(id DeviceID) (all []Branch, err error) {
	err = l.readLog(func(log *logBucket, st *state) error {
		own, err := l.ownOf(log, st)
		if err != nil {
			return err
		}
		all = nil
		for _, i := range st.devices[id] {
			b := &st.branches[i]
			if b.head < b.from {
				continue
			}
			all = append(all, Branch{Head: Head{id, b.head, b.hash}, At: clockTime(b.clock), Shared: st.sharedWith(i), Counted: st.shared(mark{i, b.head}), Own: i == own && id == l.self})
		}
		return nil
	})
	return all, err
}

// Own returns the branch that this device continues in this file, and reports whether what
// it writes next counts. The branch is zero before the first entry.
func (l *Ledger) Own() (b Branch, counts bool, err error) {
	st := l.st.Load()
	first := st.first(l.self)
	if first == nil {
		return b, false, nil
	}
	all, err := l.Branches(l.self)
	if i := slices.IndexFunc(all, func(b Branch) bool { return b.Own }); i >= 0 {
		b = all[i]
	}
	return b, err == nil && !first.removed && st.admitted(l.self) && b.Counts(), err
}

// ownOf returns the branch that this file continues: see ownBranch.
func (l *Ledger) ownOf(log *logBucket, st *state) (uint32, error) {
	branches := st.devices[l.self]
	if len(branches) == 0 {
		return 0, nil
	}
	i := branches[0]
	if j, number := st.tip(l.self); number > 0 {
		i = j
	}
	if st.format < fileFormat || len(branches) == 1 {
		return branches[0], nil
	}
	index, err := l.openChain(log.b.Tx(), bucketIndex)
	if err != nil {
		return 0, err
	}
	row, err := index.get(ownKey)
	if err != nil || row == nil {
		return i, err
	}
	if len(row) != 4 {
		return 0, index.damaged(ownKey, errChecksum)
	}
	if own := binary.BigEndian.Uint32(row); slices.Contains(branches, own) {
		i = own
	}
	return i, nil
}

// sharedWith returns the number of the last entry in the chain of a branch that another
// branch of its device has as well.
func (s *state) sharedWith(i uint32) (last uint64) {
	b := &s.branches[i]
	if b.parent != noParent {
		last = b.from - 1
	}
	for _, j := range s.devices[b.device] {
		// A branch that leaves this chain shares what is before it.
		if o := &s.branches[j]; j != i && o.parent != noParent && o.head >= o.from && s.contains(mark{i, b.head}, mark{s.owner(uint32(o.parent), o.from-1), o.from - 1}) {
			last = max(last, o.from-1)
		}
	}
	return last
}

// Chain yields the entries of the chain that ends with an entry, after a number, whether
// they count or not. Each is verified when it is read. The error for an entry that is not
// stored is the only one then.
func (l *Ledger) Chain(last Head, after uint64) iter.Seq2[EntryBody, error] {
	bounds := func(log *logBucket, st *state) (next, end []uint64, err error) {
		m, found, err := log.find(last)
		if err == nil && !found {
			err = fmt.Errorf("no entry %v with this hash in the ledger", ID{last.Device, last.Number})
		}
		if err != nil {
			return nil, nil, err
		}
		next, end = make([]uint64, len(st.branches)), make([]uint64, len(st.branches))
		for i := range next {
			next[i] = 1 // after end: nothing
		}
		for i, to := int(m.branch), m.number; i != noParent; i = st.branches[i].parent {
			b := &st.branches[i]
			next[i], end[i] = max(b.from, after+1), to
			to = b.from - 1
		}
		return next, end, nil
	}
	return l.entries(bounds, true, true, cloned)
}

// Uncounted yields the entries that are stored and do not count, ordered by the devices'
// clocks, with their bodies: those of branches of a fork, and those of devices that were
// removed before. Each is verified when it is read.
func (l *Ledger) Uncounted() iter.Seq2[EntryBody, error] {
	bounds := func(_ *logBucket, st *state) (next, end []uint64, err error) {
		next, end = make([]uint64, len(st.branches)), make([]uint64, len(st.branches))
		for i := range st.branches {
			b := &st.branches[i]
			next[i], end[i] = max(b.from, b.end()+1), b.head
		}
		return next, end, nil
	}
	return l.entries(bounds, true, true, cloned)
}

// cloned returns an entry with a copy of its body.
func cloned(e Entry, r record) EntryBody { return EntryBody{e, slices.Clone(r.body)} }

// clockTime returns the time of a hybrid clock, for display.
func clockTime(clock uint64) time.Time { return time.UnixMilli(int64(clock >> logical)).UTC() }

// forkError returns the error for a device of which the branch that ends with m does not count.
func (w *writing) forkError(m mark) error {
	from := w.st.shared(m) + 1
	if from > m.number { // no statement that stands admits the device any more
		return &RemovedError{w.st.first(w.l.self).name}
	}
	e, _, err := w.log.entry(w.st.owner(m.branch, from), from, false)
	if err != nil {
		return err
	}
	return &ForkError{Since: e.Time(), Entries: m.number - from + 1}
}

// tableMerged is a device-local table: keyOwn → entries (8 bytes) ‖ clock of the last (8
// bytes).
const tableMerged = "merged as own"

var keyOwn = []byte("own")

// MergedOwn is what Merge has stored under the key of this device although this file did not
// write it: another copy of the file wrote it, or this file before it was replaced by an
// older copy.
type MergedOwn struct {
	Entries uint64 // 0: there are none
	Last    time.Time
}

// MergedOwn returns what Merge has stored under the key of this device.
func (l *Ledger) MergedOwn() (m MergedOwn, err error) {
	err = l.ReadLocal(func(local *View) (err error) {
		m, _, err = readMerged(local)
		return err
	})
	return m, err
}

func readMerged(local *View) (m MergedOwn, clock uint64, err error) {
	row, err := local.Get(tableMerged, keyOwn)
	if err != nil || len(row) != 16 {
		return m, 0, err
	}
	clock = binary.BigEndian.Uint64(row[8:])
	return MergedOwn{binary.BigEndian.Uint64(row), clockTime(clock)}, clock, nil
}

// noteMerged records entries under the key of this device that were merged.
func (w *writing) noteMerged(entries, clock uint64) error {
	if entries == 0 {
		return nil
	}
	m, last, err := readMerged(w.local)
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint64(nil, m.Entries+entries)
	return w.local.Put(tableMerged, keyOwn, binary.BigEndian.AppendUint64(b, max(last, clock)))
}
