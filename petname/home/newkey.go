package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
)

// newKeys has the contents of the key files that can be made anew without another identity,
// device or book: what is lost with the former key is messages sealed to it, or the address
// of the node.
var newKeys = map[string]func(now time.Time) ([]byte, error){
	sealingFile: newSealing,
	peerFile:    func(time.Time) ([]byte, error) { return newPeerKey() },
}

var (
	// ErrNotRenewable is returned by [Home.NewKey] for a file that cannot be made anew.
	ErrNotRenewable = errors.New("only " + sealingFile + " and " + peerFile + " can be made anew")

	// ErrKeyWhole is returned by [Home.NewKey] for a file that is neither damaged nor
	// missing.
	ErrKeyWhole = errors.New("can be read, and is not replaced")
)

// NewKey makes a damaged or missing sealing.key or peer.key anew. What was in its place is
// renamed to aside, the name of the file and ".damaged", with a number if that exists; aside
// is empty if the file was missing. NewKey changes no other file. now is the date of the new
// keys.
//
// It fails with [ErrNotRenewable], [ErrKeyWhole], or the error of reading a file that may
// not be read. After a crash the file is missing, and can be made then. The caller has the
// book open.
func (h Home) NewKey(file string, now time.Time) (aside string, err error) {
	content, ok := newKeys[file]
	if !ok {
		return "", fmt.Errorf("%q: %w", file, ErrNotRenewable)
	}
	path := h.path(file)
	lost, err := h.lost(file)
	if err != nil {
		return "", err
	}
	if !lost {
		return "", fmt.Errorf("%q %w", path, ErrKeyWhole)
	}
	b, err := content(now)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); err == nil {
		if aside, err = unusedName(path + ".damaged"); err != nil {
			return "", err
		}
		if err := durable.Or(h.files).Rename(path, aside); err != nil {
			return "", err
		}
		if err := durable.Or(h.files).SyncDir(h.Dir); err != nil {
			return aside, err
		}
	}
	return aside, h.replace(file, b)
}

// LostKeys returns the names of the files that are damaged or missing and that
// [Home.NewKey] can make anew.
func (h Home) LostKeys() (all []string) {
	for _, f := range table() {
		if _, ok := newKeys[f.name]; !ok {
			continue
		}
		if lost, err := h.lost(f.name); err == nil && lost {
			all = append(all, f.name)
		}
	}
	return all
}

// LostKey returns the name of the file that err reports as damaged or missing if
// [Home.NewKey] can make it anew, and "" otherwise.
func LostKey(err error) string {
	var damaged *FileError
	var incomplete *IncompleteError
	name := ""
	switch {
	case errors.As(err, &damaged) && damaged.step == "":
		name = filepath.Base(damaged.Path)
	case errors.As(err, &incomplete) && len(incomplete.Missing) == 1:
		name = incomplete.Missing[0]
	}
	if _, ok := newKeys[name]; !ok {
		return ""
	}
	return name
}

// lost reports whether a file of newKeys is damaged or missing. The error is that of a file
// that may not be read.
func (h Home) lost(file string) (bool, error) {
	var err error
	if _, lerr := os.Lstat(h.path(file)); errors.Is(lerr, fs.ErrNotExist) {
		return true, nil
	}
	if file == peerFile {
		_, err = h.PeerKey()
	} else {
		_, err = h.readSealing()
	}
	if err == nil || errors.Is(err, fs.ErrPermission) {
		return false, err
	}
	return true, nil
}

// unusedName returns name, or name with the first number from 2 on under which there is
// no file.
func unusedName(name string) (string, error) {
	unused := name
	for n := 2; n < 100; n++ {
		if _, err := os.Lstat(unused); errors.Is(err, fs.ErrNotExist) {
			return unused, nil
		}
		unused = fmt.Sprintf("%s-%d", name, n)
	}
	return "", &fs.PathError{Op: "rename", Path: name, Err: fs.ErrExist}
}
