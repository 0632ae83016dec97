package petname

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Device is a device of the book, with what the book states about it.
type Device struct {
	ledger.Device        // Name is the last one that counts
	This          bool   // it is the device of this ledger
	IdentityKey   bool   // it holds the identity key, according to the book
	AdmittedAs    string // the name of its admission, which the identity signed

	// By the clocks of the devices that wrote it, which may be wrong; RemovedAt is zero for a
	// device that was not removed.
	Admitted, RemovedAt time.Time
}

// MaxDeviceName is the longest name of a device, in bytes of UTF-8.
const MaxDeviceName = 64

// Whether a device holds the identity key, in wireDevice.
const (
	keyNotStated = iota
	keyHeld
	keyNotHeld
)

// check checks the form of a statement about a device.
func (d wireDevice) check() error {
	switch {
	case len(d.Device) != ed25519.PublicKeySize:
		return fmt.Errorf("device of %d bytes", len(d.Device))
	case len(d.Name) > MaxDeviceName || !utf8.ValidString(d.Name):
		return fmt.Errorf("name of a device of %d bytes", len(d.Name))
	case d.Key > keyNotHeld || d.Name == "" && d.Key == keyNotStated:
		return errors.New("states nothing about a device")
	}
	return nil
}

// The rows of a device in tableProfile.
const (
	rowDeviceName = "device name "
	rowDeviceKey  = "device key "
	textHeld      = "held"
	textNotHeld   = "elsewhere"
)

func deviceKey(row string, device []byte) []byte { return append([]byte(row), device...) }

func (f fold) setDevice(v *ledger.View, e ledger.Entry, d wireDevice) error {
	if d.Name != "" {
		if err := f.setDeviceName(v, e, d.Device, d.Name); err != nil {
			return err
		}
	}
	text := textHeld
	switch d.Key {
	case keyNotStated:
		return nil
	case keyNotHeld:
		text = textNotHeld
	}
	return f.setProfile(v, e, deviceKey(rowDeviceKey, d.Device), text)
}

// Devices returns the devices of the book, including removed ones, in the order in which
// this ledger learned of them. A device of which the book does not state it holds the identity
// key if it is the first one.
func (b *Book) Devices() (all []Device, err error) {
	statements, err := b.ledger.Statements()
	if err != nil {
		return nil, err
	}
	var names [][]nameStatement
	err = b.read(func(v *ledger.View) error {
		for i, d := range b.ledger.Devices() {
			out := Device{Device: d, This: d.ID == b.ledger.Device(), AdmittedAs: d.Name}
			for _, s := range statements {
				at := &out.Admitted
				if s.Kind == ledger.KindRemove {
					at = &out.RemovedAt
				}
				if s.Device == d.ID && (s.Kind != ledger.KindRemove || d.Removed) && (at.IsZero() || s.Time.Before(*at)) {
					*at = s.Time
				}
			}
			stated, err := b.nameStatements(v, d.ID[:])
			if err != nil {
				return err
			}
			names = append(names, stated)
			if out.IdentityKey, err = holdsIdentityKey(v, d.ID, i == 0); err != nil {
				return err
			}
			all = append(all, out)
		}
		return nil
	})
	for i := range all {
		text, nerr := b.lastName(names[i])
		if all[i].Name = cmp.Or(text, all[i].Name); err == nil {
			err = nerr
		}
	}
	return all, err
}

// holdsIdentityKey reports whether a device holds the identity key, according to the book. first
// is the result for a device of which the book states neither.
func holdsIdentityKey(v *ledger.View, id ledger.DeviceID, first bool) (holds bool, err error) {
	state, err := getState[profileState](v, tableProfile, deviceKey(rowDeviceKey, id[:]))
	holds = first
	for _, c := range state.Claims {
		holds = c.Name == textHeld
	}
	return holds, err
}

// AdmitDevice admits a device to the book, with a name, and records whether it holds the
// identity key. Repeating it changes nothing but these. The identity is the owner's current
// key. A removed device is refused.
func (b *Book) AdmitDevice(identity crypto.Signer, device ed25519.PublicKey, text string, holdsKey bool) error {
	text, err := deviceName(text)
	if err != nil {
		return err
	}
	if len(device) != ed25519.PublicKeySize {
		return fmt.Errorf("device key of %d bytes", len(device))
	}
	id := ledger.DeviceID(device)
	all := b.ledger.Devices()
	if i := slices.IndexFunc(all, func(d ledger.Device) bool { return d.ID == id }); i < 0 {
		if err := b.ledger.AdmitDevice(identity, device, text, b.ownSteps()...); err != nil {
			return err
		}
	} else if all[i].Removed {
		return fmt.Errorf("device %s: %w", id, ErrDeviceRemoved)
	}
	key := uint8(keyNotHeld)
	if holdsKey {
		key = keyHeld
	}
	return b.stateDevice(wireDevice{Device: id[:], Name: text, Key: key})
}

// ErrDeviceRemoved is returned for a device that was removed from the book, which is for
// ever.
var ErrDeviceRemoved = errors.New("was removed from the book: it can join with a new device key")

// RemoveDevice removes a device from the book for ever. Its entries up to the last one that
// is in this ledger count, and no later ones.
func (b *Book) RemoveDevice(identity crypto.Signer, id ledger.DeviceID) error {
	return b.ledger.RemoveDevice(identity, id, b.ownSteps()...)
}

// RemoveDeviceAfter is RemoveDevice with the last entry of the device that is to count: of a
// device that has forked, the last one of the owner's branch.
func (b *Book) RemoveDeviceAfter(identity crypto.Signer, last ledger.Head) error {
	return b.ledger.RemoveDeviceAfter(identity, last, b.ownSteps()...)
}

// StateOwnKey states whether this device holds the identity key.
func (b *Book) StateOwnKey(holds bool) error {
	id, key := b.ledger.Device(), uint8(keyNotHeld)
	if holds {
		key = keyHeld
	}
	return b.stateDevice(wireDevice{Device: id[:], Key: key})
}

// stateDevice appends a statement about a device, unless this device stated the same name last
// and the book states the same about the key.
func (b *Book) stateDevice(d wireDevice) error {
	own := b.ledger.Device()
	return b.update(func(tx *ledger.Tx) error {
		v := tx.View()
		stated, err := getState[nameStatement](v, tableProfile, append(deviceKey(rowDeviceName, d.Device), own[:]...))
		if err != nil {
			return err
		}
		key, err := getState[profileState](v, tableProfile, deviceKey(rowDeviceKey, d.Device))
		if err != nil {
			return err
		}
		text := [...]string{"", textHeld, textNotHeld}[d.Key]
		if (d.Name == "" || d.Name == stated.Name) && (text == "" || len(key.Claims) == 1 && key.Claims[0].Name == text) {
			return nil
		}
		return appendAct(tx, act{Op: opDevice, Device: &d})
	})
}

// ownSteps returns the steps from the identity that created the book to the current one.
func (b *Book) ownSteps() []pointer.Succession {
	if steps := b.ownChain.Load(); steps != nil {
		return *steps
	}
	return nil
}
