package ledger

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Book returns the id of the book.
func (l *Ledger) Book() BookID { return l.st.Load().book }

// Identity returns the pointer of the identity that created the book.
func (l *Ledger) Identity() pointer.Pointer { return l.st.Load().identity }

// Device returns this device.
func (l *Ledger) Device() DeviceID { return l.self }

// Devices returns the book's devices, including removed ones, in the order in
// which this file learned of them.
func (l *Ledger) Devices() []Device {
	st := l.st.Load()
	out := make([]Device, len(st.devices))
	for i, d := range st.devices {
		out[i] = Device{ID: d.id, Name: d.name, Head: d.head, Removed: d.removed, Last: d.last}
		if d.head > 0 {
			out[i].At = time.UnixMilli(int64(d.clock >> logical)).UTC()
		}
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
	d := st.device(w.l.self)
	switch {
	case len(body) > MaxBody:
		return Entry{}, fmt.Errorf("body of %d bytes, at most %d", len(body), MaxBody)
	case d.removed:
		return Entry{}, fmt.Errorf("device %q was removed from the book; admit a new one", d.name)
	case d.head >= maxNumber:
		return Entry{}, errors.New("this device has used up its numbers")
	}
	e := Entry{id: ID{d.id, d.head + 1}, kind: kind, prev: d.hash, bodyLen: uint32(len(body)), bodyHash: sha256.Sum256(body)}
	for i := range st.devices {
		other := &st.devices[i]
		if other.id != d.id && other.head > pastOf(d.past, other.id) {
			e.seen = append(e.seen, Head{other.id, other.head, other.hash})
		}
	}
	slices.SortFunc(e.seen, func(a, b Head) int { return strings.Compare(string(a.Device[:]), string(b.Device[:])) })
	e.past = advance(d.past, e.seen)
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
	if err := w.store(e, seal(unsigned, sig), body, bodyStored); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// nextClock returns the hybrid clock for a new entry of this device: after all
// clocks that are not more than a day ahead of the machine's, so that a wrong clock
// affects neither the other devices nor this one's entries after it was corrected.
// The clock may return to an earlier time only by more than a day: see clockWentBack.
func (w *writing) nextClock(own uint64) uint64 {
	ms := uint64(max(w.l.now().UnixMilli(), 0))
	c := min(ms<<logical, maxClock)
	limit := c + aheadClock
	for i := range w.st.devices {
		if o := w.st.devices[i].clock; o <= limit {
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

// store appends a verified entry to its device's log and folds it.
func (w *writing) store(e Entry, raw, body []byte, state bodyState) error {
	st := w.st
	i := st.index[e.id.Device]
	d := &st.devices[i]
	st.order++
	if err := w.log.put(i, e.id.Number, record{order: st.order, past: e.past, raw: raw, body: body, state: state}); err != nil {
		return err
	}
	d.head, d.hash, d.clock, d.past, d.dirty = e.id.Number, e.hash, e.clock, e.past, true
	if st.replay {
		return nil // the replay at the end includes it
	}
	if state != bodyStored {
		body = nil
	} else if body == nil {
		body = []byte{}
	}
	return w.apply(e, body)
}

// addDevice adds a device to the book.
func (w *writing) addDevice(id DeviceID, name string) {
	w.st.index[id] = uint32(len(w.st.devices))
	w.st.devices = append(w.st.devices, device{id: id, name: name, dirty: true})
}

// AdmitDevice admits a device to the book. Admitting one again only changes its
// name; a removed device stays removed.
func (l *Ledger) AdmitDevice(identity crypto.Signer, key ed25519.PublicKey, name string) error {
	id, err := deviceFromKey(key)
	if err != nil {
		return err
	}
	return l.write(func(w *writing) error {
		body, _, err := admit(w.st.book, identity, l.rand, id, name)
		if err != nil {
			return err
		}
		if err := w.applyStatement(KindAdmit, body); err != nil {
			return err
		}
		_, err = w.append(KindAdmit, body)
		return err
	})
}

// RemoveDevice permanently removes a device from the book. Its entries up to
// its latest one in this ledger count, and no later ones, wherever they are. A
// device that only a removed entry admitted stays in the files that have it,
// and has to be admitted again for the others.
func (l *Ledger) RemoveDevice(identity crypto.Signer, id DeviceID) error {
	return l.write(func(w *writing) error {
		d := w.st.device(id)
		if d == nil {
			return fmt.Errorf("no device %q in the book", id)
		}
		if id == l.self {
			return errors.New("a device cannot remove itself; remove it from another one")
		}
		r := removal{Book: w.st.book[:], Identity: w.st.identity.Bytes(), Device: id[:], Last: d.head}
		var err error
		if r.Signature, err = sign(identity, l.rand, r.message()); err != nil {
			return fmt.Errorf("removing a device: %w", err)
		}
		body := canonical.MustMarshal(r)
		if err := w.applyStatement(KindRemove, body); err != nil {
			return err
		}
		_, err = w.append(KindRemove, body)
		return err
	})
}

// applyStatement verifies and applies the statement of one of this package's own
// entries.
func (w *writing) applyStatement(kind Kind, body []byte) error {
	st := w.st
	switch kind {
	case KindAdmit:
		a, _, _, err := parseAdmission(body, st.book, st.identity)
		if err != nil {
			return err
		}
		id := DeviceID(a.Device)
		if d := st.device(id); d != nil {
			d.name, d.dirty = a.Name, true
			return nil
		}
		if len(st.devices) >= maxDevices {
			return fmt.Errorf("the book has %d devices already", maxDevices)
		}
		w.addDevice(id, a.Name)
	case KindRemove:
		r, err := parseRemoval(body, st.book, st.identity)
		if err != nil {
			return err
		}
		id := DeviceID(r.Device)
		d := st.device(id)
		if d == nil {
			return fmt.Errorf("removal of device %v, which was never admitted", id)
		}
		if d.removed && d.last <= r.Last {
			return nil // of two removals the earlier end counts
		}
		d.removed, d.last, d.dirty = true, r.Last, true
		if d.head > d.last {
			return w.deleteAfterEnd(id)
		}
	}
	return nil
}

// deleteAfterEnd deletes the entries after the end of a removed device's log.
func (w *writing) deleteAfterEnd(id DeviceID) error {
	i := w.st.index[id]
	d := &w.st.devices[i]
	for d.head > d.last {
		if err := w.log.delete(i, d.head); err != nil {
			return err
		}
		d.head--
	}
	d.hash, d.clock, d.past = Hash{}, 0, nil
	if d.head > 0 {
		e, _, err := w.log.entry(i, d.head, false)
		if err != nil {
			return err
		}
		d.hash, d.clock, d.past = e.hash, e.clock, e.past
	}
	w.st.replay = true
	return nil
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
	return dropped, w.log.put(i, id.Number, r)
}

// find returns the index of the device of an entry. It fails if the entry is not in
// the log.
func (s *state) find(id ID) (uint32, error) {
	i, ok := s.index[id.Device]
	if !ok || id.Number == 0 || id.Number > s.devices[i].head {
		return 0, fmt.Errorf("no entry %v in the ledger", id)
	}
	return i, nil
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

// Entries yields all entries ordered by the devices' clocks. The order is the
// same on every device that has the same entries, and a device's own entries
// stay in their order. Each is verified when it is read. After an error for a
// damaged entry the iteration continues.
func (l *Ledger) Entries() iter.Seq2[EntryBody, error] {
	return l.entries(nil, true, true, func(e Entry, r record) EntryBody {
		return EntryBody{e, slices.Clone(r.body)}
	})
}

// entries iterates over the log, from the numbers that from returns (by the index of
// the device), or from the start if from is nil. clock and verify are those of
// newMerged. pick converts an entry within the transaction, in which alone the slices
// of the record are valid. It reads in chunks, so that no transaction is open while
// the caller's loop body runs.
func (l *Ledger) entries(from func(log *logBucket, st *state) ([]uint64, error), clock, verify bool, pick func(Entry, record) EntryBody) iter.Seq2[EntryBody, error] {
	return func(yield func(EntryBody, error) bool) {
		type item struct {
			e   EntryBody
			err error
		}
		var next, end []uint64
		for more := true; more; {
			var chunk []item
			err := l.readLog(func(log *logBucket, st *state) error {
				if next == nil {
					next, end = make([]uint64, len(st.devices)), make([]uint64, len(st.devices))
					for i := range next {
						next[i], end[i] = 1, st.devices[i].head
					}
					if from != nil {
						var err error
						if next, err = from(log, st); err != nil {
							return err
						}
					}
				}
				for i := range end { // a removal may have shortened a log meanwhile
					end[i] = min(end[i], st.devices[i].head)
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
