package durabletest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// left returns the content of a folder after a power cut.
func left(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		all[e.Name()] = string(b)
	}
	return all
}

// The disk loses unsynced data and keeps synced data. The results distinguish
// each careless way to write a file from the careful one.
func TestWhatAPowerCutLeaves(t *testing.T) {
	const create = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	write := func(d *Disk, name string, flag int, b string, synced bool) {
		f, err := d.OpenFile(name, flag)
		require.NoError(t, err)
		_, err = f.Write([]byte(b))
		require.NoError(t, err)
		if synced {
			require.NoError(t, f.Sync())
		}
		require.NoError(t, f.Close())
	}
	for name, c := range map[string]struct {
		run    func(d *Disk, file, temp, dir string)
		lost   map[string]string // draw 0
		kept   map[string]string // draw 1
		hollow map[string]string // draw 2
	}{
		"nothing": {
			func(*Disk, string, string, string) {},
			map[string]string{"file": "old"}, map[string]string{"file": "old"}, map[string]string{"file": "old"},
		},
		"a file without a sync": {
			func(d *Disk, _, temp, dir string) { write(d, temp, create, "new", false); _ = d.SyncDir(dir) },
			map[string]string{"file": "old", "temp": ""}, map[string]string{"file": "old", "temp": "new"}, map[string]string{"file": "old", "temp": ""},
		},
		"a file in a folder without a sync": {
			func(d *Disk, _, temp, _ string) { write(d, temp, create, "new", true) },
			map[string]string{"file": "old"}, map[string]string{"file": "old", "temp": "new"}, map[string]string{"file": "old", "temp": "new"},
		},
		"a synced file": {
			func(d *Disk, _, temp, dir string) { write(d, temp, create, "new", true); _ = d.SyncDir(dir) },
			map[string]string{"file": "old", "temp": "new"}, map[string]string{"file": "old", "temp": "new"}, map[string]string{"file": "old", "temp": "new"},
		},
		"appended without a sync": {
			func(d *Disk, file, _, _ string) { write(d, file, os.O_WRONLY|os.O_APPEND, "+new", false) },
			map[string]string{"file": "old"}, map[string]string{"file": "old+new"}, map[string]string{"file": "old"},
		},
		"appended": {
			func(d *Disk, file, _, _ string) { write(d, file, os.O_WRONLY|os.O_APPEND, "+new", true) },
			map[string]string{"file": "old+new"}, map[string]string{"file": "old+new"}, map[string]string{"file": "old+new"},
		},
		"renamed without a sync of the content": {
			func(d *Disk, file, temp, dir string) {
				write(d, temp, create, "new", false)
				_ = d.Rename(temp, file)
			},
			map[string]string{"file": "old"}, map[string]string{"file": "new"}, map[string]string{"file": ""},
		},
		"renamed without a sync of the folder": {
			func(d *Disk, file, temp, dir string) { write(d, temp, create, "new", true); _ = d.Rename(temp, file) },
			map[string]string{"file": "old"}, map[string]string{"file": "new"}, map[string]string{"file": "new"},
		},
		"the folder synced before the rename": {
			func(d *Disk, file, temp, dir string) {
				write(d, temp, create, "new", true)
				_ = d.SyncDir(dir)
				_ = d.Rename(temp, file)
			},
			map[string]string{"file": "old", "temp": "new"}, map[string]string{"file": "new"}, map[string]string{"file": "new"},
		},
		"renamed": {
			func(d *Disk, file, temp, dir string) {
				write(d, temp, create, "new", true)
				_ = d.Rename(temp, file)
				_ = d.SyncDir(dir)
			},
			map[string]string{"file": "new"}, map[string]string{"file": "new"}, map[string]string{"file": "new"},
		},
		"linked and removed": {
			func(d *Disk, file, temp, dir string) { _ = d.Link(file, temp); _ = d.SyncDir(dir); _ = d.Remove(file) },
			map[string]string{"file": "old", "temp": "old"}, map[string]string{"temp": "old"}, map[string]string{"temp": "old"},
		},
	} {
		for draw, want := range []map[string]string{c.lost, c.kept, c.hollow} {
			dir := t.TempDir()
			file, temp := filepath.Join(dir, "file"), filepath.Join(dir, "temp")
			require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
			d := &Disk{draw: uint64(draw)}
			c.run(d, file, temp, dir)
			d.Crash()
			require.Equal(t, want, left(t, dir), "%s, draw %d", name, draw)
			_, err := d.OpenFile(temp, create)
			require.ErrorIs(t, err, ErrCrashed, "after the power cut nothing is written")
		}
	}
}

// A test of code that writes around the disk fails, since it would test
// nothing. For code that writes to the disk, each operation is cut off once and
// fails once.
func TestEachOperationIsCutOff(t *testing.T) {
	require.Panics(t, func() {
		for d := range Crashes() {
			d.Crash()
		}
	})
	require.Panics(t, func() {
		for d := range Faults() {
			require.Empty(t, d.Failed())
		}
	})
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	d := &Disk{}
	require.False(t, d.Wrote(file))
	require.NoError(t, d.Rename(file, file+"2"))
	require.True(t, !d.Wrote(file) && d.Wrote(file+"2"))
	run := func(d *Disk) error {
		dir := filepath.Join(t.TempDir(), "a")
		return errors.Join(d.Mkdir(dir), d.Chtimes(dir, time.Now()), d.Remove(dir))
	}
	var failed []string
	for d := range Faults() {
		err := run(d)
		require.Equal(t, d.Failed() == "", err == nil)
		failed = append(failed, d.Failed())
	}
	require.Equal(t, []string{"mkdir", "chtimes", "remove", ""}, failed)
	cut := map[string]int{}
	for d := range Crashes() {
		_ = run(d)
		cut[d.Failed()]++
		d.Crash()
	}
	require.Equal(t, map[string]int{"mkdir": draws, "chtimes": draws, "remove": draws, "": draws}, cut)
}

// A folder that was not synced into its parent is lost with its content. A time
// that was set after the last sync is lost.
func TestAPowerCutLosesFoldersAndTimes(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	d := &Disk{}
	require.NoError(t, d.Mkdir(dir))
	f, err := d.OpenFile(filepath.Join(dir, "file"), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	require.NoError(t, d.SyncDir(dir))
	d.Crash()
	require.Empty(t, left(t, root))

	file, then := filepath.Join(root, "file"), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Chtimes(file, then, then))
	d = &Disk{}
	require.NoError(t, d.Chtimes(file, then.Add(time.Hour)))
	d.Crash()
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.True(t, info.ModTime().Equal(then))

	d = &Disk{}
	f, err = d.OpenFile(file, os.O_WRONLY|os.O_APPEND)
	require.NoError(t, err)
	require.NoError(t, d.Chtimes(file, then.Add(time.Hour)))
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	d.Crash()
	info, err = os.Stat(file)
	require.NoError(t, err)
	require.True(t, info.ModTime().Equal(then.Add(time.Hour)))
}
