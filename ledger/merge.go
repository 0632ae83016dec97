package ledger

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

const (
	maxDeferred      = 8192     // entries of one Merge that wait for other entries
	maxDeferredBytes = 64 << 20 // and their size
	maxPasses        = 32       // over the waiting entries
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

var errNothing = errors.New("nothing to write")

// Merge adds entries that another device's Missing yielded. They may come from
// any source: each is verified. If all of them are valid (each device admitted
// by the identity; each signature, chain and body correct; everything that an
// entry saw present), they become visible and durable in one step; otherwise
// nothing changes and the error is ErrRefused. Known entries are skipped. Merge
// returns the number of new ones that count.
//
// What counts is a function of the set of entries that were merged: their order, and in
// how many calls they came, make no difference. Two kinds of entry are stored and
// reported without refusing the rest: those of a fork, of which one branch counts
// (ErrFork), and those that do not count because their device was removed before, or is
// not admitted any more (ErrRefused). They are bounded: of what is over 16 branches of a
// device, except one that counts, or over 256 entries after its removal, nothing is
// stored, and of the entries that build on it neither.
func (l *Ledger) Merge(entries iter.Seq[[]byte]) (n int, err error) {
	m, err := l.merge(entries, false)
	if err != nil {
		return 0, err
	}
	return m.added, m.skipped
}

// MergePart is Merge for entries of which some may be missing or damaged: those that
// verify are stored, and the others do not prevent it. It returns the entries that build
// on others that are not here, any number of them, and the first of the errors for which
// Merge refuses all, or of those that it reports.
func (l *Ledger) MergePart(entries iter.Seq[[]byte]) (n int, waiting [][]byte, err error) {
	m, err := l.merge(entries, true)
	if err != nil {
		return 0, nil, err
	}
	return m.added, m.waiting, cmp.Or(m.refused, m.skipped)
}

func (l *Ledger) merge(entries iter.Seq[[]byte], part bool) (m *merging, err error) {
	err = l.write(func(w *writing) error {
		if m, err = w.merge(entries, part); err != nil {
			return err
		}
		if m.added == 0 && !m.changed {
			return errNothing
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNothing) {
		return nil, err
	}
	return m, nil
}

// merging is the state of one Merge.
type merging struct {
	w       *writing
	added   int
	changed bool  // an entry that does not count, or a body, was stored
	skipped error // why the first entry that does not count does not
	dropped bool  // an entry over a bound was not stored
	passes  int   // over the waiting entries

	stored    []mark // the new entries
	forks     []mark // those of them that start a branch
	unsettled bool

	part    bool // of MergePart
	refused error
	waiting [][]byte
}

// entry is mergeEntry. In a MergePart it only records that an entry is refused.
func (m *merging) entry(b []byte) error {
	err := m.mergeEntry(b)
	if m.part && errors.Is(err, ErrRefused) && !errors.Is(err, errLater) {
		m.refused = cmp.Or(m.refused, err)
		return nil
	}
	return err
}

var errLater = errors.New("what it builds on is not here")

// merge verifies and stores entries in one transaction. Entries that arrive before
// those that they build on wait, and are tried again until none is left. If none of those
// that wait can be stored, the merge is refused; but if an entry over a bound was dropped,
// they may build on it, and are dropped too.
func (w *writing) merge(entries iter.Seq[[]byte], part bool) (*merging, error) {
	m := &merging{w: w, part: part}
	if err := m.placeOldForks(); err != nil {
		return nil, err
	}
	var waiting [][]byte
	size := 0
	for b := range entries {
		switch err := m.entry(b); {
		case errors.Is(err, errLater):
			waiting = append(waiting, bytes.Clone(b))
			if size += len(b); !part && (len(waiting) > maxDeferred || size > maxDeferredBytes) {
				return nil, fmt.Errorf("%w: over %d entries or %d MiB wait for others: %w", ErrRefused, maxDeferred, maxDeferredBytes>>20, err)
			}
		case err != nil:
			return nil, err
		}
	}
	m.sortByClock(waiting)
	for len(waiting) > 0 {
		if m.passes++; m.passes > maxPasses {
			if part {
				break
			}
			return nil, fmt.Errorf("%w: its entries are in no order that their clocks show", ErrRefused)
		}
		var remaining [][]byte
		var lastErr error
		for _, b := range waiting {
			switch err := m.entry(b); {
			case errors.Is(err, errLater):
				remaining, lastErr = append(remaining, b), err
			case err != nil:
				return nil, err
			}
		}
		if len(remaining) == len(waiting) {
			if m.dropped || part {
				break
			}
			return nil, fmt.Errorf("%w: %w", ErrRefused, lastErr)
		}
		waiting = remaining
	}
	m.waiting = waiting
	if m.unsettled {
		if err := w.settle(); err != nil {
			return nil, err
		}
	}
	for _, stored := range m.stored {
		m.count(stored)
	}
	return m, nil
}

// Identify returns what an exchanged entry states of itself: its device, number and hash,
// and the hash of the entry before it. Nothing of it is verified.
func (l *Ledger) Identify(entry []byte) (h Head, prev Hash, err error) {
	raw, _, _, err := parseWire(entry)
	if err != nil {
		return h, prev, err
	}
	e, err := parseEntry(l.Book(), raw)
	return Head{e.id.Device, e.id.Number, e.hash}, e.prev, err
}

// placeOldForks merges what a file of the first format has as the evidence of forks: the
// first entries of other branches, without their bodies. What has no place here stays.
func (m *merging) placeOldForks() error {
	var keys, entries [][]byte
	for scan := m.w.index.scan(forkPrefix); ; {
		k, b, err := scan.next()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(k, forkPrefix) {
			break
		}
		keys, entries = append(keys, bytes.Clone(k)), append(entries, bytes.Clone(b))
	}
	for i, b := range entries {
		var damaged *DamagedError
		if err := m.mergeEntry(b); errors.As(err, &damaged) {
			return err
		} else if err != nil {
			continue
		}
		if _, err := m.w.index.delete(keys[i]); err != nil {
			return err
		}
	}
	return nil
}

// sortByClock sorts waiting entries by their clocks. Honest devices set a clock above
// those of all entries that the entry depends on, so one pass stores all of
// them in any original order. Wrong clocks cost further passes, the number of
// which is bounded.
func (m *merging) sortByClock(waiting [][]byte) {
	clocks := make(map[*byte]uint64, len(waiting))
	for _, b := range waiting {
		if raw, _, _, err := parseWire(b); err == nil {
			if e, err := parseEntry(m.w.st.book, raw); err == nil {
				clocks[&b[0]] = e.clock
			}
		}
	}
	slices.SortStableFunc(waiting, func(a, b []byte) int { return cmp.Compare(clocks[&a[0]], clocks[&b[0]]) })
}

// skip records why an entry does not count, if it is the first. It returns nil.
func (m *merging) skip(err error) error {
	if m.skipped == nil {
		m.skipped = err
	}
	return nil
}

// mergeEntry verifies one exchanged entry and stores it. After errLater the caller
// repeats the call when other entries have been stored.
func (m *merging) mergeEntry(b []byte) error {
	st := m.w.st
	raw, body, withBody, err := parseWire(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if len(st.branches) == 0 {
		return m.genesis(raw, body)
	}
	e, err := parseEntry(st.book, raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: entry %v: %w", ErrRefused, e.id, fmt.Errorf(format, args...))
	}
	device := st.first(e.id.Device)
	if device == nil {
		return fmt.Errorf("entry %v: its device is not admitted to the book: %w", e.id, errLater)
	}
	if at, found, err := m.w.log.find(Head{e.id.Device, e.id.Number, e.hash}); err != nil {
		return err
	} else if found {
		return m.mergeKnown(at, e, raw, body, withBody)
	}
	late := device.removed && e.id.Number > device.last && st.late(e.id.Device) >= maxLate
	before, err := m.before(&e)
	if errors.Is(err, errLater) && (late || st.full(e.id.Device)) {
		m.dropped = true
		return m.skip(refuse("it builds on an entry over a bound, which is not stored"))
	}
	if err != nil {
		return err
	}
	if err := e.verify(); err != nil {
		return refuse("%w", err)
	}
	switch {
	case late:
		m.dropped = true
		return m.skip(refuse("device %q was removed after its entry %d, and over %d later ones are not stored", device.name, device.last, maxLate))
	case e.kind == KindGenesis, e.id.Number == 1 && e.id.Device == st.branches[0].device:
		return refuse("a book has one genesis")
	case clockWentBack(before.clock, e.clock):
		return refuse("its clock went back")
	case e.kind != KindApplication && !withBody:
		return refuse("its statement is missing")
	}
	if before.leaves && st.full(e.id.Device) {
		if smallest, err := m.isSmallest(&e, before.parent); err != nil {
			return err
		} else if !smallest || len(st.branches) >= maxRows {
			m.dropped = true
			return m.skip(fmt.Errorf("entry %v: %w, and no further branch is stored", e.id, ErrFork))
		}
	}
	if withBody {
		if err := e.checkBody(body); err != nil {
			return refuse("%w", err)
		}
	}
	e.st = st
	if e.past, err = m.w.log.pastWith(&e, before.past); err != nil {
		return err
	}
	var s storedStatement
	if e.kind != KindApplication {
		last := mark{before.branch, e.id.Number - 1}
		if s, err = m.w.checkStatement(&e, body, last); err != nil {
			return refuse("%w", err)
		}
	}
	i := before.branch
	if before.leaves {
		i = m.w.addBranch(e.id.Device, before.parent, e.id.Number)
	}
	state := bodyStored
	if !withBody {
		state = bodyMissing
	}
	if err := m.w.store(i, e, bytes.Clone(raw), bytes.Clone(body), state); err != nil {
		return err
	}
	m.stored = append(m.stored, mark{i, e.id.Number})
	if before.leaves {
		m.forks = append(m.forks, mark{i, e.id.Number})
		if err := m.w.loadStatements(); err != nil { // the file gets the second format
			return err
		}
	}
	if e.kind != KindApplication {
		if err := m.w.addStatement(s, i, e); err != nil {
			return err
		}
	}
	// Removals are settled at once: they bound what is stored of the device afterwards.
	if e.kind == KindRemove {
		m.unsettled = false
		return m.w.settle()
	}
	m.unsettled = m.unsettled || before.leaves || e.kind != KindApplication ||
		device.removed && st.forked(e.id.Device) // it may be the entry that the removal names
	return nil
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

// count counts a stored entry, or reports why it does not count.
func (m *merging) count(at mark) {
	st := m.w.st
	b := &st.branches[at.branch]
	device, id := st.first(b.device), ID{b.device, at.number}
	if slices.Contains(m.forks, at) {
		_ = m.skip(fmt.Errorf("entry %v: %w", id, ErrFork))
	}
	if b.counts(at.number) {
		m.added++
		return
	}
	m.changed = true
	switch {
	case device.removed && at.number > device.last:
		_ = m.skip(fmt.Errorf("%w: entry %v: device %q was removed after its entry %d", ErrRefused, id, device.name, device.last))
	case st.forked(b.device):
		_ = m.skip(fmt.Errorf("entry %v: %w", id, ErrFork))
	default:
		_ = m.skip(fmt.Errorf("%w: entry %v: no statement that stands admitted device %q", ErrRefused, id, device.name))
	}
}

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

// genesis verifies and stores the first entry of an empty ledger.
func (m *merging) genesis(raw, body []byte) error {
	st := m.w.st
	a, book, _, err := parseGenesis(body, st.identity)
	if err != nil {
		return fmt.Errorf("%w: the first entry must be the genesis: %w", ErrRefused, err)
	}
	e, err := parseEntry(book, raw)
	if err == nil {
		err = e.verify()
	}
	if err == nil {
		err = e.checkBody(body)
	}
	if err == nil && (e.kind != KindGenesis || e.id.Number != 1 || len(e.seen) > 0 || a.device != e.id.Device) {
		err = errors.New("not a genesis")
	}
	if err != nil {
		return fmt.Errorf("%w: genesis: %w", ErrRefused, err)
	}
	st.book = book
	m.w.addDevice(e.id.Device, a.name)
	m.stored = append(m.stored, mark{0, 1})
	return m.w.store(0, e, bytes.Clone(raw), bytes.Clone(body), bodyStored)
}

// mergeKnown processes an entry that is already stored. A body that was missing is added,
// and a different signature over the same entry is ignored.
func (m *merging) mergeKnown(at mark, e Entry, raw, body []byte, withBody bool) error {
	w := m.w
	stored, r, err := w.log.entry(at.branch, at.number, false)
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, r.raw) {
		if err := e.verify(); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	if withBody {
		if err := stored.checkBody(body); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if r.state == bodyMissing {
			r.raw, r.body, r.state = bytes.Clone(r.raw), bytes.Clone(body), bodyStored
			w.st.replay, m.changed = true, true
			return w.log.put(at.branch, at.number, r)
		}
	}
	return nil
}
