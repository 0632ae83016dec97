package ledger

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
)

// Heads returns the last stored entry of each branch, by device: one for each device that
// has entries, several for one that forked. Another device needs them to compute what is
// Missing here. Of a removed device's entries after its end it includes those that every
// ledger stores.
func (l *Ledger) Heads() []Head {
	st := l.st.Load()
	var out []Head
	late := false
	for i := range st.branches {
		b := &st.branches[i]
		if late = late || st.latest(b) != b.head; b.head >= b.from {
			out = append(out, Head{b.device, b.head, b.hash})
		}
	}
	if late {
		out = l.latestHeads(out)
	}
	slices.SortFunc(out, func(a, b Head) int {
		return cmp.Or(bytes.Compare(a.Device[:], b.Device[:]), cmp.Compare(a.Number, b.Number), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	return out
}

// latestHeads is Heads with the hashes of entries that are not the last ones. If the log
// cannot be read, it returns all.
func (l *Ledger) latestHeads(all []Head) (out []Head) {
	err := l.readLog(func(log *logBucket, st *state) error {
		for i := range st.branches {
			b := &st.branches[i]
			n := st.latest(b)
			if n < b.from {
				continue
			}
			h := Head{b.device, n, b.hash}
			if n < b.head {
				e, _, err := log.entry(uint32(i), n, false)
				if err != nil {
					return err
				}
				h.Hash = e.hash
			}
			out = append(out, h)
		}
		return nil
	})
	if err != nil {
		return all
	}
	return out
}

// Digest returns a hash of the entries that count: two ledgers of one book with equal
// digests have the same devices and, if they have the same bodies, the same view.
//
//	sha2-256("petnames/ledger/digest/v1\0" ‖ book id
//	         ‖ of each device, by id: id ‖ number of the last entry that counts, 8 bytes, big
//	           endian ‖ its hash; 32 zero bytes for number 0)
func (l *Ledger) Digest() (h Hash, err error) {
	err = l.readLog(func(log *logBucket, st *state) error {
		b := append([]byte(digestDomain), st.book[:]...)
		for _, id := range slices.SortedFunc(maps.Keys(st.devices), func(a, b DeviceID) int { return bytes.Compare(a[:], b[:]) }) {
			if !st.first(id).removed && !st.admitted(id) {
				continue
			}
			var hash Hash
			i, number := st.tip(id)
			if number > 0 {
				e, _, err := log.entry(i, number, false)
				if err != nil {
					return err
				}
				hash = e.hash
			}
			b = append(b, id[:]...)
			b = binary.BigEndian.AppendUint64(b, number)
			b = append(b, hash[:]...)
		}
		h = sha256.Sum256(b)
		return nil
	})
	return h, err
}

// Lacks returns those of another device's heads that are not stored here.
func (l *Ledger) Lacks(heads []Head) (lacking []Head, err error) {
	err = l.readLog(func(log *logBucket, _ *state) error {
		lacking = nil
		for _, h := range heads {
			_, found, err := log.find(h)
			if err != nil {
				return err
			}
			if !found {
				lacking = append(lacking, h)
			}
		}
		return nil
	})
	return lacking, err
}

// Missing yields the entries that the holder of these heads lacks, in the form
// and in an order that Merge accepts; all entries for no heads. If a head is of a branch
// that this ledger does not have, all entries of the device are sent, so that the holder
// detects the fork; one with a higher number than those here is taken for the same branch,
// and if it is not, the holder's entries show that. Signatures are not verified here: the
// receiver verifies them.
func (l *Ledger) Missing(heads []Head) iter.Seq2[[]byte, error] {
	heads = slices.Clone(heads)
	lacking := func(log *logBucket, st *state) (next, end []uint64, err error) {
		next, end = make([]uint64, len(st.branches)), make([]uint64, len(st.branches))
		for i := range next {
			next[i], end[i] = st.branches[i].from, st.latest(&st.branches[i])
		}
		for _, h := range heads {
			m, found, err := log.find(h)
			if err != nil {
				return nil, nil, err
			}
			if branches := st.devices[h.Device]; !found && len(branches) == 1 && h.Number > end[branches[0]] {
				m, found = mark{branches[0], end[branches[0]]}, true // the holder has more of it
			}
			if !found {
				continue
			}
			for i, last := int(m.branch), m.number; i != noParent; i = st.branches[i].parent {
				next[i] = max(next[i], last+1)
				last = min(last, st.branches[i].from-1)
			}
		}
		return next, end, nil
	}
	return func(yield func([]byte, error) bool) {
		all := l.entries(lacking, false, false, func(e Entry, r record) EntryBody {
			return EntryBody{e, encodeWire(r.raw, r.body, r.state == bodyStored)}
		})
		for eb, err := range all {
			if !yield(eb.Body, err) {
				return
			}
		}
	}
}
