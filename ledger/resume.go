package ledger

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
)

// resumeWait is how long to wait for another process that opened the file while it was
// being opened again.
const resumeWait = 5 * time.Second

// After a commit that failed, as on a full disk, the file holds the state before the commit
// or after it. The ledger looks at once, so that the error states what is so. The next
// transaction opens the file again as Open does after a crash, with the checks of Open, and
// continues if all that was acknowledged is in it. Damage is different: it stays until a
// person acts.

// lookAfter looks whether the state of a commit that failed is in the file. It returns nil if
// it is, and is durable: only the last sync of the commit failed, and one after it did not.
// The error is ErrNotWritten if the file has the state before it, and ErrUnsure if that
// cannot be found out. The writer lock must be held.
//
// The file is not opened again here: that waits for all readers, and the caller may be one.
func (l *Ledger) lookAfter(st *state, cause error) error {
	l.unsure = &writeError{l.path, cause}
	l.failed.Store(true)
	if errors.As(cause, new(*DamagedError)) {
		return l.unsure
	}
	// The meta page is written last, after a sync of all other pages. This process has had
	// the file locked since, so no other one can have written a transaction of that number.
	newest, err := l.pages.newest()
	if err == nil && newest < uint64(st.txn) {
		return l.unsure
	}
	if err == nil {
		err = l.pages.syncMeta()
	}
	if err != nil {
		return &unsureError{l.path, fmt.Errorf("%w; then: %w", cause, err)}
	}
	l.st.Store(st)
	return nil
}

// resume opens the file again if the last commit failed or an earlier resume did. The
// writer lock must be held.
func (l *Ledger) resume() error {
	if l.unsure == nil {
		return nil
	}
	l.gate.Lock()
	defer l.gate.Unlock()
	if err := l.usable(); err != nil && !l.down {
		return err
	}
	if l.closed {
		return errNotOpen
	}
	acknowledged := l.st.Load()
	if !l.down {
		if err := l.pages.syncMeta(); err != nil { // the file stays open, for readers
			return fmt.Errorf("%w; before that: %w", err, l.unsure)
		}
		if err := l.shut(); err != nil {
			l.stuck.Store(true)
			return err
		}
	}
	for i := range l.trusted {
		l.trusted[i].Store(false)
	}
	l.free, l.list, l.down = nil, 0, true
	if err := l.open(resumeWait); err != nil {
		return fmt.Errorf("opening the ledger again: %w", err)
	}
	l.down = false
	if err := l.contains(acknowledged); err != nil {
		l.broken = err
		return err
	}
	l.unsure = nil
	l.failed.Store(false)
	return nil
}

// contains returns an error unless the log has each head of a state. The gate must be
// held.
func (l *Ledger) contains(acknowledged *state) error {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := l.begin(false)
	if err != nil {
		return err
	}
	defer l.rollback(tx)
	if err := l.checkBranches(tx, trustLog); err != nil {
		return err
	}
	st := l.st.Load()
	log, err := l.openLog(tx, st)
	if err != nil {
		return err
	}
	lost := func(b branch) error {
		return &DamagedError{Path: l.path, At: "entry " + ID{b.device, b.head}.String(), Err: errors.New("it was acknowledged, and is not in the file")}
	}
	if st.book != acknowledged.book {
		return &DamagedError{Path: l.path, At: "the book", Err: errors.New("is another")}
	}
	for i, b := range acknowledged.branches {
		if b.head < b.from {
			continue
		}
		if i >= len(st.branches) || st.branches[i].device != b.device || st.branches[i].head < b.head {
			return lost(b)
		}
		if e, _, err := log.entry(uint32(i), b.head, false); err != nil {
			return err
		} else if e.hash != b.hash {
			return lost(b)
		}
	}
	return nil
}

// enter acquires the gate for reading, after opening the file again if that failed
// before. Without an error the caller releases the gate.
func (l *Ledger) enter() error {
	l.gate.RLock()
	if l.down && !l.closed {
		l.gate.RUnlock()
		l.writer.Lock()
		err := l.resume()
		l.writer.Unlock()
		if err != nil {
			return err
		}
		l.gate.RLock()
	}
	if err := l.usable(); err != nil {
		l.gate.RUnlock()
		return err
	}
	return nil
}

// newest returns the number of the transaction that the newest meta page in the file is of.
func (p *pages) newest() (uint64, error) {
	now, err := openPages(p.f, p.path, int(p.size))
	if err != nil {
		return 0, err
	}
	return now.meta.txn, nil
}

// syncMeta makes the newest meta page durable, whether its last write reached the disk or
// not: the next commit overwrites the pages that the one before it frees. The bytes
// stay the same, so that an interrupted write changes nothing.
func (p *pages) syncMeta() error {
	b := make([]byte, 2*p.size)
	if _, err := p.f.ReadAt(b, 0); err != nil {
		return err
	}
	if _, err := p.f.WriteAt(b, 0); err != nil {
		return err
	}
	return p.f.Sync()
}

// end releases what a failed commit holds, so that the file can be closed.
func (l *Ledger) end(tx *bbolt.Tx) {
	defer func() {
		if recover() != nil {
			l.stuck.Store(true)
		}
	}()
	_ = tx.Rollback() // bbolt has done so after most errors
}
