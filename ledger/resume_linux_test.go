package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// reopenAs replaces the open file of a ledger: without os.O_RDWR every write to it
// fails, as on a full disk.
func reopenAs(t *testing.T, l *Ledger, flags int) {
	t.Helper()
	f, err := os.OpenFile(l.path, flags, 0)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Dup3(int(f.Fd()), int(l.file.Fd()), syscall.O_CLOEXEC))
}

// A commit that failed stops writing no longer than its cause lasts: the next
// transaction opens the file again and continues. Readers see what was acknowledged
// all the time, and nothing of it is lost.
func TestWritingContinuesAfterAFailedCommit(t *testing.T) {
	l, path := newBook(t)
	var want []string
	for round := range 5 {
		for i := range 3 {
			body := fmt.Sprintf("key%d=%d", i, round)
			_, err := l.Append([]byte(body))
			require.NoError(t, err)
			want = append(want, body)
		}
		reopenAs(t, l, os.O_RDONLY)
		for range 3 {
			_, err := l.Append([]byte("lost=1"))
			require.Error(t, err)
			require.Equal(t, want, bodies(t, l))
		}
		reopenAs(t, l, os.O_RDWR)
	}
	_, err := l.Append([]byte("last=1"))
	require.NoError(t, err)
	want = append(want, "last=1")
	verified(t, l)
	require.Zero(t, undefaced(t, path))
	l = reopen(t, l, "one")
	require.Equal(t, want, bodies(t, l))
}

// A commit can fail when the file has its state already, at the last sync: readers open the file
// again, too, and do not wait for a writer.
func TestReadersContinueAfterACommitThatFailedAtItsEnd(t *testing.T) {
	l, _ := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	tx, err := l.db.Begin(true)
	require.NoError(t, err)
	require.NoError(t, tx.Commit()) // as far as the file shows
	l.unsure = &writeError{l.path, syscall.ENOSPC}
	l.failed.Store(true)
	require.NoError(t, os.Rename(l.path, l.path+".away"))
	_, _, err = l.Own()
	require.ErrorIs(t, err, os.ErrNotExist, "it cannot be opened again")
	require.NoError(t, os.Rename(l.path+".away", l.path))
	b, counts, err := l.Own()
	require.NoError(t, err)
	require.True(t, counts)
	require.EqualValues(t, 1, b.Head.Number-1, "after the admission")
	_, err = l.Append([]byte("b=2"))
	require.NoError(t, err)
	verified(t, l)
}

// When the file was replaced meanwhile by one without an acknowledged entry, or by
// another book, the ledger does not continue.
func TestWritingDoesNotContinueWithoutAnAcknowledgedEntry(t *testing.T) {
	for name, replaced := range map[string]func(path string, older []byte) []byte{
		"older":   func(_ string, older []byte) []byte { return older },
		"another": func(string, []byte) []byte { _, path := newBook(t); b, _ := os.ReadFile(path); return b },
	} {
		l, path := newBook(t)
		_, err := l.Append([]byte("a=1"))
		require.NoError(t, err)
		l = reopen(t, l, "one")
		older, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = l.Append([]byte("b=2"))
		require.NoError(t, err)
		reopenAs(t, l, os.O_RDONLY)
		_, err = l.Append([]byte("c=3"))
		require.Error(t, err)
		reopenAs(t, l, os.O_RDWR)
		content := replaced(path, bytes.Clone(older))
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.WriteFile(path, content, 0o600))
		for range 2 {
			_, err = l.Append([]byte("d=4"))
			require.Error(t, err, name)
			require.ErrorAs(t, err, new(*DamagedError), name)
		}
		require.NoError(t, l.Close())
	}
}

// When the file cannot be opened again, readers and writers receive an error, and
// continue when it can.
func TestALedgerThatCouldNotBeOpenedAgainIsTriedAgain(t *testing.T) {
	l, path := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	reopenAs(t, l, os.O_RDONLY)
	_, err = l.Append([]byte("b=2"))
	require.Error(t, err)
	reopenAs(t, l, os.O_RDWR)
	require.NoError(t, os.Rename(path, path+".away"))
	_, err = l.Append([]byte("b=2"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorIs(t, l.Read(func(*View) error { return nil }), os.ErrNotExist)
	_, err = l.Append([]byte("b=2"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.Rename(path+".away", path))
	require.Equal(t, []string{"a=1"}, bodies(t, l), "a reader opens it again, too")
	_, err = l.Append([]byte("b=2"))
	require.NoError(t, err)
	verified(t, l)

	reopenAs(t, l, os.O_RDONLY)
	_, err = l.Append([]byte("c=3"))
	require.Error(t, err)
	reopenAs(t, l, os.O_RDWR)
	require.NoError(t, os.Rename(path, path+".away"))
	_, err = l.Append([]byte("c=3"))
	require.Error(t, err)
	require.NoError(t, l.Close(), "while it is not open")
}

// A file that may not be written can be read, and every change fails. It is left as it
// is, even after a crash.
func TestAFileThatMayNotBeWrittenIsRead(t *testing.T) {
	l, path := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	for _, crashed := range []bool{false, true} {
		if crashed { // without the clean mark
			_, err := l.Append([]byte("b=2"))
			require.NoError(t, err)
			l.broken = os.ErrDeadlineExceeded
		}
		require.NoError(t, l.Close())
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		l, err = newLedger(path, testKey("one"), multi{}, testOptions().withDefaults())
		require.NoError(t, err)
		l.readOnly = true
		require.NoError(t, l.open(0))
		require.Contains(t, bodies(t, l), "a=1")
		verified(t, l)
		_, err = l.Append([]byte("c=3"))
		require.ErrorIs(t, err, ErrReadOnly)
		require.ErrorIs(t, l.Rebuild(), ErrReadOnly)
		require.ErrorIs(t, l.Follow(trueSuccession(t, 0)), ErrReadOnly)
		require.NoError(t, l.Close())
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, before, after)
		l, err = Open(path, testKey("one"), multi{}, testOptions())
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
}

// failSync is a page file whose syncs fail.
type failSync struct{ pageFile }

func (failSync) Sync() error { return syscall.EIO }

// A write whose commit failed states what is so: it succeeded if its state is in the file and
// can be made durable, it is not known if that fails, too, and else nothing of it is stored.
func TestAWriteStatesWhatACommitThatFailedHasStored(t *testing.T) {
	atItsEnd := func(tx *bbolt.Tx) error { return cmp.Or(tx.Commit(), error(syscall.ENOSPC)) }
	before := func(tx *bbolt.Tx) error { return cmp.Or(tx.Rollback(), error(syscall.ENOSPC)) }
	for name, c := range map[string]struct {
		commit func(*bbolt.Tx) error
		file   func(pageFile) pageFile
		want   error
		stored bool
	}{
		"stored":          {atItsEnd, nil, nil, true},
		"not known":       {atItsEnd, func(f pageFile) pageFile { return failSync{f} }, ErrUnsure, true},
		"not stored":      {before, nil, ErrNotWritten, false},
		"no sync, before": {before, func(f pageFile) pageFile { return failSync{f} }, ErrNotWritten, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, local := range []bool{false, true} { // a write without an entry
				l, path := newBook(t)
				_, err := l.Append([]byte("a=1"))
				require.NoError(t, err)
				file := l.pages.f
				if c.file != nil {
					l.pages.f = c.file(file)
				}
				l.failing = c.commit
				_, err = l.Update(func(tx *Tx) error {
					if local {
						return tx.Local().Put("received", []byte("b"), []byte("2"))
					}
					_, err := tx.Append([]byte("b=2"))
					return err
				})
				l.failing = nil
				if c.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.want)
					require.Equal(t, c.want == ErrUnsure, !errors.Is(err, ErrNotWritten))
					require.ErrorIs(t, err, syscall.ENOSPC)
				}
				look := func() {
					t.Helper()
					want, has := []string{"a=1"}, []byte(nil)
					if c.stored && local {
						has = []byte("2")
					} else if c.stored {
						want = append(want, "b=2")
					}
					require.Equal(t, want, bodies(t, l))
					require.NoError(t, l.ReadLocal(func(v *View) error {
						got, err := v.Get("received", []byte("b"))
						require.Equal(t, has, got)
						return err
					}))
				}
				l.pages.f = file
				look()
				crashed, err := os.ReadFile(path) // as a process that ends here leaves it
				require.NoError(t, err)
				_, err = l.Append([]byte("c=3"))
				require.NoError(t, err)
				verified(t, l)
				require.NoError(t, l.Close())
				require.NoError(t, os.WriteFile(path, crashed, 0o600))
				l, err = Open(path, testKey("one"), multi{}, testOptions())
				require.NoError(t, err)
				look()
				verified(t, l)
				require.NoError(t, l.Close())
			}
		})
	}
}

// A caller that reads while it writes does not wait for itself when its commit fails.
func TestAFailedCommitWaitsForNoReader(t *testing.T) {
	l, _ := newBook(t)
	require.NoError(t, l.Read(func(*View) error {
		l.failing = func(tx *bbolt.Tx) error { return cmp.Or(tx.Commit(), error(syscall.ENOSPC)) }
		_, err := l.Append([]byte("a=1"))
		l.failing = nil
		return err
	}))
	require.Equal(t, []string{"a=1"}, bodies(t, l))
}
