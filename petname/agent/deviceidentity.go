package agent

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/home"
)

// identityFor returns the rotated identity key for a device; nil if this device has not the
// form that the other one gets: see [Agent.keepHandovers]. A device that the owner has not
// confirmed receives it without the key, as one that does not hold it.
func (a *Agent) identityFor(id home.Identity, d Device) ([]byte, error) {
	withKey := d.IdentityKey && !d.Unconfirmed
	if !id.Locked && !id.KeyElsewhere {
		return id.Handover("", withKey)
	}
	var row []byte
	err := a.book.Ledger().ReadLocal(func(local *ledger.View) (err error) {
		row, err = local.Get(tableHandovers, handoverKey(id, withKey))
		row = bytes.Clone(row)
		return err
	})
	if err != nil || row != nil {
		return row, err
	}
	if id.NextElsewhere && (id.KeyElsewhere || withKey) {
		return a.home.IdentityFile() // the form of another device
	}
	return nil, nil
}

// tableHandovers is a device-local table: pointer ‖ 1 with the key, 0 without it → the identity
// key for other devices, of an identity that is locked.
const tableHandovers = "handovers"

func handoverKey(id home.Identity, withKey bool) []byte {
	if withKey {
		return append(id.Pointer.Bytes(), 1)
	}
	return append(id.Pointer.Bytes(), 0)
}

// keepHandovers stores what other devices receive after a rotation of a locked identity,
// while the passphrase is known, unless it is stored.
func (a *Agent) keepHandovers(id home.Identity, passphrase string) error {
	if !id.Locked || len(id.Succession) == 0 {
		return nil
	}
	var kept bool
	err := a.book.Ledger().ReadLocal(func(local *ledger.View) error {
		with, err := local.Get(tableHandovers, handoverKey(id, true))
		without, werr := local.Get(tableHandovers, handoverKey(id, false))
		kept = with != nil && without != nil
		return errors.Join(err, werr)
	})
	if err != nil || kept {
		return err
	}
	others, err := a.others()
	if err != nil || len(others) == 0 {
		return err
	}
	forms := map[bool][]byte{}
	for _, withKey := range []bool{true, false} {
		if forms[withKey], err = id.Handover(passphrase, withKey); err != nil {
			return err
		}
	}
	return a.updateLocal(func(local *ledger.View) error {
		for row, err := range local.Scan(tableHandovers, nil) { // of former keys
			if err != nil {
				return err
			}
			if err := local.Delete(tableHandovers, row.Key); err != nil {
				return err
			}
		}
		for withKey, b := range forms {
			if err := local.Put(tableHandovers, handoverKey(id, withKey), b); err != nil {
				return err
			}
		}
		return nil
	})
}

// errNoHolder is returned for a locked identity key that a device passes on without holding the
// key itself.
var errNoHolder = errors.New("passed on a locked identity key, although it does not hold the key itself")

// adoptIdentity follows a rotation that another device made. What is locked is accepted of a
// device that holds the key alone: nothing proves that the key is in it.
func (a *Agent) adoptIdentity(from ledger.DeviceID, file []byte) error {
	other, err := home.ParseHandover(file)
	if err != nil {
		return err
	}
	if other.Locked {
		d, err := a.device(from)
		if err != nil {
			return err
		}
		if !d.IdentityKey || d.Removed {
			return fmt.Errorf("device %s %w", from, errNoHolder)
		}
	}
	a.publishing.Lock()
	defer a.publishing.Unlock()
	id, changed, err := a.home.AdoptIdentity(file)
	if errors.Is(err, home.ErrNoSuccessor) && (id.Pointer == other.Pointer || id.Created(other.Pointer)) {
		if apart := checkDiverged(id, other); apart != nil || id.Pointer != other.Pointer {
			return apart // nil: the other device does not know of the rotation yet
		}
	}
	if errors.Is(err, home.ErrHoldsNext) && other.Locked {
		err = errors.Join(err, a.updateLocal(func(local *ledger.View) error { return local.Put(tableHanded, from[:], file) }))
	}
	if err != nil || !changed {
		return err
	}
	return a.adopted(id)
}

// ErrDiverged is returned when another device of the owner has another next key at a pointer that
// both have had: two copies of a home have rotated the key, each to a next key of its own.
// Only the one that was published first is followed.
var ErrDiverged = errors.New("another device of yours has another next key: two copies of a home have rotated the key, and only the one that was published first is followed; a device with the other one joins again in a new folder")

// checkDiverged returns ErrDiverged if another device, with the same pointer or an earlier one,
// commits to another next key than this one.
func checkDiverged(id, other home.Identity) error {
	if other.Next.IsZero() {
		return nil
	}
	same := other.Pointer == id.Pointer && (id.Next.IsZero() || id.Next == other.Next)
	for _, step := range id.Succession {
		same = same || step.Old == other.Pointer && other.Next.Opens(step.New)
	}
	if !same && (other.Pointer == id.Pointer || id.Created(other.Pointer)) {
		return fmt.Errorf("%s: %w", other.Pointer, ErrDiverged)
	}
	return nil
}

func (a *Agent) adopted(id home.Identity) error {
	if err := a.book.SetOwnSuccession(id.Succession, id.Next); err != nil {
		return err
	}
	a.events.publish(Event{Kind: RecordChanged})
	return nil
}

// tableHanded is a device-local table: device → the locked file of the next key of this home that
// it handed over. The home holds that key, and adopts the file when it is unlocked: after
// a restored backup it continues the rotation that it had made.
const tableHanded = "handed"

// adoptHanded adopts a file of tableHanded that the passphrase unlocks. Others stay. The caller
// holds the lock publishing.
func (a *Agent) adoptHanded() error {
	all := make(map[ledger.DeviceID][]byte)
	err := a.book.Ledger().ReadLocal(func(local *ledger.View) error {
		for row, err := range local.Scan(tableHanded, nil) {
			if err != nil {
				return err
			}
			if len(row.Key) == len(ledger.DeviceID{}) {
				all[ledger.DeviceID(row.Key)] = bytes.Clone(row.Value)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for from, file := range all {
		other, err := home.ParseHandover(file)
		if err != nil {
			return err
		}
		passphrase, err := a.passphrase(other)
		if err != nil {
			return err
		}
		if _, err := other.Key(passphrase); err != nil {
			a.log.Warn("the identity key that another device handed over is not unlocked", "device", from, "error", err)
			continue
		}
		id, changed, err := a.home.AdoptInvited(file)
		if err == nil && changed {
			err = errors.Join(a.home.IdentityUnlocked(id), a.adopted(id))
		}
		if err != nil && !errors.Is(err, home.ErrNoSuccessor) { // it is late
			return err
		}
		if err := a.updateLocal(func(local *ledger.View) error { return local.Delete(tableHanded, from[:]) }); err != nil {
			return err
		}
	}
	return nil
}

// adoptLastRecords stores the last records of former keys that this device lacks, as far as
// they verify.
func (a *Agent) adoptLastRecords(all [][]byte) error {
	id, err := a.identity()
	if err != nil {
		return err
	}
	for _, step := range id.Succession {
		if _, _, found := a.lastRecordOf(id, step.Old); found {
			continue
		}
		r, found := id.BestLast(step.Old, all, a.now())
		if !found {
			continue
		}
		if err := a.saveLastRecord(r); err != nil {
			return err
		}
	}
	return nil
}
