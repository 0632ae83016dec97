package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
)

// unlinkable is a file system without hard links.
type unlinkable struct{ durable.FS }

var errNoLinks = errors.New("no links")

func (unlinkable) Link(string, string) error { return errNoLinks }

func createOn(files durable.FS, path string) error {
	o := testOptions()
	o.files = files
	l, err := Create(path, Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, multi{}, o)
	if err != nil {
		return err
	}
	return l.Close()
}

// A power cut after any operation of Create leaves no ledger or a whole one,
// and a whole one after a nil error. This also holds without hard links. The
// next open removes the left-overs.
func TestAPowerCutInCreateLeavesNoLedgerOrAWholeOne(t *testing.T) {
	for name, on := range map[string]func(durable.FS) durable.FS{
		"links": func(files durable.FS) durable.FS { return files },
		"none":  func(files durable.FS) durable.FS { return unlinkable{files} },
	} {
		whole, swept := 0, 0
		for disk := range durabletest.Crashes() {
			dir := t.TempDir()
			path := filepath.Join(dir, "ledger.db")
			err := createOn(on(disk), path)
			disk.Crash()
			if _, serr := os.Lstat(path); errors.Is(serr, fs.ErrNotExist) {
				require.Error(t, err, "%s: %v", name, disk)
				continue
			}
			whole++
			entries, rerr := os.ReadDir(dir)
			require.NoError(t, rerr)
			swept += len(entries) - 1
			l, rerr := Open(path, testKey("one"), multi{}, testOptions())
			require.NoError(t, rerr, "%s: %v", name, disk)
			verified(t, l)
			require.NoError(t, l.Close())
			entries, rerr = os.ReadDir(dir)
			require.NoError(t, rerr)
			require.Len(t, entries, 1, "%s: %v", name, disk)
		}
		require.NotZero(t, whole, name)
		if name == "links" {
			require.NotZero(t, swept, name)
		}
	}
}

// Create reports each failed operation and leaves no unfinished file. The
// ledger can exist only after it received its name.
func TestCreateReportsEachFault(t *testing.T) {
	failed := map[string]bool{}
	for disk := range durabletest.Faults() {
		dir := t.TempDir()
		path := filepath.Join(dir, "ledger.db")
		err := createOn(disk, path)
		failed[disk.Failed()] = true
		switch disk.Failed() {
		case "", "remove", "link": // without links it is renamed; the left-over is swept
			require.NoError(t, err, disk)
		default:
			require.ErrorIs(t, err, syscall.ENOSPC, disk)
		}
		left, err := filepath.Glob(path + newSuffix + "*")
		require.NoError(t, err)
		require.Empty(t, left, disk)
	}
	require.Contains(t, failed, "syncdir")
	require.Contains(t, failed, "link")
	dir := t.TempDir()
	err := createOn(unlinkable{failingRename{}}, filepath.Join(dir, "ledger.db"))
	require.ErrorIs(t, err, errNoLinks)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// Create does not replace another file with the ledger, even without hard
// links.
func TestAFinishedLedgerReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	temp, path := filepath.Join(dir, "ledger.db.new-1"), filepath.Join(dir, "ledger.db")
	require.NoError(t, os.WriteFile(temp, nil, 0o600))
	require.NoError(t, os.WriteFile(path, []byte("what was there"), 0o600))
	for _, files := range []durable.FS{durable.OS{}, unlinkable{durable.OS{}}} {
		require.ErrorIs(t, publish(files, temp, path), fs.ErrExist)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "what was there", string(b))
	}
}

type failingRename struct{ durable.OS }

func (failingRename) Rename(string, string) error { return errNoLinks }

// Open removes only files that an unfinished Create of the same ledger left.
func TestAnOpenRemovesNothingElse(t *testing.T) {
	l, path := newBook(t)
	require.NoError(t, l.Close())
	dir := filepath.Dir(path)
	kept := []string{"ledger.db", "ledger.db.bak", "ledger.db.new-laptop", "ledger.dbx.new-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "other.db.new-ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
	for _, name := range append(kept[1:], "ledger.db.new-ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	l, err := Open(path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, kept, names)
}
