package petname

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
)

// Which devices hold the identity key is derived from the statements about it, when it is read.
// It is a function of the set of entries: neither their order nor a clock counts.
//
//   - The device that created the book can hold the key, and each device of which another one
//     that can hold it states so. A statement of a device about itself adds nothing: a device
//     without the key could write it.
//   - Such a device does not hold the key if it states that itself, or if another device that
//     can hold the key, and was not removed, states it. After its removal that counts no more:
//     it may have lied.
//
// Of each device the last statement about another one counts.

// The rows of the statements about the identity key in tableProfile: row ‖ device ‖ the device
// that states it → profileState.
const (
	rowDeviceKey = "device key "
	textHeld     = "held"
	textNotHeld  = "elsewhere"
)

func heldKey(about, by []byte) []byte { return append(deviceKey(rowDeviceKey, about), by...) }

// statedBy is what one device stated about another one, or about itself.
type statedBy struct {
	about, by ledger.DeviceID
	held      bool
}

// holding is what the book states about a device and the identity key.
type holding struct {
	holds     bool
	confirmed bool // by a chain of statements without a removed device
	denied    bool // a statement that counts says that it does not hold the key
}

// holdings returns what the book states about each of the devices, in the same order. The first
// device is the one that created the book.
func holdings(v *ledger.View, devices []ledger.Device, this ledger.DeviceID) ([]holding, error) {
	var all []statedBy
	for row, err := range v.Scan(tableProfile, []byte(rowDeviceKey)) {
		if err != nil {
			return nil, err
		}
		state, err := decodeState[profileState](tableProfile, row.Value)
		if err != nil {
			return nil, err
		}
		ids := row.Key[len(rowDeviceKey):]
		if len(ids) != 2*len(ledger.DeviceID{}) || len(state.Claims) == 0 {
			return nil, fmt.Errorf("table %s: a statement about %d bytes", tableProfile, len(ids))
		}
		last := state.Claims[len(state.Claims)-1]
		all = append(all, statedBy{ledger.DeviceID(ids[:32]), ledger.DeviceID(ids[32:]), last.Name == textHeld})
	}
	if len(devices) == 0 {
		return nil, nil
	}
	removed := make(map[ledger.DeviceID]bool)
	for _, d := range devices {
		removed[d.ID] = d.Removed
	}
	can := reached(all, []ledger.DeviceID{devices[0].ID}, nil)
	roots := []ledger.DeviceID{devices[0].ID}
	if can[this] {
		roots = append(roots, this)
	}
	confirmed := reached(all, roots, removed)
	out := make([]holding, len(devices))
	for i, d := range devices {
		denied := slices.ContainsFunc(all, func(s statedBy) bool {
			return s.about == d.ID && !s.held && (s.by == d.ID || can[s.by] && !removed[s.by])
		})
		denied = denied && !d.Removed
		out[i] = holding{holds: can[d.ID] && !denied, confirmed: confirmed[d.ID], denied: denied}
	}
	return out, nil
}

// heldApart reports whether a device was admitted with the identity key by a branch that does not
// count from there on: the admission stands, since the identity signed it, and the statement about
// the key after it does not.
func (b *Book) heldApart(id ledger.DeviceID, statements []ledger.Statement) (bool, error) {
	for _, s := range statements {
		if s.Kind != ledger.KindAdmit || s.Device != id {
			continue
		}
		branches, err := b.ledger.Branches(s.At.Device)
		if err != nil {
			return false, err
		}
		for _, br := range branches {
			if br.Counted >= s.At.Number || s.At.Number > br.Head.Number {
				continue
			}
			for e, err := range b.ledger.Chain(br.Head, s.At.Number) {
				if err != nil {
					return false, err
				}
				a, _, err := openAct(e.Body, introduce.Restore)
				if err == nil && a.Op == opDevice && a.Device != nil && a.Device.Key == keyHeld && bytes.Equal(a.Device.Device, id[:]) {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// reached returns the devices that statements lead to from the roots, without those devices
// that are to be left out.
func reached(all []statedBy, roots []ledger.DeviceID, without map[ledger.DeviceID]bool) map[ledger.DeviceID]bool {
	found := make(map[ledger.DeviceID]bool)
	for next := roots; len(next) > 0; next = next[1:] {
		at := next[0]
		if found[at] || without[at] {
			continue
		}
		found[at] = true
		for _, s := range all {
			if s.by == at && s.held {
				next = append(next[:len(next):len(next)], s.about)
			}
		}
	}
	return found
}

// StateOwnKey states whether this device holds the identity key. That it does counts only if
// another device that can hold the key has stated it.
func (b *Book) StateOwnKey(holds bool) error {
	all, err := b.Devices()
	if err != nil || slices.ContainsFunc(all, func(d Device) bool { return d.This && d.IdentityKey == holds }) {
		return err
	}
	id := b.ledger.Device()
	return b.stateDevice(wireDevice{Device: id[:], Key: keyStatement(holds)})
}

// ErrConfirmed is returned by [Book.ConfirmDevice] for a device that needs no confirmation.
var ErrConfirmed = errors.New("is no device that only a removed one admitted with the identity key")

// ConfirmDevice states that a device holds the identity key, of which only removed devices
// stated so: see [Device.Unconfirmed]. identity shows that the caller has the key.
func (b *Book) ConfirmDevice(identity crypto.Signer, id ledger.DeviceID) error {
	if identity == nil {
		return errors.New("no identity key")
	}
	all, err := b.Devices()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(d Device) bool { return d.ID == id })
	switch {
	case i < 0:
		return fmt.Errorf("device %s: %w", id, ErrNotFound)
	case all[i].Removed:
		return fmt.Errorf("device %s: %w", id, ErrDeviceRemoved)
	case !all[i].Unconfirmed:
		return fmt.Errorf("device %s: %w", id, ErrConfirmed)
	}
	return b.stateDevice(wireDevice{Device: id[:], Key: keyHeld})
}

func keyStatement(holds bool) uint8 {
	if holds {
		return keyHeld
	}
	return keyNotHeld
}
