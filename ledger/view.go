package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Fold is the state machine that derives the view.
//
// Apply is called once for each application entry, after the entries that it
// saw. Devices receive concurrent entries in different orders, so for their
// views to be equal a Fold must produce the same rows for any order of
// concurrent entries (Entry.Saw reports which are). It must depend on nothing
// but the view, the entry and the body: no clock, no randomness, no map order.
// Neither e.Time nor the order of arrival may affect the result.
type Fold interface {
	// Version identifies the rules and the tables. Open rebuilds a view of
	// another version.
	Version() string
	// Apply folds one entry into the view. The body is nil if it was dropped or
	// not received. Apply must not retain or change e or body. An error aborts
	// the whole transaction.
	Apply(v *View, e Entry, body []byte) error
}

// Dropper is a Fold that can remove from the view what entries wrote whose bodies
// are dropped: see [Ledger.DropBodies].
type Dropper interface {
	Fold
	// Drop changes the view to the one that a replay without these bodies derives,
	// or returns false for a replay. After false the view may be in any state.
	Drop(v *View, dropped []EntryBody) (done bool, err error)
}

// KV is one row of a table.
type KV struct{ Key, Value []byte }

// View is access to tables within one transaction: those of the fold, or the
// device-local ones (Tx.Local, Ledger.ReadLocal). It belongs to the goroutine
// that received it, and is valid until the transaction ends. Slices that it
// returns must be copied to be retained. The first Put creates a table. Put and
// Delete fail in a Read.
//
// A *DamagedError is returned for any row that is not what was written, and for
// a row that is missing without having been deleted.
type View struct {
	*viewTx
	write bool // true for the fold, and for device-local tables in an Update
}

// viewTx is shared by the Views of one transaction.
type viewTx struct {
	c      *chain
	done   bool
	failed error
	buf    []byte            // Get's row key
	counts map[string]uint64 // tables whose count changed in this transaction
}

const (
	maxTable = 64
	maxKey   = 4 << 10
	maxValue = 1 << 20
)

var (
	errClosed   = errors.New("the transaction is over")
	errReadOnly = errors.New("cannot write in a read-only transaction")
)

// rowKey returns the key of a table's row in the chain.
func rowKey(table string, key []byte) ([]byte, error) {
	return appendRowKey(make([]byte, 0, 1+len(table)+len(key)), table, key)
}

// appendRowKey appends the length of the table's name ‖ name ‖ key.
func appendRowKey(k []byte, table string, key []byte) ([]byte, error) {
	if len(table) == 0 || len(table) > maxTable {
		return nil, fmt.Errorf("table name %q: 1 to %d bytes", table, maxTable)
	}
	if len(key) > maxKey {
		return nil, fmt.Errorf("key of %d bytes in table %q: at most %d", len(key), table, maxKey)
	}
	k = append(k, byte(len(table)))
	k = append(k, table...)
	return append(k, key...), nil
}

// countKey returns the key of a table's count; it sorts before all tables.
func countKey(table string) []byte { return append([]byte{0}, table...) }

// key is rowKey. It fails after the end of the transaction.
func (v *View) key(table string, key []byte) ([]byte, error) {
	if v.done {
		return nil, errClosed
	}
	return rowKey(table, key)
}

// note records an error that must prevent the commit.
func (v *View) note(err error) error {
	if err != nil && v.failed == nil {
		v.failed = err
	}
	return err
}

// Get returns the value of key; nil, nil if absent.
func (v *View) Get(table string, key []byte) ([]byte, error) {
	if v.done {
		return nil, errClosed
	}
	k, err := appendRowKey(v.buf[:0], table, key)
	if err != nil {
		return nil, err
	}
	v.buf = k
	value, err := v.c.get(k)
	if err != nil {
		return nil, v.note(err)
	}
	return value, nil
}

// Put sets the value of key. It copies both slices.
func (v *View) Put(table string, key, value []byte) error {
	k, err := v.key(table, key)
	switch {
	case err != nil:
		return err
	case !v.write:
		return errReadOnly
	case len(value) > maxValue:
		return fmt.Errorf("value of %d bytes in table %q: at most %d", len(value), table, maxValue)
	}
	added, err := v.c.put(k, value)
	if err == nil && added {
		err = v.addCount(table, 1)
	}
	return v.note(err)
}

// Delete removes key, if it is there.
func (v *View) Delete(table string, key []byte) error {
	k, err := v.key(table, key)
	switch {
	case err != nil:
		return err
	case !v.write:
		return errReadOnly
	}
	removed, err := v.c.delete(k)
	if err == nil && removed {
		err = v.addCount(table, -1)
	}
	return v.note(err)
}

// Scan yields the rows with keys that start with prefix, in key order. The table
// may be changed during the scan; rows before the current one are not visited
// again. An error ends the scan.
func (v *View) Scan(table string, prefix []byte) iter.Seq2[KV, error] {
	return v.ScanFrom(table, prefix, prefix)
}

// ScanFrom is Scan without the rows whose keys sort before from, for continuing
// a scan in another transaction.
func (v *View) ScanFrom(table string, prefix, from []byte) iter.Seq2[KV, error] {
	return func(yield func(KV, error) bool) {
		p, err := v.key(table, prefix)
		if err != nil {
			yield(KV{}, err)
			return
		}
		start, err := v.key(table, from)
		if err != nil {
			yield(KV{}, err)
			return
		}
		if bytes.Compare(start, p) < 0 {
			start = p
		}
		for s := v.c.scan(start); ; {
			if v.done {
				yield(KV{}, errClosed)
				return
			}
			k, value, err := s.next()
			if err != nil {
				yield(KV{}, v.note(err))
				return
			}
			if k == nil || !bytes.HasPrefix(k, p) || !yield(KV{k[1+len(table):], value}, nil) {
				return
			}
		}
	}
}

// Last returns the last row whose key starts with prefix, false if there is
// none.
func (v *View) Last(table string, prefix []byte) (KV, bool, error) {
	p, err := v.key(table, prefix)
	if err != nil {
		return KV{}, false, err
	}
	k, value, err := v.c.last(after(p))
	if err != nil || !bytes.HasPrefix(k, p) {
		return KV{}, false, v.note(err)
	}
	return KV{k[1+len(table):], value}, true, nil
}

// after returns the first key after all keys that start with p. The first byte
// of p is not 0xff.
func after(p []byte) []byte {
	end := bytes.TrimRight(p, "\xff")
	end = bytes.Clone(end)
	end[len(end)-1]++
	return end
}

// Count returns the number of rows of a table. It reads a stored count.
func (v *View) Count(table string) (int, error) {
	if _, err := v.key(table, nil); err != nil {
		return 0, err
	}
	n, err := v.storedCount(table)
	return int(n), v.note(err)
}

// storedCount returns the number of rows of a table, as counted so far.
func (v *View) storedCount(table string) (uint64, error) {
	if n, ok := v.counts[table]; ok {
		return n, nil
	}
	b, err := v.c.get(countKey(table))
	if err != nil || b == nil {
		return 0, err
	}
	n, size := binary.Uvarint(b)
	if size != len(b) {
		return 0, v.c.damaged(countKey(table), errChecksum)
	}
	return n, nil
}

// addCount adds to the number of rows of a table; flush stores it.
func (v *View) addCount(table string, by int64) error {
	n, err := v.storedCount(table)
	if err != nil {
		return err
	}
	v.counts[table] = n + uint64(by)
	return nil
}

// flush writes the counts at the end of a transaction.
func (v *View) flush() error {
	tables := make([]string, 0, len(v.counts))
	for t := range v.counts {
		tables = append(tables, t)
	}
	slices.Sort(tables)
	for _, t := range tables {
		var err error
		if n := v.counts[t]; n == 0 {
			_, err = v.c.delete(countKey(t))
		} else {
			_, err = v.c.put(countKey(t), binary.AppendUvarint(nil, n))
		}
		if err != nil {
			return err
		}
	}
	clear(v.counts)
	return nil
}
