package petname

import (
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Acceptance are the options of [Book.Accept].
type Acceptance struct {
	Lookalike bool   // as in [Source]
	Nickname  string // the nickname from its card, if it was fetched: hostile text
	// a contact to remove in the same step; the suggestion's evidence records the replacement;
	// zero: none
	Replaces   pointer.Pointer
	ReplacePin bool // as in [Source]
}

// Accept names the subject of a suggestion. It is an act of the owner. Errors
// are those of [Book.Add], [ErrDecided] if the suggestion is not pending, and
// [ErrUnknownSender] if it was received of a contact whose addition, or whose move to
// the key that signed, was undone since.
func (b *Book) Accept(id SuggestionID, n name.Name, a Acceptance) (Contact, error) {
	var c Contact
	err := b.update(func(tx *ledger.Tx) error {
		s, err := b.readPending(tx.View(), id)
		if err != nil {
			return err
		}
		if s.Kind == Mutual || s.Kind == Question {
			return fmt.Errorf("suggestion %s can't be accepted with a name", s.ID)
		}
		var replaced []byte
		if !a.Replaces.IsZero() {
			old, err := readNamed(tx.View(), a.Replaces)
			if err != nil {
				return err
			}
			if at, err := contactIDOf(tx.View(), s.Pointer); err != nil || at == old.ID {
				return firstError(err, fmt.Errorf("%s would replace itself", s.Pointer))
			}
			remove, err := removeAct(tx.View(), old)
			if err != nil {
				return err
			}
			if err := appendAct(tx, remove); err != nil {
				return err
			}
			replaced = old.ID.Bytes()
		}
		by := byOwner
		if !s.By.IsZero() {
			by = s.By.String()
		}
		nickname := s.Nickname
		if nickname == "" {
			nickname = a.Nickname
		}
		link := pointer.Link{Pointer: s.Pointer, Next: s.Next, Nickname: nickname}
		kind := s.Kind
		if kind == Invited {
			kind = Paired // acceptance confirms the pairing
		}
		source := Source{Kind: string(kind), By: by, Channel: s.Channel, Lookalike: a.Lookalike, ReplacePin: a.ReplacePin, invited: s.Kind == Invited}
		if err := b.accept(tx, n, link, source, id[:], replaced); err != nil {
			return err
		}
		c, err = readByPointer(tx.View(), s.Pointer)
		return err
	})
	if err != nil {
		return Contact{}, err
	}
	return c, nil
}

// readReceived returns the row of a suggestion. The error is [ErrNotFound] also
// if only a decision of another device was received.
func readReceived(v *ledger.View, id SuggestionID) (suggestionState, error) {
	state, err := getState[suggestionState](v, tableInbox, id.row())
	if err == nil && state.Content == nil {
		err = fmt.Errorf("suggestion %s: %w", id, ErrNotFound)
	}
	return state, err
}

// readPending reads a pending suggestion, and returns [ErrDecided] for any
// other.
func (b *Book) readPending(v *ledger.View, id SuggestionID) (Suggestion, error) {
	if _, err := readReceived(v, id); err != nil {
		return Suggestion{}, err
	}
	s, err := readSuggestion(v, id.row(), b.now())
	if err == nil && s.State != Pending {
		err = fmt.Errorf("suggestion %s: %s: %w", id, s.State, ErrDecided)
	}
	if err == nil {
		err = checkSignerKnown(v, s)
	}
	return s, err
}

// Decline removes a suggestion from the inbox. With never, the book refuses
// every further suggestion about its pointer until the owner adds the pointer
// or pairs with it. Declining twice changes nothing.
func (b *Book) Decline(id SuggestionID, never bool) (Suggestion, error) {
	decision := verdictDecline
	if never {
		decision = verdictNever
	}
	var s Suggestion
	err := b.update(func(tx *ledger.Tx) error {
		state, err := readReceived(tx.View(), id)
		if err != nil {
			return err
		}
		if never && state.Content.About == nil {
			return fmt.Errorf("suggestion %s: its subject isn't known yet, so it can't be declined for ever", id)
		}
		if len(state.Accepted) > 0 {
			return fmt.Errorf("suggestion %s: %s: %w", id, Accepted, ErrDecided)
		}
		if !slices.Contains(state.Verdicts, decision) {
			if err := appendAct(tx, act{Op: opDecide, Item: id[:], Verdict: decision}); err != nil {
				return err
			}
		}
		s, err = readSuggestion(tx.View(), id.row(), b.now())
		return err
	})
	return s, err
}

// Consent records that the owner agreed to a mutual introduction. Consent and
// [Book.Withdraw] are for suggestions of kind Mutual; a repeated call changes
// nothing. Neither names a contact.
func (b *Book) Consent(id SuggestionID) error { return b.decideOffer(id, verdictConsent) }

// Withdraw records that a mutual introduction will not take place: see
// [Book.Consent].
func (b *Book) Withdraw(id SuggestionID) error { return b.decideOffer(id, verdictWithdraw) }

func (b *Book) decideOffer(id SuggestionID, decision verdict) error {
	return b.update(func(tx *ledger.Tx) error {
		state, err := readReceived(tx.View(), id)
		if err != nil {
			return err
		}
		if SuggestionKind(state.Content.Kind) != Mutual {
			return fmt.Errorf("suggestion %s is not an offer of a mutual introduction", id)
		}
		if slices.Contains(state.Verdicts, decision) {
			return nil
		}
		return appendAct(tx, act{Op: opDecide, Item: id[:], Verdict: decision})
	})
}
