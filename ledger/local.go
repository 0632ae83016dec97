package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// The device-local tables are a chain of their own, with rows and counts as in
// the view. A file of a version without them has no such bucket. The first
// write creates it, together with a row of the index that records its
// existence, so that a damaged name of the bucket is not read as empty tables.

// Local returns the device-local tables, in the transaction of the entries.
// They are not part of the log or the view: no Fold reads them, no other device
// receives them, and Rebuild, Merge and DropBody do not change them. Tables and
// bounds are those of a View: 64 bytes for a table's name, 4 KiB for a key, 1
// MiB for a value.
func (t *Tx) Local() *View { return t.w.local }

// ReadLocal calls fn with the current device-local tables, which fn cannot
// change. fn must not call methods of the ledger.
func (l *Ledger) ReadLocal(fn func(local *View) error) error {
	absent, err := l.readLocal(fn)
	if !absent {
		return err
	}
	// A file of an older version: a write creates the bucket.
	if err := l.write(func(*writing) error { return nil }); err != nil {
		return err
	}
	_, err = l.readLocal(fn)
	return err
}

// readLocal reports whether the bucket is absent. Then it does not call fn.
func (l *Ledger) readLocal(fn func(local *View) error) (absent bool, err error) {
	if err := l.enter(); err != nil {
		return false, err
	}
	defer l.gate.RUnlock()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := l.begin(false)
	if err != nil {
		return false, err
	}
	v := &View{viewTx: &viewTx{}}
	defer func() {
		v.done = true
		l.rollback(tx)
	}()
	if absent, err = l.localAbsent(tx); absent || err != nil {
		return absent, err
	}
	if err := l.checkBranches(tx, trustLocal); err != nil {
		return false, err
	}
	if v.c, err = l.openChain(tx, bucketLocal); err != nil {
		return false, err
	}
	return false, fn(v)
}

// localAbsent reports whether the bucket was never created.
func (l *Ledger) localAbsent(tx *bbolt.Tx) (absent bool, err error) {
	defer rescue(&err, l.path, place(bucketLocal))
	if tx.Bucket([]byte(bucketLocal)) != nil {
		return false, nil
	}
	if err := l.checkBranches(tx, trustIndex); err != nil {
		return false, err
	}
	index, err := newChain(tx, bucketIndex, l.path)
	if err != nil {
		return false, err
	}
	row, err := index.get(localKey)
	if err == nil && row != nil {
		err = &DamagedError{Path: l.path, At: bucketLocal, Err: errors.New("the bucket is missing")}
	}
	return err == nil, err
}

// openLocal opens the device-local tables for writing, and creates them first
// in a file of an older version.
func (w *writing) openLocal() error {
	w.local = &View{&viewTx{counts: map[string]uint64{}}, true}
	absent, err := w.l.localAbsent(w.tx)
	if err == nil && absent {
		err = createLocal(w.tx, w.index)
	}
	if err == nil {
		err = w.l.checkBranches(w.tx, trustLocal)
	}
	if err == nil {
		w.local.c, err = w.l.openChain(w.tx, bucketLocal)
	}
	return err
}

// createLocal creates the bucket, and its row of the index.
func createLocal(tx *bbolt.Tx, index *chain) (err error) {
	defer rescue(&err, index.path, place(bucketLocal))
	if _, err := createChain(tx, bucketLocal, bucketLocal, index.path); err != nil {
		return err
	}
	_, err = index.put(localKey, []byte{})
	return err
}

// verifyLocal reads every row of the device-local tables, and compares the
// stored counts with the rows.
func (w *writing) verifyLocal(ctx context.Context) error {
	c := w.local.c
	counted, rows := map[string]uint64{}, map[string]uint64{}
	for s := c.scan(append(bytes.Clone(sentinelKey), 0)); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		k, payload, err := s.next()
		if err != nil {
			return err
		}
		if k == nil {
			break
		}
		if k[0] == 0 {
			n, size := binary.Uvarint(payload)
			if size != len(payload) || n == 0 {
				return c.damaged(k, errChecksum)
			}
			counted[string(k[1:])] = n // a row of countKey
			continue
		}
		if len(k) <= int(k[0]) {
			return c.damaged(k, errors.New("it is of no table"))
		}
		rows[string(k[1:1+k[0]])]++
	}
	for table := range rows {
		if counted[table] != rows[table] {
			return c.damaged(countKey(table), fmt.Errorf("%d rows are counted, and %d are there", counted[table], rows[table]))
		}
		delete(counted, table)
	}
	for table, n := range counted {
		return c.damaged(countKey(table), fmt.Errorf("%d rows are counted, and none is there", n))
	}
	return nil
}
