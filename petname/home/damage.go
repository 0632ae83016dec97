package home

import (
	"errors"
	"io/fs"
	"os"

	"github.com/petnames-go/petnames/ledger/durable"
)

// FileError is returned for a file of a home that is damaged, or not a file. A copy of the
// home may have it whole.
type FileError struct {
	Path string
	Err  error // names the file
}

func (e *FileError) Error() string { return e.Err.Error() }

// Next returns the next step for people.
func (e *FileError) Next() string {
	return "put back a copy of " + e.Path + ", and delete nothing else"
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// damaged returns the error of reading a file of the home as a [*FileError], unless the
// file is missing or may not be read, or the error has a next step of its own.
func (h Home) damaged(file string, err error) error {
	var step interface{ Next() string }
	if err == nil || errors.As(err, &step) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &FileError{h.path(file), err}
}

// checkKind fails with a [*FileError] if something is in the place of a file or folder of
// the home that is neither one nor a symbolic link to one. It returns nil if nothing is there.
func (h Home) checkKind(file string, want fs.FileMode) error {
	path := h.path(file)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err = os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err == nil && info.Mode().Type() != want {
		err = &durable.KindError{Path: path, Mode: info.Mode().Type(), Want: want}
	}
	return h.damaged(file, err)
}
