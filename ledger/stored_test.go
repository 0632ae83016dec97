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

// The evidence of a fork is verified again when it is read.
func TestEvidenceOfAForkIsCheckedWhenRead(t *testing.T) {
	for name, change := range map[string]func(d *draft){
		"as it is":                 func(*draft) {},
		"signed by another device": func(d *draft) { d.key = testKey("one") },
		"hashed for another book":  func(d *draft) { d.book[0] ^= 1 },
		"of another version":       func(d *draft) { d.version = 2 },
	} {
		a, _ := newBook(t)
		b := join(t, a, "two")
		_, err := b.Append([]byte("k=1"))
		require.NoError(t, err)
		d := drafted(t, a, "two", []byte("k=other"))
		pull(t, a, b)
		_, err = a.Merge(seq(d.wire()))
		require.ErrorIs(t, err, ErrFork)
		change(d)
		edit(t, a, func(tx *bbolt.Tx) error {
			log, err := openLog(tx, a.st.Load(), "")
			if err != nil {
				return err
			}
			_, r, err := log.entry(2, d.number, true)
			if err != nil {
				return err
			}
			r.raw = d.entry()
			r.body = bytes.Clone(r.body)
			return log.put(2, d.number, r)
		})
		a, err = openAs(a, "one")
		if name == "as it is" {
			require.NoError(t, err, name)
			forks, err := a.Forks()
			require.NoError(t, err, name)
			require.Len(t, forks, 1, name)
			require.Contains(t, [][]byte{hashOfFork(forks[0].Kept), hashOfFork(forks[0].Other)}, d.hash(), name)
			require.NoError(t, a.Close())
			continue
		}
		require.Truef(t, named(err), "%s: %v", name, err)
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
