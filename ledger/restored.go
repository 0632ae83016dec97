package ledger

import (
	"bytes"
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/pointer"
)

// A removal of a device after an entry of one of its branches ends the statements of its other
// branches: devices that only these removed would count again, and devices that only these
// admitted would count no more. What it changes is known before it is signed, and the removals can
// be signed again by the device that removes.

// RemovalEffect is what a removal changes for devices other than the removed one. The devices are
// sorted.
type RemovalEffect struct {
	Restored   []DeviceID // they count again, or may: by one key, the removal with the smaller hash is applied first
	Unadmitted []DeviceID // none of their admissions stands any more
}

// EffectOfRemoval returns what RemoveDeviceAfter with the same entry would change for other devices.
// It changes nothing. The steps are those from the book's identity to the key that signs.
func (l *Ledger) EffectOfRemoval(last Head, steps ...pointer.Succession) (e RemovalEffect, err error) {
	done := errors.New("nothing is written")
	err = l.write(func(w *writing) error {
		before, after, err := w.settleWith(last, len(steps))
		if err != nil {
			return err
		}
		e.Restored = after.missing(before)
		for _, id := range before.missing(after) {
			if _, removed := after.ends[id]; !removed && id != last.Device {
				e.Unadmitted = append(e.Unadmitted, id)
			}
		}
		return done
	})
	if errors.Is(err, done) {
		err = nil
	}
	return e, err
}

// missing returns the devices that count in s, and do not in other, sorted.
func (s *settling) missing(other *settling) (all []DeviceID) {
	counts := func(s *settling, id DeviceID) bool {
		_, removed := s.ends[id]
		return s.admitted[id] && !removed
	}
	for id := range s.w.st.devices {
		if counts(s, id) && !counts(other, id) {
			all = append(all, id)
		}
	}
	slices.SortFunc(all, func(a, b DeviceID) int { return bytes.Compare(a[:], b[:]) })
	return all
}

// settleWith returns what is settled without and with a removal by this device, which is not
// stored. The caller settles again.
func (w *writing) settleWith(last Head, steps int) (before, after *settling, err error) {
	if before, err = w.settling(); err != nil {
		return nil, nil, err
	}
	i, err := w.ownBranch()
	if err != nil {
		return nil, nil, err
	}
	stored := w.statements
	defer func() { w.statements = stored }()
	w.statements = append(slices.Clone(stored), storedStatement{kind: KindRemove, follows: true, at: mark{i, w.st.branches[i].head},
		removed: verifiedRemoval{device: last.Device, last: last.Number, hash: last.Hash, steps: steps}})
	after, err = w.settling()
	return before, after, err
}

// RemoveDeviceKeeping is RemoveDeviceAfter, and keeps the removals that would stand no more: this
// device signs them again in the same transaction, each with its last entry, except those of the
// devices in restore, which count again unless the hash of their removal is the smaller one. It returns the devices of the removals that it signed again, sorted.
func (l *Ledger) RemoveDeviceKeeping(identity crypto.Signer, last Head, restore []DeviceID, steps ...pointer.Succession) (kept []DeviceID, err error) {
	err = l.write(func(w *writing) error {
		kept = nil
		if err := w.checkRemoval(last); err != nil {
			return err
		}
		before, after, err := w.settleWith(last, len(steps))
		if err != nil {
			return err
		}
		ends := before.ends
		for _, id := range after.missing(before) {
			if _, removed := ends[id]; removed && id != l.self && !slices.Contains(restore, id) {
				kept = append(kept, id)
			}
		}
		if err := w.settle(); err != nil { // as it was
			return err
		}
		// First, so that a ledger that receives only a part of the entries counts none of the devices.
		// A device that was removed itself cannot: its statements stand after its removal is undone.
		var heads []Head
		for _, id := range kept {
			head, err := w.endOf(ends[id])
			if err != nil {
				return err
			}
			heads = append(heads, head)
		}
		if _, removed := ends[l.self]; removed {
			heads = append([]Head{last}, heads...)
		} else {
			heads = append(heads, last)
		}
		for _, head := range heads {
			err := w.appendStatement(KindRemove, func(at ID) ([]byte, error) {
				return remove(w.st.book, identity, steps, l.rand, at, head)
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
	return kept, nil
}

// endOf returns the last entry that a removal names. Of a removal of version 1, which states no
// hash, it is the last entry of the device that counts.
func (w *writing) endOf(r verifiedRemoval) (Head, error) {
	if r.last == 0 || r.hash != (Hash{}) {
		return Head{r.device, r.last, r.hash}, nil
	}
	i, last := w.st.tip(r.device)
	if last == 0 {
		return Head{Device: r.device}, nil
	}
	e, _, err := w.log.entry(i, last, false)
	return Head{r.device, last, e.hash}, err
}

// checkRemoval returns an error for a removal that this device does not sign.
func (w *writing) checkRemoval(last Head) error {
	if _, found, err := w.log.find(last); err != nil || !found && last.Number > 0 {
		return cmp.Or(err, fmt.Errorf("no entry %v with this hash in the ledger", ID{last.Device, last.Number}))
	}
	return w.checkRemoved(last.Device)
}
