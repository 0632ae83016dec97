package agent

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/home"
)

// tableReplaced is a device-local table: removed device → empty, after the keys for messages of
// this device were replaced because of its removal. The removed device has those that were current
// before, or it handed them over. Until they are replaced, this device publishes them in no card
// and passes them on to no other device.
const tableReplaced = "replaced"

// removals are the removed devices of the book.
type removals struct {
	all     []ledger.DeviceID // sorted
	pending []ledger.DeviceID // those for which the keys for messages were not replaced
}

// hash identifies the removed devices, for another device; nil: there are none.
func (r removals) hash() []byte {
	if len(r.all) == 0 {
		return nil
	}
	h := sha256.New()
	for _, id := range r.all {
		h.Write(id[:])
	}
	return h.Sum(nil)
}

// removals returns the removed devices. It deletes the rows of devices that count again.
func (s *state) removals() (out removals, err error) {
	for _, d := range s.book.Ledger().Devices() {
		if d.Removed && d.ID != s.book.Ledger().Device() {
			out.all = append(out.all, d.ID)
		}
	}
	slices.SortFunc(out.all, func(a, b ledger.DeviceID) int { return bytes.Compare(a[:], b[:]) })
	replaced := map[ledger.DeviceID]bool{}
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		for row, err := range local.Scan(tableReplaced, nil) {
			if err != nil {
				return err
			}
			if len(row.Key) == len(ledger.DeviceID{}) {
				replaced[ledger.DeviceID(row.Key)] = true
			}
		}
		return nil
	})
	if err != nil {
		return removals{}, err
	}
	for _, id := range out.all {
		if !replaced[id] {
			out.pending = append(out.pending, id)
		}
		delete(replaced, id)
	}
	if len(replaced) == 0 {
		return out, nil
	}
	return out, s.updateLocal(func(local *ledger.View) error {
		for id := range replaced {
			if err := local.Delete(tableReplaced, id[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// replaceAfterRemovals replaces the keys for messages, once for each removed device. The caller
// holds the lock publishing.
func (s *state) replaceAfterRemovals() error {
	r, err := s.removals()
	if err != nil || len(r.pending) == 0 {
		return err
	}
	if _, err := s.renewSealing(0); err != nil {
		return fmt.Errorf("the keys for messages are not replaced: %w", err)
	}
	return s.setReplaced(r)
}

// setReplaced records that the keys for messages were replaced after all removals.
func (s *state) setReplaced(r removals) error {
	return s.updateLocal(func(local *ledger.View) error {
		for _, id := range r.pending {
			if err := local.Put(tableReplaced, id[:], []byte{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// ownSealing returns the keys for messages for another party, after removals with new keys. The
// caller does not hold the lock publishing.
func (s *state) ownSealing() (home.Sealing, error) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if err := s.replaceAfterRemovals(); err != nil {
		return home.Sealing{}, err
	}
	keys, err := s.sealingHome().Sealing()
	if err != nil {
		return home.Sealing{}, err
	}
	if old, err := s.isPutBack(keys); err != nil || !old {
		return keys, err
	}
	return s.renewSealing(0)
}

// offerSealing returns the file of the keys for messages for another device, and the hash of the
// removed devices for which they were replaced; nothing while they are to be replaced, also as
// those of a copy of the file that was put back.
func (s *state) offerSealing() (file, hash []byte, err error) {
	r, err := s.removals()
	if err != nil || len(r.pending) > 0 {
		return nil, nil, err
	}
	h := s.sealingHome()
	keys, err := h.Sealing()
	if err != nil {
		return nil, nil, err
	}
	if old, err := s.isPutBack(keys); err != nil || old {
		return nil, nil, err
	}
	file, err = h.SealingFile() // if it is newer, the hash is still true
	return file, r.hash(), err
}

// mergeSealing merges the keys for messages of another device, which replaced them after the
// removals that the hash identifies. If it replaced them after all removals and this device did
// not, its keys become the current ones here. If it did not, they become former ones: a removed
// device may have handed them over.
func (s *state) mergeSealing(from ledger.DeviceID, file, hash []byte) error {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	now := s.now()
	if entry := s.ownEntry(); entry.After(now) { // this clock may be behind
		now = entry
	}
	r, err := s.removals()
	if err != nil {
		return err
	}
	after := home.SealingAfter{Removals: len(r.all), Other: !bytes.Equal(hash, r.hash())}
	if len(r.pending) > 0 {
		if after.Own = !after.Other; after.Own {
			_, err = s.sealingHome().MergeSealingAfter(file, now, after)
			if err == nil {
				return s.setReplaced(r)
			}
			s.log.Warn("keys for messages of another device are not used", "device", from, "error", err)
			after.Own = false
		}
		if err := s.replaceAfterRemovals(); err != nil {
			return err
		}
	}
	_, err = s.sealingHome().MergeSealingAfter(file, now, after)
	if errors.Is(err, home.ErrSealingAhead) { // by a wrong clock: what else is exchanged does not wait for it
		s.log.Warn("keys for messages of another device are not used yet", "device", from, "error", err)
		err = nil
	}
	return err
}
