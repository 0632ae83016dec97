package petname

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// The index has a row for each comparison key that a contact claims:
//
//	row = flag ‖ contact id     one contact; flag 1 when it claims other names too, or its removal,
//	                            or is where another contact is; flag 3 when it has moved by succession
//	row = 2                     several: they are in the table of rivals
//
// and for each of several contacts a row in the table of rivals:
//
//	uvarint(len(key)) ‖ key ‖ contact id → flag
//
// so that no row grows with what another device writes. A name resolves when
// its row has one contact, and its flag is 0, or 3: then to where the contact's
// own row says that it is. Not CBOR, since each look-up reads one.
const (
	flagOne      = 0
	flagConflict = 1
	flagSeveral  = 2
	flagMoved    = 3
)

// maxRivals is how many contacts are listed of those that have one name.
const maxRivals = 64

type claimant struct {
	id         pointer.Pointer
	inConflict bool // claims other names too, or is where another is
	moved      bool // has gone on from its first pointer
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

// decodeRow gives the one contact of a row; false when there are several.
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

// claimants gives those that have a key, in the order of their ids: all, or
// the first so many.
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

// claimed notes that a contact has a key.
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

// disclaimed notes that a contact no longer has a key.
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
