package petname

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Receive takes a verified statement in, and reports whether it is new. An
// introduction or a question waits in the inbox; a retraction takes an introduction
// out of it; edges are read by [Book.Resolve] instead of the signer's card; a denial
// is kept as evidence. channel is how the statement came.
//
// Statements of contacts alone are accepted, [ErrStranger] otherwise, and only
// those to the owner, [ErrNotForMe]; a denial has no recipient. The other errors
// are those of [Book.Suggest], of [introduce.Introduction.CheckTime], and, for the
// zero Statement, [introduce.ErrInvalid]. A statement never names or unnames a
// contact.
func (b *Book) Receive(s introduce.Statement, channel string) (SuggestionID, bool, error) {
	if i, is := s.Introduction(); is {
		return b.receiveIntroduction(s, i, channel)
	}
	if q, is := s.Question(); is {
		return b.receiveQuestion(s, q, channel)
	}
	var fresh bool
	err := introduce.ErrInvalid
	if r, is := s.Retraction(); is {
		fresh, err = b.receiveRetraction(s, r, channel)
	} else if edges, is := s.Edges(); is {
		fresh, err = b.receiveEdges(s, edges, channel)
	} else if d, is := s.Denial(); is {
		fresh, err = b.receiveDenial(s, d, channel)
	}
	return SuggestionID{}, fresh, err
}

// heard refuses what isn't from a contact, or isn't for me.
func (b *Book) heard(v *ledger.View, by, to pointer.Pointer) (Contact, error) {
	if !b.mine(to) {
		return Contact{}, fmt.Errorf("by %s, to %s: %w", by, to, ErrNotForMe)
	}
	c, err := named(v, by)
	if errors.Is(err, ErrNotFound) {
		return Contact{}, fmt.Errorf("by %s: %w", by, ErrStranger)
	}
	if err != nil {
		return Contact{}, err
	}
	if c.Duplicity || by != c.Pointer {
		// An earlier key of somebody who has gone on to the next may be a thief's.
		return Contact{}, fmt.Errorf("by %s, which is not the key that the contact is known to have now: %w", by, ErrStranger)
	}
	return c, nil
}

func (b *Book) receiveIntroduction(s introduce.Statement, i introduce.Introduction, channel string) (SuggestionID, bool, error) {
	if err := i.CheckTime(b.now()); err != nil {
		return SuggestionID{}, false, err
	}
	w := saidBy(s, Introduced, channel)
	fresh := false
	err := b.update(func(tx *ledger.Tx) error {
		if _, err := b.heard(tx.View(), i.By, i.To); err != nil {
			return err
		}
		retracted, err := tx.View().Get(tableRetracted, append(slices.Clone(i.ID[:]), i.By.Bytes()...))
		if err != nil || retracted != nil {
			return cmpErr(err, fmt.Errorf("introduction by %s: it was taken back: %w", i.By, ErrDecided))
		}
		fresh, err = b.suggest(tx, w)
		return err
	})
	if err != nil {
		return SuggestionID{}, false, err
	}
	// A succession is worth what it proves, whoever brings it.
	for _, s := range i.Chain {
		if err := b.Succeed(s.Old, i.Chain); err != nil && !errors.As(err, new(*SuccessionError)) {
			return SuggestionID{}, false, err
		}
	}
	return w.id(), fresh, nil
}

func (b *Book) receiveQuestion(s introduce.Statement, q introduce.Question, channel string) (SuggestionID, bool, error) {
	w := askedBy(s, channel)
	fresh := false
	err := b.update(func(tx *ledger.Tx) error {
		_, err := b.heard(tx.View(), q.By, q.To)
		if err == nil {
			fresh, err = b.suggest(tx, w)
		}
		return err
	})
	return w.id(), fresh, err
}

func (b *Book) receiveRetraction(s introduce.Statement, r introduce.Retraction, channel string) (bool, error) {
	fresh := false
	err := b.update(func(tx *ledger.Tx) error {
		v := tx.View()
		by, err := b.heard(v, r.By, r.To)
		if err != nil {
			return err
		}
		known, err := v.Get(tableRetracted, append(slices.Clone(r.ID[:]), r.By.Bytes()...))
		if err != nil || known != nil {
			return err
		}
		fresh = true
		if err := appendAct(tx, act{Op: opHear, Statement: s.Bytes(), Channel: channel}); err != nil {
			return err
		}
		for waiting, err := range b.pending(v) {
			if err != nil {
				return err
			}
			if waiting.Kind != Introduced {
				continue
			}
			stored, err := introduce.Restore(waiting.Evidence)
			if err != nil {
				return err
			}
			i, _ := stored.Introduction()
			// The introducer's key may have gone on since.
			if who, err := owner(v, i.By); err != nil || who != by.ID || i.ID != r.ID {
				if err != nil {
					return err
				}
				continue
			}
			return appendAct(tx, act{Op: opDecide, Item: waiting.ID[:], Verdict: verdictWithdraw})
		}
		return nil
	})
	return fresh, err
}

func (b *Book) receiveDenial(s introduce.Statement, d introduce.Denial, channel string) (bool, error) {
	fresh := false
	err := b.update(func(tx *ledger.Tx) error {
		if _, err := b.heard(tx.View(), d.By, b.Identity()); err != nil {
			return err
		}
		hash := introduce.Hash(s.Bytes())
		known, err := tx.View().Get(tableAbout, slices.Concat(d.About.Bytes(), []byte{aboutDenial}, hash[:]))
		if err != nil || known != nil {
			return err
		}
		fresh = true
		return appendAct(tx, act{Op: opHear, Statement: s.Bytes(), Channel: channel})
	})
	return fresh, err
}

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
	if err := w.check(); err != nil {
		return false, err
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
