package ledger

import (
	"bytes"
	"cmp"
	"slices"
)

// Fork is evidence that two entries of a device follow on one entry.
type Fork struct {
	Kept  Entry  // of the branch that counts
	Other Entry  // of another branch, with the same number
	Wire  []byte // the exchanged form of Other, for verification by others
}

// Forks returns the evidence of all forks, by device and number.
func (l *Ledger) Forks() ([]Fork, error) {
	var out []Fork
	err := l.readLog(func(log *logBucket, st *state) error {
		for i := range st.branches {
			b := &st.branches[i]
			if first := st.devices[b.device][0] == uint32(i); first || b.head < b.from {
				continue
			}
			f, err := log.fork(uint32(i))
			if err != nil {
				return err
			}
			out = append(out, f)
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b Fork) int {
		return cmp.Or(bytes.Compare(a.Other.id.Device[:], b.Other.id.Device[:]), cmp.Compare(a.Other.id.Number, b.Other.id.Number))
	})
	return out, err
}

// fork returns the evidence of the fork at which a branch starts.
func (g *logBucket) fork(i uint32) (f Fork, err error) {
	b := &g.st.branches[i]
	// The other branch at this fork: the one that counts, or else one that this one leaves.
	j := g.st.devices[b.device][0]
	if b.parent != noParent {
		j = uint32(b.parent)
	}
	if at, last := g.st.tip(b.device); !b.counts(b.from) && last >= b.from {
		j = g.st.owner(at, b.from)
	}
	read := func(i uint32) (e Entry, wire []byte) {
		if err != nil {
			return e, nil
		}
		var r record
		if e, r, err = g.entry(i, b.from, true); err != nil {
			return e, nil
		}
		return e, encodeWire(r.raw, nil, false)
	}
	own, wire := read(i)
	other, otherWire := read(j)
	f = Fork{Kept: other, Other: own, Wire: wire}
	if b.counts(b.from) {
		f = Fork{Kept: own, Other: other, Wire: otherWire}
	}
	return f, err
}
