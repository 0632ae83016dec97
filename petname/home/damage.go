package home

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/petnames-go/petnames/dht/frames"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/ledger/durable"
)

// FileError is returned for a file of a home that is damaged, or not a file. A copy of the
// home may have it whole.
type FileError struct {
	Path string
	Err  error // names the file

	step string // "": as of a file that Create makes
}

func (e *FileError) Error() string { return e.Err.Error() }

// Next returns the next step for people.
func (e *FileError) Next() string {
	if e.step != "" {
		return e.step
	}
	return "put back a copy of " + e.Path + ", and delete nothing else"
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// stepLink is the next step for a symbolic link to a file that is whole.
const stepLink = "put the file itself in the place of the link: a change would leave its former content at the target"

// checkRepublishFile reads the schedule of the republisher.
func (h Home) checkRepublishFile() error {
	_, err := republish.ReadEntries(h.RepublishFile())
	if err == nil || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &FileError{Path: h.RepublishFile(), Err: err, step: "remove it while no node runs, or leave it: a node that starts makes a new one"}
}

// damaged returns the error of reading a file of the home as a [*FileError], unless the
// file is missing or may not be read, or the error has a next step of its own.
func (h Home) damaged(file string, err error) error {
	var step interface{ Next() string }
	if err == nil || errors.As(err, &step) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &FileError{Path: h.path(file), Err: err}
}

// checkKind fails with a [*FileError] if something is in the place of a file or folder of
// the home that is neither one nor a symbolic link to one. It returns nil if nothing is there.
func (h Home) checkKind(file string, want fs.FileMode) error {
	path := h.path(file)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		if info, err = os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err == nil && info.Mode().Type() != want {
		err = &durable.KindError{Path: path, Mode: info.Mode().Type(), Want: want}
	}
	return h.damaged(file, err)
}

// NodeFileError is returned for a damaged file of the node. Its records are of others,
// which the network has.
type NodeFileError struct {
	Path string
	Err  error
}

func (e *NodeFileError) Error() string {
	return fmt.Sprintf("records that the node stores for others, %q: %v", e.Path, e.Err)
}

// Next returns the next step for people.
func (e *NodeFileError) Next() string {
	return "the network has these records too: remove the file while no node runs, or leave it, since a node that starts moves it away"
}

// Unwrap returns the cause.
func (e *NodeFileError) Unwrap() error { return e.Err }

// checkNodeFile reads the file of the node to its end. A running node can append to it
// meanwhile.
func (h Home) checkNodeFile() error {
	path := h.path(nodeFile)
	var err error
	for range 3 {
		var grew bool
		if grew, err = checkFrames(path); err == nil || !grew {
			break
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &NodeFileError{path, err}
}

// checkFrames reports whether the file changed its length or was replaced while it was read.
func checkFrames(path string) (changed bool, err error) {
	f, err := durable.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return false, err
	}
	r := bufio.NewReader(f)
	for first := true; err == nil; first = false {
		if _, err = frames.Read(r, frames.Most); first && errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: empty", frames.ErrDamaged)
		}
	}
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	after, serr := os.Stat(path)
	return serr != nil || !os.SameFile(before, after) || before.Size() != after.Size(), err
}
