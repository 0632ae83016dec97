package folder

import (
	"os"

	"github.com/petnames-go/petnames/ledger"
)

// WriteFile writes a file with any entries for some devices, as a hostile device does.
func WriteFile(path string, devices []ledger.DeviceID, entries [][]byte) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = content{devices, entries}.WriteTo(file)
	return err
}

// Bounded returns options of a call that reads at most n bytes of files.
func Bounded(o Options, n int64) Options {
	o.maxReceive = n
	return o
}
