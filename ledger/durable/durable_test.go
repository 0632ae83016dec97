package durable_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
)

var (
	old     = bytes.Repeat([]byte("old "), 100)
	newer   = bytes.Repeat([]byte("newer "), 100)
	written = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func replace(files durable.FS, name string, b []byte) error {
	return durable.Replace(files, name, ".new-", written, bytes.NewReader(b))
}

// content returns a file's content, or nil if it does not exist.
func content(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
		require.NotNil(t, b)
	}
	return b
}

// names lists the names in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A power cut after any operation of Replace leaves the whole old content or
// the whole new one. After a nil error it leaves the new content with its time.
// Sweep removes the left-overs.
func TestReplaceIsAllOrNothing(t *testing.T) {
	for _, had := range [][]byte{nil, old} {
		outcomes := map[string]int{}
		for disk := range durabletest.Crashes() {
			dir := t.TempDir()
			name := filepath.Join(dir, "file")
			if had != nil {
				require.NoError(t, os.WriteFile(name, had, 0o600))
			}
			err := replace(disk, name, newer)
			disk.Crash()
			got := content(t, name)
			if err == nil {
				require.Equal(t, newer, got, disk)
				outcomes["confirmed"]++
			} else {
				require.ErrorIs(t, err, durabletest.ErrCrashed)
				require.Contains(t, [][]byte{had, newer}, got, disk)
				outcomes[string(got)]++
			}
			if bytes.Equal(got, newer) {
				info, err := os.Stat(name)
				require.NoError(t, err)
				require.True(t, info.ModTime().Equal(written), "%v: %v", disk, info.ModTime())
			}
			left := names(t, dir)
			if len(left) > 1 || len(left) == 1 && got == nil {
				outcomes["left over"]++
			}
			require.NoError(t, durable.Sweep(nil, dir, ".new-"))
			if got == nil {
				require.Empty(t, names(t, dir), disk)
			} else {
				require.Equal(t, []string{"file"}, names(t, dir), disk)
			}
		}
		require.Len(t, outcomes, 4, "old, new, confirmed and left-overs all occur: %v", outcomes)
	}
}

// When any operation of Replace fails, the error is returned and the old file
// is unchanged and alone in its folder. Only after the rename can the new one
// be in place.
func TestReplaceReportsEachFault(t *testing.T) {
	failed := map[string]bool{}
	for disk := range durabletest.Faults() {
		dir := t.TempDir()
		name := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(name, old, 0o600))
		err := replace(disk, name, newer)
		failed[disk.Failed()] = true
		if disk.Failed() == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, syscall.ENOSPC, disk)
		require.Equal(t, []string{"file"}, names(t, dir), disk)
		if disk.Failed() == "syncdir" {
			require.Equal(t, newer, content(t, name))
		} else {
			require.Equal(t, old, content(t, name), disk)
		}
	}
	for _, op := range []string{"open", "write", "chtimes", "sync", "close", "rename", "syncdir", ""} {
		require.Contains(t, failed, op)
	}
	err := durable.Replace(nil, filepath.Join(t.TempDir(), "file"), ".new-", time.Time{}, failing{})
	require.ErrorIs(t, err, errFailing, "content that cannot be had")
}

type failing struct{}

func (failing) WriteTo(io.Writer) (int64, error) { return 0, errFailing }

var errFailing = errors.New("no content")

// A power cut after any operation of Create leaves at most the file, and the
// whole file after a nil error.
func TestCreateIsDurable(t *testing.T) {
	for disk := range durabletest.Crashes() {
		dir := t.TempDir()
		name := filepath.Join(dir, "file")
		err := durable.Create(disk, name, newer)
		disk.Crash()
		if err == nil {
			require.Equal(t, newer, content(t, name), disk)
			require.Equal(t, []string{"file"}, names(t, dir), disk)
		} else {
			require.Subset(t, []string{"file"}, names(t, dir), disk)
		}
	}
}

// When any operation of Create fails, the error is returned and the file does
// not exist.
func TestCreateReportsEachFault(t *testing.T) {
	failed := map[string]bool{}
	for disk := range durabletest.Faults() {
		dir := t.TempDir()
		err := durable.Create(disk, filepath.Join(dir, "file"), newer)
		failed[disk.Failed()] = true
		if disk.Failed() == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, syscall.ENOSPC, disk)
		require.Empty(t, names(t, dir), disk)
	}
	for _, op := range []string{"open", "write", "sync", "close", "syncdir", ""} {
		require.Contains(t, failed, op)
	}
}

// Create replaces no existing file, folder, or dangling link.
func TestCreateReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	file, folder, link := filepath.Join(dir, "file"), filepath.Join(dir, "folder"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(file, old, 0o600))
	require.NoError(t, os.Mkdir(folder, 0o700))
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), link))
	for _, name := range []string{file, folder, link} {
		require.ErrorIs(t, durable.Create(nil, name, newer), fs.ErrExist, name)
	}
	require.Equal(t, old, content(t, file))
	require.Equal(t, []string{"file", "folder", "link"}, names(t, dir))
}

// Folders that MkdirAll created survive a power cut with their parents.
// MkdirAll returns the folders that it created, and does not replace a file
// with a folder.
func TestMkdirAllIsDurable(t *testing.T) {
	for disk := range durabletest.Crashes() {
		root := t.TempDir()
		a, ab, abc := filepath.Join(root, "a"), filepath.Join(root, "a", "b"), filepath.Join(root, "a", "b", "c")
		made, err := durable.MkdirAll(disk, abc)
		for _, dir := range made {
			require.DirExists(t, dir)
		}
		require.ElementsMatch(t, []string{a, ab, abc}[:len(made)], made)
		disk.Crash()
		if err == nil {
			require.Len(t, made, 3)
			require.DirExists(t, abc, disk)
		}
	}
	for disk := range durabletest.Faults() {
		_, err := durable.MkdirAll(disk, filepath.Join(t.TempDir(), "a", "b"))
		require.Equal(t, disk.Failed() != "", err != nil, disk)
	}
	root := t.TempDir()
	made, err := durable.MkdirAll(raced{}, filepath.Join(root, "a", "b"))
	require.NoError(t, err, "another process makes it at the same time")
	require.Empty(t, made)
	require.DirExists(t, filepath.Join(root, "a", "b"))
	made, err = durable.MkdirAll(nil, root)
	require.NoError(t, err)
	require.Empty(t, made, "it exists")
	require.NoError(t, os.WriteFile(filepath.Join(root, "file"), old, 0o600))
	_, err = durable.MkdirAll(nil, filepath.Join(root, "file"))
	require.ErrorIs(t, err, syscall.ENOTDIR)
	_, err = durable.MkdirAll(nil, filepath.Join(root, "file", "a"))
	require.ErrorIs(t, err, syscall.ENOTDIR)
}

// raced is a file system on which another process creates each folder first.
type raced struct{ durable.OS }

func (r raced) Mkdir(name string) error { return errors.Join(r.OS.Mkdir(name), r.OS.Mkdir(name)) }

// Sweep removes only files named by TempName, reports a file that it cannot
// remove, and removes nothing from a missing folder.
func TestSweepRemovesOnlyLeftOvers(t *testing.T) {
	dir := t.TempDir()
	const a, b = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "23456723456723456723456723"
	kept := []string{".new-" + a, ".new-" + b[1:], ".new-" + b + "A", ".new-" + strings.ToLower(a), ".new-2026", ".new-laptop", "a.new-" + b, "file"}
	for _, name := range append(kept[1:], ".new-"+b, ".old-"+a, durable.TempName(".new-")) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), old, 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, kept[0]), 0o700))
	for disk := range durabletest.Faults() {
		err := durable.Sweep(disk, dir, ".new-", ".old-")
		if disk.Failed() != "" {
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.Greater(t, len(names(t, dir)), len(kept))
			continue
		}
		require.NoError(t, err)
		require.ElementsMatch(t, kept, names(t, dir))
	}
	require.NoError(t, durable.Sweep(nil, filepath.Join(dir, "none"), ".new-"))
	require.Error(t, durable.Sweep(nil, filepath.Join(dir, "file"), ".new-"))
}

// On a real disk, only the owner can access the files, Replace replaces old
// content, and a file system that cannot sync folders causes no error.
func TestFilesOfTheOperatingSystem(t *testing.T) {
	dir, err := durable.MkdirAll(nil, filepath.Join(t.TempDir(), "folder"))
	require.NoError(t, err)
	replaced, created := filepath.Join(dir[0], "replaced"), filepath.Join(dir[0], "created")
	require.NoError(t, replace(nil, replaced, old))
	require.NoError(t, replace(nil, replaced, newer[:7]))
	require.NoError(t, durable.Create(nil, created, newer))
	require.Equal(t, newer[:7], content(t, replaced))
	require.Equal(t, newer, content(t, created))
	if runtime.GOOS != "windows" {
		for name, mode := range map[string]os.FileMode{dir[0]: 0o700, replaced: 0o600, created: 0o600} {
			info, err := os.Stat(name)
			require.NoError(t, err)
			require.Equal(t, mode, info.Mode().Perm(), name)
		}
	}
	require.NoError(t, durable.OS{}.SyncDir(dir[0]))
	if runtime.GOOS == "linux" {
		require.NoError(t, durable.OS{}.SyncDir("/proc"))
	}
	if runtime.GOOS != "windows" {
		require.ErrorIs(t, durable.OS{}.SyncDir(filepath.Join(dir[0], "none")), fs.ErrNotExist)
	}
}
