package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
)

// Verify checks the whole file: every page in use or free, every entry's
// signature, chain and body, every row of the view, the view against a replay
// of the entries, and every row of the device-local tables. It yields each
// damage, in no particular order, and ctx's error if that ends the check. If it
// yields nothing, no damage was found.
//
// Writers wait until it ends. It needs memory for a second view, and a copy of a file
// that may not be written.
func (l *Ledger) Verify(ctx context.Context) iter.Seq[error] {
	return func(yield func(error) bool) {
		var found []error
		report := func(err error) {
			if err != nil && len(found) < 1000 {
				found = append(found, err)
			}
		}
		var err error
		if l.readOnly {
			err = l.verifyCopy(ctx, report)
		} else {
			err = l.write(func(w *writing) error {
				report(l.verifyPages(w))
				w.verifyLog(ctx, report)
				report(w.verifyChain(ctx, w.index))
				report(w.verifyView(ctx))
				report(w.verifyLocal(ctx))
				return errNothing
			})
		}
		if !errors.Is(err, errNothing) {
			report(err)
		}
		for _, err := range found {
			if !yield(err) {
				return
			}
		}
	}
}

// verifyCopy verifies a copy of the file in the folder for temporary files.
func (l *Ledger) verifyCopy(ctx context.Context, report func(error)) (err error) {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.gate.RUnlock()
	temp, err := os.CreateTemp("", "petname-verify-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(temp.Name())) }()
	_, err = io.Copy(temp, io.NewSectionReader(l.file, 0, math.MaxInt64))
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	o := Options{Now: l.now, Rand: l.rand}
	copied, err := Open(temp.Name(), l.signer, l.fold, o)
	if err != nil {
		return l.ofOriginal(err)
	}
	for err := range copied.Verify(ctx) {
		report(l.ofOriginal(err))
	}
	return copied.Close()
}

// ofOriginal returns an error of a copy with the path of the file.
func (l *Ledger) ofOriginal(err error) error {
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		return &DamagedError{Path: l.path, At: damaged.At, Err: damaged.Err}
	}
	return err
}

// verifyPages checks the structure of the file: each page is either in use once
// or free, and is well-formed.
func (l *Ledger) verifyPages(w *writing) error {
	p, err := openPages(l.file, l.path, int(l.pages.size))
	if err != nil {
		return err
	}
	if err := p.checkSize(); err != nil {
		return err
	}
	seen, err := p.reachable()
	if err != nil {
		return err
	}
	free, _, err := p.free()
	if err != nil {
		return err
	}
	for _, id := range free {
		if seen.has(id) {
			return p.badPage(id, "both in use and free")
		}
		seen.add(id)
	}
	for id := range p.meta.end {
		if !seen.has(id) {
			return p.badPage(id, "neither in use nor free")
		}
	}
	return nil
}

// verifyLog checks every entry alone and against the previous one, and what counts
// against the statements.
func (w *writing) verifyLog(ctx context.Context, report func(error)) {
	rows := 0
	for i := range w.st.branches {
		b := &w.st.branches[i]
		var prev Entry
		if b.parent != noParent {
			prev, _, _ = w.log.entry(w.st.owner(uint32(b.parent), b.from-1), b.from-1, false)
		}
		for n := b.from; n <= b.head; n++ {
			if err := ctx.Err(); err != nil {
				report(err)
				return
			}
			rows++
			e, _, err := w.log.entry(uint32(i), n, true)
			if err != nil {
				report(err)
				prev = Entry{}
				continue
			}
			at := "entry " + e.id.String()
			if n > 1 && prev.id.Number > 0 && e.prev != prev.hash {
				report(&DamagedError{Path: w.l.path, At: at, Err: errors.New("does not follow on the entry before it")})
			}
			for _, h := range e.seen {
				report(w.verifySeen(at, h))
			}
			prev = e
		}
		if b.head >= b.from && prev.id.Number == b.head && prev.hash != b.hash {
			report(&DamagedError{Path: w.l.path, At: "entry " + prev.id.String(), Err: errors.New("is not the head that was written")})
		}
	}
	n, err := w.countLog()
	if err == nil && n != rows {
		err = &DamagedError{Path: w.l.path, At: bucketLog, Err: fmt.Errorf("%d rows, %d entries", n, rows)}
	}
	report(err)
	report(w.verifySettled())
}

// verifySettled checks that what counts is what the statements and the forks lead to.
func (w *writing) verifySettled() error {
	if w.st.format < fileFormat {
		return nil
	}
	before := slices.Clone(w.st.branches)
	if err := w.settle(); err != nil {
		return err
	}
	for i := range before {
		a, b := &before[i], &w.st.branches[i]
		if a.counted != b.counted || a.removed != b.removed || a.last != b.last || a.name != b.name {
			return w.index.damaged(deviceKey(i), errors.New("not what the statements lead to"))
		}
	}
	return nil
}

// verifySeen checks that a head that an entry saw is in the log.
func (w *writing) verifySeen(at string, h Head) error {
	_, found, err := w.log.find(h)
	if first := w.st.first(h.Device); err != nil || found || w.st.unknowable(h) || first != nil && first.removed && h.Number > first.last {
		return err // older programs deleted what a removed device wrote after its end
	}
	return &DamagedError{Path: w.l.path, At: at, Err: fmt.Errorf("saw %v, which is not here", ID{h.Device, h.Number})}
}

// countLog returns the number of rows of the log.
func (w *writing) countLog() (n int, err error) {
	defer rescue(&err, w.l.path, place(bucketLog))
	for c, k := w.log.b.Cursor(), []byte(nil); ; n++ {
		if n == 0 {
			k, _ = c.First()
		} else {
			k, _ = c.Next()
		}
		if k == nil {
			return n, nil
		}
	}
}

// verifyChain reads every row, and compares it with the link in the previous
// one.
func (w *writing) verifyChain(ctx context.Context, c *chain) error {
	for s := c.scan(append(bytes.Clone(sentinelKey), 0)); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if k, _, err := s.next(); err != nil || k == nil {
			return err
		}
	}
}

// verifyView replays the entries into another bucket, which is never committed,
// and compares the two.
func (w *writing) verifyView(ctx context.Context) error {
	old := w.view.c
	const scratch = "view to compare"
	err := w.replay(scratch)
	if err == nil {
		err = w.view.flush()
	}
	if err != nil {
		return fmt.Errorf("replaying the entries: %w", err)
	}
	a, b := old.scan(append(bytes.Clone(sentinelKey), 0)), w.view.c.scan(append(bytes.Clone(sentinelKey), 0))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		ka, va, err := a.next()
		if err != nil {
			return err
		}
		kb, vb, err := b.next()
		if err != nil {
			return err
		}
		if !bytes.Equal(ka, kb) || !bytes.Equal(va, vb) {
			if ka == nil || kb != nil && bytes.Compare(kb, ka) < 0 {
				ka = kb
			}
			return old.damaged(ka, errors.New("not what the entries give"))
		}
		if ka == nil {
			return nil
		}
	}
}
