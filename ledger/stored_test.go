package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// These tests change rows and correct their checksums, as another program might
// that writes to the file. The ledger also checks the content of a row.

// edit closes a ledger and changes its file directly with bbolt.
func edit(t *testing.T, l *Ledger, change func(tx *bbolt.Tx) error) {
	t.Helper()
	require.NoError(t, l.Close())
	db, err := bbolt.Open(l.path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true})
	require.NoError(t, err)
	require.NoError(t, db.Update(change))
	require.NoError(t, db.Close())
}

// logRow changes the entry or the body in a row of the log.
func logRow(index uint32, number uint64, change func(entry, body []byte) ([]byte, []byte)) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("log"))
		key := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, index), number)
		v := bytes.Clone(b.Get(key))
		at := 5
		uvarint := func() uint64 {
			n, size := binary.Uvarint(v[at:])
			at += size
			return n
		}
		uvarint() // order
		for range 2 * uvarint() {
			uvarint() // vector
		}
		before := at
		size := int(uvarint())
		entry, body := change(bytes.Clone(v[at:at+size]), bytes.Clone(v[at+size:]))
		v = append(binary.AppendUvarint(v[:before:before], uint64(len(entry))), append(entry, body...)...)
		return b.Put(bytes.Clone(key), checksummed("log", key, v))
	}
}

// checksummed returns a row with a correct checksum.
func checksummed(bucket string, key, row []byte) []byte {
	row = bytes.Clone(row)
	sum := crc32.Checksum(slices.Concat([]byte(bucket), key, row[4:]), crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(row, sum)
	return row
}

// verifies returns the number of errors that Verify yields.
func verifies(t *testing.T, l *Ledger) (found int) {
	t.Helper()
	for err := range l.Verify(t.Context()) {
		require.Truef(t, named(err), "%v", err)
		found++
	}
	return found
}

func openAs(l *Ledger, device string) (*Ledger, error) {
	o, err := Open(l.path, testKey(device), multi{}, testOptions())
	if err == nil {
		unsynced(o)
	}
	return o, err
}

func TestTheContentOfARowIsCheckedDespiteAValidChecksum(t *testing.T) {
	keep := func(entry, body []byte) ([]byte, []byte) { return entry, body }
	for _, c := range []struct {
		name   string
		change func(entry, body []byte) ([]byte, []byte)
		sent   bool // Missing finds it as well
	}{
		{"as it was", keep, false},
		{"a bit of the signature", func(entry, body []byte) ([]byte, []byte) { entry[len(entry)-9] ^= 2; return entry, body }, false},
		{"another body", func(entry, body []byte) ([]byte, []byte) { body[2] ^= 1; return entry, body }, true},
		{"a longer body", func(entry, body []byte) ([]byte, []byte) { return entry, append(body, 'x') }, true},
		{"a bit of the clock", func(entry, body []byte) ([]byte, []byte) {
			entry[bytes.LastIndex(entry, []byte{0x1b})+8] ^= 1
			return entry, body
		}, false},
		{"something behind the entry", func(entry, body []byte) ([]byte, []byte) { return append(entry, 0), body }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _ := newBook(t)
			es, err := l.Append([]byte("a=1"), []byte("b=2"), []byte("c=3"), []byte("d=4"))
			require.NoError(t, err)
			edit(t, l, logRow(0, es[1].ID().Number, c.change))
			l, err = openAs(l, "one")
			require.NoError(t, err)
			defer l.Close()
			if c.name == "as it was" {
				verified(t, l)
				return
			}
			_, _, err = l.Entry(es[1].ID())
			require.Truef(t, named(err), "%v", err)
			var got []string
			damage := 0
			for e, err := range l.Entries() {
				if err != nil {
					require.Truef(t, named(err), "%v", err)
					damage++
				} else if e.Kind() == KindApplication {
					got = append(got, string(e.Body))
				}
			}
			require.Equal(t, 1, damage)
			require.Equal(t, []string{"a=1", "c=3", "d=4"}, got, "the rest follows")
			damage = 0
			for _, err := range l.Missing(nil) {
				if err != nil {
					damage++
				}
			}
			require.Equal(t, c.sent, damage > 0)
			require.NotZero(t, verifies(t, l))
		})
	}
}

func TestAnEntryInTheRowOfAnotherIsDamage(t *testing.T) {
	l, _ := newBook(t)
	es, err := l.Append([]byte("a=1"), []byte("b=2"), []byte("c=3"))
	require.NoError(t, err)
	var entry, body []byte
	take := logRow(0, es[0].ID().Number, func(e, b []byte) ([]byte, []byte) { entry, body = e, b; return e, b })
	put := logRow(0, es[1].ID().Number, func(_, _ []byte) ([]byte, []byte) { return entry, body })
	edit(t, l, func(tx *bbolt.Tx) error { return errors.Join(take(tx), put(tx)) })
	l, err = openAs(l, "one")
	require.NoError(t, err)
	defer l.Close()
	_, _, err = l.Entry(es[1].ID())
	require.Truef(t, named(err), "%v", err)
	require.NotZero(t, verifies(t, l))
}

// A device's key may sign another entry with the same number. The next entry of
// the device, and the entries that saw it, name the original by its hash.
func TestTheChainOfTheLogIsVerified(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	es, err := a.Append([]byte("a=1"))
	require.NoError(t, err)
	pull(t, b, a)
	_, err = b.Append([]byte("b=saw it"))
	require.NoError(t, err)
	pull(t, a, b)
	more, err := a.Append([]byte("c=2"), []byte("d=3"))
	require.NoError(t, err)
	another := func(id ID) func(entry, body []byte) ([]byte, []byte) {
		return func(_, body []byte) ([]byte, []byte) {
			e, _, err := a.Entry(id)
			require.NoError(t, err)
			d := drafted(t, a, "one", body)
			d.number, d.prev, d.clock, d.seen = id.Number, e.prev[:], e.clock+1, nil
			for _, h := range e.seen {
				d.seen = append(d.seen, draftHead{device: h.Device[:], number: h.Number, hash: h.Hash[:]})
			}
			return d.entry(), body
		}
	}
	fresh := func(id ID) *Ledger {
		change := another(id)
		var entry, body []byte
		_, body, err := a.Entry(id)
		require.NoError(t, err)
		entry, body = change(nil, body)
		b, err := os.ReadFile(a.path)
		require.NoError(t, err)
		c := &Ledger{path: t.TempDir() + "/copy.db"}
		require.NoError(t, os.WriteFile(c.path, b, 0o600))
		db, err := bbolt.Open(c.path, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.Update(logRow(0, id.Number, func(_, _ []byte) ([]byte, []byte) { return entry, body })))
		require.NoError(t, db.Close())
		return c
	}

	for name, c := range map[string]struct {
		id    ID
		found int
	}{
		"one that only its successor names":    {more[0].ID(), 1},
		"one that another device has seen too": {es[0].ID(), 2},
	} {
		l, err := openAs(fresh(c.id), "one")
		require.NoError(t, err, name)
		require.Equal(t, c.found, verifies(t, l), name)
		require.NoError(t, l.Close())
	}
	_, err = openAs(fresh(more[1].ID()), "one")
	require.Truef(t, named(err), "the head: %v", err)
	verified(t, a)
}

func TestAHeadsSignatureIsCheckedAtOpen(t *testing.T) {
	l, _ := newBook(t)
	es, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	edit(t, l, logRow(0, es[0].ID().Number, func(entry, body []byte) ([]byte, []byte) { entry[len(entry)-1] ^= 1; return entry, body }))
	_, err = openAs(l, "one")
	require.Truef(t, named(err), "%v", err)
}

func TestVerifyFindsRowsTooManyAndTooFew(t *testing.T) {
	row := func(tx *bbolt.Tx, number uint64) ([]byte, *bbolt.Bucket) {
		return binary.BigEndian.AppendUint64(make([]byte, 4), number), tx.Bucket([]byte("log"))
	}
	view := func(change func(c *chain) error) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			c, err := newChain(tx, bucketView, "")
			if err != nil {
				return err
			}
			return change(c)
		}
	}
	key, err := rowKey("writes", []byte("zz"))
	require.NoError(t, err)
	for name, change := range map[string]func(tx *bbolt.Tx) error{
		"an entry behind the head": func(tx *bbolt.Tx) error {
			from, b := row(tx, 2)
			to, _ := row(tx, 9)
			return b.Put(to, checksummed("log", to, b.Get(from)))
		},
		"no entry": func(tx *bbolt.Tx) error { k, b := row(tx, 2); return b.Delete(k) },
		"a row of the view": view(func(c *chain) error {
			_, err := c.put(key, []byte("value"))
			return err
		}),
		"no row of the view": view(func(c *chain) error {
			k, _, err := c.last(key)
			if err == nil {
				_, err = c.delete(bytes.Clone(k))
			}
			return err
		}),
		"another value in the view": view(func(c *chain) error {
			k, _, err := c.last(key)
			if err == nil {
				_, err = c.put(bytes.Clone(k), []byte("another"))
			}
			return err
		}),
	} {
		l, _ := newBook(t)
		_, err := l.Append([]byte("a=1"), []byte("b=2"), []byte("c=3"))
		require.NoError(t, err)
		edit(t, l, change)
		l, err = openAs(l, "one")
		require.NoError(t, err, name)
		require.NotZero(t, verifies(t, l), name)
		require.NoError(t, l.Close())
	}
}

func TestEvidenceOfAForkIsCheckedWhenRead(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *draft) []byte
		good   bool
	}{
		"as it is":                  {func(d *draft) []byte { return d.wire() }, true},
		"signed by another device":  {func(d *draft) []byte { d.key = testKey("one"); return d.wire() }, false},
		"hashed for another book":   {func(d *draft) []byte { d.book[0] ^= 1; return d.wire() }, false},
		"no entry":                  {func(d *draft) []byte { return []byte{0x82, 0x41, 0, 0xf6} }, false},
		"an entry that is no entry": {func(d *draft) []byte { d.version = 2; return d.wire() }, false},
	} {
		a, _ := newBook(t)
		b := join(t, a, "two")
		_, err := b.Append([]byte("k=1"))
		require.NoError(t, err)
		pull(t, a, b)
		d := drafted(t, a, "two", []byte("k=other"))
		d.prev[0] ^= 1
		d.noBody = true
		w := c.change(d)
		edit(t, a, func(tx *bbolt.Tx) error {
			index, err := newChain(tx, bucketIndex, "")
			if err != nil {
				return err
			}
			_, err = index.put(append([]byte("fork\x00\x00\x00\x01"), make([]byte, 16)...), w)
			return err
		})
		a, err = openAs(a, "one")
		require.NoError(t, err, name)
		forks, err := a.Forks()
		if c.good {
			require.NoError(t, err, name)
			require.Len(t, forks, 1, name)
			require.Equal(t, d.hash(), hashOfFork(forks[0].Other), name)
			require.Equal(t, d.prev[1:], forks[0].Other.prev[1:], name)
		} else {
			require.Truef(t, named(err), "%s: %v", name, err)
		}
		require.NoError(t, a.Close())
	}
}

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

// The row's checksum covers the parts without a signature: the state of the
// body, the order of arrival and the vector.
func TestEachByteBeforeAnEntryInItsRowIsChecked(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	es, err := b.Append([]byte("k=1"), []byte("k=2"))
	require.NoError(t, err)
	pull(t, a, b)
	id := es[0].ID()
	key := binary.BigEndian.AppendUint64([]byte{0, 0, 0, 1}, id.Number)
	for at, before := 0, 5; at < before; at++ {
		edit(t, a, func(tx *bbolt.Tx) error {
			bucket := tx.Bucket([]byte("log"))
			v := bytes.Clone(bucket.Get(key))
			before = bytes.Index(v, publicKey("two")) - 8
			v[at] ^= 1
			return bucket.Put(key, v)
		})
		a, err = openAs(a, "one")
		require.NoError(t, err)
		_, _, err = a.Entry(id)
		require.Truef(t, named(err), "byte %d of %d: %v", at, before, err)
		edit(t, a, func(tx *bbolt.Tx) error {
			bucket := tx.Bucket([]byte("log"))
			v := bytes.Clone(bucket.Get(key))
			v[at] ^= 1
			return bucket.Put(key, v)
		})
		a, err = openAs(a, "one")
		require.NoError(t, err)
		_, _, err = a.Entry(id)
		require.NoError(t, err)
	}
	require.NoError(t, a.Close())
}
