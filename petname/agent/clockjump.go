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
// The first entry under a clock that is behind the last entry of this device replaces its
// date, too. That date is on record in the same way, until the clock has reached it. A clock
// that came back from such a jump explains it, and it is not shown then.
//
//	clock: "jump" → date of the newest entry then ‖ of the clock then, each 8 bytes of
//	                seconds since 1970
//	       "back" → date of the last entry of this device then ‖ of the clock then; 0: explained

const (
	tableClock = "clock"
	keyJump    = "jump"
	keyBack    = "back"

	jumpShown = 30 * 24 * time.Hour
)

// jump is a row of tableClock.
type jump struct{ before, at time.Time }

// comparedEntry returns the date of the entry with which the clock is compared: the newest of
// the book, or, after a jump of the clock by over a year, the newest before it; zero: none.
func (s *state) comparedEntry() time.Time {
	now := s.now()
	own, newest := s.entryTimes()
	if newest.IsZero() {
		return newest
	}
	j, ok := s.jump(keyJump)
	cameBack := ok && now.Sub(j.before) <= longUnused
	s.noteBack(now, own, cameBack)
	switch {
	case cameBack:
		s.setJump(keyJump, jump{})
	case ok && now.Sub(j.at) <= jumpShown:
		return j.before
	case now.Sub(newest) > longUnused:
		s.setJump(keyJump, jump{newest, now})
	}
	return newest
}

// ownEntry is comparedEntry without the entries of other devices, for what another device's
// clock must not delay.
func (s *state) ownEntry() time.Time {
	compared := s.comparedEntry()
	if own, _ := s.entryTimes(); !own.IsZero() && own.Before(compared) {
		return own
	}
	return compared
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

// noteBack puts the date of the last entry of this device on record while the clock is behind
// it, and removes it when the clock has reached it.
func (s *state) noteBack(now, own time.Time, explained bool) {
	back, ok := s.jump(keyBack)
	switch {
	case own.Sub(now) > bookMargin && (!ok || own.Truncate(time.Second).After(back.before)):
		at := now
		if explained {
			at = time.Unix(0, 0)
		}
		s.setJump(keyBack, jump{own, at})
	case ok && back.before.Sub(now) <= bookMargin:
		s.setJump(keyBack, jump{})
	}
}

// backHint returns a hint of the last entry of this device before the clock was behind it,
// for 30 days, if another entry has replaced its date.
func (s *state) backHint(now time.Time) (clockHint, bool) {
	back, ok := s.jump(keyBack)
	own, _ := s.entryTimes()
	ahead := back.before.Sub(now)
	return clockHint{source: "an entry of this device before its clock was set back", group: homeGroup, ahead: ahead},
		ok && ahead > bookMargin && own.Sub(now) <= bookMargin && now.Sub(back.at) <= jumpShown
}

func (s *state) jump(key string) (j jump, ok bool) {
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableClock, []byte(key))
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
func (s *state) setJump(key string, j jump) {
	err := s.book.Update(func(_ *petname.Book, local *ledger.View) error {
		if j == (jump{}) {
			return local.Delete(tableClock, []byte(key))
		}
		row := binary.BigEndian.AppendUint64(nil, uint64(j.before.Unix()))
		return local.Put(tableClock, []byte(key), binary.BigEndian.AppendUint64(row, uint64(j.at.Unix())))
	})
	if err != nil {
		s.log.Warn("a jump of the clock is not on record", "error", err)
	}
}
