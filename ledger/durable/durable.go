// Package durable writes files so that a write with a nil error survives a
// power cut, and a power cut at any moment leaves the old content or the new
// one:
//
//	err := durable.Replace(nil, "config.toml", ".config.toml-", time.Time{}, bytes.NewReader(b))
//	err = durable.Create(nil, "recovery.key", secret)
//
// Files are created with mode 0600 and folders with mode 0700. Every function
// takes an [FS]; nil is the operating system's. Package durabletest has an FS
// that loses unsynced data.
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

// FS changes files and folders. Each method acts as the function of package os
// with the same name.
type FS interface {
	OpenFile(name string, flag int) (File, error)
	Mkdir(name string) error
	Link(oldname, newname string) error
	Rename(oldname, newname string) error
	Remove(name string) error
	Chtimes(name string, modified time.Time) error

	// SyncDir makes the names in the folder durable.
	SyncDir(name string) error
}

// File is a file that is open for writing.
type File interface {
	io.WriteCloser
	Sync() error               // makes the content durable, not the name
	Truncate(size int64) error // shortens the content
}

// OS is the FS of the operating system.
type OS struct{}

// Or returns fsys, or OS if fsys is nil.
func Or(fsys FS) FS {
	if fsys == nil {
		return OS{}
	}
	return fsys
}

// Replace replaces the content of the file name, and sets the modification time
// unless it is zero. It writes the content to a file in the same folder, named
// prefix plus random letters, syncs it and renames it. [Sweep] removes the
// files that a crash leaves. After an error the old file is unchanged, with one
// exception: if the folder cannot be synced, the new content may be in place
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
	// On Windows, closing the file sets its time again.
	if err = stamp(); err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// Create creates a file that must not exist yet. If it exists, the error is
// fs.ErrExist and the file is unchanged. After any other error the file does
// not exist. A crash can leave a part of the file.
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

// create creates a new file with durable content. Its name is not durable yet.
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

// MkdirAll creates a folder and its missing parents durably. It returns the
// folders that it created, outermost first, also with an error.
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
	} else if !errors.Is(err, fs.ErrExist) { // another process may have created it
		return made, err
	}
	return made, fsys.SyncDir(parent)
}

// TempName returns a new name for an unfinished file: the prefix and 26 random
// letters and digits.
func TempName(prefix string) string { return prefix + rand.Text() }

// IsTempName reports whether TempName may have returned the name.
func IsTempName(name, prefix string) bool {
	text, ok := strings.CutPrefix(name, prefix)
	return ok && len(text) == 26 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// Sweep removes the unfinished files that a crash left in a folder: regular
// files with a name that [TempName] returns for one of the prefixes. The caller
// must prevent concurrent calls of Replace there.
func Sweep(fsys FS, dir string, prefixes ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("left-overs of a crash: %w", err)
	}
	for _, e := range entries {
		made := func(prefix string) bool { return IsTempName(e.Name(), prefix) }
		if !e.Type().IsRegular() || !slices.ContainsFunc(prefixes, made) {
			continue
		}
		if err := Or(fsys).Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("left-over of a crash: %w", err)
		}
	}
	return nil
}

// OpenFile opens a file, and creates it with mode 0600 if flag has os.O_CREATE.
func (OS) OpenFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Mkdir creates a folder with mode 0700.
func (OS) Mkdir(name string) error { return os.Mkdir(name, 0o700) }

// Link creates newname as a second name of the file oldname; newname must not
// exist.
func (OS) Link(oldname, newname string) error { return os.Link(oldname, newname) }

// Rename renames a file or folder, and replaces a file with the new name.
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// Remove removes a file or an empty folder.
func (OS) Remove(name string) error { return os.Remove(name) }

// Chtimes sets a file's modification time.
func (OS) Chtimes(name string, modified time.Time) error { return os.Chtimes(name, modified, modified) }

// SyncDir syncs a folder. Windows has no such call, and its file system
// journals renames. SyncDir returns nil if the folder may be used but not read,
// or if its file system does not support the call.
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

// ReadOnly reports whether an error is that of a file or folder without write
// permission, or of a file system that is mounted read-only.
func ReadOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}
