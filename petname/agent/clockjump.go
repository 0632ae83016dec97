package agent

import (
	"encoding/binary"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
)

// A clock that is over a year after the newest entry of the book may be ahead. The first
// entry under it has its date, so the book alone would then agree with it. Therefore the
// date of the entry before is on record on this device, until the clock has come back, or
// for 30 days.
//
//	clock: "jump" → date of the newest entry then ‖ of the clock then, each 8 bytes of
//	                seconds since 1970

const (
	tableClock = "clock"
	keyJump    = "jump"

	jumpShown = 30 * 24 * time.Hour
)

// jump is a row of tableClock.
type jump struct{ before, at time.Time }

// comparedEntry returns the date of the entry with which the clock is compared: the newest of
// the book, or, after a jump of the clock by over a year, the newest before it; zero: none.
func (s *state) comparedEntry() time.Time {
	now, newest := s.now(), s.newestEntry()
	if newest.IsZero() {
		return newest
	}
	j, ok := s.jump()
	switch {
	case ok && now.Sub(j.before) <= longUnused: // the clock has come back
		s.setJump(jump{})
	case ok && now.Sub(j.at) <= jumpShown:
		return j.before
	case now.Sub(newest) > longUnused:
		s.setJump(jump{newest, now})
	}
	return newest
}

// jumpHint returns a hint of the book's last entry if the clock is over a year after it. It
// records the jump, see comparedEntry.
func (s *state) jumpHint(now time.Time) (clockHint, bool) {
	entry := s.comparedEntry()
	source := "the last entry of the book"
	if now.Sub(s.newestEntry()) <= longUnused {
		source += " before a gap of over a year"
	}
	ahead := entry.Sub(now)
	return clockHint{source: source, group: homeGroup, ahead: ahead}, !entry.IsZero() && -ahead > longUnused
}

func (s *state) jump() (j jump, ok bool) {
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableClock, []byte(keyJump))
		if ok = err == nil && len(row) == 16; ok {
			j.before = time.Unix(int64(binary.BigEndian.Uint64(row)), 0)
			j.at = time.Unix(int64(binary.BigEndian.Uint64(row[8:])), 0)
		}
		return err
	})
	return j, ok && err == nil
}

// setJump replaces the row; the zero value deletes it. That it fails, as in a home that
// cannot be written, costs no more than the hint.
func (s *state) setJump(j jump) {
	err := s.book.Update(func(_ *petname.Book, local *ledger.View) error {
		if j == (jump{}) {
			return local.Delete(tableClock, []byte(keyJump))
		}
		row := binary.BigEndian.AppendUint64(nil, uint64(j.before.Unix()))
		return local.Put(tableClock, []byte(keyJump), binary.BigEndian.AppendUint64(row, uint64(j.at.Unix())))
	})
	if err != nil {
		s.log.Warn("a jump of the clock is not on record", "error", err)
	}
}
