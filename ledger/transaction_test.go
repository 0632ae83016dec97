package ledger

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// dbFold passes the database of a view to a function.
type dbFold struct {
	multi
	show func(db *bbolt.DB)
}

func (f dbFold) Apply(v *View, e Entry, body []byte) error {
	f.show(v.c.b.Tx().DB())
	return f.multi.Apply(v, e, body)
}

// An entry for which Append returned nil is on the disk, because bbolt syncs
// its data, the growth of the file and the list of free pages.
func TestEveryWritingDatabaseSyncs(t *testing.T) {
	looked := 0
	syncs := func(db *bbolt.DB) {
		looked++
		require.False(t, db.NoSync)
		require.False(t, db.NoGrowSync)
		require.False(t, db.NoFreelistSync)
	}
	f := dbFold{show: syncs}
	path := t.TempDir() + "/ledger.db"
	a, err := Create(path, Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, f, testOptions())
	require.NoError(t, err)
	_, err = a.Append([]byte("a=1"))
	require.NoError(t, err)
	require.Equal(t, 1, looked)
	require.NoError(t, a.AdmitDevice(identity, publicKey("two"), "two"))
	// In Join, the fold receives the file before the file gets its name.
	b, err := Join(t.TempDir()+"/two.db", identityPointer(t), testKey("two"), seq(missing(t, a, nil)...), f, testOptions())
	require.NoError(t, err)
	require.Equal(t, 2, looked)
	syncs(b.db)
	require.NoError(t, b.Close())
	require.NoError(t, a.Close())
	a, err = Open(path, testKey("one"), f, testOptions())
	require.NoError(t, err)
	syncs(a.db)
	require.NoError(t, a.Close())
}

// Nothing of a commit that failed is in the ledger, before and after the next write,
// which finds room again.
func TestNothingOfACommitThatFailedIsWritten(t *testing.T) {
	l, path := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	view, heads := dump(t, l), l.Heads()
	info, err := os.Stat(path)
	require.NoError(t, err)
	l.db.MaxSize = int(info.Size()) // simulates a full disk
	big := make([]byte, MaxBody)
	_, err = l.Append(append([]byte("b="), big[2:]...), append([]byte("c="), big[2:]...))
	require.ErrorIs(t, err, berrors.ErrMaxSizeReached)
	l.db.MaxSize = 0 // the disk has room again
	require.Equal(t, view, dump(t, l))
	require.Equal(t, heads, l.Heads())
	require.Equal(t, []string{"1"}, get(t, l, "a"), "reads still work")
	require.NoError(t, l.Rebuild(), "a write that changes nothing")
	require.Equal(t, view, dump(t, l))
	require.Equal(t, heads, l.Heads())

	l = reopen(t, l, "one")
	require.Equal(t, view, dump(t, l))
	_, err = l.Append([]byte("d=1"))
	require.NoError(t, err)
	require.NoError(t, l.AdmitDevice(identity, publicKey("two"), "two"))
	verified(t, l)
}

func TestNothingIsWrittenAfterAWriteFoundDamage(t *testing.T) {
	l, path := newBook(t)
	_, err := l.Append([]byte("a=needle in a row"))
	require.NoError(t, err)
	heads := l.Heads()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	damaged := bytes.ReplaceAll(whole, []byte("needle"), []byte("NEEDLE"))
	_, err = f.WriteAt(damaged, 0)
	require.NoError(t, err)
	_, err = l.Append([]byte("a=2"))
	require.Truef(t, named(err), "%v", err)
	_, err = f.WriteAt(whole, 0) // repairs the damage
	require.NoError(t, err)
	for range 2 {
		_, err = l.Append([]byte("a=2"))
		require.Truef(t, named(err), "%v", err)
	}
	require.Equal(t, []string{"needle in a row"}, get(t, l, "a"), "reads still work")
	require.Equal(t, heads, l.Heads())
	l = reopen(t, l, "one")
	_, err = l.Append([]byte("a=2"))
	require.NoError(t, err)
	require.Equal(t, []string{"2"}, get(t, l, "a"))
	verified(t, l)
}

// careless ignores every error of the view.
type careless struct{}

func (careless) Version() string { return multi{}.Version() }
func (careless) Apply(v *View, _ Entry, body []byte) error {
	switch table, key := "writes", []byte("a"); string(body) {
	case "get":
		_, _ = v.Get(table, key)
	case "put":
		_ = v.Put(table, key, nil)
	case "delete":
		_ = v.Delete(table, key)
	case "scan":
		for range v.Scan(table, nil) {
		}
	case "last":
		_, _, _ = v.Last(table, nil)
	case "count":
		_, _ = v.Count(table)
	}
	return nil
}

func TestDamageThatAFoldIgnoresPreventsTheCommit(t *testing.T) {
	key, err := rowKey("writes", []byte("a"))
	require.NoError(t, err)
	for _, op := range []string{"get", "put", "delete", "scan", "last", "count", "nothing"} {
		l, _ := newBook(t)
		edit(t, l, func(tx *bbolt.Tx) error {
			c, err := newChain(tx, bucketView, "")
			if err != nil {
				return err
			}
			count := countKey("writes")
			for _, k := range [][]byte{count, key} {
				if _, err := c.put(k, []byte{1}); err != nil {
					return err
				}
			}
			k := key
			if op == "count" {
				k = count
			}
			v := bytes.Clone(c.b.Get(k))
			v[len(v)-1] ^= 2
			return c.b.Put(k, v)
		})
		l, err := Open(l.path, testKey("one"), careless{}, testOptions())
		require.NoError(t, err)
		heads := l.Heads()
		_, err = l.Append([]byte(op))
		if op == "nothing" {
			require.NoError(t, err)
		} else {
			require.Truef(t, named(err), "%s: %v", op, err)
			require.Equal(t, heads, l.Heads(), op)
		}
		require.NoError(t, l.Close())
	}
}
