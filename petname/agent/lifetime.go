package agent

import (
	"encoding/binary"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// tableLifetimes is a device-local table (package ledger): pointer of the owner →
// sequence of the last record that this device published (8 bytes) ‖ its lifetime
// (8 bytes, in seconds) ‖ its ID (32 bytes; rows of an older version do not have it).
const tableLifetimes = "lifetimes"

// reserve durably records the sequence of a record before anyone else receives it,
// with the lifetime that it was published with (the record has its end alone), and
// whether it is unsent: see markUnsent.
func (s *state) reserve(record pointer.Record, life time.Duration, changed, renewing bool) error {
	return s.book.Update(func(book *petname.Book, local *ledger.View) error {
		if err := book.ReserveSequence(petname.Published{Value: record.Value(), Sequence: record.Sequence()}); err != nil {
			return err
		}
		row := binary.BigEndian.AppendUint64(nil, record.Sequence())
		row = binary.BigEndian.AppendUint64(row, uint64(max(life/time.Second, 1)))
		id := record.ID()
		row = append(row, id[:]...)
		if err := local.Put(tableLifetimes, record.Pointer().Bytes(), row); err != nil {
			return err
		}
		return markUnsent(local, record, changed, renewing)
	})
}

// reservation is a row of tableLifetimes.
type reservation struct {
	sequence uint64 // 0: none
	life     time.Duration
	id       [32]byte
	hashed   bool // id is set
}

// reserved returns what this device reserved last for a pointer of the owner.
func (s *state) reserved(p pointer.Pointer) (r reservation, err error) {
	var row []byte
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) (err error) {
		row, err = local.Get(tableLifetimes, p.Bytes())
		return err
	})
	if err != nil || len(row) != 16 && len(row) != 16+len(r.id) {
		return reservation{}, err
	}
	seconds := min(binary.BigEndian.Uint64(row[8:]), uint64(MaxLifetime/time.Second))
	r = reservation{sequence: binary.BigEndian.Uint64(row), life: time.Duration(seconds) * time.Second}
	r.hashed = copy(r.id[:], row[16:]) > 0
	return r, nil
}

// lifetime returns the lifetime that a record of the owner was published with. It
// returns 0 for a record of another device, or of an older version.
func (s *state) lifetime(record pointer.Record) time.Duration {
	r, err := s.reserved(record.Pointer())
	if err != nil || r.sequence != record.Sequence() {
		return 0
	}
	return r.life
}
