package petname

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
)

const (
	// maxDropped bounds the bodies that one call of DropExpired drops.
	maxDropped = 256

	// withdrawnTime is how long a withdrawn suggestion is stored at most.
	withdrawnTime = 7 * 24 * time.Hour

	// maxEntries bounds the entries of one suggestion that its row has. Each device of
	// the owner makes one; a hostile one can make any number, and the content of a
	// suggestion with so many is not dropped.
	maxEntries = 64

	never = math.MaxInt64
)

// end returns the time from which a suggestion is not pending any more without a
// decision, in ms since 1970. A contact request occupies its slot until then.
func (s suggestionState) end() int64 {
	switch {
	case s.Content.Expires == 0:
		return never
	case SuggestionKind(s.Content.Kind) == ContactRequest:
		return max(s.Content.Expires, s.At+requestSlotTime.Milliseconds())
	}
	return s.Content.Expires
}

// droppedAfter returns the time after which the content of a suggestion can be
// dropped: neither an acceptance nor the refusal of a subject rests on it.
func (s suggestionState) droppedAfter() int64 {
	switch {
	case s.Content == nil, len(s.Accepted) > 0, slices.Contains(s.Verdicts, verdictNever), s.Content.Expires == 0, len(s.Entries) >= maxEntries:
		return never
	case slices.Contains(s.Verdicts, verdictWithdraw):
		return min(s.end(), s.At+withdrawnTime.Milliseconds())
	}
	return s.end()
}

// endKey returns the key of a suggestion in the tables that are ordered by time.
func endKey(end int64, row []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(max(0, end))), row...)
}

// indexEnds updates the rows of a suggestion in the tables that are ordered by time.
func indexEnds(v *ledger.View, row []byte, before, after suggestionState) error {
	replace := func(table string, is bool, was, now int64) error {
		if was != now || !is {
			if err := v.Delete(table, endKey(was, row)); err != nil {
				return err
			}
		}
		if !is {
			return nil
		}
		return v.Put(table, endKey(now, row), []byte{})
	}
	end := func(s suggestionState) int64 {
		if s.Content == nil {
			return never
		}
		return s.end()
	}
	if err := replace(tablePending, after.undecided(), end(before), end(after)); err != nil {
		return err
	}
	return replace(tableEnds, after.droppedAfter() != never, before.droppedAfter(), after.droppedAfter())
}

// DropExpired drops the bodies of entries with suggestions that ended before a time
// without an acceptance, those of messages that were relayed long before it, and those of lists of
// edges that a newer list of the same contact replaces, some at a time, and returns how many bodies
// it dropped. Such a suggestion is then not found any more, as if it had not been received. Its
// statement has expired, so it is refused if it is received again. An expired suggestion is not
// pending before that either. If only other devices of the owner have entered the newest list of
// a contact, this one enters it as well before it drops older ones.
//
// Callers should allow for a clock that is wrong: what is dropped is lost.
func (b *Book) DropExpired(before time.Time) (dropped int, err error) {
	var lists [][]byte // the pointers whose newest list is to be entered
	choose := func(v *ledger.View) (ids []ledger.ID, err error) {
		for kv, err := range v.Scan(tableEnds, nil) {
			if err != nil {
				return nil, err
			}
			if !endsBefore(kv.Key, before) || len(ids) >= maxDropped {
				break
			}
			state, err := getState[suggestionState](v, tableInbox, kv.Key[8:])
			if err != nil {
				return nil, err
			}
			if ids, err = appendEntries(ids, state.Entries); err != nil {
				return nil, err
			}
		}
		relayed, err := expiredRelayed(v, before, maxDropped-len(ids))
		if err != nil {
			return nil, err
		}
		ids = append(ids, relayed...)
		old, toEnter, err := oldLists(v, b.ledger.Device(), maxDropped-len(ids))
		lists = toEnter
		return append(ids, old...), err
	}
	if b.tx != nil {
		return 0, errors.New("petname: DropExpired in an Update")
	}
	err = b.read(func(v *ledger.View) error { // usually there is nothing to write
		ids, err := choose(v)
		dropped = len(ids)
		return err
	})
	if err == nil && len(lists) > 0 {
		err = b.enterLists(lists)
	}
	if err != nil || dropped+len(lists) == 0 {
		return 0, err
	}
	err = b.ledger.DropBodies(func(v *ledger.View) ([]ledger.ID, error) {
		ids, err := choose(v)
		dropped = len(ids)
		return ids, err
	})
	if err != nil {
		return 0, err
	}
	return dropped, nil
}

// entryOf returns the entry of a key: see undoKey.
func entryOf(key []byte) (id ledger.ID, ok bool) {
	if len(key) != len(id.Device)+8 {
		return id, false
	}
	return ledger.ID{Device: ledger.DeviceID(key[:len(id.Device)]), Number: binary.BigEndian.Uint64(key[len(id.Device):])}, true
}

// endsBefore reports whether a key of endKey has an end before a time.
func endsBefore(key []byte, before time.Time) bool {
	return len(key) >= 8 && binary.BigEndian.Uint64(key) < uint64(max(0, before.UnixMilli()))
}

// appendEntries appends the entries of keys: see undoKey.
func appendEntries(ids []ledger.ID, keys [][]byte) ([]ledger.ID, error) {
	for _, key := range keys {
		id, ok := entryOf(key)
		if !ok {
			return nil, errRow
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Drop implements [ledger.Dropper] for suggestions and relayed messages of which all entries
// are dropped, and for older lists of edges.
func (f fold) Drop(v *ledger.View, dropped []ledger.EntryBody) (done bool, err error) {
	left := map[SuggestionID]suggestionState{}
	relayed := map[string][][]byte{}
	for _, d := range dropped {
		a, err := decodeAct(d.Body)
		if err == nil && a.Op == opRelay {
			row := string(a.Relay.row())
			relayed[row] = append(relayed[row], undoKey(d.ID()))
			continue
		}
		if err == nil && a.Op == opStatement {
			if done, err := f.dropOldList(v, d.ID(), a.Statement); !done || err != nil {
				return false, err
			}
			continue
		}
		if err != nil || a.Op != opSuggest {
			return false, nil
		}
		id := a.Suggestion.id()
		state, ok := left[id]
		if !ok {
			if state, err = getState[suggestionState](v, tableInbox, id.row()); err != nil {
				return false, err
			}
			if len(state.Entries) >= maxEntries {
				return false, nil
			}
		}
		state.Entries = withoutKey(state.Entries, undoKey(d.ID()))
		left[id] = state
	}
	if done, err := f.dropRelayed(v, relayed); !done || err != nil {
		return false, err
	}
	for id, state := range left {
		if state.Content == nil || len(state.Entries) > 0 || slices.Contains(state.Verdicts, verdictNever) {
			return false, nil
		}
		if err := f.dropSuggestion(v, id, state); err != nil {
			return false, err
		}
	}
	return true, nil
}

// dropSuggestion removes the content of a suggestion. Decisions on it stay.
func (f fold) dropSuggestion(v *ledger.View, id SuggestionID, state suggestionState) error {
	row := id.row()
	if about := state.Content.About; about != nil {
		if err := v.Delete(tableAbout, slices.Concat(about, []byte{aboutSuggestion}, row)); err != nil {
			return err
		}
	}
	after := suggestionState{Accepted: state.Accepted, Verdicts: state.Verdicts}
	if err := indexEnds(v, row, state, after); err != nil {
		return err
	}
	if len(after.Accepted)+len(after.Verdicts) == 0 {
		return v.Delete(tableInbox, row)
	}
	return putState(v, tableInbox, row, after)
}
