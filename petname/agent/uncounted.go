package agent

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
)

// UncountedBranch is a branch of a device that has forked, with acts that count on no device. They
// counted before the other branch was found if another copy of the home, or a backup that was
// restored, wrote that one. It is a plain value.
//
// The copy that wrote the branch enters its acts anew when it joins again: see [JoinBook]. If it
// does not exist any more, as after a restored backup, RemoveDeviceAfter with Head, on another device
// of the owner, makes them count, and the home that writes as the device joins again: what it wrote
// is entered anew.
type UncountedBranch struct {
	Device  Device
	Head    ledger.Head   // the last entry of the branch
	Counted uint64        // number of its last entry that counts; 0: none does
	Acts    int           // that do not count
	Last    petname.Event // the last one of them
}

func (b UncountedBranch) String() string {
	acts := fmt.Sprintf("%d changes", b.Acts)
	if b.Acts == 1 {
		acts = "1 change"
	}
	last := b.Last.Op
	if b.Last.Name != "" {
		last += fmt.Sprintf(" %.200q", b.Last.Name)
	} else if b.Last.Label != "" {
		last += fmt.Sprintf(" %.200q", b.Last.Label)
	}
	if b.Device.Removed {
		return fmt.Sprintf("device %.200q was removed, and what it wrote after its entry %d does not count: %s, the last one %s on %s", b.Device.Name, b.Counted, acts, last, b.Last.At.UTC().Format(time.DateTime+" MST"))
	}
	return fmt.Sprintf("two copies have written as device %.200q, and what one of them wrote does not count: %s, the last one %s on %s", b.Device.Name, acts, last, b.Last.At.UTC().Format(time.DateTime+" MST"))
}

// UncountedError is part of [Agent.Notice], once for each entry that ends such a branch.
type UncountedError struct{ Branches []UncountedBranch }

func (e *UncountedError) Error() string {
	var texts []string
	for _, b := range e.Branches {
		texts = append(texts, b.String())
	}
	return strings.Join(texts, "\n")
}

// Uncounted returns the branches with acts that count on no device, of the last 30 days: those of
// devices that have forked and were not removed. A branch that this home wrote is left out: see
// [Agent.Fork], and [Rejoined].
func (a *Agent) Uncounted() ([]UncountedBranch, error) { return a.uncounted(false) }

// TakenBack is Uncounted for devices that were removed: acts that a device wrote before it knew of
// its removal. On a device that had received them they counted until it received the removal. When
// the home of the removed device joins again, its acts are entered anew.
func (a *Agent) TakenBack() ([]UncountedBranch, error) { return a.uncounted(true) }

// uncounted returns the branches with acts that do not count: those of removed devices, or those of
// the others.
func (s *state) uncounted(removed bool) (all []UncountedBranch, err error) {
	l := s.book.Ledger()
	var devices []Device // read if one has forked
	for _, d := range l.Devices() {
		if d.Removed != removed || !removed && !d.Forked {
			continue
		}
		if devices == nil {
			if devices, err = s.book.Devices(); err != nil {
				return nil, err
			}
		}
		branches, err := l.Branches(d.ID)
		if err != nil {
			return nil, err
		}
		for _, b := range branches {
			if b.Counts() || b.Own || s.now().Sub(b.At).Abs() > copyShown {
				continue
			}
			if entered, err := s.isEntered(b.Head); err != nil {
				return nil, err
			} else if entered {
				continue
			}
			out := UncountedBranch{Head: b.Head, Counted: b.Counted}
			for _, device := range devices {
				if device.ID == d.ID {
					out.Device = device
				}
			}
			for event, err := range s.book.ChainLog(b.Head, b.Counted) {
				if err != nil {
					return nil, err
				}
				out.Acts, out.Last = out.Acts+1, event
			}
			all = append(all, out)
		}
	}
	return all, nil
}

// The rows of tableCopies about branches: prefix ‖ device ‖ hash of the last entry → 1.
var (
	prefixShown   = []byte("branch ")  // the owner was notified of it
	prefixEntered = []byte("entered ") // this device has entered its acts anew
	prefixLogged  = []byte("logged ")  // it is in the log of the program
)

func branchKey(prefix []byte, h ledger.Head) []byte {
	return append(append(bytes.Clone(prefix), h.Device[:]...), h.Hash[:]...)
}

// putEntered records that this device has entered the acts of a branch anew.
func putEntered(local *ledger.View, h ledger.Head) error {
	return local.Put(tableCopies, branchKey(prefixEntered, h), []byte{1})
}

func (s *state) isEntered(h ledger.Head) (entered bool, err error) {
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableCopies, branchKey(prefixEntered, h))
		entered = row != nil
		return err
	})
	return entered, err
}

// uncountedNotice returns an [*UncountedError] of the branches that the owner was not notified of;
// nil: there are none.
func (s *state) uncountedNotice() error {
	all, err := s.uncounted(false)
	if err != nil {
		return nil // a damaged book is reported elsewhere
	}
	fresh := s.notNoted(prefixShown, all)
	if len(fresh) == 0 {
		return nil
	}
	return &UncountedError{fresh}
}

// logTakenBack logs, once for each branch, that acts do not count any more, after a merge.
func (s *state) logTakenBack() {
	for _, removed := range []bool{false, true} {
		all, err := s.uncounted(removed)
		if err != nil {
			continue // a damaged book is reported elsewhere
		}
		for _, b := range s.notNoted(prefixLogged, all) {
			s.log.Warn(b.String(), "device", b.Device.ID)
		}
	}
}

// notNoted returns the branches without a row of a prefix, and adds these rows.
func (s *state) notNoted(prefix []byte, all []UncountedBranch) (fresh []UncountedBranch) {
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		fresh = nil
		for _, b := range all {
			row, err := local.Get(tableCopies, branchKey(prefix, b.Head))
			if err != nil {
				return err
			}
			if row == nil {
				fresh = append(fresh, b)
			}
		}
		return nil
	})
	if err != nil || len(fresh) == 0 {
		return nil
	}
	err = s.updateLocal(func(local *ledger.View) error {
		for _, b := range fresh {
			if err := local.Put(tableCopies, branchKey(prefix, b.Head), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.log.Warn("changes that do not count are stated again", "error", err)
	}
	return fresh
}
