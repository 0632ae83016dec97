package home

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname"
)

// Until the device-local tables of the ledger, a home had its messages in a
// bbolt database of their own, post.db. TakeOver moves them: all rows and a mark
// in one commit of the ledger, and then a stub replaces the file. At every
// moment post.db is the older file or the stub, and the mark tells whether the
// rows of that very file are in the tables.
//
// The stub is no database: bbolt refuses it, so that an older version neither
// begins an empty one nor sends again what was sent.

const stub = "petnames: no database. The messages of this home are in ledger.db, which this version of petname is too old for.\n"

// markTable is the device-local table of the mark, markKey its key. The value is
// the SHA-256 hash of the file, and the text of its damage, empty if it was
// whole.
const movedTable = "taken over"

var movedKey = []byte(oldMessagesFile)

// DamagedMessagesError is a notice: a post.db of an older version was damaged,
// or was written after its messages had moved. All messages that could be read
// are in the book's file; the rest is in the file that is kept.
type DamagedMessagesError struct {
	Kept   string // the file
	Damage string // what could not be read
}

func (e *DamagedMessagesError) Error() string {
	return fmt.Sprintf("some messages of an older version could not be read, and are kept in %q: %s", e.Kept, e.Damage)
}

// Older reports whether an older version's messages wait for [Home.TakeOver].
func (h Home) HasOldMessages() bool {
	state, err := h.oldFile()
	return err != nil || state == oldFilePresent
}

type oldFileState int

const (
	oldFileAbsent oldFileState = iota
	oldFileStub
	oldFilePresent
)

func (h Home) oldFile() (oldFileState, error) {
	if _, err := os.Lstat(h.path(oldMessagesFile)); errors.Is(err, fs.ErrNotExist) {
		return oldFileAbsent, nil
	}
	info, err := os.Stat(h.path(oldMessagesFile))
	if err != nil { // a link to a disk that is away, too: its messages must not be taken for none
		return 0, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() { // opening a named pipe can block for ever
		return 0, fmt.Errorf("%q is not a file", h.path(oldMessagesFile))
	}
	f, err := os.Open(h.path(oldMessagesFile))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b := make([]byte, len(stub))
	if n, err := io.ReadFull(f, b); err == nil && string(b[:n]) == stub {
		return oldFileStub, nil
	}
	return oldFilePresent, nil
}

// TakeOver makes sure that the home's messages are in the device-local tables of
// its book: those that an older version left in post.db are moved there, once,
// each row by take, whose error is a row that cannot be read. It puts a stub in
// the place of the file, in a new home too. After a crash at any moment, or an
// error, the next call goes on. The notice is nil unless the file was damaged.
func (h Home) MoveMessages(book *petname.Book, take func(local *ledger.View, row ledger.BoltRow) error) (*DamagedMessagesError, error) {
	notice, err := h.moveMessages(book, take)
	if err != nil {
		return nil, fmt.Errorf("moving the messages of an older version, %q: %w", h.path(oldMessagesFile), err)
	}
	return notice, nil
}

func (h Home) moveMessages(book *petname.Book, take func(local *ledger.View, row ledger.BoltRow) error) (*DamagedMessagesError, error) {
	state, err := h.oldFile()
	switch {
	case err != nil, state == oldFileStub:
		return nil, err
	case state == oldFileAbsent: // a new home
		return nil, h.replace(oldMessagesFile, []byte(stub))
	}
	sum, err := hashFile(h.path(oldMessagesFile))
	if err != nil {
		return nil, err
	}
	taken, damage, err := readMoved(book)
	if err != nil {
		return nil, err
	}
	if taken == nil {
		damage, err = h.moveRows(book, sum, take)
	}
	if errors.Is(err, errInUse) || taken != nil && sum != *taken {
		damage, err = "it was written after the messages had moved to "+ledgerFile, nil
	}
	if err != nil {
		return nil, err
	}
	var notice *DamagedMessagesError
	if damage != "" {
		notice = &DamagedMessagesError{Damage: damage}
		if notice.Kept, err = h.keepDamaged(sum); err != nil {
			return nil, err
		}
	}
	return notice, h.replace(oldMessagesFile, []byte(stub))
}

// errInUse is returned when rows would come to those that a table has already.
var errInUse = errors.New("the tables are in use")

// mark returns the hash of the file that was taken over, and its damage; nil if
// none was.
func readMoved(book *petname.Book) (taken *[sha256.Size]byte, damage string, err error) {
	err = book.Ledger().ReadLocal(func(local *ledger.View) error {
		v, err := local.Get(movedTable, movedKey)
		if err != nil || v == nil {
			return err
		}
		if len(v) < sha256.Size {
			return fmt.Errorf("mark of %d bytes", len(v))
		}
		taken, damage = new([sha256.Size]byte), string(v[sha256.Size:])
		copy(taken[:], v)
		return nil
	})
	return taken, damage, err
}

// moveRows commits the rows of the file and the mark, and returns what of it is
// damaged.
func (h Home) moveRows(book *petname.Book, sum [sha256.Size]byte, take func(local *ledger.View, row ledger.BoltRow) error) (damage string, err error) {
	info, err := os.Stat(h.path(oldMessagesFile))
	if err != nil || info.Size() == 0 { // an empty one was never begun
		return "", err
	}
	err = book.Update(func(_ *petname.Book, local *ledger.View) error {
		var found damages
		bucket := ""
		for row, err := range ledger.ReadBolt(h.path(oldMessagesFile)) {
			if err == nil && row.Bucket != bucket {
				bucket = row.Bucket
				if n, err := local.Count(bucket); err == nil && n > 0 {
					return errInUse
				}
			}
			if err == nil {
				if err = take(local, row); err != nil {
					err = fmt.Errorf("%s %x: %w", row.Bucket, row.Key, err)
				}
			}
			if err != nil {
				found.add(err)
			}
		}
		damage = found.String()
		return local.Put(movedTable, movedKey, append(sum[:], damage...))
	})
	return damage, err
}

// keepDamaged links the file to a name under which it stays, and returns that.
func (h Home) keepDamaged(sum [sha256.Size]byte) (string, error) {
	file := h.path(oldMessagesFile)
	for n := 0; ; n++ {
		kept := h.path(damagedMessagesFile)
		if n > 0 {
			kept = fmt.Sprintf("%s.%d", kept, n)
		}
		there, err := hashFile(kept)
		if err == nil && there != sum {
			continue // of an earlier time
		}
		if errors.Is(err, fs.ErrNotExist) {
			if err = durable.Or(h.files).Link(file, kept); err != nil { // on a file system without links
				err = durable.Or(h.files).Rename(file, kept)
			}
		}
		if err != nil {
			return "", err
		}
		return kept, durable.Or(h.files).SyncDir(h.Dir)
	}
}

// hashFile returns the hash of a file, of a damaged one as far as it can be read.
func hashFile(name string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, _ = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// damages are errors, of which a text shows the first few.
type damages struct {
	n     int
	first []string
}

func (d *damages) add(err error) {
	if d.n++; len(d.first) < 4 {
		d.first = append(d.first, err.Error())
	}
}

func (d *damages) String() string {
	text := strings.Join(d.first, "; ")
	if more := d.n - len(d.first); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// Damaged returns the files with messages of an older version that could not be
// read, for the doctor.
func (h Home) DamagedFiles() ([]string, error) {
	entries, err := os.ReadDir(h.Dir)
	var kept []string
	for _, e := range entries {
		if e.Name() == damagedMessagesFile || strings.HasPrefix(e.Name(), damagedMessagesFile+".") {
			kept = append(kept, h.path(e.Name()))
		}
	}
	return kept, err
}
