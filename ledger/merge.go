package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
)

const (
	maxDeferred      = 8192     // entries of one Merge that wait for other entries
	maxDeferredBytes = 64 << 20 // and their size
	maxPasses        = 32       // over the waiting entries
)

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
	own       uint64 // those of them that are under the key of this device
	ownClock  uint64 // the highest of their clocks
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
	return m, w.noteMerged(m.own, m.ownClock)
}

// Identify returns what an exchanged entry states of itself: its device, number and hash,
// and the hash of the entry before it. Nothing of it is verified.
func (l *Ledger) Identify(entry []byte) (h Head, prev Hash, err error) {
	return l.Book().Identify(entry)
}

// Identify is [Ledger.Identify] for a device that has no ledger of the book.
func (b BookID) Identify(entry []byte) (h Head, prev Hash, err error) {
	raw, _, _, err := parseWire(entry)
	if err != nil {
		return h, prev, err
	}
	e, err := parseEntry(b, raw)
	return Head{e.id.Device, e.id.Number, e.hash}, e.prev, err
}

// VerifyAlone verifies what an exchanged entry shows without others: its form, the signature
// of the device that it names, and its body. Whether the book admits that device, and what
// the entry builds on, is not verified.
func (b BookID) VerifyAlone(entry []byte) error {
	raw, body, withBody, err := parseWire(entry)
	if err != nil {
		return err
	}
	e, err := parseEntry(b, raw)
	if err == nil {
		err = e.verify()
	}
	if err == nil && withBody {
		err = e.checkBody(body)
	}
	return err
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
	if e.id.Device == m.w.l.self {
		m.own, m.ownClock = m.own+1, max(m.ownClock, e.clock)
	}
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
