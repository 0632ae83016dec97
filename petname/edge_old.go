package petname

import (
	"bytes"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
)

// Of the lists of edges of one key, the one in tablePrivateEdges alone has an effect. The bodies
// of the entries with other ones can be dropped: a replay without them derives the same view,
// as long as an entry with the list that has the effect counts.
//
// The entries of another device stop counting when it is removed, and each device then has to
// derive the same view from what is left. So a device drops older lists only when the list that
// has the effect is in an entry of its own, which it writes if it has none.

const (
	// pointer ‖ entry → empty: the entries with the list in tablePrivateEdges
	tableListEntries = "list entries"
	// pointer ‖ entry → empty: those with other lists of the pointer
	tableOldLists = "old lists"

	// maxOldLists is the number of older lists of a key from which a device enters the newest
	// one itself, if another device did.
	maxOldLists = 16
)

// storeList stores a list of edges, and records which entries have older ones.
func (f fold) storeList(v *ledger.View, e ledger.Entry, edges introduce.Edges, received statementState) error {
	by := edges.By.Bytes()
	before, err := getState[statementState](v, tablePrivateEdges, by)
	if err != nil {
		return err
	}
	if err := f.storeStatement(v, tablePrivateEdges, by, received, edges.Version); err != nil {
		return err
	}
	after, err := getState[statementState](v, tablePrivateEdges, by)
	if err != nil {
		return err
	}
	if !bytes.Equal(before.Statement, after.Statement) {
		for kv, err := range v.Scan(tableListEntries, by) {
			if err != nil {
				return err
			}
			key := bytes.Clone(kv.Key)
			if err := v.Delete(tableListEntries, key); err != nil {
				return err
			}
			if err := v.Put(tableOldLists, key, []byte{}); err != nil {
				return err
			}
		}
	}
	table := tableListEntries
	if !bytes.Equal(received.Statement, after.Statement) {
		table = tableOldLists
	}
	return v.Put(table, listKey(by, e.ID()), []byte{})
}

// listKey returns the key of the entry of a list. A pointer's bytes contain their length, so
// that those of one are not the prefix of another's.
func listKey(by []byte, id ledger.ID) []byte { return slices.Concat(by, undoKey(id)) }

// splitListKey returns the pointer and the entry in a key of listKey.
func splitListKey(key []byte) (by []byte, id ledger.ID, err error) {
	n := len(key) - len(undoKey(id))
	if n <= 0 {
		return nil, id, errRow
	}
	id, _ = entryOf(key[n:])
	return key[:n], id, nil
}

// hasListOf reports whether an entry of a device has the newest list of a pointer.
func hasListOf(v *ledger.View, by []byte, device ledger.DeviceID) (bool, error) {
	for _, err := range v.Scan(tableListEntries, slices.Concat(by, device[:])) {
		return err == nil, err
	}
	return false, nil
}

// oldLists returns the entries of at most limit older lists that a device can drop, and the
// pointers of which it first has to enter the newest list.
func oldLists(v *ledger.View, device ledger.DeviceID, limit int) (ids []ledger.ID, toEnter [][]byte, err error) {
	if n, err := v.Count(tableOldLists); n == 0 || err != nil {
		return nil, nil, err
	}
	var last []byte // the pointer of the row before
	own, n := false, 0
	for kv, err := range v.Scan(tableOldLists, nil) {
		if err != nil {
			return nil, nil, err
		}
		by, id, err := splitListKey(kv.Key)
		if err != nil {
			return nil, nil, err
		}
		if !bytes.Equal(by, last) {
			last, n = bytes.Clone(by), 0
			if own, err = hasListOf(v, by, device); err != nil {
				return nil, nil, err
			}
		}
		switch n++; {
		case own && len(ids) >= limit:
			return ids, toEnter, nil
		case own:
			ids = append(ids, id)
		case n == maxOldLists && len(toEnter) < limit:
			toEnter = append(toEnter, last)
		}
	}
	return ids, toEnter, nil
}

// enterLists enters the newest lists of pointers as entries of this device.
func (b *Book) enterLists(pointers [][]byte) error {
	return b.update(func(tx *ledger.Tx) error {
		for _, by := range pointers {
			newest, err := getState[statementState](tx.View(), tablePrivateEdges, by)
			if err != nil {
				return err
			}
			own, err := hasListOf(tx.View(), by, b.ledger.Device())
			if err != nil {
				return err
			}
			if own || newest.Statement == nil {
				continue
			}
			if err := appendAct(tx, act{Op: opStatement, Statement: newest.Statement, Channel: newest.Channel}); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropOldList removes the row of an entry with an older list. done is false if the list is the
// one that has an effect, or is of no row.
func (f fold) dropOldList(v *ledger.View, id ledger.ID, statement []byte) (done bool, err error) {
	s, err := introduce.Restore(statement) // decodeAct has verified it
	if err != nil {
		return false, err
	}
	edges, is := s.Edges()
	if !is {
		return false, nil
	}
	key := listKey(edges.By.Bytes(), id)
	row, err := v.Get(tableOldLists, key)
	if err != nil || row == nil {
		return false, err
	}
	return true, v.Delete(tableOldLists, key)
}
