package dht

import (
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// StoreFloor stores a floor through the floorStore of a Resolver, and returns
// the stored record, with the time of its confirmation.
func StoreFloor(r *Resolver, rec pointer.Record, confirmed time.Time) (pointer.Record, time.Time, error) {
	k, err := r.floorStore().store(rec, confirmed)
	return k.record, k.confirmed, err
}

// RecordFile, SetFiles and OpenDirOn expose the file and the file system of Dir
// to tests.
func RecordFile(d *Dir, p pointer.Pointer) string           { return d.file(p) }
func SetFiles(d *Dir, files durable.FS)                     { d.fs = files }
func OpenDirOn(files durable.FS, path string) (*Dir, error) { return openDir(files, path) }

// StoreUnconfirmed stores a record as an unconfirmed look-up does.
func StoreUnconfirmed(d *Dir, rec pointer.Record) error {
	_, err := d.store(rec, time.Time{})
	return err
}

// Confirmed returns when the stored record was confirmed, or zero if there is
// none.
func Confirmed(d *Dir, p pointer.Pointer) (time.Time, error) {
	k, _, err := d.load(p, d.now())
	return k.confirmed, err
}
