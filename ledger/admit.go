package ledger

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/pointer"
)

// AdmitDevice admits a device to the book. Admitting one again only changes its
// name; a removed device stays removed. The steps lead from the book's identity to the
// given key, each signed by both of its keys; without steps the key is that of the
// identity. A device whose own entries do not count any more, since its key was copied, can
// admit the device that continues in its place.
func (l *Ledger) AdmitDevice(identity crypto.Signer, key ed25519.PublicKey, name string, steps ...pointer.Succession) error {
	id, err := deviceFromKey(key)
	if err != nil {
		return err
	}
	return l.write(func(w *writing) error {
		admitted := 0
		for id := range w.st.devices {
			if w.st.admitted(id) {
				admitted++
			}
		}
		if !w.st.admitted(id) && (admitted >= maxDevices || w.st.first(id) == nil && len(w.st.branches) >= maxRows) {
			return fmt.Errorf("the book has %d devices already", admitted)
		}
		return w.appendStatement(KindAdmit, func(at ID) ([]byte, error) {
			return admit(w.st.book, identity, steps, l.rand, at, id, name)
		})
	})
}

// RemoveDevice permanently removes a device from the book. Its entries up to the last one
// that counts in this ledger count, and no later ones, wherever they are. A
// device that only a later entry admitted has to be admitted again. Of a device that has
// forked it returns ErrFork: use RemoveDeviceAfter. The steps are those of AdmitDevice.
func (l *Ledger) RemoveDevice(identity crypto.Signer, id DeviceID, steps ...pointer.Succession) error {
	return l.removeDevice(identity, steps, func(w *writing) (Head, error) {
		i, last := w.st.tip(id)
		if w.st.forked(id) {
			return Head{}, fmt.Errorf("%w: device %q, so that the last entry that is to count has to be named", ErrFork, w.st.first(id).name)
		}
		if last == 0 {
			return Head{Device: id}, nil
		}
		e, _, err := w.log.entry(i, last, false)
		return Head{id, last, e.hash}, err
	})
}

// RemoveDeviceAfter is RemoveDevice with the last entry of the device that is to count, which
// may be of any branch: if a thief has used the device's key, the last one of its owner.
// Number 0 is none. Statements of the device after it stand no more: see EffectOfRemoval and
// RemoveDeviceKeeping.
func (l *Ledger) RemoveDeviceAfter(identity crypto.Signer, last Head, steps ...pointer.Succession) error {
	return l.removeDevice(identity, steps, func(w *writing) (Head, error) {
		return last, w.checkRemoval(last)
	})
}

func (l *Ledger) removeDevice(identity crypto.Signer, steps []pointer.Succession, find func(w *writing) (Head, error)) error {
	return l.write(func(w *writing) error {
		last, err := find(w)
		if err != nil {
			return err
		}
		if err := w.checkRemoved(last.Device); err != nil {
			return err
		}
		return w.appendStatement(KindRemove, func(at ID) ([]byte, error) {
			return remove(w.st.book, identity, steps, l.rand, at, last)
		})
	})
}

// checkRemoved returns an error for a device that this one does not remove.
func (w *writing) checkRemoved(id DeviceID) error {
	switch {
	case w.st.first(id) == nil:
		return fmt.Errorf("no device %q in the book", id)
	case id == w.l.self:
		return errors.New("a device cannot remove itself; remove it from another one")
	}
	return nil
}

// RenewRemovals signs those removals of the devices again that stand, each with its last entry, if
// an earlier key than the identity signed them: a removal by a later key counts before all by an
// earlier one, which a removed device may have. It returns the devices of the new removals, sorted.
// The steps are those of AdmitDevice; without any, RenewRemovals does nothing. A removal of version
// 1 whose last entry is not in the ledger stays as it is.
//
// The caller knows which removals are the owner's: one by another device may be that of a thief.
func (l *Ledger) RenewRemovals(identity crypto.Signer, devices []DeviceID, steps ...pointer.Succession) (renewed []DeviceID, err error) {
	if len(steps) == 0 || len(devices) == 0 || !slices.ContainsFunc(l.Devices(), func(d Device) bool { return d.Removed }) {
		return nil, nil
	}
	err = l.write(func(w *writing) error {
		s, err := w.settling()
		if err != nil {
			return err
		}
		for id, end := range s.ends {
			if slices.Contains(devices, id) && end.steps < len(steps) && id != l.self && (end.last == 0 || end.hash != Hash{}) {
				renewed = append(renewed, id)
			}
		}
		slices.SortFunc(renewed, func(a, b DeviceID) int { return bytes.Compare(a[:], b[:]) })
		for _, id := range renewed {
			err := w.appendStatement(KindRemove, func(at ID) ([]byte, error) {
				return remove(w.st.book, identity, steps, l.rand, at, Head{id, s.ends[id].last, s.ends[id].hash})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return renewed, nil
}

// appendStatement writes a statement as the next entry of this device, verified as a
// foreign one is, and settles what counts. make returns its body for that entry.
func (w *writing) appendStatement(kind Kind, make func(at ID) ([]byte, error)) error {
	if err := w.loadStatements(); err != nil { // before ownBranch: it changes the format
		return err
	}
	i, err := w.ownBranch()
	if err != nil {
		return err
	}
	last := mark{i, w.st.branches[i].head}
	at := ID{w.l.self, last.number + 1}
	body, err := make(at)
	if err != nil {
		return err
	}
	s, err := w.checkStatement(&Entry{id: at, kind: kind, bodyHash: sha256.Sum256(body)}, body, last)
	if err != nil {
		return err
	}
	if !s.follows {
		return fmt.Errorf("%w: its steps are not those of the succession of the book's identity", ErrRefused)
	}
	e, err := w.append(kind, body)
	if err != nil {
		return err
	}
	if err := w.addStatement(s, i, e); err != nil {
		return err
	}
	s.at = mark{i, at.Number}
	settled, err := w.settling()
	if err == nil && !settled.stands(s) {
		err = fmt.Errorf("%w: it would not stand, because another statement removes this device: remove the device that made it after an earlier entry", ErrRefused)
	}
	return err
}
