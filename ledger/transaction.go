package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

var errNotOpen = errors.New("the ledger is closed")

// usable returns an error if the file cannot be used. The gate must be held.
func (l *Ledger) usable() error {
	switch {
	case l.closed:
		return errNotOpen
	case l.down:
		return fmt.Errorf("the ledger could not be opened again: %w", l.unsure)
	case l.stuck.Load():
		return &DamagedError{Path: l.path, At: "the file", Err: errors.New("met before; close and open the ledger again")}
	}
	return nil
}

// begin starts a bbolt transaction. A panic in it may leave bbolt's locks held,
// so bbolt is not called after one.
func (l *Ledger) begin(write bool) (tx *bbolt.Tx, err error) {
	defer func() {
		if r := recover(); r != nil {
			l.stuck.Store(true)
			tx, err = nil, &DamagedError{Path: l.path, At: "the meta pages", Err: panicError(r)}
		}
	}()
	return l.db.Begin(write)
}

// rollback ends a transaction without a commit. If bbolt cannot, its locks may stay
// held, and it is not called again.
func (l *Ledger) rollback(tx *bbolt.Tx) {
	defer func() {
		if recover() != nil {
			l.stuck.Store(true)
		}
	}()
	if tx.Rollback() != nil {
		l.stuck.Store(true)
	}
}

// commit commits a transaction. A panic in it is handled as in begin.
func (l *Ledger) commit(tx *bbolt.Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			l.stuck.Store(true)
			err = &DamagedError{Path: l.path, At: "the pages to be replaced", Err: panicError(r)}
		}
	}()
	if l.failing != nil {
		return l.failing(tx)
	}
	return tx.Commit()
}

// checkBranches walks a bucket's branch pages before bbolt does, once: see pages.go.
func (l *Ledger) checkBranches(tx *bbolt.Tx, bucket int) (err error) {
	if l.trusted[bucket].Load() {
		return nil
	}
	name := [...]string{bucketIndex, bucketLog, bucketView, bucketLocal}[bucket]
	defer rescue(&err, l.path, place(name))
	b := tx.Bucket([]byte(name))
	if b == nil {
		return &DamagedError{Path: l.path, At: name, Err: errors.New("the bucket is missing")}
	}
	p := *l.pages
	p.meta.end = uint64(tx.Size() / p.size)
	if err := p.walk(uint64(b.Root()), p.newSet(), nil); err != nil {
		return err
	}
	l.trusted[bucket].Store(true)
	return nil
}

// The buckets, as arguments of checkBranches.
const (
	trustIndex = iota
	trustLog
	trustView
	trustLocal
)

// read runs fn in a read-only transaction.
func (l *Ledger) read(fn func(tx *bbolt.Tx) error) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.gate.RUnlock()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := l.begin(false)
	if err != nil {
		return err
	}
	defer l.rollback(tx)
	return fn(tx)
}

// readLog is read with the log and the state of the transaction. It is not called in a write.
func (l *Ledger) readLog(fn func(log *logBucket, st *state) error) error {
	for {
		again := false
		err := l.read(func(tx *bbolt.Tx) error {
			st := l.st.Load()
			if st.txn != tx.ID() { // a writer has committed, and has not stored its state yet
				again = true
				return nil
			}
			if err := l.checkBranches(tx, trustLog); err != nil {
				return err
			}
			log, err := l.openLog(tx, st)
			if err != nil {
				return err
			}
			return fn(log, st)
		})
		if !again {
			return err
		}
		if l.failed.Load() { // or its commit failed after the file had its state
			l.writer.Lock()
			err := l.resume()
			l.writer.Unlock()
			if err != nil {
				return &writeError{l.path, err}
			}
		}
		runtime.Gosched()
	}
}

// openLog is the function openLog with rescue.
func (l *Ledger) openLog(tx *bbolt.Tx, st *state) (log *logBucket, err error) {
	defer rescue(&err, l.path, place(bucketLog))
	return openLog(tx, st, l.path)
}

// openChain is newChain with rescue.
func (l *Ledger) openChain(tx *bbolt.Tx, name string) (c *chain, err error) {
	defer rescue(&err, l.path, place(name))
	return newChain(tx, name, l.path)
}

// writing is one read-write transaction.
type writing struct {
	l     *Ledger
	tx    *bbolt.Tx
	st    *state
	index *chain
	log   *logBucket
	view  *View
	local *View

	statements []storedStatement // once they are read; never nil then
}

// write runs fn in a read-write transaction and makes its changes durable.
// After an error nothing has changed, except after ErrUnsure: see resume.go.
func (l *Ledger) write(fn func(w *writing) error) (err error) {
	l.writer.Lock()
	defer l.writer.Unlock()
	if l.broken == nil {
		if err := l.resume(); err != nil {
			return &writeError{l.path, err}
		}
	}
	l.gate.RLock()
	err = l.usable()
	l.gate.RUnlock() // Close takes the writer lock first, so it cannot run in between
	if err != nil {
		return err
	}
	if l.broken != nil {
		return fmt.Errorf("no more writing until the ledger is opened again: %w", l.broken)
	}
	if l.readOnly {
		return fmt.Errorf("%q: %w", l.path, ErrReadOnly)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := l.begin(true)
	if err != nil {
		return err
	}
	ended := false
	defer func() {
		var damaged *DamagedError
		if errors.As(err, &damaged) {
			l.broken = err
		}
		if !ended {
			l.rollback(tx)
		}
	}()
	w := &writing{l: l, tx: tx, st: l.st.Load().clone()}
	w.st.replay = w.st.fold != l.fold.Version() // another version had the file
	if err := w.open(); err != nil {
		return err
	}
	defer func() { w.view.done, w.local.done = true, true }()
	if err := fn(w); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	if l.free == nil { // Open has defaced all of them
		if l.free, _, err = l.pages.free(); err != nil {
			return err
		}
	}
	w.st.txn = tx.ID()
	// a torn commit could leave content on free pages, which the next Open has to deface
	if l.clean {
		if err := l.pages.unmark(); err != nil {
			return &writeError{l.path, err}
		}
	}
	ended, l.clean = true, false
	if err := l.commit(tx); err != nil {
		l.end(tx)
		return l.lookAfter(w.st, err)
	}
	l.st.Store(w.st)
	l.sweep()
	return nil
}

// open checks and opens the buckets.
func (w *writing) open() (err error) {
	for i := range trustLocal {
		if err := w.l.checkBranches(w.tx, i); err != nil {
			return err
		}
	}
	if w.index, err = w.l.openChain(w.tx, bucketIndex); err != nil {
		return err
	}
	if w.log, err = w.l.openLog(w.tx, w.st); err != nil {
		return err
	}
	c, err := w.l.openChain(w.tx, bucketView)
	if err != nil {
		return err
	}
	w.view = &View{&viewTx{c: c, counts: map[string]uint64{}}, true}
	return w.openLocal()
}

// finish updates the view, the device-local tables and the index.
func (w *writing) finish() error {
	if err := cmp.Or(w.view.failed, w.local.failed); err != nil {
		return err
	}
	if w.st.replay {
		if err := w.replay(bucketView); err != nil {
			return err
		}
	}
	if err := w.view.flush(); err != nil {
		return err
	}
	if err := w.local.flush(); err != nil {
		return err
	}
	return w.st.save(w.index)
}

// replay derives the view again from the log, in the named bucket.
func (w *writing) replay(bucket string) (err error) {
	clear(w.view.counts)
	if err := w.recreate(bucket); err != nil {
		return err
	}
	next, end := w.st.counted()
	for m := newMerged(w.log, next, end, false, false); ; {
		e, r, ok, err := m.step()
		if err != nil || !ok {
			w.st.replay, w.st.fold = false, w.l.fold.Version()
			return err
		}
		if err := w.apply(e, r.body); err != nil {
			return err
		}
	}
}

// recreate deletes the named bucket and makes an empty view in it.
func (w *writing) recreate(bucket string) (err error) {
	defer rescue(&err, w.l.path, place(bucket))
	if w.tx.Bucket([]byte(bucket)) != nil {
		if err := w.tx.DeleteBucket([]byte(bucket)); err != nil {
			return err
		}
	}
	w.view.c, err = createChain(w.tx, bucket, bucketView, w.l.path)
	return err
}

// apply folds an entry, unless it is of this package's own kinds.
func (w *writing) apply(e Entry, body []byte) error {
	if e.kind != KindApplication {
		return nil
	}
	if err := w.l.fold.Apply(w.view, e, body); err != nil {
		return w.view.note(fmt.Errorf("folding entry %v: %w", e.id, err))
	}
	return w.view.failed
}

// sweep defaces the pages that the last commits freed, unless a reader may
// still use them: then the next sweep does. The writer lock must be held.
func (l *Ledger) sweep() {
	noReaders := l.gate.TryLock()
	if noReaders {
		defer l.gate.Unlock()
	}
	_ = l.sweepPages(noReaders) // after an error the next Open defaces the pages
}

// sweepPages looks up the free pages, and with deface defaces those that are
// not yet defaced. The gate must be held then.
func (l *Ledger) sweepPages(deface bool) error {
	defacedBefore := l.free
	l.free = []uint64{}
	p, err := openPages(l.pages.f, l.path, int(l.pages.size))
	if err != nil {
		return err
	}
	free, sum, err := p.free()
	if err != nil {
		return err
	}
	newlyFree := make([]uint64, 0, 16)
	for i, j := 0, 0; i < len(free); i++ {
		for j < len(defacedBefore) && defacedBefore[j] < free[i] {
			j++
		}
		if j == len(defacedBefore) || defacedBefore[j] != free[i] {
			newlyFree = append(newlyFree, free[i])
		} else {
			l.free = append(l.free, free[i]) // not written to by the commits since
		}
	}
	if !deface {
		return nil
	}
	l.pages = p
	if err := p.deface(newlyFree); err != nil {
		return err
	}
	l.free, l.list = free, sum
	return nil
}
