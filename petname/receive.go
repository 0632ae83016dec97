package petname

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Receive processes a verified statement, and reports whether it is new. An
// introduction or a question becomes a pending suggestion; a retraction
// withdraws an introduction; [Book.Resolve] uses edges before the signer's
// card; a denial is stored as evidence. channel describes how the statement
// arrived.
//
// Only statements of contacts ([ErrUnknownSender]) to the owner
// ([ErrWrongRecipient]) are accepted; a denial has no recipient. The other
// errors are those of [Book.Suggest], of [introduce.Introduction.CheckTime],
// and, for the zero Statement, [introduce.ErrInvalid]. An introduction with a
// succession that fails with a [*DuplicityError] or a [*ConflictError] is a
// pending suggestion all the same: what is returned beside the error reports
// whether it is new. A statement never names a contact, and never removes a
// name.
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

// checkSender returns the contact that signed a statement, and an error if
// there is none or if the recipient is not the owner.
func (b *Book) checkSender(v *ledger.View, by, to pointer.Pointer) (Contact, error) {
	if !b.IsOwn(to) {
		return Contact{}, fmt.Errorf("by %s, to %s: %w", by, to, ErrWrongRecipient)
	}
	c, err := readNamed(v, by)
	if errors.Is(err, ErrNotFound) {
		return Contact{}, fmt.Errorf("by %s: %w", by, ErrUnknownSender)
	}
	if err != nil {
		return Contact{}, err
	}
	if len(c.Contradictions) > 0 {
		return Contact{}, fmt.Errorf("by %s: %w: %w", by, ErrSenderInDoubt, c.Contradictions[0].err())
	}
	if by != c.Pointer {
		// The retired key of a contact may be stolen.
		return Contact{}, fmt.Errorf("by %s, which is not the current key of the contact: %w", by, ErrUnknownSender)
	}
	return c, nil
}

func (b *Book) receiveIntroduction(s introduce.Statement, i introduce.Introduction, channel string) (SuggestionID, bool, error) {
	if err := i.CheckTime(b.now()); err != nil {
		return SuggestionID{}, false, err
	}
	proposed := fromIntroduction(s, Introduced, channel)
	isNew := false
	err := b.update(func(tx *ledger.Tx) error {
		if _, err := b.checkSender(tx.View(), i.By, i.To); err != nil {
			return err
		}
		retracted, err := tx.View().Get(tableRetracted, append(slices.Clone(i.ID[:]), i.By.Bytes()...))
		if err != nil || retracted != nil {
			return firstError(err, fmt.Errorf("introduction by %s: it was withdrawn: %w", i.By, ErrDecided))
		}
		isNew, err = b.suggest(tx, proposed)
		return err
	})
	if err != nil {
		return SuggestionID{}, false, err
	}
	// The chain may advance a contact: each step is verified against what is
	// pinned, whatever its source. A chain that does not agree changes nothing.
	for _, step := range i.Chain {
		if err := b.applySuccession(step.Old, i.Chain, channel); err != nil && !errors.As(err, new(*SuccessionError)) {
			return proposed.id(), isNew, err
		}
	}
	return proposed.id(), isNew, nil
}

func (b *Book) receiveQuestion(s introduce.Statement, q introduce.Question, channel string) (SuggestionID, bool, error) {
	proposed := fromQuestion(s, channel)
	isNew := false
	err := b.update(func(tx *ledger.Tx) error {
		_, err := b.checkSender(tx.View(), q.By, q.To)
		if err == nil {
			isNew, err = b.suggest(tx, proposed)
		}
		return err
	})
	return proposed.id(), isNew, err
}

func (b *Book) receiveRetraction(s introduce.Statement, r introduce.Retraction, channel string) (bool, error) {
	isNew := false
	err := b.update(func(tx *ledger.Tx) error {
		v := tx.View()
		by, err := b.checkSender(v, r.By, r.To)
		if err != nil {
			return err
		}
		known, err := v.Get(tableRetracted, append(slices.Clone(r.ID[:]), r.By.Bytes()...))
		if err != nil || known != nil {
			return err
		}
		isNew = true
		if err := appendAct(tx, act{Op: opStatement, Statement: s.Bytes(), Channel: channel}); err != nil {
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
			// The introducer's key may have been rotated since.
			if introducer, err := signerIDOf(v, i.By); err != nil || introducer != by.ID || i.ID != r.ID {
				if err != nil {
					return err
				}
				continue
			}
			return appendAct(tx, act{Op: opDecide, Item: waiting.ID[:], Verdict: verdictWithdraw})
		}
		return nil
	})
	return isNew, err
}

func (b *Book) receiveDenial(s introduce.Statement, d introduce.Denial, channel string) (bool, error) {
	isNew := false
	err := b.update(func(tx *ledger.Tx) error {
		if _, err := b.checkSender(tx.View(), d.By, b.Identity()); err != nil {
			return err
		}
		hash := introduce.Hash(s.Bytes())
		known, err := tx.View().Get(tableAbout, slices.Concat(d.About.Bytes(), []byte{aboutDenial}, hash[:]))
		if err != nil || known != nil {
			return err
		}
		isNew = true
		return appendAct(tx, act{Op: opStatement, Statement: s.Bytes(), Channel: channel})
	})
	return isNew, err
}

// Suggest adds a suggestion to the inbox, and reports whether it is new. It
// names no contact. It is for pairings and for mutual introductions (package
// mutual); signed statements go to [Book.Receive], and contact requests to
// [Book.ReceiveContactRequest]. ID, At and State of the suggestion are ignored.
// Of a Mutual or Acquainted one only kind, channel and evidence are used; the
// evidence is the signed request or the transcript.
//
// A suggestion that was received before is no error and changes nothing,
// whatever was decided. The errors are [ErrOwnPointer], [ErrMuted] and
// [ErrInboxFull]; for a mutual introduction also [ErrWrongRecipient] and, for
// an offer, [ErrUnknownSender].
func (b *Book) Suggest(s Suggestion) (SuggestionID, bool, error) {
	switch s.Kind {
	case Mutual, Acquainted:
		return b.suggestMutual(s)
	case ContactRequest: // needs a stamp: see ReceiveContactRequest
		return SuggestionID{}, false, fmt.Errorf("contact request: %w", ErrUnknownSender)
	}
	proposed := wireSuggestion{Kind: string(s.Kind), Suggested: s.Suggested, Nickname: s.Nickname, Note: s.Note, Channel: s.Channel,
		Next: s.Next.Bytes(), Evidence: s.Evidence}
	if !s.By.IsZero() {
		proposed.By = s.By.Bytes()
	}
	if !s.Pointer.IsZero() {
		proposed.About = s.Pointer.Bytes()
	}
	if !s.Expires.IsZero() {
		proposed.Expires = s.Expires.UnixMilli()
	}
	if err := proposed.verify(introduce.Open); err != nil {
		return SuggestionID{}, false, err
	}
	isNew := false
	err := b.update(func(tx *ledger.Tx) (err error) {
		isNew, err = b.suggest(tx, proposed)
		return err
	})
	return proposed.id(), isNew && err == nil, err
}

func (b *Book) suggestMutual(s Suggestion) (SuggestionID, bool, error) {
	proposed, request, err := fromMutual(s.Kind, s.Evidence, s.Channel)
	if err != nil {
		return SuggestionID{}, false, err
	}
	isNew := false
	err = b.update(func(tx *ledger.Tx) error {
		if !b.IsOwn(request.To) {
			return fmt.Errorf("by %s, to %s: %w", request.By, request.To, ErrWrongRecipient)
		}
		// the introducer of a finished introduction need not be a contact any more
		if s.Kind == Mutual {
			if _, err := b.checkSender(tx.View(), request.By, request.To); err != nil {
				return err
			}
		}
		isNew, err = b.suggest(tx, proposed)
		return err
	})
	return proposed.id(), isNew && err == nil, err
}

func (b *Book) suggest(tx *ledger.Tx, proposed wireSuggestion) (bool, error) {
	if known, err := b.checkSuggestion(tx.View(), proposed); err != nil || known {
		return false, err
	}
	return true, appendAct(tx, act{Op: opSuggest, Suggestion: &proposed})
}

// checkSuggestion reports whether the book has the suggestion, and returns an
// error if it is refused.
func (b *Book) checkSuggestion(v *ledger.View, proposed wireSuggestion) (bool, error) {
	if err := proposed.check(); err != nil { // a fault of the statement, not of the book
		return false, fmt.Errorf("%w: %w", introduce.ErrInvalid, err)
	}
	if state, err := getState[suggestionState](v, tableInbox, proposed.id().row()); err != nil || state.Content != nil {
		return err == nil, err
	}
	if proposed.About != nil && SuggestionKind(proposed.Kind) != Question {
		about, err := pointer.FromBytes(proposed.About)
		if err != nil {
			return false, err
		}
		if b.IsOwn(about) {
			return false, ErrOwnPointer
		}
		if muted, err := v.Get(tableMuted, proposed.About); err != nil || muted != nil && !SuggestionKind(proposed.Kind).isDirect() {
			if _, nerr := readNamed(v, about); err != nil || errors.Is(nerr, ErrNotFound) {
				return false, firstError(err, ErrMuted)
			}
		}
	}
	return false, b.checkRoom(v, proposed)
}

// firstError returns err, or otherwise if err is nil.
func firstError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// checkRoom returns an error if too many suggestions are pending, in total or
// of one sender, under all keys that it has had. Pairings and finished mutual introductions are
// always accepted. Contact requests are counted apart.
func (b *Book) checkRoom(v *ledger.View, proposed wireSuggestion) error {
	switch kind := SuggestionKind(proposed.Kind); {
	case kind.isDirect(), kind == Acquainted:
		return nil
	case kind == ContactRequest:
		return b.checkRequestRoom(v, proposed)
	}
	senders := map[string]pointer.Pointer{} // bytes of a pointer → the id of its contact
	sender := func(by []byte) (id pointer.Pointer, err error) {
		id, found := senders[string(by)]
		if !found {
			if id, err = signerIDOf(v, optionalPointer(by)); err == nil {
				senders[string(by)] = id
			}
		}
		return id, err
	}
	all, same := 0, 0
	for s, err := range b.pending(v) {
		if err != nil {
			return err
		}
		if s.State != Pending || s.Kind == ContactRequest {
			continue
		}
		all++
		if proposed.By == nil {
			continue
		}
		from, err := sender(proposed.By)
		of, oerr := sender(s.By.Bytes())
		if err := firstError(err, oerr); err != nil {
			return err
		}
		if of == from {
			same++
		}
	}
	if all >= maxInbox || same >= MaxInboxFrom {
		return ErrInboxFull
	}
	return nil
}
