package folder

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// table is a device-local table: what was read, by the hash of the folder's path.
const table = "sync folders"

// state is what a device remembers of a folder.
type state struct {
	_       struct{} `cbor:",toarray"`
	Read    []readFile
	Own     []string // of the names in Read: written by this device
	Covered []head   // files that Devices can read have all up to these
	Devices [][]byte
}

// readFile is a file that was read as far as it can be.
type readFile struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Size    int64
	Waiting uint64 // entries that build on others
	Stamp   []byte // with Waiting: of the ledger when it was read; of a later one it is read again
	Problem string // why the rest of it is not read; empty: it is read to its end
	Failed  bool   // it is damaged, or has not arrived completely: each call tries again; without a Problem: sealed for other devices
}

type head struct {
	_      struct{} `cbor:",toarray"`
	Device []byte
	Number uint64
	Hash   []byte
}

// stateBounds are those of a state: one element for each file.
var stateBounds = canonical.Bounds{Elements: maxFiles, Pairs: 16}

func (s *syncing) row() []byte {
	h := sha256.Sum256([]byte(s.dir))
	return h[:]
}

func (s *syncing) load() error {
	return s.l.ReadLocal(func(local *ledger.View) error {
		b, err := local.Get(table, s.row())
		if err != nil || b == nil {
			return err
		}
		if canonical.Unmarshal(b, &s.state, stateBounds) != nil || slices.ContainsFunc(s.state.Covered, func(h head) bool {
			return len(h.Hash) != len(ledger.Hash{}) || len(h.Device) != len(ledger.DeviceID{})
		}) {
			s.state = state{} // of another version: everything is read again
		}
		return nil
	})
}

func (s *syncing) save() error {
	b, err := canonical.Marshal(s.state)
	if err != nil {
		return err
	}
	_, err = s.l.Update(func(tx *ledger.Tx) error { return tx.Local().Put(table, s.row(), b) })
	return err
}

// reset drops what is known of the files, except those that were read in this call.
func (s *syncing) reset() {
	s.state.Covered, s.state.Devices = nil, nil
	s.state.Read = slices.DeleteFunc(s.state.Read, func(r readFile) bool { return s.sources[r.Name] == nil })
}

// devices returns the devices of the book that were not removed.
func (s *syncing) devices() (all []ledger.DeviceID) {
	for _, d := range s.l.Devices() {
		if !d.Removed {
			all = append(all, d.ID)
		}
	}
	return all
}

// outdated reports whether the book has a device for which Covered does not hold: what was
// written before its admission is to be written again.
func (s *syncing) outdated() bool {
	return len(s.state.Covered) > 0 && slices.ContainsFunc(s.devices(), func(id ledger.DeviceID) bool {
		return !slices.ContainsFunc(s.state.Devices, func(b []byte) bool { return string(b) == string(id[:]) })
	})
}

// stamp returns a hash of what the ledger has: entries that wait go on waiting until it
// changes.
func (s *syncing) stamp() []byte {
	h := sha256.New()
	for _, head := range s.l.Heads() {
		h.Write(head.Device[:])
		h.Write(binary.BigEndian.AppendUint64(nil, head.Number))
		h.Write(head.Hash[:])
	}
	return h.Sum(nil)
}
