package ledger

import (
	"errors"
	"fmt"
	"runtime"
)

// Errors for errors.Is.
var (
	// ErrInUse is returned if another process has the ledger open.
	ErrInUse = errors.New("in use by another process")
	// ErrFork is returned if a device wrote two entries with one number. Both
	// are stored: see Ledger.Forks.
	ErrFork = errors.New("fork: two entries with one number")
	// ErrNotWritten is returned if the disk did not accept a change, and nothing of it is
	// stored. The next change is tried anew.
	ErrNotWritten = errors.New("the disk did not accept the change")
	// ErrUnsure is returned if the disk failed at the end of a change, and it is not known
	// whether the change is stored. A later call can show it.
	ErrUnsure = errors.New("it is not known whether the change is stored")
	// ErrReadOnly is returned for a change of a file that may not be written.
	ErrReadOnly = errors.New("it can be read only")
	// ErrRefused is returned for foreign entries that do not verify or do not
	// fit.
	ErrRefused = errors.New("refused")
)

// DamagedError is returned if bytes of the ledger's file are not what was
// written. None of the damaged content is returned, and the rest can be read. A
// write that finds damage changes nothing, and all further writes fail until
// the ledger is opened again. To recover, call Rebuild for a row of the view;
// otherwise create a new file (Join) from another device's entries or from
// those that can be read here (Missing), or use a backup.
type DamagedError struct {
	Path string // the file
	At   string // the entry, row or page
	Err  error  // the cause
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%q damaged, at %s: %v", e.Path, e.At, e.Err)
}

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// writeError is an ErrNotWritten with its cause.
type writeError struct {
	path string
	err  error
}

func (e *writeError) Error() string { return fmt.Sprintf("writing %q: %v", e.path, e.err) }

// Unwrap returns ErrNotWritten and the cause.
func (e *writeError) Unwrap() []error { return []error{ErrNotWritten, e.err} }

// unsureError is an ErrUnsure with its cause.
type unsureError struct {
	path string
	err  error
}

func (e *unsureError) Error() string {
	return fmt.Sprintf("writing %q: %v; %v", e.path, e.err, ErrUnsure)
}

// Unwrap returns ErrUnsure and the cause.
func (e *unsureError) Unwrap() []error { return []error{ErrUnsure, e.err} }

// rescue turns a panic or a fault (debug.SetPanicOnFault) of bbolt on a damaged
// page into a *DamagedError. It is deferred around calls of bbolt only, so that
// it hides no panic of a caller.
func rescue(err *error, path string, at fmt.Stringer) {
	if r := recover(); r != nil {
		*err = &DamagedError{Path: path, At: at.String(), Err: panicError(r)}
	}
}

// panicError returns the recovered value of a panic as an error.
func panicError(r any) error {
	switch r := r.(type) {
	case runtime.Error:
		return fmt.Errorf("the file's structure leads nowhere (%w)", r)
	case error:
		return fmt.Errorf("the file's structure does not hold (%w)", r)
	}
	return fmt.Errorf("the file's structure does not hold (%v)", r)
}

// place is a part of the file as a fmt.Stringer, for rescue.
type place string

func (p place) String() string { return string(p) }
