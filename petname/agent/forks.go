package agent

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
)

// Fork is what the book shows of another copy of this home, which writes under the same device
// key. It is a plain value; zero: nothing is seen.
type Fork struct {
	Forked bool      // the copies wrote different entries
	Lost   error     // what this home writes does not count: a [*ledger.ForkError] or a [*ledger.RemovedError]; nil: it counts
	Merged uint64    // entries of another copy that were merged here
	Last   time.Time // of the last of those, by the clock of the copy

	// A device of the owner stated that it has the entry with this number of this device's log,
	// which is not here; 0: none did. The device may lie.
	Stated   uint64
	StatedBy ledger.DeviceID
	Device   string // its name; hostile text
}

// IsZero reports whether nothing is seen.
func (f Fork) IsZero() bool { return !f.Forked && f.Lost == nil && f.Merged == 0 && f.Stated == 0 }

func (f Fork) String() string {
	switch {
	case f.Lost != nil:
		return f.Lost.Error()
	case f.Forked:
		return "another copy of this home writes as this device: what this one writes counts, and what the other one wrote does not, until it is entered anew"
	case f.Stated > 0:
		return fmt.Sprintf("another copy of this home is in use, or this home was restored from an older copy: device %q (%s) states that it has entry %d of this device, which is not here; sync again, and sync there, to receive it", f.Device, f.StatedBy, f.Stated)
	case f.Merged > 0:
		return "another copy of this home is in use, or this home was restored from an older copy: " + fmt.Sprintf("%d changes of this device came from elsewhere", f.Merged)
	}
	return ""
}

// Fork returns what the book shows of another copy of this home. Entries that were merged
// count for 30 days.
func (a *Agent) Fork() (Fork, error) { return a.fork() }

func (s *state) fork() (f Fork, err error) {
	l := s.book.Ledger()
	own, counts, err := l.Own()
	if err != nil {
		return f, err
	}
	for _, d := range l.Devices() {
		if d.ID == l.Device() {
			f.Forked = d.Forked
			if !counts && d.Removed {
				f.Lost = &ledger.RemovedError{Name: d.Name}
			}
		}
	}
	if f.Lost == nil && !counts && own.Head.Number > own.Counted {
		lost := &ledger.ForkError{Entries: own.Head.Number - own.Counted}
		for e, err := range l.Chain(own.Head, own.Counted) {
			if err != nil {
				return f, err
			}
			lost.Since = e.Time()
			break
		}
		f.Lost = lost
	}
	if err := s.addStated(&f); err != nil {
		return f, err
	}
	m, err := l.MergedOwn()
	if err == nil && m.Entries > 0 && s.now().Sub(m.Last).Abs() < copyShown {
		f.Merged, f.Last = m.Entries, m.Last
	}
	return f, err
}

// addStated adds what the devices stated of entries of this device that are not here: of several
// such statements the one with the highest number.
func (s *state) addStated(f *Fork) error {
	stated, err := exchange.UnknownOwn(s.book)
	if err != nil || len(stated) == 0 {
		return err
	}
	devices, err := s.book.Devices()
	for _, d := range devices {
		for _, h := range stated[d.ID] {
			if h.Number > f.Stated {
				f.Stated, f.StatedBy, f.Device = h.Number, d.ID, d.Name
			}
		}
	}
	return err
}

// keyShown is the key of tableCopies of the entries of another copy that the owner was notified
// of: their number (8 bytes) ‖ 1 if the fork was shown, else 0 ‖ the device that stated an
// entry of another copy; empty: none did.
var keyShown = []byte("log")

// forkNotice returns what the owner has to know of another copy: always if what this home writes
// does not count, and otherwise once. Nil: nothing.
func (s *state) forkNotice() error {
	f, err := s.fork()
	if err != nil || f.IsZero() {
		return nil // a damaged book is reported elsewhere
	}
	if f.Lost != nil {
		return f.Lost
	}
	row := binary.BigEndian.AppendUint64(nil, f.Merged)
	row = append(row, map[bool]byte{true: 1}[f.Forked])
	if f.Stated > 0 {
		row = append(row, f.StatedBy[:]...)
	}
	shown := false
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		b, err := local.Get(tableCopies, keyShown)
		shown = string(b) == string(row)
		return err
	})
	if err != nil || shown {
		return nil
	}
	if err := s.book.Update(func(_ *petname.Book, local *ledger.View) error { return local.Put(tableCopies, keyShown, row) }); err != nil {
		s.log.Warn("another copy is shown again", "error", err)
	}
	return fmt.Errorf("%s", f)
}
