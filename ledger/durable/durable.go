// Package durable writes files so that a nil error outlives a power cut, and so
// that a power cut at any moment leaves an old content or a new one:
//
//	err := durable.Replace(nil, "config.toml", ".config.toml-", time.Time{}, bytes.NewReader(b))
//	err = durable.Create(nil, "recovery.key", secret)
//
// Files are made with mode 0600 and folders with mode 0700. Every function takes
// an [FS]; nil is the operating system's, and package durabletest has one that
// loses what was not synced.
package durable

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// FS is what changes files and folders. Each method is as the function of
// package os.
type FS interface {
	OpenFile(name string, flag int) (File, error)
	Mkdir(name string) error
	Link(oldname, newname string) error
	Rename(oldname, newname string) error
	Remove(name string) error
	Chtimes(name string, modified time.Time) error

	// SyncDir makes durable which names the folder has.
	SyncDir(name string) error
}

// File is a file that is open for writing.
type File interface {
	io.WriteCloser
	Sync() error // makes the content durable, not the name
}

// OS is the FS of the operating system.
type OS struct{}

// Or returns fsys, or the operating system's if there is none.
func Or(fsys FS) FS {
	if fsys == nil {
		return OS{}
	}
	return fsys
}

// Replace replaces the content of the file name, and sets the modification time
// unless that is zero. The content is written under a name of prefix and random
// letters in the same folder, synced and renamed; [Sweep] removes what a crash
// leaves of that. After an error the old file is as it was, but for one of the
// last step: if the folder cannot be synced, the new content may be in place
// without being durable.
func Replace(fsys FS, name, prefix string, modified time.Time, content io.WriterTo) error {
	fsys = Or(fsys)
	temp := filepath.Join(filepath.Dir(name), TempName(prefix))
	stamp := func() error {
		if modified.IsZero() {
			return nil
		}
		return fsys.Chtimes(temp, modified)
	}
	err := create(fsys, temp, content, stamp)
	if err != nil {
		return err
	}
	// Closing the file has set its time anew on Windows.
	if err = stamp(); err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// Create makes a file that must not be there yet; if it is, the error is
// fs.ErrExist and the file stays as it is. After another error there is no such
// file. A crash can leave a part of it.
func Create(fsys FS, name string, b []byte) error {
	fsys = Or(fsys)
	err := create(fsys, name, bytes.NewReader(b), func() error { return nil })
	if err != nil {
		return err
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return errors.Join(err, fsys.Remove(name))
	}
	return nil
}

// create makes a new file whose content is durable, and whose name is not yet.
func create(fsys FS, name string, content io.WriterTo, stamp func() error) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = content.WriteTo(f)
	if err == nil {
		err = stamp()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(name))
	}
	return nil
}

// MkdirAll makes a folder and those above it that are missing, durably. It
// returns those that it made, outermost first, also beside an error.
func MkdirAll(fsys FS, dir string) (made []string, err error) {
	fsys = Or(fsys)
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil, nil
	case err == nil:
		return nil, &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if made, err = MkdirAll(fsys, parent); err != nil {
			return made, err
		}
	}
	err = fsys.Mkdir(dir)
	if err == nil {
		made = append(made, dir)
	} else if !errors.Is(err, fs.ErrExist) { // another process may have made it
		return made, err
	}
	return made, fsys.SyncDir(parent)
}

// TempName returns a new name for an unfinished file: the prefix and 26 random
// letters and digits.
func TempName(prefix string) string { return prefix + rand.Text() }

// isTempName reports whether TempName can have made the name.
func isTempName(name, prefix string) bool {
	text, ok := strings.CutPrefix(name, prefix)
	return ok && len(text) == 26 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// Sweep removes the unfinished files that a crash left in a folder: regular
// files with a name that [TempName] returns for one of the prefixes. The caller
// keeps others from replacing files there meanwhile.
func Sweep(fsys FS, dir string, prefixes ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("left-overs of a crash: %w", err)
	}
	for _, e := range entries {
		made := func(prefix string) bool { return isTempName(e.Name(), prefix) }
		if !e.Type().IsRegular() || !slices.ContainsFunc(prefixes, made) {
			continue
		}
		if err := Or(fsys).Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("left-over of a crash: %w", err)
		}
	}
	return nil
}

// OpenFile opens a file, and makes it with mode 0600 if flag says so.
func (OS) OpenFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Mkdir makes a folder with mode 0700.
func (OS) Mkdir(name string) error { return os.Mkdir(name, 0o700) }

// Link makes newname a second name of the file oldname; newname must not exist.
func (OS) Link(oldname, newname string) error { return os.Link(oldname, newname) }

// Rename renames a file or folder, and replaces a file that has the new name.
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// Remove removes a file or an empty folder.
func (OS) Remove(name string) error { return os.Remove(name) }

// Chtimes sets a file's modification time.
func (OS) Chtimes(name string, modified time.Time) error { return os.Chtimes(name, modified, modified) }

// SyncDir syncs a folder. Windows has no such call, and its file system
// journals renames. A folder that may be used but not read cannot be synced,
// nor can any on a file system that has no such call: that is no error.
func (OS) SyncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	if err = d.Sync(); errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
