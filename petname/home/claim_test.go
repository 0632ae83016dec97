package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/petname"
)

// An interrupted Create or Recover prevents no later one: after a power cut at any
// operation, the same call makes the home, and the folder and the recovery file have
// nothing of the first. What stands in between is named as unfinished, and nothing is to be
// put back.
func TestAnInterruptedCreationIsRepeated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "old.key")
	create(t, CreateOptions{Passphrase: "horse", Recovery: file})
	unfinished := 0
	n := 0
	for disk := range durabletest.Crashes() {
		if n++; n%4 != 0 && os.Getenv("PETNAME_TEST_LONG") != "1" {
			continue
		}
		root := t.TempDir()
		dir, copied := filepath.Join(root, "home"), filepath.Join(root, "f.key")
		require.NoError(t, os.WriteFile(copied, read(t, file), 0o600))
		o := RecoverOptions{File: copied, Passphrase: "horse", WorkFactor: fast}
		_, _, err := recoverOn(disk, dir, o)
		disk.Crash()
		if err == nil {
			continue
		}
		_, err = Open(dir)
		var lacks *IncompleteError
		if errors.As(err, &lacks) {
			require.True(t, lacks.Unfinished, disk)
			require.NotContains(t, lacks.Next(), "put", disk)
			unfinished++
		} else if err == nil {
			continue // whole, and the process did not learn it
		} else {
			require.ErrorIs(t, err, ErrNoHome)
		}
		h, _, err := Recover(dir, o)
		require.NoError(t, err, disk)
		require.Empty(t, h.CheckFiles(), disk)
		book, err := h.Book(petname.Options{})
		require.NoError(t, err)
		require.NoError(t, book.Close())
		require.Equal(t, []string{deviceFile, identityFile, ledgerFile, peerFile, recordsDir, sealingFile}, files(t, dir), disk)
		require.Equal(t, []string{"f.key", "f.key.next", "home"}, files(t, root), disk)
	}
	require.NotZero(t, unfinished)
}

// Of creations at the same time in one folder, one makes the home. The others fail with
// ErrCreating or ErrExists, and damage nothing.
func TestCreationsAtTheSameTime(t *testing.T) {
	for range 5 {
		dir := filepath.Join(t.TempDir(), "home")
		var mu sync.Mutex
		var made []Home
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				h, err := Create(dir, CreateOptions{Passphrase: "horse", WorkFactor: fast})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made = append(made, h)
					return
				}
				if !errors.Is(err, ErrCreating) && !errors.Is(err, ErrExists) {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		require.Len(t, made, 1)
		require.Empty(t, made[0].CheckFiles())
		id, err := made[0].Identity()
		require.NoError(t, err)
		_, err = id.Key("horse")
		require.NoError(t, err)
		require.Equal(t, []string{deviceFile, identityFile, ledgerFile, peerFile, recordsDir, sealingFile}, files(t, dir))
	}
}

// An unfinished home is removed only with the mark that Create left, and only if every
// file in the folder is one that it makes. A home that was used is never one.
func TestOnlyAnUnfinishedHomeIsReplaced(t *testing.T) {
	mark := creating{}.format()
	h := create(t, CreateOptions{})
	require.NoError(t, os.WriteFile(h.path(creatingFile), mark, 0o600))
	_, err := Create(h.Dir, CreateOptions{})
	require.ErrorIs(t, err, ErrExists, "a crash between the last two steps")
	_, err = Open(h.Dir)
	require.NoError(t, err)
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	require.NoError(t, book.Close())
	require.NoFileExists(t, h.path(creatingFile), "so that the loss of the identity key does not look like an unfinished home")

	for _, other := range []string{"notes", configFile, filepath.Join(recordsDir, "x.record"), nodeFile, oldMessagesFile, journalFile, "identity.key.bak"} {
		h := create(t, CreateOptions{})
		require.NoError(t, os.Remove(h.path(identityFile)))
		require.NoError(t, os.WriteFile(h.path(creatingFile), mark, 0o600))
		require.NoError(t, os.WriteFile(h.path(other), []byte("mine"), 0o600))
		before := files(t, h.Dir)
		_, err := Create(h.Dir, CreateOptions{})
		require.ErrorIs(t, err, ErrNotEmpty, other)
		require.ErrorIs(t, err, fs.ErrExist)
		require.Equal(t, before, files(t, h.Dir), other)
	}

	// The attack: a mark names a file that is not the recovery file of that home.
	h = create(t, CreateOptions{})
	require.NoError(t, os.Remove(h.path(identityFile)))
	mine := filepath.Join(t.TempDir(), "mine")
	require.NoError(t, os.WriteFile(mine, []byte("mine"), 0o600))
	require.NoError(t, os.WriteFile(h.path(creatingFile), creating{recovery: mine, head: recoveryMagic + "\n# pointer: x\n"}.format(), 0o600))
	_, err = Create(h.Dir, CreateOptions{})
	require.NoError(t, err)
	require.FileExists(t, mine)
}

// The new recovery file that an unfinished home names is removed with it only if that home
// wrote it: a home that was made of the same file meanwhile has one with the same keys, and
// needs it. Likewise of a rotation that was interrupted.
func TestTheRecoveryFileOfAnotherHomeIsNotRemoved(t *testing.T) {
	root := t.TempDir()
	file, next := filepath.Join(root, "f.key"), filepath.Join(root, "next.key")
	old := create(t, CreateOptions{Passphrase: "horse", Recovery: file})
	written := func(dir string) []byte { // by a recovery that was interrupted then
		_, _, err := Recover(dir, RecoverOptions{File: file, Passphrase: "horse", Recovery: next, WorkFactor: fast})
		require.NoError(t, err)
		b := read(t, next)
		require.NoError(t, os.Remove(next))
		return b
	}
	cut := filepath.Join(root, "cut")
	ours := written(cut)
	require.NoError(t, os.Remove(filepath.Join(cut, identityFile)))
	mark := creating{from: file, recovery: next, head: recoveryHead(ours)}.format()
	require.NoError(t, os.WriteFile(filepath.Join(cut, creatingFile), mark, 0o600))

	rotation, err := old.Rotate(RotateOptions{Passphrase: "horse", Next: file, Recovery: next, WorkFactor: fast})
	require.NoError(t, err)
	require.NoError(t, rotation.formatRecovery(nil))
	_, err = rotation.writeJournal() // and then it was interrupted
	require.NoError(t, err)

	_, _, err = Recover(filepath.Join(root, "whole"), RecoverOptions{File: file, Passphrase: "horse", Recovery: next, WorkFactor: fast})
	require.NoError(t, err)
	theirs := read(t, next)
	require.Equal(t, ours[:len(recoveryHeader(rotation.New.Pointer(), rotation.Next))], theirs[:len(recoveryHeader(rotation.New.Pointer(), rotation.Next))], "the same keys")
	_, err = Create(cut, CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, theirs, read(t, next))
	i, err := old.FinishRotation(time.Now(), time.Time{})
	require.NoError(t, err)
	require.False(t, i.Finished)
	require.Equal(t, theirs, read(t, next))
}

// renamed calls after when a file was renamed to a name.
type renamed struct {
	durable.FS
	name  string
	after func()
}

func (r renamed) Rename(from, to string) error {
	err := r.FS.Rename(from, to)
	if err == nil && filepath.Base(to) == r.name {
		r.after()
	}
	return err
}

// A process that opens a home at the moment at which its identity key is there removes
// the mark of its creation. The creation is complete then, and removes nothing.
func TestAHomeThatIsOpenedAtOnceStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	opened := 0
	files := renamed{durable.Or(nil), identityFile, func() {
		h, err := Open(dir)
		require.NoError(t, err)
		book, err := h.Book(petname.Options{})
		require.NoError(t, err)
		require.NoError(t, book.Close())
		opened++
	}}
	h, err := createOn(files, dir, CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, 1, opened)
	require.Empty(t, h.CheckFiles())
	require.NoFileExists(t, filepath.Join(dir, creatingFile))
}
