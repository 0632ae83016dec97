package exchange

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// The holder of a retired key can be a thief, with the sealing keys in its last cards too.
// Nothing is therefore sealed for a pointer that a contact has left, or whose card names a
// successor. A message is sent to the current pointer of the contact, or stays on this device.

// MovedError is returned for a pointer with a replaced key: nothing is sealed to the keys of
// its card.
type MovedError struct {
	Pointer   pointer.Pointer
	Successor pointer.Pointer // the current pointer of the contact, or the one that the card names
	Proven    bool            // the book has advanced the contact to Successor
	Contact   bool            // the pointer is one of a contact
}

func (e *MovedError) Error() string {
	if e.Proven {
		return fmt.Sprintf("the key of %s was replaced by %s", e.Pointer, e.Successor)
	}
	return fmt.Sprintf("nothing is sent to %s: its card names the successor %s, which no commitment in your book proves", e.Pointer, e.Successor)
}

// maxMoves bounds the moves of one party during one operation.
const maxMoves = 4

// withChannel calls use with the channel of a party, and its pointer. If the contact has
// advanced to another pointer, or does so by the card that is fetched here, that is the channel
// of the current pointer, and unacknowledged messages have followed. The lock of the channel is
// held during use. The errors are those of use and of openChannel.
func (e *Exchange) withChannel(ctx context.Context, key crypto.Signer, party pointer.Pointer, use func(at pointer.Pointer, c *channel) error) (err error) {
	for range maxMoves {
		if party, err = e.followSuccession(party); err != nil {
			return err
		}
		if err = e.useChannel(ctx, key, party, use); !isMove(err) {
			return err
		}
	}
	return err
}

// useChannel calls use with the channel of one pointer, and holds its lock.
func (e *Exchange) useChannel(ctx context.Context, key crypto.Signer, party pointer.Pointer, use func(at pointer.Pointer, c *channel) error) error {
	defer e.lockChannel(party)()
	c, err := e.openChannel(ctx, key, party)
	if err != nil {
		return err
	}
	return use(party, c)
}

// isMove reports whether err is a [*MovedError] to a pointer that the book has advanced to.
func isMove(err error) bool {
	var moved *MovedError
	return errors.As(err, &moved) && moved.Proven
}

// currentPointer returns the current pointer of the contact with a pointer, after a look-up of
// its card; the same pointer if there is no contact. A failed look-up is no error: what is sent
// later fails with it.
func (e *Exchange) currentPointer(ctx context.Context, p pointer.Pointer) (pointer.Pointer, error) {
	var moved *MovedError
	if _, err := e.contactCard(ctx, p); errors.As(err, &moved) && moved.Proven {
		return moved.Successor, nil
	}
	return p, ctx.Err()
}

// contactCard is what is known of a contact from its newest card or, without one, from a pairing
// or a mutual introduction.
type contactCard struct {
	sealing   []pointer.SealingKey
	addresses [][]byte
	tags      []pointer.DeviceTag // of its devices that send on channels of their own
	found     bool                // there is a card
}

// contactDetails returns the sealing keys and the addresses of a contact: see contactCard.
func (e *Exchange) contactDetails(ctx context.Context, contact pointer.Pointer) ([]pointer.SealingKey, [][]byte, error) {
	c, err := e.contactCard(ctx, contact)
	return c.sealing, c.addresses, err
}

// contactCard returns what is known of a contact: its newest card, or else the known details. It
// returns a [*MovedError] for a pointer that a contact has left, also when the card that it
// fetches is the reason, and for one with a card that names a successor.
func (e *Exchange) contactCard(ctx context.Context, contact pointer.Pointer) (contactCard, error) {
	fail := func(err error) (contactCard, error) { return contactCard{}, err }
	details, err := e.knownDetails(contact)
	if err != nil {
		return fail(err)
	}
	if err := e.checkCurrent(contact); err != nil {
		return fail(err)
	}
	known := contactCard{sealing: details.Sealing, addresses: details.Addresses}
	result, err := e.c.Records.Best(ctx, contact, dht.LevelAny)
	if err == nil {
		card, _ := result.Record.Card()
		if err := e.c.Book.LearnCard(result.Record); err != nil {
			return fail(err) // nothing is sealed to the keys of a card that contradicts the book
		}
		if to := petname.NamedSuccessor(contact, card); !to.IsZero() {
			// Resolve applies a succession that is proven.
			_, err := e.c.Book.Resolve(ctx, e.c.Records, contact.String(), dht.LevelAny)
			if moved := e.checkCurrent(contact); moved != nil {
				return fail(moved)
			}
			if err != nil {
				return fail(err)
			}
			_, notFound := e.c.Book.ByPointer(contact)
			return fail(&MovedError{Pointer: contact, Successor: to, Contact: notFound == nil})
		}
		known.tags, known.found = card.Devices, true
		if len(card.Sealing) > 0 {
			known.sealing = card.Sealing
			if len(card.Nodes) > 0 {
				known.addresses = card.Nodes
			}
		}
	}
	switch {
	case len(known.sealing) > 0:
		return known, nil
	case err != nil:
		return fail(fmt.Errorf("card of %s: %w", contact, err))
	}
	return fail(fmt.Errorf("%s: %w", contact, ErrNoSealing))
}

// checkCurrent returns the error of a contact in contradiction, and a [*MovedError] for a
// pointer that its contact has left. It returns nil for a pointer of no contact.
func (e *Exchange) checkCurrent(p pointer.Pointer) error {
	c, err := e.c.Book.ByPointer(p)
	if errors.Is(err, petname.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = c.Pinned(p, pointer.Commitment{})
	}
	if err == nil && c.Pointer != p {
		err = &MovedError{Pointer: p, Successor: c.Pointer, Proven: true, Contact: true}
	}
	return err
}
