package petname

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// suggestionState is the row of a suggestion in the view. The decision may
// arrive before the content.
type suggestionState struct {
	_        struct{}        `cbor:",toarray"`
	At       int64           // ms since 1970: the earliest receipt by a device
	Content  *wireSuggestion // nil: only the decision is known yet
	Accepted [][]byte        // the entries that accepted it, sorted
	Verdicts []verdict       // sorted
	Entries  [][]byte        // the entries that have the content, sorted: the first maxEntries
}

// statementState is the row of a stored statement: edges or a denial.
type statementState struct {
	_         struct{} `cbor:",toarray"`
	At        int64
	Channel   string
	Statement []byte
}

// edges returns the edges in the row.
func (t statementState) edges() (introduce.Edges, error) {
	s, err := introduce.Restore(t.Statement)
	edges, _ := s.Edges()
	return edges, err
}

// suggest stores a suggestion. Devices that received the same one have one row
// for it.
func (f fold) suggest(v *ledger.View, e ledger.Entry, a act) error {
	id := a.Suggestion.id()
	return f.updateSuggestion(v, id[:], func(s *suggestionState) {
		at := e.Time().UnixMilli()
		if s.Content == nil || at < s.At {
			s.At = at
		}
		if s.Content == nil || encodesLess(*a.Suggestion, *s.Content) {
			s.Content = a.Suggestion
		}
		if s.Entries = withKey(s.Entries, undoKey(e.ID())); len(s.Entries) > maxEntries {
			s.Entries = s.Entries[:maxEntries]
		}
	})
}

// updateSuggestion changes a suggestion's row, and updates the indexes.
func (f fold) updateSuggestion(v *ledger.View, id []byte, change func(*suggestionState)) error {
	row := SuggestionID(id).row()
	state, err := getState[suggestionState](v, tableInbox, row)
	if err != nil {
		return err
	}
	before := state
	change(&state)
	if err := putState(v, tableInbox, row, state); err != nil {
		return err
	}
	if err := indexEnds(v, row, before, state); err != nil {
		return err
	}
	if state.Content != nil && state.Content.About != nil {
		if err := v.Put(tableAbout, slices.Concat(state.Content.About, []byte{aboutSuggestion}, row), []byte{}); err != nil {
			return err
		}
		if slices.Contains(state.Verdicts, verdictNever) {
			if err := v.Put(tableMuted, state.Content.About, []byte{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// undecided reports whether the content is known and there is no decision.
func (s suggestionState) undecided() bool {
	return s.Content != nil && len(s.Accepted) == 0 && len(s.Verdicts) == 0
}

// accept adds or removes an entry that accepts a suggestion.
func (f fold) accept(v *ledger.View, item []byte, entry ledger.ID, on bool) error {
	if item == nil {
		return nil
	}
	key := undoKey(entry)
	return f.updateSuggestion(v, item, func(s *suggestionState) {
		if on {
			s.Accepted = withKey(s.Accepted, key)
		} else {
			s.Accepted = withoutKey(s.Accepted, key)
		}
	})
}

// withKey returns sorted keys with a further one, in a slice of its own.
func withKey(keys [][]byte, key []byte) [][]byte {
	keys = append(withoutKey(keys, key), key)
	slices.SortFunc(keys, bytes.Compare)
	return keys
}

// withoutKey returns keys without one, in a slice of its own.
func withoutKey(keys [][]byte, key []byte) [][]byte {
	return slices.DeleteFunc(slices.Clone(keys), func(k []byte) bool { return bytes.Equal(k, key) })
}

func (f fold) decide(v *ledger.View, a act) error {
	return f.updateSuggestion(v, a.Item, func(s *suggestionState) {
		if !slices.Contains(s.Verdicts, a.Verdict) {
			s.Verdicts = append(slices.Clone(s.Verdicts), a.Verdict)
			slices.Sort(s.Verdicts)
		}
	})
}

// storeReceived stores a statement: the newest edges of each contact,
// retractions, and denials.
func (f fold) storeReceived(v *ledger.View, e ledger.Entry, a act, s introduce.Statement) error {
	received := statementState{At: e.Time().UnixMilli(), Channel: a.Channel, Statement: a.Statement}
	if r, is := s.Retraction(); is {
		return v.Put(tableRetracted, append(slices.Clone(r.ID[:]), r.By.Bytes()...), []byte{})
	}
	if edges, is := s.Edges(); is {
		return f.storeList(v, e, edges, received)
	}
	d, _ := s.Denial()
	hash := introduce.Hash(a.Statement)
	return f.storeStatement(v, tableAbout, slices.Concat(d.About.Bytes(), []byte{aboutDenial}, hash[:]), received, 0)
}

// storeStatement stores a statement unless the stored one has a higher version.
// Of two with one version the one with the lesser bytes is stored, and of one
// statement the earlier receipt, so that the order of entries does not matter.
func (f fold) storeStatement(v *ledger.View, table string, key []byte, received statementState, version uint64) error {
	stored, err := getState[statementState](v, table, key)
	if err != nil {
		return err
	}
	if stored.Statement != nil {
		storedVersion := uint64(0)
		if table == tablePrivateEdges {
			edges, err := stored.edges()
			if err != nil {
				return err
			}
			storedVersion = edges.Version
		}
		if cmp.Or(cmp.Compare(storedVersion, version), -bytes.Compare(stored.Statement, received.Statement),
			-cmp.Compare(stored.At, received.At), -strings.Compare(stored.Channel, received.Channel)) >= 0 {
			return nil
		}
	}
	return putState(v, table, key, received)
}

// suggestion returns the exported form.
func (s suggestionState) suggestion(id SuggestionID, now time.Time) (Suggestion, error) {
	w := s.Content
	out := Suggestion{ID: id, Kind: SuggestionKind(w.Kind), Suggested: w.Suggested, Nickname: w.Nickname, Note: w.Note, Channel: w.Channel,
		At: time.UnixMilli(s.At).UTC(), Evidence: bytes.Clone(w.Evidence), State: Pending}
	var err error
	if w.By != nil {
		if out.By, err = pointer.Restore(w.By); err != nil {
			return Suggestion{}, err
		}
	}
	if w.About != nil {
		if out.Pointer, err = pointer.Restore(w.About); err != nil {
			return Suggestion{}, err
		}
	}
	if w.Next != nil {
		if out.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
			return Suggestion{}, err
		}
	}
	if w.Expires != 0 {
		out.Expires = time.UnixMilli(w.Expires).UTC()
	}
	switch {
	case len(s.Accepted) > 0:
		out.State = Accepted
	case slices.Contains(s.Verdicts, verdictWithdraw):
		out.State = Withdrawn
	case slices.Contains(s.Verdicts, verdictDecline), slices.Contains(s.Verdicts, verdictNever):
		out.State = Declined
	case len(s.Verdicts) > 0:
		out.State = Accepted
	case !out.Expires.IsZero() && !now.Before(out.Expires):
		out.State = Expired
	}
	return out, nil
}
