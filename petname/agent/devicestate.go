package agent

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// tableDevices is a device-local table: device → wireDeviceState, as it was received last.
const tableDevices = "devices"

// wireDeviceState is what a device sends another one beside the entries.
type wireDeviceState struct {
	Version   int      `cbor:"1,keyasint"`
	Addresses [][]byte `cbor:"2,keyasint,omitempty"` // of its node; empty: it has none now
	Sealing   []byte   `cbor:"3,keyasint,omitempty"` // the file of its sealing keys
	Identity  []byte   `cbor:"4,keyasint,omitempty"` // of home.Identity.Handover, after a rotation
	Former    [][]byte `cbor:"5,keyasint,omitempty"` // last records of former keys, the newest first
	Removed   []byte   `cbor:"6,keyasint,omitempty"` // hash of the removed devices for which Sealing was replaced: see removals; empty: none
}

const (
	maxDeviceState = 64 << 10 // bytes
	maxOffered     = 56 << 10 // of it, without the addresses
)

// offerDevice returns the state of this device for another one.
func (a *Agent) offerDevice(to ledger.DeviceID) ([]byte, error) {
	w := wireDeviceState{Version: 1}
	var err error
	if w.Addresses, err = a.addresses(); err != nil && !errors.Is(err, ErrNotServing) {
		return nil, err
	}
	if w.Sealing, w.Removed, err = a.offerSealing(); err != nil {
		return nil, err
	}
	d, err := a.device(to)
	if err != nil {
		return nil, err
	}
	id, err := a.identity()
	if err != nil || len(id.Succession) == 0 {
		if err != nil {
			return nil, err
		}
		return canonical.Marshal(w)
	}
	if w.Identity, err = a.identityFor(id, d); err != nil {
		return nil, err
	}
	for size, i := len(w.Identity)+len(w.Sealing), len(id.Succession)-1; i >= 0; i-- {
		r, _, found := a.lastRecordOf(id, id.Succession[i].Old)
		if size += len(r.Bytes()) + 16; found && size < maxOffered {
			w.Former = append(w.Former, r.Bytes())
		}
	}
	return canonical.Marshal(w)
}

// updateLocal changes the device-local tables.
func (s *state) updateLocal(fn func(local *ledger.View) error) error {
	return s.book.Update(func(_ *petname.Book, local *ledger.View) error { return fn(local) })
}

// receiveFromDevice takes over what another device of the owner told. The device is
// hostile until each part is verified: it may be stolen.
func (a *Agent) receiveFromDevice(from ledger.DeviceID, side []byte) error {
	if len(side) == 0 {
		return nil
	}
	var w wireDeviceState
	if err := canonical.UnmarshalLoose(side, &w, canonical.Bounds{Size: maxDeviceState}); err != nil {
		return fmt.Errorf("state of device %s: %w", from, err)
	}
	var errs []error
	if len(w.Addresses) > 0 {
		errs = append(errs, a.setDeviceAddresses(from, w.Addresses))
	}
	if len(w.Sealing) > 0 {
		errs = append(errs, a.mergeSealing(from, w.Sealing, w.Removed))
	}
	if len(w.Identity) > 0 {
		errs = append(errs, a.adoptIdentity(from, w.Identity))
	}
	if len(w.Former) > 0 {
		errs = append(errs, a.adoptLastRecords(w.Former))
	}
	return errors.Join(errs...)
}

// wireDeviceRow is the row of a device.
type wireDeviceRow struct {
	_         struct{} `cbor:",toarray"`
	Addresses [][]byte
}

func (a *Agent) deviceAddresses(id ledger.DeviceID) ([][]byte, error) {
	var w wireDeviceRow
	err := a.book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableDevices, id[:])
		if err != nil || row == nil {
			return err
		}
		return canonical.Unmarshal(row, &w, canonical.Bounds{})
	})
	return w.Addresses, err
}

// setDeviceAddresses stores the addresses of a device's node.
func (a *Agent) setDeviceAddresses(id ledger.DeviceID, addresses [][]byte) error {
	old, err := a.deviceAddresses(id)
	if err != nil || slices.EqualFunc(old, addresses, bytes.Equal) {
		return err
	}
	return a.updateLocal(func(local *ledger.View) error { return putDeviceAddresses(local, id, addresses) })
}

// putDeviceAddresses stores the addresses of a device's node, if there are any.
func putDeviceAddresses(local *ledger.View, id ledger.DeviceID, addresses [][]byte) error {
	if len(addresses) == 0 {
		return nil
	}
	row, err := canonical.Marshal(wireDeviceRow{Addresses: addresses})
	if err != nil {
		return err
	}
	return local.Put(tableDevices, id[:], row)
}
