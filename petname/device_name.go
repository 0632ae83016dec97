package petname

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

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

// DeviceNameError is returned for a name that does not tell a device from another one of the book,
// which was not removed.
type DeviceNameError struct {
	Name  string
	Other Device // which has the name, one that looks alike, or an id that starts so
}

func (e *DeviceNameError) Error() string {
	part := e.Other.ID.String()[:devicePart]
	switch {
	case e.Taken():
		return fmt.Sprintf("another device of yours, %s, has the name %s", part, name.Quote(e.Other.Name))
	case startsID(e.Name, e.Other.ID):
		return fmt.Sprintf("the name %s is the beginning of the id of another device of yours, %s", name.Quote(e.Name), name.Quote(e.Other.Name))
	}
	return fmt.Sprintf("the name %s looks like %s, which is another device of yours, %s", name.Quote(e.Name), name.Quote(e.Other.Name), part)
}

// Taken reports whether the other device has the same name, but for upper and lower case.
func (e *DeviceNameError) Taken() bool { return strings.EqualFold(name.Clean(e.Other.Name), e.Name) }

const (
	devicePart  = 8 // letters of an id that texts show
	deviceShort = 4 // letters of an id that can stand for it, at least
)

// startsID reports whether a text can stand for a device as the first letters of its id.
func startsID(text string, id ledger.DeviceID) bool {
	return len(text) >= deviceShort && strings.HasPrefix(id.String(), strings.ToLower(text))
}

// DeviceNamesAlike reports whether two names of devices are the same, but for upper and lower case,
// or could be mistaken for each other. One with a remark in parentheses or brackets at the end, as
// lists add after a name, is like the name before it.
func DeviceNamesAlike(one, other string) bool {
	return deviceLooksOf(one).alike(deviceLooksOf(other))
}

// deviceLooks is how a name of a device looks, and that before a remark.
type deviceLooks struct {
	text, before       string
	looks, beforeLooks []name.Look
}

func deviceLooksOf(text string) deviceLooks {
	d := deviceLooks{text: name.Unparenthesized(name.Clean(text))}
	d.looks = name.LooksOf(d.text)
	d.before, d.beforeLooks = d.text, d.looks
	if i := strings.LastIndexByte(d.text, '['); i > 0 && strings.HasSuffix(d.text, "]") {
		if before := strings.TrimSpace(d.text[:i]); before != "" {
			d.before, d.beforeLooks = before, name.LooksOf(before)
		}
	}
	return d
}

func (d deviceLooks) alike(o deviceLooks) bool {
	same := func(one, other string, looks, others []name.Look) bool {
		return strings.EqualFold(one, other) || name.Alike(looks, others)
	}
	return same(d.text, o.text, d.looks, o.looks) || same(d.before, o.text, d.beforeLooks, o.looks) || same(d.text, o.before, d.looks, o.beforeLooks)
}

// markSameNames sets SameName.
func markSameNames(all []Device) {
	looks := make([]deviceLooks, len(all))
	for i := range all {
		if all[i].Removed {
			continue
		}
		looks[i] = deviceLooksOf(all[i].Name)
		for j := range all[:i] {
			if !all[j].Removed && looks[i].alike(looks[j]) {
				all[i].SameName, all[j].SameName = true, true
			}
		}
	}
}

// CheckDeviceName checks a name for a device, which is zero for a new one: it must be one that
// RenameDevice accepts. It fails with a [*DeviceNameError] if it does not tell the device from the
// others.
func (b *Book) CheckDeviceName(id ledger.DeviceID, text string) error {
	_, _, err := b.checkDeviceName(id, text)
	return err
}

// checkDeviceName is CheckDeviceName. It returns the name in its normal form, and the devices.
func (b *Book) checkDeviceName(id ledger.DeviceID, text string) (string, []Device, error) {
	text, err := newDeviceName(text)
	if err != nil {
		return "", nil, err
	}
	all, err := b.Devices()
	if err != nil {
		return "", nil, err
	}
	for _, d := range all {
		if d.ID != id && !d.Removed && (startsID(text, d.ID) || DeviceNamesAlike(d.Name, text)) {
			return text, all, &DeviceNameError{text, d}
		}
	}
	return text, all, nil
}

// RenameDevice changes the name of a device. A device renames itself without the identity key;
// another one only if it holds the key, and otherwise the error is [ErrNotHolder]. It fails with a
// [*DeviceNameError] if the name does not tell the device from the others: after a merge two can
// have one name nevertheless (Device.SameName).
func (b *Book) RenameDevice(id ledger.DeviceID, text string) error {
	text, all, alike := b.checkDeviceName(id, text)
	if all == nil {
		return alike
	}
	i := slices.IndexFunc(all, func(d Device) bool { return d.ID == id })
	switch {
	case i < 0:
		return fmt.Errorf("device %s: %w", id, ErrNotFound)
	case !all[i].This && !slices.ContainsFunc(all, func(d Device) bool { return d.This && d.IdentityKey }):
		return fmt.Errorf("device %s: %w", id, ErrNotHolder)
	case all[i].Name == text:
		return nil
	case alike != nil:
		return alike
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

// newDeviceName is deviceName for a name that the owner chooses: it has no parentheses.
func newDeviceName(text string) (string, error) {
	clean, err := deviceName(text)
	if err == nil && name.Unparenthesized(clean) != clean {
		return "", &name.Error{Text: text, Reason: "has a parenthesis: lists of devices add remarks in parentheses after a name"}
	}
	return clean, err
}
