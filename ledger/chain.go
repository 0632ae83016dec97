package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
)

// bbolt's pages have no checksums, so rows bring their own, and more: each row
// also names the next row. A look-up that finds a row is checked by the row's
// checksum, which covers bucket, key and value. One that finds none is checked
// by the two rows around the gap, the first of which must name the second. So a
// flipped bit does not make a row silently absent, whether in a key, in a
// page's element count or in a pointer between pages. (NSEC proves absence in
// DNS in the same way: RFC 4034 §4.)
//
//	row = checksum: crc32c of bucket ‖ key ‖ the rest, 4 bytes
//	    ‖ next:     crc32c of bucket ‖ the next row's key, 4 bytes; lastRow for the last
//	    ‖ payload
//
// The first row of a chain is the sentinel, which is never deleted.

const (
	rowHeader = 8
	lastRow   = ^uint32(0)
	maxRow    = 4 << 20 // a longer value is damage; no checksum is computed for it
)

var (
	sentinelKey = []byte{0}

	errAbsent   = errors.New("a row is missing")
	errChecksum = errors.New("the checksum does not hold")
	errOrder    = errors.New("rows are out of order")
)

// castagnoli returns the table of the checksums. Package hash/crc32 makes it at
// the first call.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// chain is one bucket of linked rows within one transaction.
type chain struct {
	b    *bbolt.Bucket
	name string
	salt uint32
	path string
	gen  int // number of changes, so that scans can detect them
}

// rowAt is the place of a row, for errors.
type rowAt struct {
	c   *chain
	key []byte
}

// String returns the bucket and the key, and for a row of a View its table.
func (r rowAt) String() string {
	if (r.c.name == bucketView || r.c.name == bucketLocal) && len(r.key) > 1 && len(r.key) > int(r.key[0]) && r.key[0] > 0 {
		n := 1 + int(r.key[0])
		return fmt.Sprintf("%s table %q key %q", r.c.name, r.key[1:n], r.key[n:])
	}
	return fmt.Sprintf("%s row %q", r.c.name, r.key)
}

// newChain returns the existing chain of a bucket.
func newChain(tx *bbolt.Tx, name, path string) (*chain, error) {
	c := &chain{name: name, path: path, salt: crc32.Checksum([]byte(name), castagnoli())}
	return c, c.find(tx)
}

// find looks up the bucket.
func (c *chain) find(tx *bbolt.Tx) (err error) {
	defer c.rescue(&err, nil)
	name := viewName
	if c.name != bucketView {
		name = []byte(c.name)
	}
	if c.b = tx.Bucket(name); c.b == nil {
		return &DamagedError{Path: c.path, At: c.name, Err: errors.New("the bucket is missing")}
	}
	return nil
}

// createChain creates the bucket and its sentinel. The checksums of the rows
// include name, also if they are built in another bucket.
func createChain(tx *bbolt.Tx, bucket, name, path string) (*chain, error) {
	b, err := tx.CreateBucket([]byte(bucket))
	if err != nil {
		return nil, err
	}
	c := &chain{b: b, name: name, path: path, salt: crc32.Checksum([]byte(name), castagnoli())}
	return c, b.Put(sentinelKey, c.row(sentinelKey, lastRow, nil))
}

// damaged returns a *DamagedError for the row of key.
func (c *chain) damaged(key []byte, err error) error {
	return &DamagedError{Path: c.path, At: rowAt{c, key}.String(), Err: err}
}

// rescue is the function rescue for the row of key. It is deferred in the same way.
func (c *chain) rescue(err *error, key []byte) {
	if r := recover(); r != nil {
		*err = c.damaged(key, panicError(r))
	}
}

// link returns the value by which a row names the next one; nil is none.
func (c *chain) link(key []byte) uint32 {
	if key == nil {
		return lastRow
	}
	return crc32.Update(^c.salt, castagnoli(), key)
}

// row returns the value of a row: see the format above.
func (c *chain) row(key []byte, next uint32, payload []byte) []byte {
	v := make([]byte, rowHeader+len(payload))
	binary.LittleEndian.PutUint32(v[4:], next)
	copy(v[rowHeader:], payload)
	binary.LittleEndian.PutUint32(v, crc32.Update(crc32.Update(c.salt, castagnoli(), key), castagnoli(), v[4:]))
	return v
}

// open checks a row and returns its link and payload.
func (c *chain) open(key, v []byte) (next uint32, payload []byte, err error) {
	if len(v) < rowHeader || len(v) > maxRow || len(key) > bbolt.MaxKeySize {
		return 0, nil, c.damaged(key[:min(len(key), 256)], errChecksum)
	}
	if crc32.Update(crc32.Update(c.salt, castagnoli(), key), castagnoli(), v[4:]) != binary.LittleEndian.Uint32(v) {
		return 0, nil, c.damaged(key, errChecksum)
	}
	return binary.LittleEndian.Uint32(v[4:]), v[rowHeader:len(v):len(v)], nil
}

// get returns the payload of key, nil if there is none.
func (c *chain) get(key []byte) (payload []byte, err error) {
	defer c.rescue(&err, key)
	cur := c.b.Cursor()
	k, v := cur.Seek(key)
	if k != nil && bytes.Equal(k, key) {
		_, payload, err = c.open(k, v)
		return payload, err
	}
	_, _, err = c.before(cur, key, k)
	return nil, err
}

// before returns the row before cur, after a Seek for key found k, and verifies
// that no row is between them.
func (c *chain) before(cur *bbolt.Cursor, key, k []byte) (pk, payload []byte, err error) {
	pk, pv := cur.Prev()
	// Prev stops at a leaf that deletions of this transaction have emptied. The
	// sentinel is before every key, so there is always a previous row.
	for i := 0; pk == nil && c.b.Writable() && i < 1<<20; i++ {
		pk, pv = cur.Prev()
	}
	if pk == nil {
		return nil, nil, c.damaged(key, errAbsent)
	}
	next, payload, err := c.open(pk, pv)
	if err != nil {
		return nil, nil, err
	}
	if bytes.Compare(pk, key) >= 0 || k != nil && bytes.Compare(key, k) > 0 {
		return nil, nil, c.damaged(key, errOrder)
	}
	if next != c.link(k) {
		return nil, nil, c.damaged(key, errAbsent)
	}
	return pk, payload, nil
}

// put stores payload under key. It copies both.
func (c *chain) put(key, payload []byte) (added bool, err error) {
	defer c.rescue(&err, key)
	c.gen++
	cur := c.b.Cursor()
	k, v := cur.Seek(key)
	if k != nil && bytes.Equal(k, key) {
		next, _, err := c.open(k, v)
		if err != nil {
			return false, err
		}
		return false, c.b.Put(key, c.row(key, next, payload))
	}
	next := c.link(k)
	pk, pp, err := c.before(cur, key, k)
	if err != nil {
		return false, err
	}
	pk = bytes.Clone(pk)
	if err := c.b.Put(pk, c.row(pk, c.link(key), pp)); err != nil {
		return false, err
	}
	return true, c.b.Put(key, c.row(key, next, payload))
}

// delete removes key. An absent key is no error.
func (c *chain) delete(key []byte) (removed bool, err error) {
	defer c.rescue(&err, key)
	c.gen++
	cur := c.b.Cursor()
	k, v := cur.Seek(key)
	if k == nil || !bytes.Equal(k, key) {
		_, _, err = c.before(cur, key, k)
		return false, err
	}
	next, _, err := c.open(k, v)
	if err != nil {
		return false, err
	}
	pk, pp, err := c.before(cur, key, k)
	if err != nil {
		return false, err
	}
	pk = bytes.Clone(pk)
	if err := c.b.Put(pk, c.row(pk, next, pp)); err != nil {
		return false, err
	}
	return true, c.b.Delete(key)
}

// last returns the last row before the key end.
func (c *chain) last(end []byte) (key, payload []byte, err error) {
	defer c.rescue(&err, end)
	cur := c.b.Cursor()
	k, _ := cur.Seek(end)
	return c.before(cur, end, k)
}

// scanner iterates over a chain's rows from a key on.
type scanner struct {
	c       *chain
	cur     *bbolt.Cursor
	key     []byte // of the last row returned by next; before that, the start
	link    uint32 // the next row according to that row
	gen     int
	started bool
}

// scan returns a scanner of the rows from a key on.
func (c *chain) scan(from []byte) *scanner { return &scanner{c: c, key: bytes.Clone(from)} }

// next returns the next row, a nil key at the end. If the chain has changed since the
// last call, it seeks its place again.
func (s *scanner) next() (key, payload []byte, err error) {
	c := s.c
	defer c.rescue(&err, s.key)
	var k, v []byte
	if s.started && s.gen == c.gen {
		if k, v = s.cur.Next(); s.link != c.link(k) || k != nil && bytes.Compare(k, s.key) <= 0 {
			return nil, nil, c.damaged(s.key, errAbsent)
		}
	} else {
		from := s.key
		if s.started {
			from = append(bytes.Clone(from), 0)
		}
		s.cur = c.b.Cursor()
		k, v = s.cur.Seek(from)
		if _, _, err := c.before(c.seek(from), from, k); err != nil {
			return nil, nil, err
		}
		s.started, s.gen = true, c.gen
	}
	if k == nil {
		return nil, nil, nil
	}
	s.link, payload, err = c.open(k, v)
	s.key = append(s.key[:0], k...)
	return k, payload, err
}

// seek returns a cursor at the first row from key on.
func (c *chain) seek(key []byte) *bbolt.Cursor {
	cur := c.b.Cursor()
	cur.Seek(key)
	return cur
}
