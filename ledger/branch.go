package ledger

import "slices"

// A device's log is one chain of entries. A device key that two copies of a home use, or a
// thief, can write several entries after one: a fork. All of them are stored. The first
// branch of a device starts at its entry 1; each other branch leaves another one, and
// starts at the first entry that the two do not share. What counts is a function of all
// stored entries, and not of the order in which they arrived: see settle.go.

const (
	maxBranches = 16   // of one device
	maxRows     = 1024 // branches of one book
	noParent    = -1
)

// branch is one chain of entries of a device. Its index in state.branches is its index in
// the keys of this file, in the order in which the file learned of the branches.
type branch struct {
	device  DeviceID
	parent  int    // index of the branch that has the entries before from; noParent: there are none
	from    uint64 // number of its first entry
	head    uint64 // number of its last entry; from-1: none is stored
	hash    Hash   // of the head
	clock   uint64 // of the head
	past    []mark // cumulative, at the head
	counted uint64 // its entries up to this number count; from-1: none does
	dirty   bool

	// Of the first branch: what the statements that count state of the device.
	name    string
	removed bool
	last    uint64 // its last entry that counts, if it was removed
}

// counts reports whether the branch's own entry with this number counts.
func (b *branch) counts(number uint64) bool { return number <= b.counted }

// end returns the number of the last stored entry of the branch that counts, from-1 if
// none does.
func (b *branch) end() uint64 { return min(b.head, b.counted) }

// mark is one element of a version vector: an entry, and all before it in its chain.
type mark struct {
	branch uint32
	number uint64
}

// first returns the first branch of a device, nil if it is not in the book.
func (s *state) first(id DeviceID) *branch {
	i := s.devices[id]
	if len(i) == 0 {
		return nil
	}
	return &s.branches[i[0]]
}

// forked reports whether a device has several branches.
func (s *state) forked(id DeviceID) bool { return len(s.devices[id]) > 1 }

// admitted reports whether the entries of a device count, those to come too.
func (s *state) admitted(id DeviceID) bool {
	return slices.ContainsFunc(s.devices[id], func(i uint32) bool { return s.branches[i].counted >= s.branches[i].from })
}

// tip returns the index of the branch of a device with its last entry that counts, and
// the number of that entry: 0 if none counts.
func (s *state) tip(id DeviceID) (i uint32, number uint64) {
	for _, j := range s.devices[id] {
		if b := &s.branches[j]; b.end() >= b.from && b.end() > number {
			i, number = j, b.end()
		}
	}
	return i, number
}

// owner returns the branch that has entry number of the chain of branch i.
func (s *state) owner(i uint32, number uint64) uint32 {
	for number < s.branches[i].from {
		i = uint32(s.branches[i].parent)
	}
	return i
}

// contains reports whether the chain that ends at the mark end contains m.
func (s *state) contains(end, m mark) bool {
	for end.branch != m.branch {
		b := &s.branches[end.branch]
		if b.parent == noParent {
			return false
		}
		end = mark{uint32(b.parent), min(end.number, b.from-1)}
	}
	return end.number >= m.number
}

// covers reports whether a version vector has the entry m.
func (s *state) covers(past []mark, m mark) bool {
	return slices.ContainsFunc(past, func(p mark) bool { return s.contains(p, m) })
}

// full reports whether a device may have no further branch, except one that counts.
func (s *state) full(id DeviceID) bool {
	return len(s.devices[id]) >= maxBranches || len(s.branches) >= maxRows-maxDevices
}

// late returns the number of stored entries of a removed device after its end, in all
// branches.
func (s *state) late(id DeviceID) (n uint64) {
	last := s.first(id).last
	for _, i := range s.devices[id] {
		if b := &s.branches[i]; b.head > max(last, b.from-1) {
			n += b.head - max(last, b.from-1)
		}
	}
	return n
}

// latest returns the number of the last entry of a branch that other devices are sent: of
// a removed device they store no more.
func (s *state) latest(b *branch) uint64 {
	if first := s.first(b.device); first.removed {
		return min(b.head, max(first.last+maxLate, b.from-1))
	}
	return b.head
}

// add returns a version vector with the entries of the marks added: a new slice, or past
// itself if it has them.
func (s *state) add(past []mark, marks ...mark) []mark {
	out := past
	for _, m := range marks {
		if s.covers(out, m) {
			continue
		}
		out = append(slices.DeleteFunc(slices.Clone(out), func(p mark) bool { return s.contains(m, p) }), m)
	}
	return out
}

// pastOf returns the number of the last entry of a device that counts and that a version
// vector has; 0 if there is none.
func (s *state) pastOf(past []mark, id DeviceID) (last uint64) {
	for _, m := range past {
		if s.branches[m.branch].device == id {
			last = max(last, s.shared(m))
		}
	}
	return last
}

// shared returns the number of the last entry in the chain of m that counts; 0 if none
// does.
func (s *state) shared(m mark) uint64 {
	for {
		b := &s.branches[m.branch]
		if b.counted >= b.from {
			return min(m.number, b.counted)
		}
		if b.parent == noParent {
			return 0
		}
		m = mark{uint32(b.parent), min(m.number, b.from-1)}
	}
}

// find returns the entry of a device that has this hash, false if it is not stored.
func (g *logBucket) find(h Head) (mark, bool, error) {
	for _, i := range g.st.devices[h.Device] {
		b := &g.st.branches[i]
		if h.Number < b.from || h.Number > b.head {
			continue
		}
		hash := b.hash
		if h.Number < b.head {
			e, _, err := g.entry(i, h.Number, false)
			if err != nil {
				return mark{}, false, err
			}
			hash = e.hash
		}
		if hash == h.Hash {
			return mark{i, h.Number}, true, nil
		}
	}
	return mark{}, false, nil
}

// addBranch adds a branch to the book. None of its entries count until it is settled.
func (w *writing) addBranch(id DeviceID, parent int, from uint64) uint32 {
	i := uint32(len(w.st.branches))
	w.st.branches = append(w.st.branches, branch{device: id, parent: parent, from: from, head: from - 1, counted: from - 1, dirty: true})
	w.st.devices[id] = append(slices.Clone(w.st.devices[id]), i)
	return i
}

// addDevice adds a device to the book. Its entries count until something else is settled.
func (w *writing) addDevice(id DeviceID, name string) {
	i := w.addBranch(id, noParent, 1)
	w.st.branches[i].name, w.st.branches[i].counted = name, maxNumber
}
