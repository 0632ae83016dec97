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
	MaxInbox     = 1000 // suggestions that wait, but for strangers'
	MaxInboxFrom = 50   // of them by one person; and, apart, by strangers together
)

var (
	// ErrNotForMe: a statement was said to somebody else.
	ErrNotForMe = errors.New("it was said to somebody else")

	// ErrStranger: who says it is nobody in the book.
	ErrStranger = errors.New("who says it is not in the book")

	// ErrMuted: the user wants to hear no more of the pointer, or of this.
	ErrMuted = errors.New("it was declined for ever")

	// ErrInboxFull: too many suggestions wait for a decision.
	ErrInboxFull = errors.New("the inbox is full: accept or decline what waits there first")

	// ErrDecided: a suggestion that was decided on, withdrawn, or has expired.
	ErrDecided = errors.New("the suggestion no longer stands")
)

// Suggest puts what came in into the inbox, where it names nobody, and reports
// whether it is new there. It is for pairings and for mutual introductions
// (package mutual); what somebody signed by itself goes to [Book.Receive], or, of
// a stranger, to [Book.ReceiveStranger]. Of the suggestion ID, At and State are
// not read, and of a Mutual or Acquainted one nothing but its kind, channel and
// evidence: the signed request, or the transcript.
//
// What was heard before is no error and changes nothing, whatever was decided.
// [ErrOwnPointer], [ErrMuted], [ErrInboxFull]; for a mutual introduction also
// [ErrNotForMe] and, of an offer, [ErrStranger].
func (b *Book) Suggest(s Suggestion) (SuggestionID, bool, error) {
	switch s.Kind {
	case Mutual, Acquainted:
		return b.suggestMutual(s)
	case Stranger: // has to pay
		return SuggestionID{}, false, fmt.Errorf("suggestion of a stranger: %w", ErrStranger)
	}
	w := wireSuggestion{Kind: string(s.Kind), Suggested: s.Suggested, Nickname: s.Nickname, Note: s.Note, Channel: s.Channel,
		Next: s.Next.Bytes(), Evidence: s.Evidence}
	if !s.By.IsZero() {
		w.By = s.By.Bytes()
	}
	if !s.Pointer.IsZero() {
		w.About = s.Pointer.Bytes()
	}
	if !s.Expires.IsZero() {
		w.Expires = s.Expires.UnixMilli()
	}
	if err := w.verify(introduce.Open); err != nil {
		return SuggestionID{}, false, err
	}
	fresh := false
	err := b.update(func(tx *ledger.Tx) (err error) {
		fresh, err = b.suggest(tx, w)
		return err
	})
	return w.id(), fresh && err == nil, err
}

func (b *Book) suggestMutual(s Suggestion) (SuggestionID, bool, error) {
	w, request, err := mutually(s.Kind, s.Evidence, s.Channel)
	if err != nil {
		return SuggestionID{}, false, err
	}
	fresh := false
	err = b.update(func(tx *ledger.Tx) error {
		if !b.mine(request.To) {
			return fmt.Errorf("by %s, to %s: %w", request.By, request.To, ErrNotForMe)
		}
		if s.Kind == Mutual { // who was listened to then needn't be in the book any more when it has come about
			if _, err := b.heard(tx.View(), request.By, request.To); err != nil {
				return err
			}
		}
		fresh, err = b.suggest(tx, w)
		return err
	})
	return w.id(), fresh && err == nil, err
}

func (b *Book) suggest(tx *ledger.Tx, w wireSuggestion) (bool, error) {
	if known, err := b.heardBefore(tx.View(), w); err != nil || known {
		return false, err
	}
	return true, appendAct(tx, act{Op: opSuggest, Suggestion: &w})
}

// heardBefore tells whether a suggestion is there already; an error, that it
// can't be taken in.
func (b *Book) heardBefore(v *ledger.View, w wireSuggestion) (bool, error) {
	if err := w.check(); err != nil { // a fault of the statement, not of the book
		return false, fmt.Errorf("%w: %w", introduce.ErrInvalid, err)
	}
	if state, err := getState[suggestionState](v, tableInbox, w.id().row()); err != nil || state.Said != nil {
		return err == nil, err
	}
	if w.About != nil && SuggestionKind(w.Kind) != Question {
		about, err := pointer.FromBytes(w.About)
		if err != nil {
			return false, err
		}
		if b.mine(about) {
			return false, ErrOwnPointer
		}
		if muted, err := v.Get(tableMuted, w.About); err != nil || muted != nil && !SuggestionKind(w.Kind).met() {
			if _, nerr := named(v, about); err != nil || errors.Is(nerr, ErrNotFound) {
				return false, cmpErr(err, ErrMuted)
			}
		}
	}
	return false, b.room(v, w)
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// room refuses when as much waits as may: in all, and of one person. Those whom
// I met, or consented to, come in all the same, and strangers are counted apart.
func (b *Book) room(v *ledger.View, w wireSuggestion) error {
	switch kind := SuggestionKind(w.Kind); {
	case kind.met(), kind == Acquainted:
		return nil
	case kind == Stranger:
		return b.strangerRoom(v, w)
	}
	all, same := 0, 0
	for s, err := range b.pending(v) {
		if err != nil {
			return err
		}
		if s.State != Pending || s.Kind == Stranger {
			continue
		}
		if all++; w.By != nil && bytes.Equal(s.By.Bytes(), w.By) {
			same++
		}
	}
	if all >= MaxInbox || same >= MaxInboxFrom {
		return ErrInboxFull
	}
	return nil
}

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
	if state.Said == nil || len(row) < len(id) {
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
	introducer, err := owner(v, i.By)
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
		if who, err := owner(v, by); err != nil || who == introducer {
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

// Acceptance says how the user accepts a suggestion.
type Acceptance struct {
	Lookalike bool            // as in [Source]
	Nickname  string          // what its card calls it, if it was looked up: kept as heard
	Instead   pointer.Pointer // a contact that gives way: it is removed, and that it had the name is kept as evidence; zero: nobody
}

// Accept gives a name to whom a suggestion is about: the user's own act. Errors
// as for [Book.Add]; [ErrDecided] when the suggestion no longer stands.
func (b *Book) Accept(id SuggestionID, n name.Name, a Acceptance) (Contact, error) {
	var c Contact
	err := b.update(func(tx *ledger.Tx) error {
		s, err := b.standing(tx.View(), id)
		if err != nil {
			return err
		}
		if s.Kind == Mutual || s.Kind == Question {
			return fmt.Errorf("suggestion %s names nobody yet", s.ID)
		}
		var instead []byte
		if !a.Instead.IsZero() {
			gives, err := named(tx.View(), a.Instead)
			if err != nil {
				return err
			}
			if at, err := owner(tx.View(), s.Pointer); err != nil || at == gives.ID {
				return cmpErr(err, fmt.Errorf("%s would give way to itself", s.Pointer))
			}
			remove, err := removal(tx.View(), gives)
			if err != nil {
				return err
			}
			if err := appendAct(tx, remove); err != nil {
				return err
			}
			instead = gives.ID.Bytes()
		}
		by := "me"
		if !s.By.IsZero() {
			by = s.By.String()
		}
		nickname := s.Nickname
		if nickname == "" {
			nickname = a.Nickname
		}
		link := pointer.Link{Pointer: s.Pointer, Next: s.Next, Nickname: nickname}
		kind := s.Kind
		if kind == Taken {
			kind = Paired // that is what accepting it says
		}
		source := Source{Kind: string(kind), By: by, Channel: s.Channel, Lookalike: a.Lookalike}
		if err := b.accept(tx, n, link, source, id[:], instead); err != nil {
			return err
		}
		c, err = read(tx.View(), s.Pointer)
		return err
	})
	if err != nil {
		return Contact{}, err
	}
	return c, nil
}

// stated returns the row of a suggestion. [ErrNotFound], also if another device
// decided on it and it was not received here yet.
func stated(v *ledger.View, id SuggestionID) (suggestionState, error) {
	state, err := getState[suggestionState](v, tableInbox, id.row())
	if err == nil && state.Said == nil {
		err = fmt.Errorf("suggestion %s: %w", id, ErrNotFound)
	}
	return state, err
}

// standing reads a suggestion that waits.
func (b *Book) standing(v *ledger.View, id SuggestionID) (Suggestion, error) {
	if _, err := stated(v, id); err != nil {
		return Suggestion{}, err
	}
	s, err := readSuggestion(v, id.row(), b.now())
	if err == nil && s.State != Pending {
		err = fmt.Errorf("suggestion %s: %s: %w", id, s.State, ErrDecided)
	}
	return s, err
}

// Decline takes a suggestion out of the inbox. With never, nothing more is
// heard of its pointer, whoever introduces it, until we pair or the user adds
// it. Declining again changes nothing.
func (b *Book) Decline(id SuggestionID, never bool) (Suggestion, error) {
	decision := verdictDecline
	if never {
		decision = verdictNever
	}
	var s Suggestion
	err := b.update(func(tx *ledger.Tx) error {
		state, err := stated(tx.View(), id)
		if err != nil {
			return err
		}
		if never && state.Said.About == nil {
			return fmt.Errorf("suggestion %s: whom it is about isn't known yet, and so can't be declined for ever", id)
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

// Consent notes that the user agreed to an offer to be introduced to each other,
// and Withdraw that nothing will come of one. Neither names anybody. Both are for
// suggestions of kind Mutual, and noting it again changes nothing.
func (b *Book) Consent(id SuggestionID) error { return b.decideOffer(id, verdictConsent) }

// Withdraw: see [Book.Consent].
func (b *Book) Withdraw(id SuggestionID) error { return b.decideOffer(id, verdictWithdraw) }

func (b *Book) decideOffer(id SuggestionID, decision verdict) error {
	return b.update(func(tx *ledger.Tx) error {
		state, err := stated(tx.View(), id)
		if err != nil {
			return err
		}
		if SuggestionKind(state.Said.Kind) != Mutual {
			return fmt.Errorf("suggestion %s is no offer to introduce", id)
		}
		if slices.Contains(state.Verdicts, decision) {
			return nil
		}
		return appendAct(tx, act{Op: opDecide, Item: id[:], Verdict: decision})
	})
}
