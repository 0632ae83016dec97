package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// KindError is returned for a path of something else than it should be.
type KindError struct {
	Path string
	Mode fs.FileMode // type bits of what is there
	Want fs.FileMode // type bits of what should be; 0: a regular file
}

func (e *KindError) Error() string {
	return fmt.Sprintf("%q is %s, and is not %s", e.Path, KindText(e.Mode), KindText(e.Want))
}

// KindText returns what a file is by the type bits of its mode, such as "a folder".
func KindText(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a file"
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// SizeError is returned for a file that is longer than the caller accepts.
type SizeError struct {
	Path string
	Most int64 // bytes
}

func (e *SizeError) Error() string { return fmt.Sprintf("%q is over %d bytes long", e.Path, e.Most) }

// Open opens a regular file for reading, or a symbolic link to one. It fails with a
// [*KindError] for everything else, without waiting: opening a pipe would wait for a
// writer.
func Open(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		if link, lerr := os.Lstat(name); lerr == nil { // a link without a target
			return nil, &KindError{Path: name, Mode: link.Mode().Type()}
		}
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a device can have effects
		return nil, &KindError{Path: name, Mode: info.Mode().Type()}
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() { // replaced since Stat
		err = &KindError{Path: name, Mode: info.Mode().Type()}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenInput is [Open], and opens a name of a descriptor that this process has open, such
// as /dev/stdin, or /dev/fd/63 for <(command) in a shell, if it is no folder.
func OpenInput(name string) (*os.File, error) {
	f, err := Open(name)
	var kind *KindError
	if errors.As(err, &kind) && !kind.Mode.IsDir() && isDescriptor(name) {
		return os.Open(name)
	}
	return f, err
}

func isDescriptor(name string) bool {
	folder := path.Dir(path.Clean(name))
	return name == "/dev/stdin" || folder == "/dev/fd" || folder == "/proc/self/fd"
}

// ReadFile reads a regular file of at most a number of bytes. It fails with the errors of
// [Open], and with a [*SizeError].
func ReadFile(name string, most int64) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadUpTo(f, name, most)
}

// ReadUpTo reads an open file to its end, which is after at most a number of bytes: else
// it fails with a [*SizeError].
func ReadUpTo(f io.Reader, name string, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, &SizeError{name, most}
	}
	return b, nil
}
