package agent

import (
	"bytes"
	"cmp"
	"encoding/json"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// A foreign value is the value of a record that the owner's key signed outside of this home,
// such as on a removed device, and that differs from the owner's last publication. This home
// signs it for the owner's act alone: a renewal keeps the owner's value, and a publication that
// sets no value fails with a [*SupersededError], also after a rotation.

// hasValue reports whether the owner's last publication decides the value. That of a home that has
// published nothing does not: the home was restored from an older copy, or recovered, and
// continues with what was published, unless a removed device has the key and may have published it.
func (s *state) hasValue(own petname.Published) bool { return own.Value != "" || s.removedHolder() }

// openCopy returns the evidence with a foreign value that the owner has not decided about, and
// the pointer of the owner that it is about: the current one, or else an earlier one; nil: none.
func (s *state) openCopy() (of pointer.Pointer, open *copyRow, err error) {
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		return openCopies(local, func(key []byte, row copyRow) error {
			if open != nil && !bytes.Equal(key, s.book.Identity().Bytes()) {
				return nil
			}
			open = &row
			of, err = pointer.Restore(key)
			return err
		})
	})
	return of, open, err
}

// openCopies calls do for each row of tableCopies with a foreign value that the owner has not
// decided about.
func openCopies(local *ledger.View, do func(key []byte, row copyRow) error) error {
	for kv, err := range local.Scan(tableCopies, nil) {
		if err != nil {
			return err
		}
		if bytes.Equal(kv.Key, keyShown) {
			continue
		}
		var row copyRow
		if err := json.Unmarshal(kv.Value, &row); err != nil {
			return err
		}
		if row.Open {
			if err := do(bytes.Clone(kv.Key), row); err != nil {
				return err
			}
		}
	}
	return nil
}

// closeCopies marks every foreign value as decided about: the owner publishes a value.
func closeCopies(local *ledger.View) error {
	closed := map[string][]byte{}
	err := openCopies(local, func(key []byte, row copyRow) (err error) {
		row.Open = false
		closed[string(key)], err = json.Marshal(row)
		return err
	})
	for key, row := range closed {
		if err == nil {
			err = local.Put(tableCopies, []byte(key), row)
		}
	}
	return err
}

// foreignValue returns a [*SupersededError] if there is a foreign value that the owner has not
// decided about.
func (s *state) foreignValue() error {
	_, row, err := s.openCopy()
	if err != nil || row == nil {
		return err
	}
	own, err := s.book.Published()
	own.Value = cmp.Or(own.Value, pointer.NoValue)
	if err != nil || row.Value == own.Value {
		return err
	}
	return &SupersededError{Unsent: own, Newest: petname.Published{Value: row.Value, Sequence: row.Sequence}, Foreign: true}
}
