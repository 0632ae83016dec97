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

// Older versions stored messages in a bbolt database, post.db. MoveMessages moves
// them to the device-local tables of the ledger: one commit writes all rows and a
// mark, and then a stub replaces the file. At any time post.db is the older file or
// the stub, and the mark contains the hash of the file that the rows were moved from.
//
// The stub is not a database: bbolt refuses it, so that an older version neither
// creates an empty database nor sends messages twice.

// stub is the content of the file that replaces post.db.
const stub = "petnames: no database. The messages of this home are in ledger.db, which this version of petname is too old for.\n"

// movedTable is the device-local table of the mark, and movedKey its key. The value
// is the SHA-256 hash of the file followed by a description of its damage, which is
// empty for an undamaged file.
const movedTable = "taken over" // stored: it does not change

var movedKey = []byte(oldMessagesFile)

// DamagedMessagesError reports that the post.db of an older version was damaged, or
// was written after its messages had been moved. All readable messages are in the
// ledger; Kept has the others.
type DamagedMessagesError struct {
	Kept   string // path of the damaged post.db
	Damage string // description of what could not be read
}

func (e *DamagedMessagesError) Error() string {
	return fmt.Sprintf("some messages of an older version could not be read, and are kept in %q: %s", e.Kept, e.Damage)
}

// HasOldMessages reports whether post.db is not a stub yet, or cannot be read: then
// [Home.MoveMessages] has work to do, or reports the problem.
func (h Home) HasOldMessages() bool {
	state, err := h.oldMessagesState()
	return err != nil || state == oldFilePresent
}

// oldFileState is what post.db is.
type oldFileState int

const (
	oldFileAbsent oldFileState = iota
	oldFileStub
	oldFilePresent
)

func (h Home) oldMessagesState() (oldFileState, error) {
	if _, err := os.Lstat(h.path(oldMessagesFile)); errors.Is(err, fs.ErrNotExist) {
		return oldFileAbsent, nil
	}
	f, err := durable.Open(h.path(oldMessagesFile))
	if err != nil { // also a link to a missing disk: the home may have old messages
		return 0, err
	}
	defer f.Close()
	b := make([]byte, len(stub))
	if n, err := io.ReadFull(f, b); err == nil && string(b[:n]) == stub {
		return oldFileStub, nil
	}
	return oldFilePresent, nil
}

// MoveMessages moves the messages that an older version left in post.db to the
// device-local tables of the book, once. It calls move for each row; an error of
// move marks the row as unreadable. It then replaces post.db by a stub; a new home
// receives the stub too. After a crash or an error, the next call continues. The
// notice is nil unless messages could not be moved.
func (h Home) MoveMessages(book *petname.Book, move func(local *ledger.View, row ledger.BoltRow) error) (*DamagedMessagesError, error) {
	notice, err := h.moveMessages(book, move)
	if stub := (*stubError)(nil); errors.As(err, &stub) {
		return nil, fmt.Errorf("the stub %q, without which an older version would send messages twice, could not be written: %w", h.path(oldMessagesFile), stub.error)
	}
	if err != nil {
		return nil, fmt.Errorf("moving the messages of an older version, %q: %w", h.path(oldMessagesFile), err)
	}
	return notice, nil
}

// stubError is returned when a home has no messages of an older version, and the stub cannot be
// written.
type stubError struct{ error }

func (h Home) moveMessages(book *petname.Book, move func(local *ledger.View, row ledger.BoltRow) error) (*DamagedMessagesError, error) {
	state, err := h.oldMessagesState()
	switch {
	case err != nil, state == oldFileStub:
		return nil, err
	case state == oldFileAbsent: // a new home
		if err := h.overwrite(oldMessagesFile, []byte(stub)); err != nil && !durable.ReadOnly(err) {
			return nil, &stubError{err}
		}
		return nil, nil // or no version can write messages there
	}
	sum, err := hashFile(h.path(oldMessagesFile))
	if err != nil {
		return nil, err
	}
	moved, damage, err := readMoved(book)
	if err != nil {
		return nil, err
	}
	if moved == nil {
		damage, err = h.moveRows(book, sum, move)
	}
	if errors.Is(err, errTableInUse) || moved != nil && sum != *moved {
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
	return notice, h.overwrite(oldMessagesFile, []byte(stub))
}

// errTableInUse is returned when a table that rows would be moved to is not empty.
var errTableInUse = errors.New("the tables are in use")

// readMoved returns the hash of the file that the rows were moved from, and the description
// of its damage. The hash is nil if no rows were moved.
func readMoved(book *petname.Book) (moved *[sha256.Size]byte, damage string, err error) {
	err = book.Ledger().ReadLocal(func(local *ledger.View) error {
		v, err := local.Get(movedTable, movedKey)
		if err != nil || v == nil {
			return err
		}
		if len(v) < sha256.Size {
			return fmt.Errorf("mark of %d bytes", len(v))
		}
		moved, damage = new([sha256.Size]byte), string(v[sha256.Size:])
		copy(moved[:], v)
		return nil
	})
	return moved, damage, err
}

// moveRows writes the rows of the file and the mark in one commit, and returns the
// description of the damage.
func (h Home) moveRows(book *petname.Book, sum [sha256.Size]byte, move func(local *ledger.View, row ledger.BoltRow) error) (damage string, err error) {
	info, err := os.Stat(h.path(oldMessagesFile))
	if err != nil || info.Size() == 0 { // bbolt had written nothing to it yet
		return "", err
	}
	err = book.Update(func(_ *petname.Book, local *ledger.View) error {
		var problems damages
		bucket := ""
		for row, err := range ledger.ReadBolt(h.path(oldMessagesFile)) {
			if err == nil && row.Bucket != bucket {
				bucket = row.Bucket
				if n, err := local.Count(bucket); err == nil && n > 0 {
					return errTableInUse
				}
			}
			if err == nil {
				if err = move(local, row); err != nil {
					err = fmt.Errorf("%s %x: %w", row.Bucket, row.Key, err)
				}
			}
			if err != nil {
				problems.add(err)
			}
		}
		damage = problems.String()
		return local.Put(movedTable, movedKey, append(sum[:], damage...))
	})
	return damage, err
}

// keepDamaged links the file to a permanent name, and returns the path. A file with
// the same hash that has such a name is not linked again.
func (h Home) keepDamaged(sum [sha256.Size]byte) (string, error) {
	file := h.path(oldMessagesFile)
	for n := 0; ; n++ {
		kept := h.path(damagedMessagesFile)
		if n > 0 {
			kept = fmt.Sprintf("%s.%d", kept, n)
		}
		existing, err := hashFile(kept)
		if err == nil && existing != sum {
			continue // an earlier damaged file
		}
		if errors.Is(err, fs.ErrNotExist) {
			if err = durable.Or(h.files).Link(file, kept); err != nil { // the file system may have no links
				err = durable.Or(h.files).Rename(file, kept)
			}
		}
		if err != nil {
			return "", err
		}
		return kept, durable.Or(h.files).SyncDir(h.Dir)
	}
}

// hashFile returns the SHA-256 hash of a file. A read error ends the hashed content
// without an error of hashFile: a damaged disk must not prevent the move.
func hashFile(name string) (sum [sha256.Size]byte, err error) {
	f, err := durable.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, _ = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// damages counts errors and keeps the texts of the first four.
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

// DamagedFiles returns the paths of the files that [Home.MoveMessages] kept because
// it could not read all of their messages.
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
