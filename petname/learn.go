package petname

import (
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// learnCard pins the commitment and records the nickname of the first verified
// card of a contact. It writes nothing if the book has a commitment for p or
// does not know p. The error is a [*DuplicityError] if the book has another
// commitment.
func (b *Book) learnCard(p pointer.Pointer, card pointer.Card) error {
	if card.Next.IsZero() {
		return nil
	}
	// Most calls write nothing, and need not wait for a writer.
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

// nothingToLearn reports whether a card adds nothing to the book.
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
