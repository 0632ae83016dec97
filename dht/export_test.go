package dht

import (
	"os"

	"github.com/petnames-go/petnames/pointer"
)

// RecordFile and SetWrite give the tests of Dir its file and its seam.
func RecordFile(d *Dir, p pointer.Pointer) string         { return d.file(p) }
func SetWrite(d *Dir, write func(*os.File, []byte) error) { d.write = write }
