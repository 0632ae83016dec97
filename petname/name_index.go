package petname

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// The name index has a row for each comparison key that a contact claims:
//
//	row = flag ‖ contact id     one contact; flag 1 if it claims other names or its removal too,
//	                            or shares its pointer with another contact; flag 3 if it has
//	                            advanced by succession
//	row = 2                     several contacts: they are in the table of rivals
//
// and for each of several contacts a row in the table of rivals:
//
//	uvarint(len(key)) ‖ key ‖ contact id → flag
//
// so no row grows with the entries of another device. A name resolves if its
// row has one contact with flag 0 or 3; with flag 3, the contact's own row has
// its current pointer. The rows are not CBOR because each look-up reads one.
const (
	flagOne      = 0
	flagConflict = 1
	flagSeveral  = 2
	flagMoved    = 3
)

// maxRivals bounds the listed contacts with one name.
const maxRivals = 64

type claimant struct {
	id         pointer.Pointer
	inConflict bool // claims other names too, or shares its pointer with another contact
	moved      bool // has advanced from its first pointer
}

func (c claimant) flag() byte {
	switch {
	case c.inConflict:
		return flagConflict
	case c.moved:
		return flagMoved
	}
	return flagOne
}

func (c claimant) row() []byte { return append([]byte{c.flag()}, c.id.Bytes()...) }

var errRow = errors.New("row of the name index: malformed")

// decodeRow returns the contact of a row; false if the row is for several.
func decodeRow(b []byte) (claimant, bool, error) {
	switch {
	case len(b) > 1 && b[0] <= flagMoved && b[0] != flagSeveral:
		id, err := pointer.Restore(b[1:])
		return claimant{id, b[0] == flagConflict, b[0] == flagMoved}, true, err
	case len(b) == 1 && b[0] == flagSeveral:
		return claimant{}, false, nil
	}
	return claimant{}, false, errRow
}

func rivalsPrefix(key string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(key))), key...)
}

func rivalKey(key string, id pointer.Pointer) []byte {
	return append(rivalsPrefix(key), id.Bytes()...)
}

// claimants returns the contacts that claim a key, ordered by id, up to limit; 0: all.
func claimants(v *ledger.View, key string, limit int) ([]claimant, error) {
	stored, err := v.Get(tableNames, []byte(key))
	if err != nil || stored == nil {
		return nil, err
	}
	one, ok, err := decodeRow(stored)
	if err != nil {
		return nil, err
	}
	if ok {
		return []claimant{one}, nil
	}
	var found []claimant
	prefix := rivalsPrefix(key)
	for kv, err := range v.Scan(tableRivals, prefix) {
		if err != nil {
			return nil, err
		}
		id, err := pointer.Restore(kv.Key[len(prefix):])
		if err != nil {
			return nil, err
		}
		c := claimant{id, bytes.Equal(kv.Value, []byte{flagConflict}), bytes.Equal(kv.Value, []byte{flagMoved})}
		if found = append(found, c); len(found) == limit {
			break
		}
	}
	return found, nil
}

// addClaimant records that a contact claims a key.
func addClaimant(v *ledger.View, key string, c claimant) error {
	stored, err := v.Get(tableNames, []byte(key))
	if err != nil {
		return err
	}
	if stored == nil {
		return v.Put(tableNames, []byte(key), c.row())
	}
	one, ok, err := decodeRow(stored)
	switch {
	case err != nil:
		return err
	case ok && one.id == c.id:
		return v.Put(tableNames, []byte(key), c.row())
	case ok:
		if err := v.Put(tableRivals, rivalKey(key, one.id), []byte{one.flag()}); err != nil {
			return err
		}
		if err := v.Put(tableNames, []byte(key), []byte{flagSeveral}); err != nil {
			return err
		}
	}
	return v.Put(tableRivals, rivalKey(key, c.id), []byte{c.flag()})
}

// removeClaimant records that a contact no longer claims a key.
func removeClaimant(v *ledger.View, key string, id pointer.Pointer) error {
	stored, err := v.Get(tableNames, []byte(key))
	if err != nil || stored == nil {
		return err
	}
	one, ok, err := decodeRow(stored)
	switch {
	case err != nil:
		return err
	case ok && one.id == id:
		return v.Delete(tableNames, []byte(key))
	case ok:
		return nil
	}
	if err := v.Delete(tableRivals, rivalKey(key, id)); err != nil {
		return err
	}
	left, err := claimants(v, key, 2)
	if err != nil || len(left) != 1 {
		return err
	}
	if err := v.Delete(tableRivals, rivalKey(key, left[0].id)); err != nil {
		return err
	}
	return v.Put(tableNames, []byte(key), left[0].row())
}
