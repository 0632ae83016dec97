package agent

import (
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
)

// tableRemovals is a device-local table: device → empty, while its removal by this device is
// not finished. The row is written before the entry that removes the device: when a crash or
// a failure interrupts what follows, the removal can be finished.
const tableRemovals = "removals"

func (a *Agent) removeDevice(id ledger.DeviceID, remove func(crypto.Signer) error) (Device, error) {
	key, err := a.key()
	if err != nil {
		return Device{}, err
	}
	if err := a.updateLocal(func(local *ledger.View) error { return local.Put(tableRemovals, id[:], []byte{}) }); err != nil {
		return Device{}, err
	}
	if err := remove(key); err != nil {
		return Device{}, errors.Join(err, a.removalFinished(id))
	}
	if _, err = a.FinishRemoval(id); err != nil {
		return Device{}, err
	}
	return a.device(id)
}

func (a *Agent) removalFinished(id ledger.DeviceID) error {
	return a.updateLocal(func(local *ledger.View) error { return local.Delete(tableRemovals, id[:]) })
}

// FinishRemoval finishes a removal that this device began with [Agent.RemoveDevice] and that was
// interrupted, and reports whether there was one. It needs no identity key. It fails with an
// [*UnfinishedRemovalError].
func (a *Agent) FinishRemoval(id ledger.DeviceID) (finished bool, err error) {
	began, err := a.unfinishedRemovals()
	if err != nil || !slices.Contains(began, id) {
		return false, err
	}
	a.publishing.Lock()
	err = a.replaceAfterRemovals()
	a.publishing.Unlock()
	if err != nil {
		return false, &UnfinishedRemovalError{id, err}
	}
	ex, err := a.exchange()
	if err == nil {
		err = ex.ForgetDevice(id)
	}
	if err == nil {
		err = a.removalFinished(id)
	}
	if err != nil {
		return false, &UnfinishedRemovalError{id, err}
	}
	return true, nil
}

// UnfinishedRemovalError is returned when a device is removed, and what follows its removal
// failed: [Agent.FinishRemoval] repeats that.
type UnfinishedRemovalError struct {
	Device ledger.DeviceID
	Err    error
}

func (e *UnfinishedRemovalError) Error() string {
	return "the device is removed, but the removal is not finished: " + e.Err.Error()
}

func (e *UnfinishedRemovalError) Unwrap() error { return e.Err }

// finishRemovals replaces the keys for messages after removals, before a card states them, and
// finishes those that were interrupted. The caller holds the lock publishing.
func (a *Agent) finishRemovals() error {
	if err := a.replaceAfterRemovals(); err != nil {
		return err
	}
	began, err := a.unfinishedRemovals()
	for _, id := range began {
		err = errors.Join(err, a.removalFinished(id))
	}
	return err
}

// renewRemovals signs the removals that this device made again under the current key, if an earlier
// one signed them: of those by others only the owner knows whether a thief made them. A failure
// leaves that to the next publication.
func (s *state) renewRemovals(key crypto.Signer) {
	renewed, err := s.book.RenewRemovals(key)
	if err != nil {
		s.log.Warn("the removals of devices are not signed again under the current key", "error", err)
	}
	if len(renewed) > 0 {
		s.syncSoon()
	}
}

// RenewRemoval signs the removal of a device again under the current key, if an earlier one signed
// it, and reports whether it did. It fails with the errors of a locked identity.
func (a *Agent) RenewRemoval(id ledger.DeviceID) (bool, error) {
	key, err := a.key()
	if err != nil {
		return false, err
	}
	a.publishing.Lock()
	defer a.publishing.Unlock()
	renewed, err := a.book.RenewRemovals(key, id)
	if len(renewed) > 0 {
		a.syncSoon()
	}
	return slices.Contains(renewed, id), err
}

// unfinishedRemovals returns the devices whose removal was interrupted.
func (s *state) unfinishedRemovals() (all []ledger.DeviceID, err error) {
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		for row, err := range local.Scan(tableRemovals, nil) {
			if err != nil {
				return err
			}
			if len(row.Key) == len(ledger.DeviceID{}) {
				all = append(all, ledger.DeviceID(row.Key))
			}
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	devices, err := s.book.Devices()
	removed := func(id ledger.DeviceID) bool {
		return slices.ContainsFunc(devices, func(d Device) bool { return d.ID == id && d.Removed })
	}
	return slices.DeleteFunc(all, func(id ledger.DeviceID) bool { return !removed(id) }), err
}

// checkRemovals returns an error for each removal that was interrupted.
func (s *state) checkRemovals() (all []error) {
	began, err := s.unfinishedRemovals()
	if err != nil {
		return []error{err}
	}
	for _, id := range began {
		all = append(all, fmt.Errorf("device %s was removed, and the keys for messages that it has are not replaced yet: remove it again, or publish", id))
	}
	return all
}

// AdmittedBy returns the devices that a device admitted, directly or through others, and that were
// not removed; without this device and those that it admitted.
func (a *Agent) AdmittedBy(id ledger.DeviceID) (all []Device, err error) {
	devices, err := a.book.Devices()
	by := map[ledger.DeviceID]bool{id: true}
	for found := true; found; {
		found = false
		for _, d := range devices {
			if !by[d.ID] && !d.This && slices.ContainsFunc(d.AdmittedBy, func(x ledger.DeviceID) bool { return by[x] }) {
				by[d.ID], found = true, true
			}
		}
	}
	for _, d := range devices {
		if by[d.ID] && d.ID != id && !d.Removed {
			all = append(all, d)
		}
	}
	return all, err
}

// ConfirmDevice states that a device is to hold the identity key which only removed devices
// admitted with it: see [petname.Device.Unconfirmed]. The next exchange hands the key over. It
// fails with [petname.ErrConfirmed] for another device, and with the errors of a locked identity.
func (a *Agent) ConfirmDevice(id ledger.DeviceID) (Device, error) {
	key, err := a.key()
	if err != nil {
		return Device{}, err
	}
	if err := a.book.ConfirmDevice(key, id); err != nil {
		return Device{}, err
	}
	a.syncSoon()
	return a.device(id)
}
