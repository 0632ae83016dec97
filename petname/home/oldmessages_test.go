package home

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/petname"
)

// older converts the home to one of an older version, with 30 rows in each of two
// buckets of its post.db, and returns that file.
func older(t *testing.T, h Home) []byte {
	t.Helper()
	db, err := bbolt.Open(h.path(oldMessagesFile), 0o600, &bbolt.Options{NoSync: true})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{"one", "two"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for i := range 30 {
				if err := b.Put(fmt.Appendf(nil, "%s %02d", name, i), bytes.Repeat([]byte{byte(i + 1)}, 300)); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	require.NoError(t, db.Close())
	b, err := os.ReadFile(h.path(oldMessagesFile))
	require.NoError(t, err)
	return b
}

var errUnreadable = errors.New("unreadable")

// moveRow moves every row but those whose bytes differ.
func moveRow(local *ledger.View, row ledger.BoltRow) error {
	if len(row.Value) != 300 || len(bytes.Trim(row.Value, string(row.Value[:1]))) > 0 {
		return errUnreadable
	}
	return local.Put(row.Bucket, row.Key, row.Value)
}

// opened opens the book and moves the messages, as each start does.
func opened(t *testing.T, h Home) (*petname.Book, *DamagedMessagesError, error) {
	t.Helper()
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	notice, err := h.MoveMessages(book, moveRow)
	return book, notice, err
}

// rows returns the number of rows of the tables.
func rows(t *testing.T, book *petname.Book) (n int) {
	t.Helper()
	require.NoError(t, book.Ledger().ReadLocal(func(local *ledger.View) error {
		for _, table := range []string{"one", "two"} {
			count, err := local.Count(table)
			if err != nil {
				return err
			}
			n += count
		}
		return nil
	}))
	return n
}

// copied is the home as a kill leaves it now.
func copied(t *testing.T, h Home) Home {
	t.Helper()
	c := Home{Dir: t.TempDir()}
	require.NoError(t, os.CopyFS(c.Dir, os.DirFS(h.Dir)))
	require.NoError(t, os.Chmod(c.Dir, 0o700))
	return c
}

// refused requires that bbolt, with which an older version opens post.db,
// refuses the stub and leaves it.
func refused(t *testing.T, h Home) {
	t.Helper()
	_, err := bbolt.Open(h.path(oldMessagesFile), 0o600, nil)
	require.Error(t, err)
	b, err := os.ReadFile(h.path(oldMessagesFile))
	require.NoError(t, err)
	require.Equal(t, stub, string(b))
	require.False(t, h.HasOldMessages())
}

func TestMessagesOfAnOlderVersionAreMovedOnce(t *testing.T) {
	h := create(t, CreateOptions{})
	require.False(t, h.HasOldMessages())
	older(t, h)
	require.True(t, h.HasOldMessages())
	book, notice, err := opened(t, h)
	require.NoError(t, err)
	require.Nil(t, notice)
	require.Equal(t, 60, rows(t, book))
	refused(t, h)
	require.NoError(t, book.Update(func(_ *petname.Book, local *ledger.View) error { return local.Delete("one", []byte("one 03")) }))
	require.NoError(t, book.Close())
	before := files(t, h.Dir)
	ledgerBefore, err := os.ReadFile(h.path(ledgerFile))
	require.NoError(t, err)
	book, notice, err = opened(t, h)
	require.NoError(t, err)
	require.Nil(t, notice)
	require.Equal(t, 59, rows(t, book))
	require.NoError(t, book.Close())
	require.Equal(t, before, files(t, h.Dir))
	ledgerAfter, err := os.ReadFile(h.path(ledgerFile))
	require.NoError(t, err)
	require.True(t, bytes.Equal(ledgerBefore, ledgerAfter), "a second open changes nothing")
}

// A new home receives the stub too, before it has any messages: an older version
// would send again what it does not know of.
func TestANewHomeReceivesTheStub(t *testing.T) {
	h := create(t, CreateOptions{})
	book, notice, err := opened(t, h)
	require.NoError(t, err)
	require.Nil(t, notice)
	refused(t, h)
	// Without the stub, an older version creates a database. Its rows are moved if the
	// tables are empty. Otherwise the file is kept under another name.
	for n := range 2 {
		require.NoError(t, os.Remove(h.path(oldMessagesFile)))
		older(t, h)
		if n == 1 {
			require.NoError(t, book.Update(func(_ *petname.Book, local *ledger.View) error {
				return errors.Join(local.Delete(movedTable, movedKey), local.Delete("one", []byte("one 03")))
			}))
		}
		notice, err := h.MoveMessages(book, moveRow)
		require.NoError(t, err)
		require.Equal(t, n == 1, notice != nil)
		require.Equal(t, 60-n, rows(t, book))
		refused(t, h)
	}
	// An empty file is not a database.
	require.NoError(t, book.Close())
	h = create(t, CreateOptions{})
	require.NoError(t, os.WriteFile(h.path(oldMessagesFile), nil, 0o600))
	book, notice, err = opened(t, h)
	require.NoError(t, err)
	require.Nil(t, notice)
	refused(t, h)
	require.NoError(t, book.Close())
}

// watched is a file system that calls before each operation.
type watched struct {
	durable.FS
	before func()
}

func (w watched) OpenFile(name string, flag int) (durable.File, error) {
	w.before()
	f, err := w.FS.OpenFile(name, flag)
	return watchedFile{f, w.before}, err
}
func (w watched) Link(a, b string) error    { w.before(); return w.FS.Link(a, b) }
func (w watched) Rename(a, b string) error  { w.before(); return w.FS.Rename(a, b) }
func (w watched) Remove(name string) error  { w.before(); return w.FS.Remove(name) }
func (w watched) SyncDir(name string) error { w.before(); return w.FS.SyncDir(name) }

type watchedFile struct {
	durable.File
	before func()
}

func (f watchedFile) Write(b []byte) (int, error) { f.before(); return f.File.Write(b) }
func (f watchedFile) Sync() error                 { f.before(); return f.File.Sync() }
func (f watchedFile) Close() error                { f.before(); return f.File.Close() }

// unlinking is a file system without hard links.
type unlinking struct{ durable.FS }

func (unlinking) Link(string, string) error { return errors.New("no links") }

// A home whose process is killed at any moment of the move opens with the same rows,
// and older versions find their file or the stub.
func TestAKillDuringTheMoveLosesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		damage bool
		fs     durable.FS
	}{"whole": {false, durable.OS{}}, "damaged": {true, durable.OS{}}, "damaged, without links": {true, unlinking{durable.OS{}}}} {
		h := create(t, CreateOptions{})
		original := older(t, h)
		want := 60
		if c.damage {
			at := bytes.Index(original, bytes.Repeat([]byte{9}, 300))
			original[at+7] ^= 1 // of row 8 of one of the buckets
			require.NoError(t, os.WriteFile(h.path(oldMessagesFile), original, 0o600))
			want--
		}
		var killed []Home
		kill := func() { killed = append(killed, copied(t, h)) }
		h.files = watched{c.fs, kill}
		book, err := h.Book(petname.Options{})
		require.NoError(t, err)
		n := 0
		notice, err := h.MoveMessages(book, func(local *ledger.View, row ledger.BoltRow) error {
			if n++; n%16 == 0 {
				kill()
			}
			return moveRow(local, row)
		})
		require.NoError(t, err)
		require.Equal(t, c.damage, notice != nil)
		kill()
		require.NoError(t, book.Close())
		require.Greater(t, len(killed), 8, name)
		notices := 0
		for i, k := range killed {
			what := fmt.Sprint(name, ", kill ", i)
			b, err := os.ReadFile(k.path(oldMessagesFile))
			if !errors.As(err, new(*os.PathError)) {
				require.NoError(t, err)
				require.Truef(t, string(b) == stub || bytes.Equal(b, original), what)
			} else {
				require.Equal(t, "damaged, without links", name)
			}
			book, notice, err := opened(t, k)
			require.NoError(t, err, what)
			require.Equal(t, want, rows(t, book), what)
			if notice != nil {
				notices++
				require.Equal(t, k.path(damagedMessagesFile), notice.Kept)
				require.Contains(t, notice.Damage, "unreadable")
			}
			refused(t, k)
			kept, err := k.DamagedFiles()
			require.NoError(t, err)
			if c.damage {
				require.Len(t, kept, 1, what)
				b, err := os.ReadFile(kept[0])
				require.NoError(t, err)
				require.True(t, bytes.Equal(original, b), what)
			} else {
				require.Empty(t, kept, what)
			}
			require.NoError(t, book.Close())
			for _, file := range files(t, k.Dir) {
				require.False(t, strings.HasPrefix(file, ".post"), "%s: left-overs are swept: %s", what, file)
			}
		}
		require.Equal(t, c.damage, notices > 0, name)
	}
}

// A power cut after any operation of the move leaves the older file or the
// stub, and a fault is reported; the next open finishes it.
func TestAPowerCutDuringTheMoveLosesNothing(t *testing.T) {
	whole := create(t, CreateOptions{})
	original := older(t, whole)
	for disk := range durabletest.Crashes() {
		h := copied(t, whole)
		h.files = disk
		book, _, err := opened(t, h)
		disk.Crash()
		b, rerr := os.ReadFile(h.path(oldMessagesFile))
		require.NoError(t, rerr, disk)
		if err == nil {
			require.Equal(t, stub, string(b), disk)
		} else {
			require.True(t, string(b) == stub || bytes.Equal(b, original), disk)
		}
		require.NoError(t, book.Close())
		h.files = nil
		book, notice, err := opened(t, h)
		require.NoError(t, err, disk)
		require.Nil(t, notice)
		require.Equal(t, 60, rows(t, book), disk)
		refused(t, h)
		require.NoError(t, book.Close())
	}
	// A damaged file is not lost either.
	original[bytes.Index(original, bytes.Repeat([]byte{9}, 300))+7] ^= 1
	damaged := copied(t, whole)
	require.NoError(t, os.WriteFile(damaged.path(oldMessagesFile), original, 0o600))
	for disk := range durabletest.Crashes() {
		h := copied(t, damaged)
		h.files = disk
		book, notice, err := opened(t, h)
		disk.Crash()
		require.Equal(t, err == nil, notice != nil, disk)
		require.NoError(t, book.Close())
		b, rerr := os.ReadFile(h.path(oldMessagesFile))
		require.NoError(t, rerr, disk)
		if string(b) == stub {
			b, rerr = os.ReadFile(h.path(damagedMessagesFile))
			require.NoError(t, rerr, disk)
		}
		require.True(t, bytes.Equal(b, original), disk)
		h.files = nil
		book, _, err = opened(t, h)
		require.NoError(t, err, disk)
		require.Equal(t, 59, rows(t, book), disk)
		require.NoError(t, book.Close())
	}
	for disk := range durabletest.Faults() {
		h := copied(t, whole)
		h.files = disk
		book, _, err := opened(t, h)
		if disk.Failed() == "" {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, syscall.ENOSPC, disk)
			require.ErrorContains(t, err, oldMessagesFile)
		}
		h.files = nil
		_, err = h.MoveMessages(book, moveRow)
		require.NoError(t, err)
		require.Equal(t, 60, rows(t, book), disk)
		refused(t, h)
		require.NoError(t, book.Close())
	}
}

// After the messages were moved, another post.db is not read: its messages could be
// sent twice. It is kept beside earlier ones.
func TestAPostFileAfterTheMoveIsKept(t *testing.T) {
	h := create(t, CreateOptions{})
	older(t, h)
	book, _, err := opened(t, h)
	require.NoError(t, err)
	require.NoError(t, book.Update(func(_ *petname.Book, local *ledger.View) error { return local.Delete("one", []byte("one 03")) }))
	for n := 1; n <= 2; n++ {
		require.NoError(t, os.WriteFile(h.path(oldMessagesFile), fmt.Appendf(nil, "another %d", n), 0o600))
		notice, err := h.MoveMessages(book, moveRow)
		require.NoError(t, err)
		require.NotNil(t, notice)
		require.ErrorContains(t, notice, "after the messages had moved")
		b, err := os.ReadFile(notice.Kept)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("another %d", n), string(b))
		kept, err := h.DamagedFiles()
		require.NoError(t, err)
		require.Len(t, kept, n)
		require.Contains(t, kept, notice.Kept)
		require.Equal(t, 59, rows(t, book))
		refused(t, h)
	}
	require.NoError(t, book.Close())
}

// A file without any readable page is kept, and the home can be used.
func TestAnUnreadablePostFileIsKept(t *testing.T) {
	for _, garbage := range [][]byte{[]byte("hello"), make([]byte, 1<<16), bytes.Repeat([]byte{0xff}, 1<<14)} {
		h := create(t, CreateOptions{})
		require.NoError(t, os.WriteFile(h.path(oldMessagesFile), garbage, 0o600))
		book, notice, err := opened(t, h)
		require.NoError(t, err)
		require.NotNil(t, notice)
		require.Equal(t, filepath.Join(h.Dir, "post.db.damaged"), notice.Kept)
		require.Zero(t, rows(t, book))
		refused(t, h)
		require.NoError(t, book.Close())
	}
}
