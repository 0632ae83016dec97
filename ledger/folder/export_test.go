package folder

import (
	"bytes"
	"fmt"
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

// SpoilSlot changes the slot of a device in the bytes of a file, so that it does not open.
func SpoilSlot(raw []byte, device ledger.DeviceID) error {
	s, err := readSlots(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	hint := hintOf(s.salt, device)
	i := bytes.Index(raw, hint)
	if i < 0 {
		return fmt.Errorf("no slot of device %s", device)
	}
	raw[i+hintSize] ^= 1
	return nil
}
