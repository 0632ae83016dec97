package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Book returns the id of the book.
func (l *Ledger) Book() BookID { return l.st.Load().book }

// Identity returns the pointer of the identity that created the book.
func (l *Ledger) Identity() pointer.Pointer { return l.st.Load().identity }

// Device returns this device.
func (l *Ledger) Device() DeviceID { return l.self }

// Devices returns the book's devices, including removed ones, in the order in which
// this file learned of them.
func (l *Ledger) Devices() []Device {
	return l.devices(func(st *state, b *branch) bool { return b.removed || st.admitted(b.device) })
}

// Unadmitted returns the devices that were admitted, and of which no admission counts, so that
// nothing that they write does: a removed device admitted them after its last entry that counts.
// See Branches for what they wrote.
func (l *Ledger) Unadmitted() []Device {
	return l.devices(func(st *state, b *branch) bool { return !b.removed && !st.admitted(b.device) })
}

// devices returns those devices of the book that are chosen, by their first branch.
func (l *Ledger) devices(choose func(st *state, first *branch) bool) []Device {
	st := l.st.Load()
	var out []Device
	for i := range st.branches {
		b := &st.branches[i]
		if st.devices[b.device][0] != uint32(i) || !choose(st, b) {
			continue
		}
		d := Device{ID: b.device, Name: b.name, Removed: b.removed, Last: b.last, Forked: st.forked(b.device)}
		j, number := st.tip(b.device)
		if d.Head = number; number > 0 && number == st.branches[j].head {
			d.At = time.UnixMilli(int64(st.branches[j].clock >> logical)).UTC()
		}
		out = append(out, d)
	}
	return out
}

// Read calls fn with the current view. fn must not call methods of the ledger:
// an Update there waits for ever.
func (l *Ledger) Read(fn func(v *View) error) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.gate.RUnlock()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := l.begin(false)
	if err != nil {
		return err
	}
	r := struct { // one allocation, because most Reads look up one row
		v   View
		tx  viewTx
		c   chain
		buf [64]byte
	}{c: chain{name: bucketView, path: l.path, salt: viewSalt()}}
	r.v.viewTx, r.tx.c, r.tx.buf = &r.tx, &r.c, r.buf[:0]
	defer func() {
		r.tx.done = true
		l.rollback(tx)
	}()
	if err := l.checkBranches(tx, trustView); err != nil {
		return err
	}
	if err := r.c.find(tx); err != nil {
		return err
	}
	return fn(&r.v)
}

// Tx is one durable transaction.
type Tx struct {
	w       *writing
	entries []Entry
}

// View returns the view, including what this transaction has appended. It is
// read-only: only the Fold changes it.
func (t *Tx) View() *View { return &View{t.w.view.viewTx, false} }

// Appended returns the number of entries that this transaction has appended.
func (t *Tx) Appended() int { return len(t.entries) }

// Append signs an entry with this body, at most MaxBody bytes, stores it and
// folds it. The entry is visible and durable when Update returns nil.
func (t *Tx) Append(body []byte) (Entry, error) {
	if t.w.view.done {
		return Entry{}, errClosed
	}
	e, err := t.w.append(KindApplication, body)
	if err != nil {
		return Entry{}, t.w.view.note(err)
	}
	t.entries = append(t.entries, e)
	return e, nil
}

// Update runs fn in one durable transaction: if it returns nil, a power cut
// loses nothing of it; otherwise nothing has changed. It returns the entries
// that fn appended. Updates exclude one another.
func (l *Ledger) Update(fn func(tx *Tx) error) ([]Entry, error) {
	var t *Tx
	err := l.write(func(w *writing) error {
		t = &Tx{w: w}
		return fn(t)
	})
	if err != nil {
		return nil, err
	}
	return t.entries, nil
}

// Append appends these bodies in one Update.
func (l *Ledger) Append(bodies ...[]byte) ([]Entry, error) {
	return l.Update(func(tx *Tx) error {
		for _, b := range bodies {
			if _, err := tx.Append(b); err != nil {
				return err
			}
		}
		return nil
	})
}

// append writes the next entry of this device.
func (w *writing) append(kind Kind, body []byte) (Entry, error) {
	st := w.st
	i, err := w.ownBranch()
	if err != nil {
		return Entry{}, err
	}
	d, device := &st.branches[i], st.first(w.l.self)
	switch {
	case len(body) > MaxBody:
		return Entry{}, fmt.Errorf("body of %d bytes, at most %d", len(body), MaxBody)
	case d.head >= maxNumber:
		return Entry{}, errors.New("this device has used up its numbers")
	case kind != KindApplication: // a statement may stand although nothing else counts
	case device.removed:
		return Entry{}, &RemovedError{device.name}
	case !d.counts(d.head + 1):
		return Entry{}, w.forkError(mark{i, d.head})
	}
	e := Entry{id: ID{d.device, d.head + 1}, kind: kind, bodyLen: uint32(len(body)), bodyHash: sha256.Sum256(body), st: st}
	if e.id.Number > 1 {
		e.prev = d.hash
	}
	seen, err := w.unseen(d)
	if err != nil {
		return Entry{}, err
	}
	e.seen = seen
	if e.past, err = w.log.pastWith(&e, d.past); err != nil { // of what is stored
		return Entry{}, err
	}
	e.clock = w.nextClock(d.clock)
	unsigned := e.encode()
	e.hash = hashOf(st.book, unsigned)
	sig, err := sign(w.l.signer, w.l.rand, signedMessage(e.hash))
	if err != nil {
		return Entry{}, fmt.Errorf("signing entry %v: %w", e.id, err)
	}
	if len(sig) != ed25519.SignatureSize {
		return Entry{}, fmt.Errorf("signing entry %v: the device key made %d bytes", e.id, len(sig))
	}
	copy(e.sig[:], sig)
	if err := w.store(i, e, seal(unsigned, sig), body, bodyStored); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// ownBranch returns the branch that this device continues: the one that it has written to
// in this file, or else the one that counts.
func (w *writing) ownBranch() (uint32, error) {
	b, err := w.index.get(ownKey)
	if err != nil {
		return 0, err
	}
	branches := w.st.devices[w.l.self]
	if b != nil {
		if len(b) != 4 || !slices.Contains(branches, binary.BigEndian.Uint32(b)) {
			if len(b) != 4 {
				return 0, w.index.damaged(ownKey, errChecksum)
			}
			b = nil // the file was another device's before
		} else {
			return binary.BigEndian.Uint32(b), nil
		}
	}
	i := branches[0]
	if j, number := w.st.tip(w.l.self); number > 0 {
		i = j
	}
	if w.st.format < fileFormat {
		return i, nil // there is one
	}
	_, err = w.index.put(ownKey, binary.BigEndian.AppendUint32(nil, i))
	return i, err
}

// unseen returns the last stored entry of each other device, of a forked one the last that
// counts, if the chain of d has not seen it, by device.
func (w *writing) unseen(d *branch) (seen []Head, err error) {
	for id, branches := range w.st.devices {
		if id == d.device {
			continue
		}
		i, number := branches[0], w.st.branches[branches[0]].head
		if len(branches) > 1 {
			i, number = w.st.tip(id)
		}
		if number == 0 || w.st.covers(d.past, mark{i, number}) {
			continue
		}
		b := &w.st.branches[i]
		h := Head{id, number, b.hash}
		if number < b.head {
			e, _, err := w.log.entry(i, number, false)
			if err != nil {
				return nil, err
			}
			h.Hash = e.hash
		}
		seen = append(seen, h)
	}
	slices.SortFunc(seen, func(a, b Head) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	return seen, nil
}

// nextClock returns the hybrid clock for a new entry of this device: after all
// clocks that are not more than a day ahead of the machine's, so that a wrong clock
// affects neither the other devices nor this one's entries after it was corrected.
// The clock may return to an earlier time only by more than a day: see clockWentBack.
func (w *writing) nextClock(own uint64) uint64 {
	ms := uint64(max(w.l.now().UnixMilli(), 0))
	c := min(ms<<logical, maxClock)
	limit := c + aheadClock
	for i := range w.st.branches {
		if o := w.st.branches[i].clock; o <= limit {
			c = max(c, o+1)
		}
	}
	if clockWentBack(own, c) {
		c = own + 1
	}
	return min(c, maxClock)
}

const (
	aheadClock = uint64(maxAhead/time.Millisecond) << logical // maxAhead in units of the hybrid clock

	// firstClock is the start of 2026. The format is younger, so a machine whose
	// clock shows an earlier time has a wrong clock now, and had the right one before.
	firstClock = uint64(1767225600000) << logical
)

// clockWentBack reports whether a device's clock may not go from last to next. It
// increases, except that it may return from a time that was more than maxAhead
// ahead: the clock of the machine was wrong then, and was corrected.
func clockWentBack(last, next uint64) bool {
	return next <= last && (last-next <= aheadClock || next < firstClock)
}

// store appends a verified entry to a branch, and folds it if it counts.
func (w *writing) store(i uint32, e Entry, raw, body []byte, state bodyState) error {
	st := w.st
	st.order++
	if err := w.log.put(i, e.id.Number, record{order: st.order, past: e.past, raw: raw, body: body, state: state}); err != nil {
		return err
	}
	b := &st.branches[i]
	b.head, b.hash, b.clock, b.past, b.dirty = e.id.Number, e.hash, e.clock, e.past, true
	if st.replay || !b.counts(e.id.Number) {
		return nil // the replay at the end includes it if it counts then
	}
	if state != bodyStored {
		body = nil
	} else if body == nil {
		body = []byte{}
	}
	return w.apply(e, body)
}

// Rebuild derives the view again from the entries.
func (l *Ledger) Rebuild() error {
	return l.write(func(w *writing) error {
		w.st.replay = true
		return nil
	})
}

// DropBody deletes the body of an application entry, in this file and in the
// output of Missing. The entry stays in its chain. The view is rebuilt without
// the body, so the Fold must accept a missing one. The bytes may stay in unused
// pages of the file until those are overwritten.
func (l *Ledger) DropBody(id ID) error {
	return l.write(func(w *writing) error {
		w.st.replay = true
		_, err := w.dropBody(id)
		return err
	})
}

// DropBodies is DropBody for several entries in one transaction. choose selects
// them by the current view; entries without a stored body are passed over. If the
// Fold is a [Dropper], the view need not be rebuilt.
func (l *Ledger) DropBodies(choose func(v *View) ([]ID, error)) error {
	return l.write(func(w *writing) error {
		ids, err := choose(&View{w.view.viewTx, false})
		if err != nil {
			return err
		}
		var dropped []EntryBody
		for _, id := range ids {
			e, err := w.dropBody(id)
			if err != nil {
				return err
			}
			if e.Body != nil {
				dropped = append(dropped, e)
			}
		}
		if len(dropped) == 0 || w.st.replay {
			return nil
		}
		done := false
		if dropper, ok := w.l.fold.(Dropper); ok {
			done, err = dropper.Drop(w.view, dropped)
		}
		w.st.replay = !done
		return err
	})
}

// dropBody deletes the body of an entry from the log. It returns what was deleted.
func (w *writing) dropBody(id ID) (EntryBody, error) {
	i, err := w.st.find(id)
	if err != nil {
		return EntryBody{}, err
	}
	e, r, err := w.log.entry(i, id.Number, false)
	if err != nil {
		return EntryBody{}, err
	}
	if e.kind != KindApplication {
		return EntryBody{}, fmt.Errorf("entry %v holds the book together, its body cannot be dropped", id)
	}
	dropped := EntryBody{Entry: e, Body: slices.Clone(r.body)}
	r.raw, r.body, r.state = slices.Clone(r.raw), nil, bodyDropped
	// bbolt merges pages that are almost empty after a deletion alone.
	if err := w.log.b.Delete(logKey(i, id.Number)); err != nil {
		return EntryBody{}, err
	}
	return dropped, w.log.put(i, id.Number, r)
}

// find returns the branch that has an entry that counts. It fails if there is no such
// entry.
func (s *state) find(id ID) (uint32, error) {
	i, last := s.tip(id.Device)
	if id.Number == 0 || id.Number > last {
		return 0, fmt.Errorf("no entry %v in the ledger", id)
	}
	return s.owner(i, id.Number), nil
}

// Entry returns an entry, verified when it is read, and its body: nil if it is
// not stored.
func (l *Ledger) Entry(id ID) (e Entry, body []byte, err error) {
	err = l.readLog(func(log *logBucket, st *state) error {
		i, err := st.find(id)
		if err != nil {
			return err
		}
		var r record
		e, r, err = log.entry(i, id.Number, true)
		body = slices.Clone(r.body)
		return err
	})
	if err != nil {
		return Entry{}, nil, err
	}
	return e, body, nil
}

// EntryBody is an entry with its body, nil if that is not stored.
type EntryBody struct {
	Entry
	Body []byte
}

// Entries yields all entries that count, ordered by the devices' clocks. The order is the
// same on every device that has the same entries, and a device's own entries
// stay in their order. Each is verified when it is read. After an error for a
// damaged entry the iteration continues.
func (l *Ledger) Entries() iter.Seq2[EntryBody, error] {
	return l.entries(nil, true, true, cloned)
}

// entries iterates over the log: from and to the numbers that bounds returns, by the
// index of the branch; over all that counts if bounds is nil. clock and verify are those of
// newMerged. pick converts an entry within the transaction, in which alone the slices
// of the record are valid. It reads in chunks, so that no transaction is open while
// the caller's loop body runs.
func (l *Ledger) entries(bounds func(log *logBucket, st *state) (next, end []uint64, err error), clock, verify bool, pick func(Entry, record) EntryBody) iter.Seq2[EntryBody, error] {
	return func(yield func(EntryBody, error) bool) {
		type item struct {
			e   EntryBody
			err error
		}
		var next, end []uint64
		for more := true; more; {
			var chunk []item
			err := l.readLog(func(log *logBucket, st *state) error {
				if next == nil && bounds == nil {
					next, end = st.counted()
				} else if next == nil {
					var err error
					if next, end, err = bounds(log, st); err != nil {
						return err
					}
				}
				m := newMerged(log, next, end, clock, verify)
				for size := 0; size < 1<<20 && len(chunk) < 512; {
					e, r, ok, err := m.step()
					if !ok {
						more = false
						return nil
					}
					if err != nil {
						chunk = append(chunk, item{err: err})
						continue
					}
					it := pick(e, r)
					size += len(it.Body) + 512
					chunk = append(chunk, item{e: it})
				}
				return nil
			})
			for _, it := range chunk {
				if !yield(it.e, it.err) {
					return
				}
			}
			if err != nil {
				yield(EntryBody{}, err)
				return
			}
		}
	}
}
