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

// puts are entries of a journal, each another one.
func puts(from, to int) []entry {
	var all []entry
	for i := from; i < to; i++ {
		all = append(all, newEntry(entryPut, "a", fmt.Sprint("/ipns/", i), strings.Repeat("v", 50)))
	}
	return all
}

// opened reads a journal to its end, or to where it is damaged, on a file
// system that syncs nothing, and returns what it has.
func opened(t *testing.T, path string) (got []entry, failed error) {
	t.Helper()
	j, err := openJournalOn(&durabletest.Disk{}, path, testHead, func(e entry) error { got = append(got, e); return nil })
	if j.file != nil {
		require.NoError(t, j.file.Close())
	}
	return got, err
}

// written is a journal of some entries, closed.
func written(t *testing.T, path string, entries []entry) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, journalBytes(append([]entry{testHead}, entries...)...), 0o600))
}

// whole is a rewrite of a journal with the entries.
func whole(entries []entry) func() []entry {
	return func() []entry { return append([]entry{testHead}, entries...) }
}

// A power cut after any operation of writing the journal anew leaves the old
// one or the new one, whole, and the new one if that reported no error. The
// next open removes what else is left.
func TestAPowerCutLeavesTheOldJournalOrTheNew(t *testing.T) {
	old, newer := puts(0, 3), puts(2, 6)
	for d := range durabletest.Crashes() {
		dir := t.TempDir()
		path := filepath.Join(dir, "dht.db")
		written(t, path, old)
		other := filepath.Join(dir, ".other.db-1") // another node's
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

// A power cut while entries are appended loses none but the last of them; what
// was there when the journal was written anew stays. Once it is closed without
// an error nothing is lost.
func TestAPowerCutLosesAppendedEntriesAtMost(t *testing.T) {
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

// Whichever operation fails, of opening, writing anew, appending and closing,
// an error is returned; and the next flush makes up for all of it.
func TestTheJournalReportsEachFault(t *testing.T) {
	failed := map[string]bool{}
	for d := range durabletest.Faults() {
		path := filepath.Join(t.TempDir(), "dht.db")
		written(t, path, puts(0, 3))
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), ".dht.db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"), nil, 0o600)) // of a crash
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
		if slices.Contains([]string{"open", "write", "rename", "syncdir"}, d.Failed()) { // not of closing
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

// A damaged journal is set aside, and what came before the damage stays, also
// after a power cut in the midst of that, one after another.
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
			require.ErrorIs(t, err, errTorn)
			require.Equal(t, entries[:3], before)
			err = j.flush(nil, 1<<20, whole(before))
			d.Crash()
			got, rerr := opened(t, path)
			if err == nil {
				require.NoError(t, rerr, d)
			}
			if err == nil || name == "links" { // a rename leaves a moment without a journal
				require.Equal(t, entries[:3], got, "%s: %v", name, d)
			}
			if rerr == nil && len(got) > 0 { // it was written anew
				aside, err := os.ReadFile(path + ".damaged")
				require.NoError(t, err, d)
				require.Equal(t, b, aside, d)
			}
		}
	}
}

// A journal that has grown too long is written anew also if it grew before the
// node was started.
func TestAJournalThatWasTooLongIsWrittenAnew(t *testing.T) {
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

// A journal that cannot be opened is set aside as well: it is not overwritten.
func TestAJournalThatCannotBeOpenedIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.db")
	if err := os.Symlink(path, path); err != nil { // leads to itself: it can be removed, and not opened
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
