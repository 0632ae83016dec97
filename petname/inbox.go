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

// Bounds of the inbox. A suggestion over them is refused; the sender still has
// it.
const (
	maxInbox = 1000 // pending suggestions, without contact requests
	// pending suggestions of one sender; and, counted apart, all contact requests
	MaxInboxFrom = 50
)

var (
	// ErrWrongRecipient is returned for a statement to another recipient.
	ErrWrongRecipient = errors.New("the statement is for another recipient")

	// ErrUnknownSender is returned for a statement whose signer is not a
	// contact, or not by the contact's current key.
	ErrUnknownSender = errors.New("the sender is not in the book")

	// ErrMuted is returned for a suggestion about a pointer that the owner
	// declined permanently.
	ErrMuted = errors.New("it was declined for ever")

	// ErrInboxFull is returned when too many suggestions are pending.
	ErrInboxFull = errors.New("the inbox is full: accept or decline what waits there first")

	// ErrDecided is returned for a suggestion that is accepted, declined,
	// withdrawn or expired.
	ErrDecided = errors.New("the suggestion no longer stands")
)

// pending yields the suggestions without a decision that have not ended, and whose
// sender is in the book: see checkSignerKnown. Those that have ended are not read.
func (b *Book) pending(v *ledger.View) iter.Seq2[Suggestion, error] {
	return func(yield func(Suggestion, error) bool) {
		now := b.now()
		unknown := make(map[pointer.Pointer]bool)
		for kv, err := range v.ScanFrom(tablePending, nil, endKey(now.UnixMilli(), nil)) {
			var s Suggestion
			if err == nil && len(kv.Key) < 8 {
				err = errRow
			}
			if err == nil {
				s, err = readSuggestion(v, kv.Key[8:], now)
			}
			if err == nil && s.Kind.isSigned() {
				skip, checked := unknown[s.By]
				if !checked {
					cerr := checkSignerKnown(v, s)
					if skip = errors.Is(cerr, ErrUnknownSender); !skip {
						err = cerr
					}
					unknown[s.By] = skip
				}
				if skip {
					continue
				}
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// checkSignerKnown returns [ErrUnknownSender] for a suggestion that only a contact can
// make, if no contact has or had the pointer of its signer: the addition of the contact
// was undone since, or the decision that moved a contact to that pointer. The statements
// of a contact that was removed stay.
func checkSignerKnown(v *ledger.View, s Suggestion) error {
	if !s.Kind.isSigned() {
		return nil
	}
	id, err := signerIDOf(v, s.By)
	if err != nil {
		return err
	}
	c, _, err := readContact(v, id)
	if err != nil {
		return err
	}
	if c.Name.IsZero() && c.Conflict == nil && c.Removed.IsZero() {
		return fmt.Errorf("by %s: %w", s.By, ErrUnknownSender)
	}
	return nil
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
	// This device may have the retraction from another device's log.
	withdrawn, err := retracted(v, s.Evidence)
	if withdrawn {
		s.State = Withdrawn
	}
	return s, err
}

// retracted reports whether the introducer retracted a signed introduction,
// with the key that signed it or with another key of the same contact.
func retracted(v *ledger.View, introduction []byte) (bool, error) {
	if n, err := v.Count(tableRetracted); n == 0 || err != nil {
		return false, err
	}
	s, err := introduce.Restore(introduction)
	if err != nil {
		return false, err
	}
	i, _ := s.Introduction()
	introducer, err := signerIDOf(v, i.By)
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
		if retractor, err := signerIDOf(v, by); err != nil || retractor == introducer {
			return err == nil, err
		}
	}
	return false, nil
}

// Inbox yields the pending suggestions, oldest first.
func (b *Book) Inbox() iter.Seq2[Suggestion, error] {
	return func(yield func(Suggestion, error) bool) {
		var waiting []Suggestion // at most maxInbox, except after a merge
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

// Suggestion returns the suggestion with an ID that starts with digits, pending or
// not. The error is [ErrNotFound] if there is none, and [ErrAmbiguous] if there are
// several.
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
				continue // decided on another device, and not received here
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
		return Suggestion{}, fmt.Errorf("%w %s: type more digits", ErrAmbiguous, name.Quote(digits))
	}
	return found[0], nil
}

// Digits returns the shortest prefix of a suggestion's digits that no other
// suggestion has, with at least least digits. It returns all digits if another
// suggestion has the same ones.
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
