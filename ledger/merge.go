package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

const (
	maxDeferred      = 8192     // entries of one Merge that wait for other entries
	maxDeferredBytes = 64 << 20 // and their size
	maxPasses        = 32       // over the waiting entries
	maxForks         = 16       // evidence stored for one device
)

// Heads returns each device's latest entry in this ledger, by device. Another
// device needs them to compute what is Missing here.
func (l *Ledger) Heads() []Head {
	st := l.st.Load()
	var out []Head
	for _, d := range st.devices {
		if d.head > 0 {
			out = append(out, Head{d.id, d.head, d.hash})
		}
	}
	slices.SortFunc(out, func(a, b Head) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	return out
}

// Missing yields the entries that the holder of these heads lacks, in the form
// and in an order that Merge accepts; all entries for no heads. If a head is
// not in this ledger's chain, the chain is sent from that number on, so that
// the holder detects the fork. Signatures are not verified here: the receiver
// verifies them.
func (l *Ledger) Missing(heads []Head) iter.Seq2[[]byte, error] {
	heads = slices.Clone(heads)
	from := func(log *logBucket, st *state) ([]uint64, error) {
		next := make([]uint64, len(st.devices))
		for i := range next {
			next[i] = 1
		}
		for _, h := range heads {
			i, ok := st.index[h.Device]
			if !ok || h.Number == 0 {
				continue
			}
			d := &st.devices[i]
			hash := d.hash
			if h.Number > d.head {
				next[i] = d.head + 1
				continue
			}
			if h.Number < d.head {
				e, _, err := log.entry(i, h.Number, false)
				if err != nil {
					return nil, err
				}
				hash = e.hash
			}
			next[i] = h.Number
			if hash == h.Hash {
				next[i]++
			}
		}
		return next, nil
	}
	return func(yield func([]byte, error) bool) {
		all := l.entries(from, false, false, func(e Entry, r record) EntryBody {
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
// returns the number of new ones.
//
// Two kinds of entry are skipped and reported without refusing the rest: those
// of another branch of a fork, which is stored as evidence (ErrFork), and those
// that a removed device wrote after its end (ErrRefused).
func (l *Ledger) Merge(entries iter.Seq[[]byte]) (n int, err error) {
	var skipped error
	err = l.write(func(w *writing) error {
		m, err := w.merge(entries)
		if err != nil {
			return err
		}
		n, skipped = m.added, m.skipped
		if m.added == 0 && !m.changed {
			return errNothing
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNothing) {
		return 0, err
	}
	return n, skipped
}

// merging is the state of one Merge.
type merging struct {
	w       *writing
	added   int
	changed bool  // evidence or a body was stored
	skipped error // why the first skipped entry was skipped
	passes  int   // over the waiting entries
}

var errLater = errors.New("what it builds on is not here")

// merge verifies and stores entries in one transaction. Entries that arrive before
// those that they build on are deferred, and repeated until all are stored.
func (w *writing) merge(entries iter.Seq[[]byte]) (*merging, error) {
	m := &merging{w: w}
	var deferred [][]byte
	size := 0
	for b := range entries {
		switch err := m.mergeEntry(b); {
		case errors.Is(err, errLater):
			deferred = append(deferred, bytes.Clone(b))
			if size += len(b); len(deferred) > maxDeferred || size > maxDeferredBytes {
				return nil, fmt.Errorf("%w: %w", ErrRefused, err)
			}
		case err != nil:
			return nil, err
		}
	}
	m.sortByClock(deferred)
	for progress := true; progress && len(deferred) > 0; {
		if m.passes++; m.passes > maxPasses {
			return nil, fmt.Errorf("%w: its entries are in no order that their clocks show", ErrRefused)
		}
		var remaining [][]byte
		var lastErr error
		for _, b := range deferred {
			switch err := m.mergeEntry(b); {
			case errors.Is(err, errLater):
				remaining, lastErr = append(remaining, b), err
			case err != nil:
				return nil, err
			}
		}
		progress = len(remaining) < len(deferred)
		deferred = remaining
		if !progress && m.skipped == nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, lastErr)
		}
	}
	return m, nil
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

// skip records the error of a skipped entry, if it is the first. It returns nil.
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
	if len(st.devices) == 0 {
		return m.genesis(raw, body)
	}
	e, err := parseEntry(st.book, raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: entry %v: %w", ErrRefused, e.id, fmt.Errorf(format, args...))
	}
	d := st.device(e.id.Device)
	if d == nil {
		return fmt.Errorf("entry %v: its device is not admitted to the book: %w", e.id, errLater)
	}
	if e.id.Number <= d.head {
		return m.mergeKnown(e, raw, body, withBody)
	}
	if d.removed && e.id.Number > d.last {
		if err := e.verify(); err != nil {
			return refuse("%w", err)
		}
		return m.skip(refuse("device %q was removed after its entry %d", d.name, d.last))
	}
	if e.id.Number > d.head+1 {
		return fmt.Errorf("entry %v: the one before it is missing: %w", e.id, errLater)
	}
	if err := e.verify(); err != nil {
		return refuse("%w", err)
	}
	if e.prev != d.hash {
		return m.fork(e, raw)
	}
	if clockWentBack(d.clock, e.clock) {
		return refuse("its clock went back")
	}
	if withBody {
		if err := e.checkBody(body); err != nil {
			return refuse("%w", err)
		}
	}
	if err := m.checkSeen(&e, d); err != nil {
		if errors.Is(err, ErrFork) {
			return m.skip(err)
		}
		return err
	}
	switch {
	case e.kind == KindGenesis:
		return refuse("a book has one genesis")
	case e.kind != KindApplication && !withBody:
		return refuse("its statement is missing")
	case e.kind != KindApplication:
		if err := m.w.applyStatement(e.kind, body); err != nil {
			return refuse("%w", err)
		}
		if d = st.device(e.id.Device); d.removed && e.id.Number > d.last {
			return m.skip(refuse("device %q removed itself", d.name))
		}
	}
	state := bodyStored
	if !withBody {
		state = bodyMissing
	}
	m.added++
	return m.w.store(e, bytes.Clone(raw), bytes.Clone(body), state)
}

// checkSeen checks the entries that e's device states it saw, and sets e's vector.
// All of them must be stored, and with each entry everything that it saw.
func (m *merging) checkSeen(e *Entry, d *device) error {
	st := m.w.st
	e.past = advance(d.past, e.seen)
	for _, h := range e.seen {
		id := ID{h.Device, h.Number}
		other := st.device(h.Device)
		switch {
		case other == nil:
			return fmt.Errorf("entry %v: saw %v, whose device is not admitted: %w", e.id, id, errLater)
		case h.Number <= pastOf(d.past, h.Device):
			return fmt.Errorf("%w: entry %v: saw %v, and had seen more before", ErrRefused, e.id, id)
		case other.removed && h.Number > other.last:
			continue // removed here, and no longer counted
		case h.Number > other.head:
			return fmt.Errorf("entry %v: saw %v: %w", e.id, id, errLater)
		}
		hash, past := other.hash, other.past
		if h.Number < other.head {
			s, _, err := m.w.log.entry(st.index[h.Device], h.Number, false)
			if err != nil {
				return err
			}
			hash, past = s.hash, s.past
		}
		if hash != h.Hash {
			return fmt.Errorf("entry %v: saw another %v than the one here: %w", e.id, id, ErrFork)
		}
		for _, p := range past {
			if p.device == e.id.Device || pastOf(e.past, p.device) >= p.number {
				continue
			}
			if other := st.device(p.device); other != nil && other.removed && p.number > other.last {
				continue
			}
			return fmt.Errorf("%w: entry %v: saw %v, but not what that had seen", ErrRefused, e.id, id)
		}
	}
	return nil
}

// genesis verifies and stores the first entry of an empty ledger.
func (m *merging) genesis(raw, body []byte) error {
	st := m.w.st
	a, book, _, err := parseAdmission(body, BookID{}, st.identity)
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
	if err == nil && (e.kind != KindGenesis || e.id.Number != 1 || len(e.seen) > 0 || !bytes.Equal(a.Device, e.id.Device[:])) {
		err = errors.New("not a genesis")
	}
	if err != nil {
		return fmt.Errorf("%w: genesis: %w", ErrRefused, err)
	}
	st.book = book
	m.w.addDevice(e.id.Device, a.Name)
	m.added++
	return m.w.store(e, bytes.Clone(raw), bytes.Clone(body), bodyStored)
}

// mergeKnown processes an entry with a number that is already in its device's log.
// With an equal hash it is the same entry: a body that was missing is added, and a
// different signature over the same entry is ignored. With a different hash it is a
// fork.
func (m *merging) mergeKnown(e Entry, raw, body []byte, withBody bool) error {
	w := m.w
	i := w.st.index[e.id.Device]
	stored, r, err := w.log.entry(i, e.id.Number, false)
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, r.raw) {
		if err := e.verify(); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if stored.hash != e.hash {
			return m.fork(e, raw)
		}
	}
	if withBody {
		if err := stored.checkBody(body); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if r.state == bodyMissing {
			r.raw, r.body, r.state = bytes.Clone(r.raw), bytes.Clone(body), bodyStored
			w.st.replay, m.changed = true, true
			return w.log.put(i, e.id.Number, r)
		}
	}
	return nil
}

// Fork is evidence that a device wrote two entries in one place. The first one
// received is in the chain; the other one and its successors are refused.
type Fork struct {
	Kept  Entry
	Other Entry  // of the same number; or of the next, with another previous entry
	Wire  []byte // the exchanged form of the other entry, for verification by others
}

// fork stores the evidence of a verified entry that is not in this ledger's
// chain.
func (m *merging) fork(e Entry, raw []byte) error {
	w := m.w
	prefix := binary.BigEndian.AppendUint32(slices.Clone(forkPrefix), w.st.index[e.id.Device])
	key := append(binary.BigEndian.AppendUint64(slices.Clone(prefix), e.id.Number), e.hash[:8]...)
	count := 0
	for s := w.index.scan(prefix); ; count++ {
		k, _, err := s.next()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(k, prefix) {
			break
		}
		if bytes.Equal(k, key) {
			count = maxForks // already stored
			break
		}
	}
	if count < maxForks {
		if _, err := w.index.put(key, encodeWire(raw, nil, false)); err != nil {
			return err
		}
		m.changed = true
	}
	return m.skip(fmt.Errorf("entry %v: %w", e.id, ErrFork))
}

// Forks returns the stored evidence, by device and number.
func (l *Ledger) Forks() ([]Fork, error) {
	var out []Fork
	err := l.readLog(func(log *logBucket, st *state) error {
		c, err := l.openChain(log.b.Tx(), bucketIndex)
		if err != nil {
			return err
		}
		for s := c.scan(forkPrefix); ; {
			k, b, err := s.next()
			if err != nil {
				return err
			}
			if !bytes.HasPrefix(k, forkPrefix) {
				break
			}
			raw, _, _, err := parseWire(b)
			var f Fork
			if err == nil {
				f.Other, err = parseEntry(st.book, raw)
			}
			if err == nil {
				err = f.Other.verify()
			}
			if err != nil {
				return c.damaged(k, err)
			}
			f.Wire = bytes.Clone(b)
			id := f.Other.id
			if d := st.device(id.Device); d != nil && d.head > 0 {
				if f.Kept, _, err = log.entry(st.index[id.Device], min(id.Number, d.head), true); err != nil {
					return err
				}
			}
			out = append(out, f)
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b Fork) int {
		if c := strings.Compare(string(a.Other.id.Device[:]), string(b.Other.id.Device[:])); c != 0 {
			return c
		}
		return int(min(max(int64(a.Other.id.Number-b.Other.id.Number), -1), 1))
	})
	return out, err
}
