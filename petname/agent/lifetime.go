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
// (8 bytes, in seconds) ‖ its ID (32 bytes) ‖ its TTL (8 bytes, in nanoseconds) ‖ its options
// (1 byte: optionV1, optionAddresses). Rows of older versions end before or after the ID.
const tableLifetimes = "lifetimes"

const (
	optionV1 = 1 << iota
	optionAddresses
)

// reserve durably records the sequence of a record before anyone else receives it,
// with the lifetime that it was published with (the record has its end alone), the TTL and
// the options of its draft, and whether it is unsent: see markUnsent. Unless it is a renewal,
// the owner has decided about foreign values: see foreignvalue.go.
func (s *state) reserve(record pointer.Record, d Draft, changed, renewing bool) error {
	return s.book.Update(func(book *petname.Book, local *ledger.View) error {
		if err := book.ReserveSequence(petname.Published{Value: record.Value(), Sequence: record.Sequence()}); err != nil {
			return err
		}
		row := binary.BigEndian.AppendUint64(nil, record.Sequence())
		row = binary.BigEndian.AppendUint64(row, uint64(max(d.Lifetime/time.Second, 1)))
		id := record.ID()
		row = binary.BigEndian.AppendUint64(append(row, id[:]...), uint64(d.TTL))
		options := byte(0)
		if d.V1 {
			options |= optionV1
		}
		if d.Addresses {
			options |= optionAddresses
		}
		row = append(row, options)
		if err := local.Put(tableLifetimes, record.Pointer().Bytes(), row); err != nil {
			return err
		}
		if !renewing {
			if err := closeCopies(local); err != nil {
				return err
			}
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

	ttl           time.Duration // 0 with noOptions
	v1, addresses bool
	noOptions     bool // of an older version, or none
}

// made reports whether the reservation was for a record, as far as is known.
func (r reservation) made(record pointer.Record) bool {
	return r.sequence > 0 && r.sequence == record.Sequence() && (!r.hashed || r.id == record.ID())
}

// reserved returns what this device reserved last for a pointer of the owner.
func (s *state) reserved(p pointer.Pointer) (r reservation, err error) {
	var row []byte
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) (err error) {
		row, err = local.Get(tableLifetimes, p.Bytes())
		return err
	})
	if err != nil || len(row) != 16 && len(row) != 48 && len(row) != 57 {
		return reservation{noOptions: true}, err
	}
	seconds := min(binary.BigEndian.Uint64(row[8:]), uint64(MaxLifetime/time.Second))
	r = reservation{sequence: binary.BigEndian.Uint64(row), life: time.Duration(seconds) * time.Second}
	r.hashed = copy(r.id[:], row[16:]) > 0
	if r.noOptions = len(row) < 57; !r.noOptions {
		r.ttl = time.Duration(min(binary.BigEndian.Uint64(row[48:]), uint64(MaxLifetime)))
		r.v1, r.addresses = row[56]&optionV1 != 0, row[56]&optionAddresses != 0
	}
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
