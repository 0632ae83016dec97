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
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Device is a device of the book, with what the book states about it.
type Device struct {
	ledger.Device        // Name is the last one that counts, with brackets in place of parentheses
	This          bool   // it is the device of this ledger
	IdentityKey   bool   // it holds the identity key, according to the book
	AdmittedAs    string // the name of its admission, which the identity signed

	// Unconfirmed reports of a device with the identity key that only devices that were removed, or
	// a branch that does not count, stated so, directly or through others: the next key is not handed over to it until the
	// owner confirms it, with Book.ConfirmDevice. From this device, which holds the key, no
	// statement is needed.
	Unconfirmed bool

	// SameName reports that another device of the book has the name, or one that looks alike, and
	// that neither was removed: the id tells them apart.
	SameName bool

	// AdmittedBy is the devices that admitted it; empty for the first one.
	AdmittedBy []ledger.DeviceID

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

// rowDeviceName is the row of the name of a device in tableProfile.
const rowDeviceName = "device name "

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
	by := e.ID().Device
	return f.setProfile(v, e, heldKey(d.Device, by[:]), text)
}

// Devices returns the devices of the book, including removed ones, in the order in which
// this ledger learned of them. The first one created the book.
func (b *Book) Devices() (all []Device, err error) {
	statements, err := b.ledger.Statements()
	if err != nil {
		return nil, err
	}
	var names [][]nameStatement
	var denied []bool
	err = b.read(func(v *ledger.View) error {
		devices := b.ledger.Devices()
		held, err := holdings(v, devices, b.ledger.Device())
		if err != nil {
			return err
		}
		for i, d := range devices {
			out := Device{Device: d, This: d.ID == b.ledger.Device(), AdmittedAs: d.Name, IdentityKey: held[i].holds}
			out.Unconfirmed = out.IdentityKey && !held[i].confirmed
			for _, s := range statements {
				at := &out.Admitted
				if s.Kind == ledger.KindRemove {
					at = &out.RemovedAt
				}
				if s.Device == d.ID && (s.Kind != ledger.KindRemove || d.Removed) && (at.IsZero() || s.Time.Before(*at)) {
					*at = s.Time
				}
				if s.Kind == ledger.KindAdmit && s.Device == d.ID && !slices.Contains(out.AdmittedBy, s.At.Device) {
					out.AdmittedBy = append(out.AdmittedBy, s.At.Device)
				}
			}
			stated, err := b.nameStatements(v, d.ID[:])
			if err != nil {
				return err
			}
			names, denied = append(names, stated), append(denied, held[i].denied)
			all = append(all, out)
		}
		return nil
	})
	for i := range all {
		text, nerr := b.lastName(names[i])
		// Lists add remarks in parentheses after a name, which other devices choose.
		all[i].Name = name.Unparenthesized(cmp.Or(text, all[i].Name))
		all[i].AdmittedAs = name.Unparenthesized(all[i].AdmittedAs)
		if !all[i].IdentityKey && !denied[i] {
			apart, aerr := b.heldApart(all[i].ID, statements)
			all[i].IdentityKey, all[i].Unconfirmed = apart, apart
			nerr = cmp.Or(nerr, aerr)
		}
		err = cmp.Or(err, nerr)
	}
	markSameNames(all)
	return all, err
}

// AdmitDevice admits a device to the book, with a name, and records whether it holds the
// identity key. Repeating it changes nothing but these. The identity is the owner's current
// key. A removed device is refused.
func (b *Book) AdmitDevice(identity crypto.Signer, device ed25519.PublicKey, text string, holdsKey bool) error {
	text, err := deviceName(name.Unparenthesized(text)) // the device chose it
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
	return b.stateDevice(wireDevice{Device: id[:], Name: text, Key: keyStatement(holdsKey)})
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
// device that has forked, the last one of the owner's branch. Devices that its other branches
// removed stay removed, except those in restore: see [ledger.Ledger.RemoveDeviceKeeping].
func (b *Book) RemoveDeviceAfter(identity crypto.Signer, last ledger.Head, restore ...ledger.DeviceID) error {
	_, err := b.ledger.RemoveDeviceKeeping(identity, last, restore, b.ownSteps()...)
	return err
}

// RemovalEffect is what [Book.RemoveDeviceAfter] changes for other devices.
type RemovalEffect struct {
	Kept       []Device // removed by a branch that counts no more: they stay removed, except those to restore
	Unadmitted []Device // admitted by such a branch: they are devices of the book no more
}

// EffectOfRemoval returns what [Book.RemoveDeviceAfter] with the same entry changes for other
// devices.
func (b *Book) EffectOfRemoval(last ledger.Head) (e RemovalEffect, err error) {
	devices, err := b.Devices()
	if err != nil {
		return e, err
	}
	found, err := b.ledger.EffectOfRemoval(last, b.ownSteps()...)
	for _, d := range devices {
		if d.Removed && slices.Contains(found.Restored, d.ID) && !d.This {
			e.Kept = append(e.Kept, d)
		}
		if slices.Contains(found.Unadmitted, d.ID) {
			e.Unadmitted = append(e.Unadmitted, d)
		}
	}
	return e, err
}

// RenewRemovals signs removals of devices again under the owner's current key, the identity, if an
// earlier one signed them: those that this device made, and those of the devices named. It returns
// the devices: see [ledger.Ledger.RenewRemovals].
func (b *Book) RenewRemovals(identity crypto.Signer, named ...ledger.DeviceID) ([]ledger.DeviceID, error) {
	statements, err := b.ledger.Statements()
	for _, s := range statements {
		if s.Kind == ledger.KindRemove && s.At.Device == b.ledger.Device() {
			named = append(named, s.Device)
		}
	}
	if err != nil {
		return nil, err
	}
	return b.ledger.RenewRemovals(identity, named, b.ownSteps()...)
}

// FormerRemovals returns the removed devices of which this device, and the current key, signed no
// removal: a device with a former key may have removed them, as a thief's does.
func (b *Book) FormerRemovals() (all []ledger.DeviceID, err error) {
	statements, err := b.ledger.Statements()
	for _, d := range b.ledger.Devices() {
		known := slices.ContainsFunc(statements, func(s ledger.Statement) bool {
			return s.Kind == ledger.KindRemove && s.Device == d.ID && (s.At.Device == b.ledger.Device() || s.Follows && s.Steps >= len(b.ownSteps()))
		})
		if d.Removed && !known {
			all = append(all, d.ID)
		}
	}
	return all, err
}

// RemovedSigners returns the removed devices that may have the owner's current key: those with the
// identity key, without those that an earlier key removed. A device that rotates the key hands it
// over to no device that was removed.
func (b *Book) RemovedSigners() (all []Device, err error) {
	return b.RemovedSignersAt(b.Identity())
}

// RemovedSignersAt is [Book.RemovedSigners] for one of the owner's pointers: the removed devices
// that may have its key.
func (b *Book) RemovedSignersAt(p pointer.Pointer) (all []Device, err error) {
	steps := slices.Index(b.ownPointers(), p) // from the first pointer to p
	devices, err := b.Devices()
	if err != nil {
		return nil, err
	}
	statements, err := b.ledger.Statements()
	for _, d := range devices {
		before := slices.ContainsFunc(statements, func(s ledger.Statement) bool {
			return s.Kind == ledger.KindRemove && s.Device == d.ID && s.Follows && s.Steps < steps
		})
		if d.Removed && d.IdentityKey && !before {
			all = append(all, d)
		}
	}
	return all, err
}

// stateDevice appends a statement about a device, unless this device stated the same last.
func (b *Book) stateDevice(d wireDevice) error {
	own := b.ledger.Device()
	return b.update(func(tx *ledger.Tx) error {
		v := tx.View()
		stated, err := getState[nameStatement](v, tableProfile, append(deviceKey(rowDeviceName, d.Device), own[:]...))
		if err != nil {
			return err
		}
		key, err := getState[profileState](v, tableProfile, heldKey(d.Device, own[:]))
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
