package dht

import (
	"os"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// KeepFloor gives the tests of a Resolver what keeps its floor, and returns the
// record that is kept then, with the time of its confirmation.
func KeepFloor(r *Resolver, rec pointer.Record, confirmed time.Time) (pointer.Record, time.Time, error) {
	k, err := r.keeper().keep(rec, confirmed)
	return k.record, k.confirmed, err
}

// RecordFile and SetWrite give the tests of Dir its file and its seam.
func RecordFile(d *Dir, p pointer.Pointer) string         { return d.file(p) }
func SetWrite(d *Dir, write func(*os.File, []byte) error) { d.write = write }
