package petname

import (
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Learn pins what the first verified card of a contact brings: the commitment
// to its next key, and its nickname. Nothing is written when the book has a
// commitment already, or never heard of the pointer; another commitment than
// the one it has is a [*DuplicityError].
func (b *Book) learnCard(p pointer.Pointer, card pointer.Card) error {
	if card.Next.IsZero() {
		return nil
	}
	// Most often there is nothing to write, and so no need to wait for a writer.
	var known bool
	err := b.read(func(v *ledger.View) (err error) {
		known, err = nothingToLearn(v, p, card)
		return err
	})
	if err != nil || known {
		return err
	}
	return b.update(func(tx *ledger.Tx) error {
		if known, err := nothingToLearn(tx.View(), p, card); err != nil || known {
			return err
		}
		id, err := contactIDOf(tx.View(), p)
		if err != nil {
			return err
		}
		f := &wireFact{Kind: factCard, By: p.String(), Channel: "record", Nickname: card.Nickname, Next: card.Next.Bytes()}
		return appendAct(tx, act{Op: opLearn, Contact: id.Bytes(), Fact: f, Of: otherPointer(id, p)})
	})
}

// learnt reports whether a card has nothing to teach the book.
func nothingToLearn(v *ledger.View, p pointer.Pointer, card pointer.Card) (bool, error) {
	id, err := contactIDOf(v, p)
	if err != nil {
		return true, err
	}
	c, found, err := readContact(v, id)
	if err != nil || !found {
		return true, err
	}
	step := c.step(p)
	return step.Unsigned || !step.Next.IsZero(), c.Pinned(p, card.Next)
}
