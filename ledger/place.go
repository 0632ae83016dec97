package ledger

import (
	"bytes"
	"fmt"
)

// predecessor is the place of a new entry.
type predecessor struct {
	branch uint32 // that the entry extends, unless it leaves one
	leaves bool   // it starts a branch, after an entry that has a successor
	parent int    // of that branch
	clock  uint64 // of the entry before it; 0: it is the first
	past   []mark // of the entry before it
}

// before finds the place of an entry that is not stored.
func (m *merging) before(e *Entry) (predecessor, error) {
	st := m.w.st
	if e.id.Number == 1 {
		i := st.devices[e.id.Device][0]
		return predecessor{branch: i, leaves: st.branches[i].head > 0, parent: noParent}, nil
	}
	at, found, err := m.w.log.find(Head{e.id.Device, e.id.Number - 1, e.prev})
	if err != nil {
		return predecessor{}, err
	}
	if !found {
		return predecessor{}, fmt.Errorf("entry %v: the one before it is missing: %w", e.id, errLater)
	}
	b := &st.branches[at.branch]
	p := predecessor{branch: at.branch, parent: int(at.branch), clock: b.clock, past: b.past}
	if p.leaves = b.head > at.number; p.leaves {
		last, _, err := m.w.log.entry(at.branch, at.number, false)
		if err != nil {
			return predecessor{}, err
		}
		p.clock, p.past = last.clock, last.past
	}
	return p, nil
}

// pastWith returns the version vector of an entry, given that of the entry before it. All
// that the entry's device states it saw must be stored, and with each entry everything
// that it saw. Only of a forked device a list need not have all: it has one entry of each.
func (g *logBucket) pastWith(e *Entry, before []mark) ([]mark, error) {
	st := g.st
	seen := make([]mark, 0, len(e.seen))
	for _, h := range e.seen {
		id := ID{h.Device, h.Number}
		if st.first(h.Device) == nil {
			return nil, fmt.Errorf("entry %v: saw %v, whose device is not admitted: %w", e.id, id, errLater)
		}
		m, found, err := g.find(h)
		switch {
		case err != nil:
			return nil, err
		case !found && st.unknowable(h):
			continue
		case !found:
			return nil, fmt.Errorf("entry %v: saw %v: %w", e.id, id, errLater)
		case st.covers(before, m):
			return nil, fmt.Errorf("%w: entry %v: saw %v, and had seen more before", ErrRefused, e.id, id)
		}
		seen = append(seen, m)
	}
	past := st.add(before, seen...)
	for _, m := range seen {
		b := &st.branches[m.branch]
		theirs := b.past
		if m.number < b.head {
			s, _, err := g.entry(m.branch, m.number, false)
			if err != nil {
				return nil, err
			}
			theirs = s.past
		}
		for _, p := range theirs {
			device := st.branches[p.branch].device
			if device == e.id.Device || st.covers(past, p) {
				continue
			}
			if !st.forked(device) && p.number <= st.branches[p.branch].head {
				return nil, fmt.Errorf("%w: entry %v: saw %v, but not what that had seen", ErrRefused, e.id, ID{b.device, m.number})
			}
			past = st.add(past, p)
		}
	}
	return past, nil
}

// isSmallest reports whether an entry has the smallest hash at the fork after parent.
func (m *merging) isSmallest(e *Entry, parent int) (bool, error) {
	s := &settling{w: m.w}
	i, err := s.smallest(m.w.st.devices[e.id.Device], e.id.Number, parent)
	if err != nil {
		return false, err
	}
	other, _, err := m.w.log.entry(i, e.id.Number, false)
	return bytes.Compare(e.hash[:], other.hash[:]) < 0, err
}
