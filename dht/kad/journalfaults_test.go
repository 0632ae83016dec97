package kad

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	disk "github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
)

// puts returns different entries of a journal.
func puts(from, to int) []entry {
	var all []entry
	for i := from; i < to; i++ {
		all = append(all, newEntry(entryPut, "a", fmt.Sprint("/ipns/", i), strings.Repeat("v", 50)))
	}
	return all
}

// opened reads a journal to its end or to its first damage, on a file system
// without syncs, and returns its entries.
func opened(t *testing.T, path string) (got []entry, failed error) {
	t.Helper()
	j, err := openJournalOn(&durabletest.Disk{}, path, testHead, func(e entry) error { got = append(got, e); return nil })
	if j.file != nil {
		require.NoError(t, j.file.Close())
	}
	return got, err
}

// written creates a journal of the given entries and closes it.
func written(t *testing.T, path string, entries []entry) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, journalBytes(append([]entry{testHead}, entries...)...), 0o600))
}

// whole returns a rewrite of a journal with the entries.
func whole(entries []entry) func() []entry {
	return func() []entry { return append([]entry{testHead}, entries...) }
}

// A power cut after any operation of a rewrite leaves the whole old journal or
// the whole new one, and the new one if the rewrite returned no error. The next
// open removes the left-overs.
func TestAPowerCutLeavesTheOldJournalOrTheNew(t *testing.T) {
	old, newer := puts(0, 3), puts(2, 6)
	for d := range durabletest.Crashes() {
		dir := t.TempDir()
		path := filepath.Join(dir, "dht.db")
		written(t, path, old)
		other := filepath.Join(dir, ".other.db-1") // the file of another node
		require.NoError(t, os.WriteFile(other, nil, 0o600))
		j, err := openJournalOn(d, path, testHead, func(entry) error { return nil })
		if err == nil {
			err = j.rewrite(whole(newer)())
		}
		d.Crash()
		got, rerr := opened(t, path)
		require.NoError(t, rerr, d)
		if err == nil {
			require.Equal(t, newer, got, d)
		} else {
			require.Contains(t, [][]entry{old, newer}, got, d)
		}
		files, rerr := os.ReadDir(dir)
		require.NoError(t, rerr)
		require.Len(t, files, 2, d)
		require.FileExists(t, other)
	}
}

// A power cut while entries are appended loses only the last of them. Entries
// from before the last rewrite stay. After a Close without an error nothing is
// lost.
func TestAPowerCutLosesOnlyAppendedEntries(t *testing.T) {
	first, lost := puts(0, 3), 0
	for d := range durabletest.Crashes() {
		path := filepath.Join(t.TempDir(), "dht.db")
		j, err := openJournalOn(d, path, testHead, nil)
		require.NoError(t, err)
		all, confirmed := slices.Clone(first), 0
		if j.flush(nil, 1<<20, whole(all)) == nil {
			confirmed = len(all)
		}
		for i := 3; i < 6 && confirmed > 0; i++ {
			all = append(all, puts(i, i+1)...)
			err = errors.Join(err, j.flush(puts(i, i+1), 1<<20, whole(all)))
		}
		if err = errors.Join(err, j.close()); err == nil && confirmed > 0 {
			confirmed = len(all)
		}
		d.Crash()
		got, _ := opened(t, path)
		require.LessOrEqual(t, confirmed, len(got), d)
		require.Equal(t, all[:len(got)], append([]entry{}, got...), d)
		if len(got) < len(all) {
			lost++
		}
	}
	require.NotZero(t, lost)
}

// When any operation of opening, rewriting, appending or closing fails, an
// error is returned. The next flush writes everything that is missing.
func TestTheJournalReportsEachFault(t *testing.T) {
	failed := map[string]bool{}
	for d := range durabletest.Faults() {
		path := filepath.Join(t.TempDir(), "dht.db")
		written(t, path, puts(0, 3))
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), ".dht.db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"), nil, 0o600)) // left by a crash
		read := 0
		j, err := openJournalOn(d, path, testHead, func(entry) error { read++; return nil })
		require.Equal(t, 3, read, d)
		if err == nil {
			err = j.flush(puts(3, 4), 1<<20, whole(puts(0, 4)))
		}
		if err == nil {
			err = j.rewrite(whole(puts(0, 5))())
		}
		if err == nil {
			err = j.flush(puts(5, 6), 1<<20, whole(puts(0, 6)))
		}
		if err == nil {
			err = j.close()
		}
		failed[d.Failed()] = true
		if d.Failed() == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, syscall.ENOSPC, d)
		_, rerr := opened(t, path)
		require.NoError(t, rerr, "%v: no incomplete entry is left", d)
		if slices.Contains([]string{"open", "write", "rename", "syncdir"}, d.Failed()) { // not operations of Close
			require.NoError(t, j.flush(nil, 1<<20, whole(puts(0, 6))), d)
			require.NoError(t, j.flush(puts(6, 7), 1<<20, whole(puts(0, 7))), d)
			require.NoError(t, j.close(), d)
			got, err := opened(t, path)
			require.NoError(t, err, d)
			require.Equal(t, puts(0, 7), got[len(got)-7:], d)
		}
	}
	for _, op := range []string{"remove", "open", "write", "sync", "close", "rename", "syncdir", ""} {
		require.Contains(t, failed, op)
	}
}

// A damaged journal is set aside, and the entries before the damage stay. This
// holds after repeated power cuts during the operation.
func TestAPowerCutWhileADamagedJournalIsSetAside(t *testing.T) {
	entries := puts(0, 4)
	b := journalBytes(append([]entry{testHead}, entries...)...)
	b[len(b)-1] ^= 1
	for name, on := range map[string]func(disk.FS) disk.FS{
		"links": func(files disk.FS) disk.FS { return files },
		"none":  func(files disk.FS) disk.FS { return unlinkable{files} },
	} {
		for d := range durabletest.Crashes() {
			path := filepath.Join(t.TempDir(), "dht.db")
			require.NoError(t, os.WriteFile(path, b, 0o600))
			require.NoError(t, os.WriteFile(path+".damaged", []byte("an earlier one"), 0o600))
			var before []entry
			j, err := openJournalOn(on(d), path, testHead, func(e entry) error { before = append(before, e); return nil })
			require.ErrorIs(t, err, errDamaged)
			require.Equal(t, entries[:3], before)
			err = j.flush(nil, 1<<20, whole(before))
			d.Crash()
			got, rerr := opened(t, path)
			if err == nil {
				require.NoError(t, rerr, d)
			}
			if err == nil || name == "links" { // between the links there is no journal
				require.Equal(t, entries[:3], got, "%s: %v", name, d)
			}
			if rerr == nil && len(got) > 0 { // the journal was rewritten
				aside, err := os.ReadFile(path + ".damaged")
				require.NoError(t, err, d)
				require.Equal(t, b, aside, d)
			}
		}
	}
}

// A journal that is too long is rewritten, even if it grew before the node was
// started.
func TestAJournalThatWasTooLongIsRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.db")
	written(t, path, slices.Repeat([]entry{newEntry(entryPut, "a", "/ipns/x", strings.Repeat("v", 60_000))}, 20))
	j, err := openJournalOn(&durabletest.Disk{}, path, testHead, func(entry) error { return nil })
	require.NoError(t, err)
	require.NoError(t, j.flush(nil, 0, whole(puts(0, 1))))
	require.NoError(t, j.close())
	got, err := opened(t, path)
	require.NoError(t, err)
	require.Equal(t, puts(0, 1), got)
}

type unlinkable struct{ disk.FS }

func (unlinkable) Link(string, string) error { return syscall.EPERM }

// A journal that cannot be opened is also set aside, and not overwritten.
func TestAJournalThatCannotBeOpenedIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.db")
	if err := os.Symlink(path, path); err != nil { // a link to itself: it can be removed, but not opened
		t.Skip(err)
	}
	j, err := openJournalOn(&durabletest.Disk{}, path, testHead, nil)
	require.ErrorContains(t, err, "set aside")
	require.NoError(t, j.flush(nil, 0, whole(puts(0, 1))))
	require.NoError(t, j.close())
	_, err = os.Lstat(path + ".damaged")
	require.NoError(t, err)
	got, err := opened(t, path)
	require.NoError(t, err)
	require.Equal(t, puts(0, 1), got)
}
