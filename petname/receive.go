package petname

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Receive takes in what somebody signed (package introduce), and reports whether
// it said anything new. An introduction or a question waits in the inbox; a
// retraction takes one out of it; edges are read by [Book.Resolve] in the stead
// of the signer's card; a denial is kept as evidence. channel is how it came.
//
// Only contacts are heard, [ErrStranger] otherwise, and only what was said to
// me, [ErrNotForMe]; a denial is for everybody. Its other errors are those of
// [Book.Suggest] and of package introduce. Nothing that is received names or
// unnames anybody.
func (b *Book) Receive(signed []byte, channel string) (SuggestionID, bool, error) {
	kind, err := introduce.KindOf(signed)
	if err != nil {
		return SuggestionID{}, false, err
	}
	switch kind {
	case introduce.KindIntroduction:
		return b.receiveIntroduction(signed, channel)
	case introduce.KindQuestion:
		return b.receiveQuestion(signed, channel)
	case introduce.KindRetraction:
		fresh, err := b.receiveRetraction(signed, channel)
		return SuggestionID{}, fresh, err
	case introduce.KindEdges:
		fresh, err := b.receiveEdges(signed, channel)
		return SuggestionID{}, fresh, err
	}
	fresh, err := b.receiveDenial(signed, channel)
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

func (b *Book) receiveIntroduction(signed []byte, channel string) (SuggestionID, bool, error) {
	i, err := introduce.OpenIntroduction(signed, b.now())
	if err != nil {
		return SuggestionID{}, false, err
	}
	w := saidBy(i, Introduced, signed, channel)
	fresh := false
	err = b.update(func(tx *ledger.Tx) error {
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

func (b *Book) receiveQuestion(signed []byte, channel string) (SuggestionID, bool, error) {
	q, i, err := introduce.OpenQuestion(signed)
	if err != nil {
		return SuggestionID{}, false, err
	}
	w := askedBy(q, i, signed, channel)
	fresh := false
	err = b.update(func(tx *ledger.Tx) error {
		if _, err := b.heard(tx.View(), q.By, q.To); err != nil {
			return err
		}
		fresh, err = b.suggest(tx, w)
		return err
	})
	return w.id(), fresh, err
}

func (b *Book) receiveRetraction(signed []byte, channel string) (bool, error) {
	r, err := introduce.OpenRetraction(signed)
	if err != nil {
		return false, err
	}
	fresh := false
	err = b.update(func(tx *ledger.Tx) error {
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
		if err := appendAct(tx, act{Op: opHear, Statement: signed, Channel: channel}); err != nil {
			return err
		}
		for s, err := range b.pending(v) {
			if err != nil {
				return err
			}
			if s.Kind != Introduced {
				continue
			}
			i, err := introduce.OpenIntroduction(s.Evidence, time.Time{})
			if err != nil {
				return err
			}
			// The introducer's key may have gone on since.
			if who, err := owner(v, i.By); err != nil || who != by.ID || i.ID != r.ID {
				if err != nil {
					return err
				}
				continue
			}
			return appendAct(tx, act{Op: opDecide, Item: s.ID[:], Verdict: verdictWithdraw})
		}
		return nil
	})
	return fresh, err
}

func (b *Book) receiveDenial(signed []byte, channel string) (bool, error) {
	d, err := introduce.OpenDenial(signed)
	if err != nil {
		return false, err
	}
	fresh := false
	err = b.update(func(tx *ledger.Tx) error {
		if _, err := b.heard(tx.View(), d.By, b.Identity()); err != nil {
			return err
		}
		hash := introduce.Hash(signed)
		known, err := tx.View().Get(tableAbout, slices.Concat(d.About.Bytes(), []byte{aboutDenial}, hash[:]))
		if err != nil || known != nil {
			return err
		}
		fresh = true
		return appendAct(tx, act{Op: opHear, Statement: signed, Channel: channel})
	})
	return fresh, err
}
