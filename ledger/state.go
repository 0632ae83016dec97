package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// The buckets of the file.
const (
	bucketIndex = "index" // a chain: the book, the devices and their heads, evidence of forks
	bucketLog   = "log"   // the entries
	bucketView  = "view"  // a chain: the fold's tables
	bucketLocal = "local" // a chain: the device-local tables
	fileFormat  = 1
)

var (
	viewName = []byte(bucketView)
	viewSalt = sync.OnceValue(func() uint32 { return crc32.Checksum(viewName, castagnoli()) })
	logSalt  = sync.OnceValue(func() uint32 { return crc32.Checksum([]byte(bucketLog), castagnoli()) })

	bookKey      = []byte("book")
	devicePrefix = []byte("device")
	forkPrefix   = []byte("fork")
	localKey     = []byte("local") // present if the bucket of the device-local tables is
)

// state is the content of the index bucket, in memory. A committed state is
// never changed: a transaction changes a clone.
type state struct {
	txn      int // the bbolt transaction that wrote it
	book     BookID
	identity pointer.Pointer
	order    uint64 // of the latest entry, by arrival
	fold     string // version of the fold that wrote the view
	devices  []device
	index    map[DeviceID]uint32
	replay   bool // the view has to be replayed before the transaction ends
}

// device is one device of the book. Its index in state.devices is its index in
// the keys of this file, in the order in which the file learned of the devices.
type device struct {
	id      DeviceID
	name    string
	head    uint64
	hash    Hash   // of the head
	clock   uint64 // of the head
	past    []mark // cumulative, at the head
	removed bool
	last    uint64 // its last entry that counts, if it was removed
	dirty   bool
}

// bookRow is the row bookKey of the index.
type bookRow struct {
	_        struct{} `cbor:",toarray"`
	Format   uint64
	Book     []byte
	Identity []byte
	Order    uint64
	Fold     string
	Devices  uint64
}

// deviceRow is the row of a device in the index.
type deviceRow struct {
	_       struct{} `cbor:",toarray"`
	ID      []byte
	Name    string
	Head    uint64
	Hash    []byte
	Clock   uint64
	Removed bool
	Last    uint64
	Past    []pastRow
}

// pastRow is one element of a device's version vector, with the index of the device.
type pastRow struct {
	_      struct{} `cbor:",toarray"`
	Index  uint32
	Number uint64
}

// clone returns a copy for a transaction to change.
func (s *state) clone() *state {
	c := *s
	c.devices = slices.Clone(s.devices)
	c.index = maps.Clone(s.index)
	return &c
}

// device returns the device with an id, nil if it is not in the book.
func (s *state) device(id DeviceID) *device {
	i, ok := s.index[id]
	if !ok {
		return nil
	}
	return &s.devices[i]
}

// deviceKey returns the key of a device's row; i is its index.
func deviceKey(i int) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(devicePrefix), uint32(i))
}

// save writes the changed devices and the book's row to the index.
func (s *state) save(c *chain) error {
	for i := range s.devices {
		d := &s.devices[i]
		if !d.dirty {
			continue
		}
		d.dirty = false
		row := deviceRow{ID: d.id[:], Name: d.name, Head: d.head, Hash: d.hash[:], Clock: d.clock, Removed: d.removed, Last: d.last, Past: []pastRow{}}
		for _, m := range d.past {
			row.Past = append(row.Past, pastRow{Index: s.index[m.device], Number: m.number})
		}
		if _, err := c.put(deviceKey(i), canonical.MustMarshal(row)); err != nil {
			return err
		}
	}
	row := bookRow{Format: fileFormat, Book: s.book[:], Identity: s.identity.Bytes(), Order: s.order, Fold: s.fold, Devices: uint64(len(s.devices))}
	_, err := c.put(bookKey, canonical.MustMarshal(row))
	return err
}

// loadState reads the index. It does not read the log.
func loadState(tx *bbolt.Tx, path string) (st *state, err error) {
	defer rescue(&err, path, place(bucketIndex))
	c, err := newChain(tx, bucketIndex, path)
	if err != nil {
		return nil, err
	}
	bad := func(key []byte, err error) (*state, error) { return nil, c.damaged(key, err) }
	b, err := c.get(bookKey)
	if err != nil {
		return nil, err
	}
	var book bookRow
	if b == nil {
		return bad(bookKey, errAbsent)
	}
	if err := readRow(b, &book); err != nil || len(book.Book) != len(BookID{}) || book.Devices > maxDevices {
		return bad(bookKey, errors.Join(errChecksum, err))
	}
	if book.Format != fileFormat {
		return nil, fmt.Errorf("%q has format %d, this program knows %d", path, book.Format, fileFormat)
	}
	p, err := pointer.FromBytes(book.Identity)
	if err != nil {
		return bad(bookKey, err)
	}
	s := &state{txn: tx.ID(), book: BookID(book.Book), identity: p, order: book.Order, fold: book.Fold, index: map[DeviceID]uint32{}}
	rows := make([]deviceRow, book.Devices)
	for i := range rows {
		b, err := c.get(deviceKey(i))
		if err != nil {
			return nil, err
		}
		row := &rows[i]
		if err := readRow(b, row); err != nil || len(row.ID) != len(DeviceID{}) || len(row.Hash) != len(Hash{}) {
			return bad(deviceKey(i), errors.Join(errChecksum, err))
		}
		d := device{id: DeviceID(row.ID), name: row.Name, head: row.Head, hash: Hash(row.Hash), clock: row.Clock, removed: row.Removed, last: row.Last}
		s.index[d.id] = uint32(i)
		s.devices = append(s.devices, d)
	}
	for i := range rows {
		for _, m := range rows[i].Past {
			if int(m.Index) >= len(s.devices) {
				return bad(deviceKey(i), errChecksum)
			}
			s.devices[i].past = append(s.devices[i].past, mark{s.devices[m.Index].id, m.Number})
		}
	}
	return s, nil
}
