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

	// A file gets format 2 when it first has a statement after its genesis, or a fork:
	// programs that do not know its rows refuse it.
	firstFormat = 1
	fileFormat  = 2
)

var (
	viewName = []byte(bucketView)
	viewSalt = sync.OnceValue(func() uint32 { return crc32.Checksum(viewName, castagnoli()) })
	logSalt  = sync.OnceValue(func() uint32 { return crc32.Checksum([]byte(bucketLog), castagnoli()) })

	bookKey         = []byte("book")
	devicePrefix    = []byte("device")
	forkPrefix      = []byte("fork")      // format 1: an entry of another branch
	branchPrefix    = []byte("branch")    // format 2: the place of a branch, beside its device row
	statementPrefix = []byte("statement") // format 2: the entry of a statement
	ownKey          = []byte("own")       // the branch that this device continues; absent: it has written nothing here
	followedKey     = []byte("followed")  // the succession of the identity that is followed
	localKey        = []byte("local")     // present if the bucket of the device-local tables is
)

// state is the content of the index bucket, in memory. A committed state is
// never changed: a transaction changes a clone.
type state struct {
	txn      int // the bbolt transaction that wrote it
	format   uint64
	book     BookID
	identity pointer.Pointer
	followed *followed // never changed
	order    uint64    // of the latest entry, by arrival
	fold     string    // version of the fold that wrote the view
	branches []branch
	devices  map[DeviceID][]uint32 // the branches of each device, the first one first
	replay   bool                  // the view has to be replayed before the transaction ends
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

// deviceRow is the row of a branch in the index. The name and the removal are those of
// the device, in the row of its first branch.
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

// branchRow is the second row of a branch, in format 2. Without it the branch is its
// device's first one, and all its entries count.
type branchRow struct {
	_       struct{} `cbor:",toarray"`
	Parent  int64    // its index; -1: none
	From    uint64
	Counted uint64
}

// pastRow is one element of a version vector, with the index of the branch.
type pastRow struct {
	_      struct{} `cbor:",toarray"`
	Index  uint32
	Number uint64
}

// clone returns a copy for a transaction to change.
func (s *state) clone() *state {
	c := *s
	c.branches = slices.Clone(s.branches)
	c.devices = maps.Clone(s.devices)
	return &c
}

// deviceKey returns the key of a branch's row; i is its index.
func deviceKey(i int) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(devicePrefix), uint32(i))
}

// branchKey returns the key of a branch's second row.
func branchKey(i int) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(branchPrefix), uint32(i))
}

// save writes the changed branches and the book's row to the index.
func (s *state) save(c *chain) error {
	for i := range s.branches {
		b := &s.branches[i]
		if !b.dirty {
			continue
		}
		b.dirty = false
		row := deviceRow{ID: b.device[:], Name: b.name, Head: b.head, Hash: b.hash[:], Clock: b.clock, Removed: b.removed, Last: b.last, Past: []pastRow{}}
		for _, m := range b.past {
			row.Past = append(row.Past, pastRow{Index: m.branch, Number: m.number})
		}
		if _, err := c.put(deviceKey(i), canonical.MustMarshal(row)); err != nil {
			return err
		}
		if s.format < fileFormat {
			continue
		}
		place := branchRow{Parent: int64(b.parent), From: b.from, Counted: b.counted}
		if _, err := c.put(branchKey(i), canonical.MustMarshal(place)); err != nil {
			return err
		}
	}
	row := bookRow{Format: s.format, Book: s.book[:], Identity: s.identity.Bytes(), Order: s.order, Fold: s.fold, Devices: uint64(len(s.branches))}
	_, err := c.put(bookKey, canonical.MustMarshal(row))
	return err
}

// isPlace reports whether a row can be the place of branch i, which is of this device.
func (s *state) isPlace(i int, id DeviceID, p branchRow) bool {
	if p.Parent == noParent {
		return p.From == 1
	}
	return p.Parent >= 0 && p.Parent < int64(i) && s.branches[p.Parent].device == id && p.From > s.branches[p.Parent].from && p.Counted+1 >= p.From
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
	if err := readRow(b, &book); err != nil || len(book.Book) != len(BookID{}) || book.Devices > maxRows {
		return bad(bookKey, errors.Join(errChecksum, err))
	}
	if book.Format < firstFormat || book.Format > fileFormat {
		return nil, fmt.Errorf("%q has format %d, this program knows %d: a newer version of it wrote the file", path, book.Format, fileFormat)
	}
	p, err := pointer.FromBytes(book.Identity)
	if err != nil {
		return bad(bookKey, err)
	}
	s := &state{txn: tx.ID(), format: book.Format, book: BookID(book.Book), identity: p, order: book.Order, fold: book.Fold,
		branches: make([]branch, book.Devices), devices: map[DeviceID][]uint32{}}
	if s.followed, err = readFollowed(c); err != nil {
		return nil, err
	}
	for i := range s.branches {
		var row deviceRow
		b, err := c.get(deviceKey(i))
		if err != nil {
			return nil, err
		}
		if err := readRow(b, &row); err != nil || len(row.ID) != len(DeviceID{}) || len(row.Hash) != len(Hash{}) {
			return bad(deviceKey(i), errors.Join(errChecksum, err))
		}
		place := branchRow{Parent: noParent, From: 1, Counted: maxNumber}
		if row.Removed {
			place.Counted = row.Last
		}
		if s.format >= fileFormat {
			if b, err = c.get(branchKey(i)); err != nil {
				return nil, err
			}
			if err := readRow(b, &place); err != nil || !s.isPlace(i, DeviceID(row.ID), place) {
				return bad(branchKey(i), errors.Join(errChecksum, err))
			}
		}
		s.branches[i] = branch{device: DeviceID(row.ID), name: row.Name, parent: int(place.Parent), from: place.From, counted: place.Counted,
			head: row.Head, hash: Hash(row.Hash), clock: row.Clock, removed: row.Removed, last: row.Last}
		s.devices[s.branches[i].device] = append(s.devices[s.branches[i].device], uint32(i))
		for _, m := range row.Past {
			if m.Index >= uint32(len(s.branches)) {
				return bad(deviceKey(i), errChecksum)
			}
			s.branches[i].past = append(s.branches[i].past, mark{m.Index, m.Number})
		}
	}
	return s, nil
}
