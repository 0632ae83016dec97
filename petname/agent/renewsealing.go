package agent

import (
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/home"
)

// tableSealing is a device-local table with one row: when the keys for messages that this device
// used last were made. A file of older ones is a copy that was put back: its keys were replaced,
// after a rotation because a thief may have them.
//
//	"made" → RFC 3339
const tableSealing = "sealing"

var rowMade = []byte("made")

// sealingHome returns the home with what the owner's card states of sealing keys: lost ones that
// were published are not made anew, as what waits would be lost with them.
func (s *state) sealingHome() home.Home {
	h := s.home
	h.SealingPublished = len(s.ownCard().Sealing) > 0
	return h
}

// renewSealing returns the keys for messages. It replaces those that are older than maxAge, and
// those of a copy of the file that was put back, which stay for reading. The caller holds the lock
// publishing.
func (s *state) renewSealing(maxAge time.Duration) (home.Sealing, error) {
	h := s.sealingHome()
	keys, err := h.Sealing()
	if err != nil {
		return home.Sealing{}, err
	}
	if old, err := s.isPutBack(keys); err != nil {
		return home.Sealing{}, err
	} else if old {
		s.log.Warn("the keys for messages were replaced before, and are replaced again: sealing.key was put back from a copy", "made", keys.Made)
		maxAge = 0
	}
	return h.RenewSealing(s.now(), s.ownEntry(), maxAge)
}

// isPutBack reports whether the keys are older than those that this device used last.
func (s *state) isPutBack(keys home.Sealing) (bool, error) {
	last, err := s.sealingMade()
	return keys.Made.Before(last), err
}

// noteSealing puts on record when the current keys for messages were made, after a publication or
// a rotation. That it fails costs no more than the record.
func (s *state) noteSealing() {
	keys, err := s.home.Sealing()
	if err == nil {
		var last time.Time
		if last, err = s.sealingMade(); err == nil && !last.Equal(keys.Made) {
			err = s.updateLocal(func(local *ledger.View) error {
				return local.Put(tableSealing, rowMade, []byte(keys.Made.UTC().Format(time.RFC3339)))
			})
		}
	}
	if err != nil {
		s.log.Warn("the date of the keys for messages is not on record", "error", err)
	}
}

// sealingMade returns when the keys that this device used last were made; zero: not known.
func (s *state) sealingMade() (made time.Time, err error) {
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableSealing, rowMade)
		if err == nil && row != nil {
			made, err = time.Parse(time.RFC3339, string(row))
		}
		return err
	})
	return made, err
}
