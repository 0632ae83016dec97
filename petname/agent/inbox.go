package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
)

// Inbox yields the suggestions that wait for the owner's decision, oldest first:
// introductions, pairings, contact requests. A suggestion names no contact.
func (a *Agent) Inbox() iter.Seq2[petname.Suggestion, error] { return a.book.Inbox() }

// Suggestion returns the suggestion with a number, or with the first digits of
// one. The error is [ErrNoSuggestion] if there is none, and [petname.ErrAmbiguous] if there
// are several.
func (a *Agent) Suggestion(digits string) (petname.Suggestion, error) {
	s, err := a.book.Suggestion(digits)
	if errors.Is(err, petname.ErrNotFound) {
		return s, fmt.Errorf("%w: %q", ErrNoSuggestion, digits)
	}
	return s, err
}

// Digits returns the shortest prefix of a suggestion's number that no other suggestion
// has, of at least least digits.
func (a *Agent) Digits(id petname.SuggestionID, least int) (string, error) {
	return a.book.Digits(id, least)
}

// Accept adds the subject of a suggestion to the book under a petname. Errors are
// those of [petname.Book.Accept].
func (a *Agent) Accept(id petname.SuggestionID, text string, how petname.Acceptance) (petname.Contact, error) {
	n, err := name.Parse(text)
	if err != nil {
		return petname.Contact{}, err
	}
	s, err := a.book.Suggestion(id.String())
	if err != nil {
		return petname.Contact{}, err
	}
	if how.Nickname == "" {
		how.Nickname = a.nicknameOf(s.Pointer)
	}
	return a.book.Accept(id, n, how)
}

// AcceptMutual consents to an offer of a mutual introduction. When both parties have
// consented, the inbox has a suggestion with the other party.
func (a *Agent) AcceptMutual(ctx context.Context, id petname.SuggestionID) (Delivery, error) {
	s, err := a.book.Suggestion(id.String())
	if err != nil {
		return "", err
	}
	if s.State != petname.Pending {
		return "", fmt.Errorf("suggestion %s: %s: %w", s.ID, s.State, petname.ErrDecided)
	}
	key, err := a.key()
	if err != nil {
		return "", err
	}
	ex, err := a.exchange()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	_, sent, err := ex.AcceptMutual(ctx, key, s.ID)
	return delivered(sent, err)
}

// Decline removes a suggestion from the inbox. With never, further suggestions about
// its pointer are refused. The introducer of a mutual introduction is notified, now or
// when the identity is next unlocked.
func (a *Agent) Decline(ctx context.Context, id petname.SuggestionID, never bool) (petname.Suggestion, error) {
	s, err := a.book.Suggestion(id.String())
	if err != nil {
		return petname.Suggestion{}, err
	}
	if s.Kind != petname.Mutual || never {
		return a.book.Decline(id, never)
	}
	key, err := a.keyIfUnlocked()
	if err != nil {
		return petname.Suggestion{}, err
	}
	ex, err := a.exchange()
	if err != nil {
		return petname.Suggestion{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if _, sent, err := ex.DeclineMutual(ctx, key, id); sent == "" && err != nil {
		return petname.Suggestion{}, err
	} // that the introducer is notified later is no failure: it is declined
	return a.book.Suggestion(id.String())
}
