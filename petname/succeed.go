package petname

import (
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Succeed moves the contact that has the pointer old to where a succession
// leads, when its steps open the commitment that was pinned for the contact:
// the old key's word alone moves nobody. The steps are kept as evidence. Name,
// history and public edges stay.
//
// Nothing is written when the book doesn't know old, has no commitment for it,
// or has seen the steps before. A chain that doesn't agree with what was pinned
// is a [*SuccessionError]; another commitment by the same new key is a
// [*DuplicityError]; a successor that has a petname of its own, a
// [*ConflictError].
func (b *Book) Succeed(old pointer.Pointer, chain []pointer.Succession) error {
	var news bool
	err := b.ledger.Read(func(v *ledger.View) error { // most often there is nothing to write
		_, steps, err := b.onward(v, old, chain)
		news = len(steps) > 0
		return err
	})
	if err != nil || !news {
		return err
	}
	return b.update(func(tx *ledger.Tx) error {
		c, steps, err := b.onward(tx.View(), old, chain)
		if err != nil || len(steps) == 0 {
			return err
		}
		evidence, err := pointer.EncodeSuccession(steps)
		if err != nil {
			return err
		}
		to, err := steps[len(steps)-1].Verify()
		if err != nil {
			return err
		}
		f := &wireFact{Kind: "succession", By: to.String(), Channel: "record"}
		return appendAct(tx, act{Op: opAdvance, Contact: c.ID.Bytes(), Fact: f, Chain: evidence})
	})
}

// onward gives the steps of a chain that lead on from where the contact is.
func (b *Book) onward(v *ledger.View, old pointer.Pointer, chain []pointer.Succession) (Contact, []pointer.Succession, error) {
	id, err := owner(v, old)
	if err != nil {
		return Contact{}, nil, err
	}
	c, found, err := readContact(v, id)
	if err != nil || !found {
		return c, nil, err
	}
	if err := c.disagrees(chain); err != nil {
		return c, nil, err
	}
	steps := stepsFrom(c.Pointer, chain)
	if len(steps) == 0 || c.Next.IsZero() {
		return c, nil, nil
	}
	to, _, err := pointer.Follow(c.Pointer, c.Next, steps)
	if err != nil {
		return c, nil, &SuccessionError{c.Pointer, err}
	}
	if len(c.trail)+len(steps) > maxTrail {
		return c, nil, &SuccessionError{c.Pointer, fmt.Errorf("it is over %d keys long", maxTrail)}
	}
	for _, s := range c.trail {
		if s.pointer == to {
			return c, nil, &SuccessionError{c.Pointer, errors.New("it leads in a circle")}
		}
	}
	if b.mine(to) {
		return c, nil, &SuccessionError{c.Pointer, ErrOwnPointer}
	}
	if c.Name.IsZero() && c.Conflict == nil {
		return c, steps, nil
	}
	there, err := sharers(v, to)
	if err != nil {
		return c, nil, err
	}
	if len(there) == 0 {
		return c, steps, nil
	}
	other, _, err := readContact(v, there[0])
	if err != nil {
		return c, nil, err
	}
	return c, nil, fmt.Errorf("%s has moved on to %s, whom you call %q as well; remove one of the two: %w",
		c.Pointer, to, other.Name, &ConflictError{Contacts: []Contact{c, other}})
}

// disagrees compares the steps of a chain with those that the contact has come:
// one new key that commits to two next ones is duplicity.
func (c Contact) disagrees(chain []pointer.Succession) error {
	for i := range c.trail[1:] {
		from, to := c.trail[i], c.trail[i+1]
		for _, s := range stepsFrom(from.pointer, chain)[:min(1, len(stepsFrom(from.pointer, chain)))] {
			led, err := s.Verify()
			if err != nil || led != to.pointer {
				return &SuccessionError{from.pointer, errors.New("it is not the one that is on record")}
			}
			if s.Next != to.next && !s.Next.IsZero() && !to.next.IsZero() {
				return &DuplicityError{to.pointer, to.next, s.Next}
			}
		}
	}
	return nil
}
