package agent

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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
// does not exist any more, as after a restored backup, RemoveDeviceAfter with Head, on another
// device of the owner, makes them count, and the home that writes as the device joins again: what
// it wrote is entered anew.
type UncountedBranch struct {
	Device  Device
	Head    ledger.Head   // the last entry of the branch; number 0: there is none
	Counted uint64        // number of its last entry that counts; 0: none does
	Acts    int           // that do not count
	Last    petname.Event // the last one of them; zero: there is none

	// No admission of the device counts: a removed device admitted it, after its last entry that
	// counts. The home of the device becomes one of the book, with its acts, when it joins again.
	Unadmitted bool

	// The devices that the branch removed, and that count again.
	Restored []Device
}

func (b UncountedBranch) String() string {
	acts := fmt.Sprintf("%d changes", b.Acts)
	if b.Acts == 1 {
		acts = "1 change"
	}
	last := cmp.Or(map[string]string{petname.OpRetire: "the removal of a device", petname.OpAdmit: "the admission of a device", "device": "a statement about a device"}[b.Last.Op], b.Last.Op)
	if b.Last.Name != "" {
		last += fmt.Sprintf(" %.200q", b.Last.Name)
	} else if b.Last.Label != "" {
		last += fmt.Sprintf(" %.200q", b.Last.Label)
	}
	acts += ", the last one " + last + " on " + b.Last.At.UTC().Format(time.DateTime+" MST")
	text := fmt.Sprintf("two copies have written as device %.200q, and what one of them wrote does not count: %s", b.Device.Name, acts)
	switch {
	case b.Unadmitted:
		text = fmt.Sprintf("device %.200q is in your book no more, since the removal of another device took back its admission", b.Device.Name)
		if b.Acts > 0 {
			text += ", and what it wrote does not count: " + acts
		}
	case b.Device.Removed:
		text = fmt.Sprintf("device %.200q was removed, and what it wrote after its entry %d does not count: %s", b.Device.Name, b.Counted, acts)
	}
	for _, d := range b.Restored {
		text += fmt.Sprintf("; it had removed device %.200q, which is in your book", d.Name)
	}
	return text
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

// Uncounted returns the branches with acts that count on no device, for 30 days after this device
// learned of them: those of devices that have forked and were not removed, those of devices of
// which no admission counts, and those that removed a device which counts again. A branch that this
// home wrote is left out: see [Agent.Fork], and [Rejoined].
func (a *Agent) Uncounted() ([]UncountedBranch, error) { return a.uncounted(false) }

// TakenBack returns the other branches of devices that were removed: acts that a device wrote
// before it knew of its removal. On a device that had received them they counted until it received
// the removal. When the home of the removed device joins again, its acts are entered anew.
func (a *Agent) TakenBack() ([]UncountedBranch, error) { return a.uncounted(true) }

// uncounted returns the branches of TakenBack, or those of Uncounted.
func (s *state) uncounted(takenBack bool) (all []UncountedBranch, err error) {
	l := s.book.Ledger()
	unadmitted := l.Unadmitted()
	found := slices.Clone(unadmitted)
	for _, d := range l.Devices() {
		if d.Removed || d.Forked {
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	devices, err := s.book.Devices()
	if err != nil {
		return nil, err
	}
	effect, err := inEffect(l, devices)
	if err != nil {
		return nil, err
	}
	for i, d := range found {
		device := Device{Device: d}
		if j := slices.IndexFunc(devices, func(x Device) bool { return x.ID == d.ID }); j >= 0 {
			device = devices[j]
		}
		branches, err := l.Branches(d.ID)
		if err != nil {
			return nil, err
		}
		if i < len(unadmitted) && len(branches) == 0 {
			branches = []ledger.Branch{{Head: ledger.Head{Device: d.ID}}}
		}
		for _, b := range branches {
			out := UncountedBranch{Device: device, Head: b.Head, Counted: b.Counted, Unadmitted: i < len(unadmitted)}
			if b.Counts() && b.Head.Number > 0 || b.Own {
				continue
			}
			if d.Removed || out.Unadmitted {
				if out.Restored, err = restored(s.book.Ledger(), devices, d.ID, b.Counted); err != nil {
					return nil, err
				}
			}
			if takenBack != (d.Removed && len(out.Restored) == 0) {
				continue
			}
			if over, err := s.isOver(out); err != nil {
				return nil, err
			} else if over {
				continue
			}
			if err := s.addActs(&out, effect); err != nil {
				return nil, err
			}
			if out.Acts > 0 || out.Unadmitted || len(out.Restored) > 0 {
				all = append(all, out)
			}
		}
	}
	return all, nil
}

// inEffect returns the hashes of the entries with removals and admissions of devices that are in
// effect, in whatever branch they are: a removal of a device that is removed, and an admission of
// one that is in the book.
func inEffect(l *ledger.Ledger, devices []Device) (map[ledger.Hash]bool, error) {
	statements, err := l.Statements()
	unadmitted := l.Unadmitted()
	all := make(map[ledger.Hash]bool)
	for _, x := range statements {
		removed := slices.ContainsFunc(devices, func(d Device) bool { return d.ID == x.Device && d.Removed })
		lost := slices.ContainsFunc(unadmitted, func(d ledger.Device) bool { return d.ID == x.Device })
		if x.Follows && !lost && removed == (x.Kind == ledger.KindRemove) {
			all[x.Hash] = true
		}
	}
	return all, err
}

// addActs adds the acts of a branch that do not count, without the statements that are in effect.
func (s *state) addActs(b *UncountedBranch, effect map[ledger.Hash]bool) error {
	if b.Head.Number == 0 {
		return nil
	}
	skip := make(map[ledger.ID]bool)
	for e, err := range s.book.Ledger().Chain(b.Head, b.Counted) {
		if err != nil {
			return err
		}
		if effect[e.Hash()] {
			skip[e.ID()] = true
		}
	}
	for event, err := range s.book.ChainLog(b.Head, b.Counted) {
		if err != nil {
			return err
		}
		if !skip[event.ID] {
			b.Acts, b.Last = b.Acts+1, event
		}
	}
	return nil
}

// restored returns those of the devices that one device removed by its entries after a number, and
// that count all the same. Without this device, and that one.
func restored(l *ledger.Ledger, devices []Device, by ledger.DeviceID, after uint64) (all []Device, err error) {
	statements, err := l.Statements()
	for _, d := range devices {
		if !d.Removed && !d.This && d.ID != by && slices.ContainsFunc(statements, func(s ledger.Statement) bool {
			return s.Kind == ledger.KindRemove && s.At.Device == by && s.At.Number > after && s.Device == d.ID
		}) {
			all = append(all, d)
		}
	}
	return all, err
}

// tableUncounted is a device-local table about branches: prefix ‖ device ‖ hash of the last
// entry → the time, in seconds (8 bytes, big endian) ‖ number of the last entry that counted (8
// bytes) ‖ the devices of Restored (32 bytes each). Older versions wrote the time alone.
const tableUncounted = "uncounted"

var (
	prefixShown   = []byte("branch ")  // the owner was notified of it
	prefixEntered = []byte("entered ") // this device has entered its acts anew
	prefixLogged  = []byte("logged ")  // it is in the log of the program
)

func branchKey(prefix []byte, h ledger.Head) []byte {
	return append(append(bytes.Clone(prefix), h.Device[:]...), h.Hash[:]...)
}

// notedRow returns the row of a branch.
func notedRow(b UncountedBranch, now time.Time) []byte {
	row := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	row = binary.BigEndian.AppendUint64(row, b.Counted)
	for _, d := range b.Restored {
		row = append(row, d.ID[:]...)
	}
	return row
}

// isNoted reports whether a row is about all that a branch is now: neither have further entries
// ceased to count since, nor are further devices back.
func isNoted(row []byte, b UncountedBranch) bool {
	switch {
	case len(row) < 8:
		return false
	case len(row) < 16: // of an older version
		return len(b.Restored) == 0
	case binary.BigEndian.Uint64(row[8:]) > b.Counted:
		return false
	}
	known := slices.Collect(slices.Chunk(row[16:], len(ledger.DeviceID{})))
	return !slices.ContainsFunc(b.Restored, func(d Device) bool {
		return !slices.ContainsFunc(known, func(id []byte) bool { return bytes.Equal(id, d.ID[:]) })
	})
}

// putEntered records that this device has entered the acts of a branch anew, and has named the
// devices of Restored.
func putEntered(local *ledger.View, b UncountedBranch, now time.Time) error {
	return local.Put(tableUncounted, branchKey(prefixEntered, b.Head), notedRow(b, now))
}

// isOver reports whether this device has entered the acts of a branch anew, or learned of all that
// the branch is now over 30 days ago, by its own clock.
func (s *state) isOver(b UncountedBranch) (over bool, err error) {
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		entered, err := local.Get(tableUncounted, branchKey(prefixEntered, b.Head))
		logged, lerr := local.Get(tableUncounted, branchKey(prefixLogged, b.Head))
		over = isNoted(entered, b)
		if isNoted(logged, b) {
			over = over || s.now().Sub(time.Unix(int64(binary.BigEndian.Uint64(logged)), 0)).Abs() > copyShown
		}
		return errors.Join(err, lerr)
	})
	return over, err
}

// uncountedNotice returns an [*UncountedError] of the branches that the owner was not notified of;
// nil: there are none.
func (s *state) uncountedNotice() error {
	s.pruneUncounted()
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
	s.pruneUncounted()
}

// pruneUncounted deletes the rows of tableUncounted that say nothing any more: of a branch that is
// longer now, or counts, and of one whose acts this device has entered anew; and that the owner was
// notified, of a branch that is not named any more (isOver). A row that its acts were entered anew
// stays, since other devices may still send the branch; so does that of the log, which ends
// the naming.
func (s *state) pruneUncounted() {
	l := s.book.Ledger()
	var stale [][]byte
	err := l.ReadLocal(func(local *ledger.View) error {
		stale = nil
		for _, prefix := range [][]byte{prefixShown, prefixLogged} {
			for row, err := range local.Scan(tableUncounted, prefix) {
				if err != nil {
					return err
				}
				stale = append(stale, bytes.Clone(row.Key))
			}
		}
		return nil
	})
	if err != nil || len(stale) == 0 {
		return
	}
	devices, err := s.book.Devices()
	if err != nil {
		return // a damaged book is reported elsewhere
	}
	unadmitted := l.Unadmitted()
	stale = slices.DeleteFunc(stale, func(key []byte) bool {
		shown := bytes.HasPrefix(key, prefixShown)
		h, ok := branchOf(key)
		if !ok {
			return false
		}
		branches, err := l.Branches(h.Device)
		if err != nil {
			return true // a damaged book is reported elsewhere
		}
		listed := h.Hash == (ledger.Hash{}) && len(branches) == 0 && slices.ContainsFunc(unadmitted, func(d ledger.Device) bool { return d.ID == h.Device })
		now := UncountedBranch{Head: h}
		for _, b := range branches {
			if b.Head.Hash == h.Hash && !b.Own && !b.Counts() {
				listed, now.Counted = true, b.Counted
			}
		}
		if !listed {
			return false
		}
		entered, over := false, false
		now.Restored, err = restored(l, devices, h.Device, now.Counted)
		if err != nil {
			return true
		}
		err = l.ReadLocal(func(local *ledger.View) error {
			row, err := local.Get(tableUncounted, branchKey(prefixEntered, h))
			entered = isNoted(row, now)
			return err
		})
		if err == nil {
			over, err = s.isOver(now)
		}
		return err != nil || !entered && (!over || !shown)
	})
	if len(stale) == 0 {
		return
	}
	err = s.updateLocal(func(local *ledger.View) error {
		for _, key := range stale {
			if err := local.Delete(tableUncounted, key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.log.Debug("rows about changes that do not count stay", "error", err)
	}
}

// branchOf returns the device and the hash in the key of a row about a branch; false: it is
// malformed.
func branchOf(key []byte) (h ledger.Head, ok bool) {
	for _, prefix := range [][]byte{prefixShown, prefixLogged} {
		if rest, found := bytes.CutPrefix(key, prefix); found && len(rest) == len(h.Device)+len(h.Hash) {
			copy(h.Device[:], rest)
			copy(h.Hash[:], rest[len(h.Device):])
			return h, true
		}
	}
	return h, false
}

// notNoted returns the branches that no row of a prefix is about as they are now, and adds these
// rows.
func (s *state) notNoted(prefix []byte, all []UncountedBranch) (fresh []UncountedBranch) {
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		fresh = nil
		for _, b := range all {
			row, err := local.Get(tableUncounted, branchKey(prefix, b.Head))
			if err != nil {
				return err
			}
			if !isNoted(row, b) {
				fresh = append(fresh, b)
			}
		}
		return nil
	})
	if err != nil || len(fresh) == 0 {
		return nil
	}
	now := s.now()
	err = s.updateLocal(func(local *ledger.View) error {
		for _, b := range fresh {
			if err := local.Put(tableUncounted, branchKey(prefix, b.Head), notedRow(b, now)); err != nil {
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
