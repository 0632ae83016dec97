package petname

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Bounds of the inbox: what is over them is refused when it comes, and stays
// with who sent it.
const (
	maxInbox     = 1000 // suggestions that wait, but for strangers'
	MaxInboxFrom = 50   // of them by one person; and, apart, by strangers together
)

var (
	// ErrNotForMe: a statement was said to somebody else.
	ErrWrongRecipient = errors.New("it was said to somebody else")

	// ErrStranger: who says it is nobody in the book.
	ErrUnknownSender = errors.New("who says it is not in the book")

	// ErrMuted: the user wants to hear no more of the pointer, or of this.
	ErrMuted = errors.New("it was declined for ever")

	// ErrInboxFull: too many suggestions wait for a decision.
	ErrInboxFull = errors.New("the inbox is full: accept or decline what waits there first")

	// ErrDecided: a suggestion that was decided on, withdrawn, or has expired.
	ErrDecided = errors.New("the suggestion no longer stands")
)

// pending yields what nobody decided on, expired or not.
func (b *Book) pending(v *ledger.View) iter.Seq2[Suggestion, error] {
	return func(yield func(Suggestion, error) bool) {
		now := b.now()
		for kv, err := range v.Scan(tablePending, nil) {
			var s Suggestion
			if err == nil {
				s, err = readSuggestion(v, kv.Key, now)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

func readSuggestion(v *ledger.View, row []byte, now time.Time) (Suggestion, error) {
	state, err := getState[suggestionState](v, tableInbox, row)
	if err != nil {
		return Suggestion{}, err
	}
	var id SuggestionID
	if state.Content == nil || len(row) < len(id) {
		return Suggestion{}, errRow
	}
	copy(id[:], row[len(row)-len(id):])
	s, err := state.suggestion(id, now)
	if err != nil || s.State != Pending || s.Kind != Introduced {
		return s, err
	}
	// Another device may have received the retraction, and not the introduction.
	taken, err := retracted(v, s.Evidence)
	if taken {
		s.State = Withdrawn
	}
	return s, err
}

// retracted reports whether the introducer has taken a signed introduction back,
// by the key that signed it or a later one.
func retracted(v *ledger.View, introduction []byte) (bool, error) {
	if n, err := v.Count(tableRetracted); n == 0 || err != nil {
		return false, err
	}
	s, err := introduce.Restore(introduction)
	if err != nil {
		return false, err
	}
	i, _ := s.Introduction()
	introducer, err := contactIDOf(v, i.By)
	if err != nil {
		return false, err
	}
	for kv, err := range v.Scan(tableRetracted, i.ID[:]) {
		if err != nil {
			return false, err
		}
		by, err := pointer.Restore(kv.Key[len(i.ID):])
		if err != nil {
			return false, err
		}
		if retractor, err := contactIDOf(v, by); err != nil || retractor == introducer {
			return err == nil, err
		}
	}
	return false, nil
}

// Inbox yields the suggestions that wait for the user, oldest first.
func (b *Book) Inbox() iter.Seq2[Suggestion, error] {
	return func(yield func(Suggestion, error) bool) {
		var waiting []Suggestion // MaxInbox at most, but for what was merged
		err := b.read(func(v *ledger.View) error {
			for s, err := range b.pending(v) {
				if err != nil {
					return err
				}
				if s.State == Pending {
					waiting = append(waiting, s)
				}
			}
			return nil
		})
		if err != nil {
			yield(Suggestion{}, err)
			return
		}
		slices.SortStableFunc(waiting, func(a, b Suggestion) int { return a.At.Compare(b.At) })
		for _, s := range waiting {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Suggestion gives the one whose ID starts with these digits, decided or not. Too
// few digits to tell are an error; [ErrNotFound].
func (b *Book) Suggestion(digits string) (Suggestion, error) {
	var found []Suggestion
	err := b.read(func(v *ledger.View) error {
		if len(digits) == 0 || len(digits) > 12 {
			return nil
		}
		for kv, err := range v.Scan(tableInbox, []byte(digits)) {
			if err != nil {
				return err
			}
			s, err := readSuggestion(v, kv.Key, b.now())
			if errors.Is(err, errRow) {
				continue // decided on by another device, and not heard here yet
			}
			if err != nil {
				return err
			}
			if found = append(found, s); len(found) > 1 {
				return nil
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return Suggestion{}, err
	case len(found) == 0:
		return Suggestion{}, fmt.Errorf("suggestion %s: %w", name.Quote(digits), ErrNotFound)
	case len(found) > 1:
		return Suggestion{}, fmt.Errorf("several suggestions start with %s: give more of the digits", name.Quote(digits))
	}
	return found[0], nil
}

// Digits gives as many of a suggestion's digits as tell it from every other, those
// that were decided on among them, but at least some. Two that somebody made to have
// the same ones can't be told apart by them: then it gives all.
func (b *Book) Digits(id SuggestionID, least int) (string, error) {
	digits := id.String()
	n := min(least, len(digits))
	err := b.read(func(v *ledger.View) error {
		for ; n < len(digits); n++ {
			others := false
			for kv, err := range v.Scan(tableInbox, []byte(digits[:n])) {
				if err != nil {
					return err
				}
				if others = !bytes.Equal(kv.Key, id.row()); others {
					break
				}
			}
			if !others {
				return nil
			}
		}
		return nil
	})
	return digits[:n], err
}
