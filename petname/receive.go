package petname

import (
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
// zero Statement, [introduce.ErrInvalid]. An introduction whose succession fails
// with a [*DuplicityError] or a [*ConflictError] waits in the inbox all the same:
// what is returned beside the error says whether it is new. A statement never names or unnames a
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
			return w.id(), fresh, err
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
