package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// local returns the values of a device-local table.
func local(t testing.TB, l *Ledger, table string) (values []string) {
	t.Helper()
	require.NoError(t, l.ReadLocal(func(v *View) error {
		n, err := v.Count(table)
		require.NoError(t, err)
		for kv, err := range v.Scan(table, nil) {
			require.NoError(t, err)
			values = append(values, string(kv.Value))
		}
		require.Len(t, values, n, "the count is kept")
		return nil
	}))
	return values
}

func putLocal(key, value string) func(tx *Tx) error {
	return func(tx *Tx) error { return tx.Local().Put("table", []byte(key), []byte(value)) }
}

// An entry and a device-local row of one Update are both there or neither is.
func TestLocalRowsAndEntriesAreOneCommit(t *testing.T) {
	l, _ := newBook(t)
	_, err := l.Update(func(tx *Tx) error {
		_, err := tx.Append([]byte("a=1"))
		return errors.Join(err, putLocal("k", "received a")(tx))
	})
	require.NoError(t, err)
	require.Equal(t, []string{"received a"}, local(t, l, "table"))
	failed := errors.New("failed")
	_, err = l.Update(func(tx *Tx) error {
		_, err := tx.Append([]byte("b=2"))
		require.NoError(t, errors.Join(err, putLocal("k2", "received b")(tx), tx.Local().Delete("table", []byte("k"))))
		got, err := tx.Local().Get("table", []byte("k2"))
		require.NoError(t, err)
		require.Equal(t, "received b", string(got), "the transaction reads what it wrote")
		return failed
	})
	require.ErrorIs(t, err, failed)
	for range 2 {
		require.Equal(t, []string{"received a"}, local(t, l, "table"))
		require.Equal(t, []string{"a=1"}, bodies(t, l))
		verified(t, l)
		l = reopen(t, l, "one")
	}
	// An error of the tables that the caller ignores prevents the commit.
	var kept *View
	require.NoError(t, l.ReadLocal(func(v *View) error {
		kept = v
		require.ErrorIs(t, v.Put("table", []byte("k"), nil), errReadOnly)
		require.ErrorIs(t, v.Delete("table", []byte("k")), errReadOnly)
		return nil
	}))
	_, err = kept.Get("table", []byte("k"))
	require.ErrorIs(t, err, errClosed)
	_, err = l.Update(func(tx *Tx) error {
		require.Error(t, tx.Local().Put("table", []byte("big"), make([]byte, maxValue+1)))
		require.NoError(t, tx.Local().Put("table", []byte("big"), make([]byte, maxValue)))
		kept = tx.Local()
		return nil
	})
	require.NoError(t, err)
	require.ErrorIs(t, kept.Put("table", []byte("k"), nil), errClosed)
}

// Nothing that remakes the view changes the device-local tables, and no other
// device receives them.
func TestLocalTablesStayOnTheirDevice(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	_, err := a.Update(putLocal("k", "one's"))
	require.NoError(t, err)
	_, err = b.Update(putLocal("k", "two's"))
	require.NoError(t, err)
	es, err := a.Append([]byte("a=1"), []byte("a=2"))
	require.NoError(t, err)
	view := dump(t, b)
	pull(t, b, a)
	require.NotEqual(t, view, dump(t, b))
	require.NoError(t, a.DropBody(es[0].ID()))
	require.NoError(t, a.Rebuild())
	require.NoError(t, b.RemoveDevice(identity, a.Device()))
	pull(t, a, b)
	require.Equal(t, []string{"one's"}, local(t, a, "table"))
	require.Equal(t, []string{"two's"}, local(t, b, "table"))
	verified(t, a)
	verified(t, b)
	_, err = a.Update(func(tx *Tx) error {
		got, err := tx.View().Get("table", []byte("k"))
		require.Nil(t, got, "a table of the view is another one")
		return err
	})
	require.NoError(t, err)
}

// withoutLocal makes the file one of a version without device-local tables.
func withoutLocal(tx *bbolt.Tx) error {
	if err := tx.DeleteBucket([]byte(bucketLocal)); err != nil {
		return err
	}
	index, err := newChain(tx, bucketIndex, "")
	if err == nil {
		_, err = index.delete(localKey)
	}
	return err
}

// A file of an older version opens with empty tables, whether it is read or
// written first.
func TestAnOlderFileGetsLocalTables(t *testing.T) {
	for name, first := range map[string]func(l *Ledger){
		"read":    func(l *Ledger) { require.Empty(t, local(t, l, "table")) },
		"written": func(l *Ledger) { _, err := l.Append([]byte("b=2")); require.NoError(t, err) },
		"checked": func(l *Ledger) { verified(t, l) },
	} {
		l, _ := newBook(t)
		_, err := l.Append([]byte("a=1"))
		require.NoError(t, err)
		edit(t, l, withoutLocal)
		l, err = openAs(l, "one")
		require.NoError(t, err, name)
		require.NoError(t, l.Close()) // marks what bbolt alone wrote as clean
		before, err := os.ReadFile(l.path)
		require.NoError(t, err)
		l, err = openAs(l, "one")
		require.NoError(t, err, name)
		after, err := os.ReadFile(l.path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after), "opening alone writes nothing")
		first(l)
		require.Empty(t, local(t, l, "table"), name)
		_, err = l.Update(putLocal("k", "v"))
		require.NoError(t, err, name)
		require.NoError(t, l.Rebuild())
		require.Equal(t, []string{"v"}, local(t, l, "table"), name)
		verified(t, l)
		require.NoError(t, l.Close())
	}
}

// A missing bucket, a missing row and a wrong count are damage, and not empty
// tables.
func TestMissingLocalRowsAreNamed(t *testing.T) {
	chained := func(change func(c *chain) error) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			c, err := newChain(tx, bucketLocal, "")
			if err != nil {
				return err
			}
			return change(c)
		}
	}
	key, err := rowKey("table", []byte("k1"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(tx *bbolt.Tx) error
		read   bool // a read of the tables meets it
	}{
		"the bucket": {func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketLocal)) }, true},
		"a row":      {chained(func(c *chain) error { return c.b.Delete(key) }), true},
		"a value": {chained(func(c *chain) error {
			v := bytes.Clone(c.b.Get(key))
			v[len(v)-1] ^= 1
			return c.b.Put(key, v)
		}), true},
		"a row and its link": {chained(func(c *chain) error { _, err := c.delete(key); return err }), false},
		"the count":          {chained(func(c *chain) error { _, err := c.delete(countKey("table")); return err }), false},
		"a row's table":      {chained(func(c *chain) error { _, err := c.put([]byte{9, 'x'}, nil); return err }), false},
		"rows without any":   {chained(func(c *chain) error { _, err := c.put(countKey("none"), []byte{1}); return err }), false},
	} {
		l, _ := newBook(t)
		_, err := l.Update(func(tx *Tx) error {
			for i := range 3 {
				if err := putLocal(fmt.Sprint("k", i), "value")(tx); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, err)
		edit(t, l, c.change)
		l, err = openAs(l, "one")
		require.NoError(t, err, name)
		err = l.ReadLocal(func(v *View) error {
			for _, err := range v.Scan("table", nil) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		require.Equal(t, c.read, named(err), "%s: %v", name, err)
		require.NotZero(t, verifies(t, l), name)
		require.NoError(t, l.Read(func(v *View) error { return nil }), "the view is still served")
		require.NoError(t, l.Close())
	}
}

// After a commit that failed, because the disk was full, the tables are as they were,
// and the next write succeeds. After a write that met damage, nothing is written until
// the next open.
func TestNoLocalRowOfAFailedCommitIsWritten(t *testing.T) {
	l, path := newBook(t)
	_, err := l.Update(putLocal("k", "needle"))
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	l.db.MaxSize = int(info.Size()) // simulates a full disk
	_, err = l.Update(func(tx *Tx) error {
		_, err := tx.Append([]byte("a=1"))
		return errors.Join(err, putLocal("k2", string(make([]byte, maxValue)))(tx))
	})
	require.ErrorIs(t, err, berrors.ErrMaxSizeReached)
	l.db.MaxSize = 0
	require.Equal(t, []string{"needle"}, local(t, l, "table"), "reads still work")
	require.Empty(t, bodies(t, l))
	_, err = l.Update(putLocal("k3", "v"))
	require.NoError(t, err)
	require.Equal(t, []string{"needle", "v"}, local(t, l, "table"))
	require.Empty(t, bodies(t, l))
	l = reopen(t, l, "one")
	require.Equal(t, []string{"needle", "v"}, local(t, l, "table"))

	edit(t, l, func(tx *bbolt.Tx) error {
		key, err := rowKey("table", []byte("k"))
		if err != nil {
			return err
		}
		b := tx.Bucket([]byte(bucketLocal))
		return b.Put(key, bytes.ReplaceAll(b.Get(key), []byte("needle"), []byte("NEEDLE")))
	})
	l, err = openAs(l, "one")
	require.NoError(t, err)
	defer l.Close()
	_, err = l.Update(func(tx *Tx) error {
		_, _ = tx.Local().Get("table", []byte("k")) // the caller ignores it
		_, err := tx.Append([]byte("a=1"))
		return err
	})
	require.Truef(t, named(err), "%v", err)
	_, err = l.Append([]byte("a=1"))
	require.ErrorContains(t, err, "no more writing")
	require.Empty(t, bodies(t, l))
}
