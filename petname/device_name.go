package petname

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
)

// The name of a device is that of its admission, which the identity signed, until the device
// itself or a holder of the identity key states another one. Statements of other devices count
// for nothing, so that no device without the key takes the name of another one away.
//
// The view has the last statement of each device about each device, and they are compared when
// they are read: so the name depends on the entries alone, also when the book learns later that a
// device holds the key.

// ErrNotHolder is returned when a device without the identity key changes what only a device
// with it can change.
var ErrNotHolder = errors.New("only a device with the identity key can rename another device")

// nameStatement is a row of a device's name: the last statement of one device about it.
type nameStatement struct {
	Number uint64 `cbor:"1,keyasint"` // of the entry
	Name   string `cbor:"2,keyasint"`

	by ledger.DeviceID
}

func (s nameStatement) id() ledger.ID { return ledger.ID{Device: s.by, Number: s.Number} }

// holders returns the devices that hold the identity key: what they state about other devices,
// and about publications, counts. The result depends on the entries alone.
func (b *Book) holders(v *ledger.View) (map[ledger.DeviceID]bool, error) {
	devices := b.ledger.Devices()
	held, err := holdings(v, devices, b.ledger.Device())
	if err != nil {
		return nil, err
	}
	all := make(map[ledger.DeviceID]bool)
	for i, d := range devices {
		all[d.ID] = held[i].holds
	}
	return all, nil
}

// setDeviceName stores what the device of an entry states about the name of a device.
func (f fold) setDeviceName(v *ledger.View, e ledger.Entry, device []byte, text string) error {
	by := e.ID().Device
	return putState(v, tableProfile, append(deviceKey(rowDeviceName, device), by[:]...), nameStatement{Number: e.ID().Number, Name: text})
}

// nameStatements returns the statements about the name of a device that count, ordered by
// the device that made them.
func (b *Book) nameStatements(v *ledger.View, device []byte) (all []nameStatement, err error) {
	holders, err := b.holders(v)
	if err != nil {
		return nil, err
	}
	prefix := deviceKey(rowDeviceName, device)
	for kv, err := range v.Scan(tableProfile, prefix) {
		if err != nil {
			return nil, err
		}
		s, err := decodeState[nameStatement](tableProfile, kv.Value)
		if err != nil {
			return nil, err
		}
		if by := kv.Key[len(prefix):]; copy(s.by[:], by) != len(by) || len(by) != len(s.by) {
			return nil, errRow
		}
		if holders[s.by] || bytes.Equal(s.by[:], device) {
			all = append(all, s)
		}
	}
	return all, nil
}

// lastName returns the name of the statement that no other one saw; of several, every device
// returns the same one. Empty: there is none. It reads the ledger, so it is not called in a
// transaction.
func (b *Book) lastName(all []nameStatement) (string, error) {
	if len(all) == 1 {
		return all[0].Name, nil
	}
	last := slices.Clone(all)
	for _, s := range all {
		e, _, err := b.ledger.Entry(s.id())
		if err != nil {
			return "", err
		}
		last = slices.DeleteFunc(last, func(earlier nameStatement) bool { return e.Saw(earlier.id()) })
	}
	if len(last) == 0 {
		return "", nil
	}
	return last[len(last)-1].Name, nil
}

// RenameDevice changes the name of a device. A device renames itself without the identity key;
// another one only if it holds the key, and otherwise the error is [ErrNotHolder].
func (b *Book) RenameDevice(id ledger.DeviceID, text string) error {
	text, err := deviceName(text)
	if err != nil {
		return err
	}
	all, err := b.Devices()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(d Device) bool { return d.ID == id })
	switch {
	case i < 0:
		return fmt.Errorf("device %s: %w", id, ErrNotFound)
	case !all[i].This && !slices.ContainsFunc(all, func(d Device) bool { return d.This && d.IdentityKey }):
		return fmt.Errorf("device %s: %w", id, ErrNotHolder)
	case all[i].Name == text:
		return nil
	}
	return b.update(func(tx *ledger.Tx) error {
		return appendAct(tx, act{Op: opDevice, Device: &wireDevice{Device: id[:], Name: text}})
	})
}

// deviceName returns the normal form of the name of a device.
func deviceName(text string) (string, error) {
	clean := name.Clean(text)
	switch {
	case clean == "":
		return "", &name.Error{Text: text, Reason: "is no name of a device: it has nothing to show"}
	case len(clean) > MaxDeviceName:
		return "", &name.Error{Text: text, Reason: fmt.Sprintf("is %d bytes long, over %d for a device", len(clean), MaxDeviceName)}
	}
	return clean, nil
}
