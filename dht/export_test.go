package dht

import (
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// KeepFloor gives the tests of a Resolver what keeps its floor, and returns the
// record that is kept then, with the time of its confirmation.
func KeepFloor(r *Resolver, rec pointer.Record, confirmed time.Time) (pointer.Record, time.Time, error) {
	k, err := r.keeper().keep(rec, confirmed)
	return k.record, k.confirmed, err
}

// RecordFile, SetFiles and OpenDirOn give the tests of Dir its file and its seam.
func RecordFile(d *Dir, p pointer.Pointer) string           { return d.file(p) }
func SetFiles(d *Dir, files durable.FS)                     { d.files = files }
func OpenDirOn(files durable.FS, path string) (*Dir, error) { return openDir(files, path) }

// KeepUnconfirmed keeps a record as a look-up does that was not confirmed.
func KeepUnconfirmed(d *Dir, rec pointer.Record) error {
	_, err := d.keep(rec, time.Time{})
	return err
}

// Confirmed returns when the record held was confirmed; zero: none is held.
func Confirmed(d *Dir, p pointer.Pointer) (time.Time, error) {
	k, _, err := d.held(p, d.now())
	return k.confirmed, err
}
