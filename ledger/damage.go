package ledger

import (
	"errors"
	"fmt"
	"runtime"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrInUse says that another process holds the ledger.
	ErrInUse = errors.New("in use by another process")
	// ErrFork says that a device wrote two entries with one number. Both are
	// kept: see Ledger.Forks.
	ErrFork = errors.New("fork: two entries with one number")
	// ErrRefused says that foreign entries did not verify or do not fit.
	ErrRefused = errors.New("refused")
)

// DamagedError says that bytes of the ledger's file are not what was written.
// Nothing that they hold was served, and the rest can still be read. A write
// that meets damage changes nothing, and writing is refused from then on until
// the ledger is opened again. The way out is Rebuild for a row of the view;
// otherwise another device's entries, or those that can still be read here
// (Missing), in a new file (Join), or a backup.
type DamagedError struct {
	Path string // the file
	At   string // which entry, row or page
	Err  error  // how it shows
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%q damaged, at %s: %v", e.Path, e.At, e.Err)
}

// Unwrap returns how the damage shows.
func (e *DamagedError) Unwrap() error { return e.Err }

// rescue turns a panic or a fault (debug.SetPanicOnFault) that bbolt had over a
// damaged page into a *DamagedError. To be deferred around calls of bbolt only,
// so that it hides no caller's mistake.
func rescue(err *error, path string, at fmt.Stringer) {
	if r := recover(); r != nil {
		*err = &DamagedError{Path: path, At: at.String(), Err: panicError(r)}
	}
}

func panicError(r any) error {
	switch r := r.(type) {
	case runtime.Error:
		return fmt.Errorf("the file's structure leads nowhere (%w)", r)
	case error:
		return fmt.Errorf("the file's structure does not hold (%w)", r)
	}
	return fmt.Errorf("the file's structure does not hold (%v)", r)
}

// place is a fixed At.
type place string

func (p place) String() string { return string(p) }
