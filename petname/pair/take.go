package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// Take is the side of somebody who was handed an invitation. It needs no state:
// taken anew after a restart, by the same identity, an invitation counts once.
type Take struct {
	self     Self
	identity []byte
	ticket   Ticket
	until    time.Time // when to give up looking for the rest of a compact form

	session  linkSession
	own      wireLinkProof
	message  []byte // nil until the invitation is there
	in       int    // the box that holds it
	sent     bool
	sequence uint64

	ended error
	event *Event
}

// TakeTicket begins to take an invitation.
func TakeTicket(self Self, ticket Ticket) (*Take, error) {
	identity, err := self.ready()
	if err != nil {
		return nil, err
	}
	if ticket.Inviter.IsZero() {
		return nil, errors.New("pairing: there is no invitation")
	}
	if ticket.Inviter == self.Identity.Pointer {
		return nil, ErrSelf
	}
	if ticket.Invitation != nil {
		inv := ticket.Invitation.clone()
		ticket.Invitation = &inv
	}
	self.Identity = self.Identity.clone()
	return &Take{self: self, identity: identity, ticket: ticket}, nil
}

// Invitation is the whole invitation; false while a compact form's rest has not
// been found.
func (t *Take) Invitation() (Invitation, bool) {
	if t.ticket.Invitation == nil {
		return Invitation{}, false
	}
	return t.ticket.Invitation.clone(), true
}

func (t *Take) end(err error) (Event, error) {
	t.ended = final(err)
	return Event{}, t.ended
}

// Step is [Stepper]'s: the event is Paired once the inviter has said yes, which
// may be long after, when its node is back. A no is a [*RefusedError].
func (t *Take) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case t.ended != nil:
		return Event{}, t.ended
	case t.event != nil:
		return *t.event, nil
	}
	if t.ticket.Invitation == nil {
		if done, err := t.fetch(ctx, store, now); err != nil || !done {
			return Event{}, err
		}
	}
	inv := *t.ticket.Invitation
	if t.message == nil {
		switch {
		case !now.Before(inv.Expires):
			return t.end(&ExpiredError{inv})
		case !inv.For.IsZero() && inv.For != t.self.Identity.Pointer:
			return t.end(&RefusedError{ReasonOther})
		}
		if err := t.prepare(inv); err != nil {
			return t.end(err)
		}
	}
	found, ok, err := inv.takenBox(t.message).look(ctx, store, now)
	switch {
	case ok:
		return t.conclude(found.message)
	case !now.Before(inv.Expires.Add(Grace)):
		return t.end(ErrTimeout)
	case err != nil:
		return Event{}, err
	}
	return Event{}, t.stand(ctx, store, now, inv.takeBoxes())
}

// fetch looks for the rest of a compact form.
func (t *Take) fetch(ctx context.Context, store dht.Store, now time.Time) (done bool, err error) {
	if t.until.IsZero() {
		t.until = now.Add(CodeLife)
	}
	found, ok, err := cardBox(t.ticket.secret).look(ctx, store, now)
	switch {
	case !ok && !now.Before(t.until):
		_, err = t.end(fmt.Errorf("%w: the invitation is not in the network, or not any more", ErrTimeout))
		return false, err
	case err != nil || !ok:
		return false, err
	}
	inv, err := openCard(t.ticket, found.message)
	if err != nil {
		_, err = t.end(fmt.Errorf("%w (what stands in the invitation's place %w)", ErrTampered, err))
		return false, err
	}
	t.ticket.Invitation = &inv
	return true, nil
}

func openCard(t Ticket, sealed []byte) (Invitation, error) {
	plain, err := unseal(cardKey(t.secret), sealed)
	if err != nil {
		return Invitation{}, err
	}
	inv, err := openInvitation(plain)
	if err != nil {
		return Invitation{}, err
	}
	if inv.Inviter != t.Inviter || inv.secret != t.secret {
		return Invitation{}, errors.New("is another invitation")
	}
	return inv, nil
}

// prepare makes the message.
func (t *Take) prepare(inv Invitation) error {
	random := randomOr(t.self.Random)
	ephemeral, err := newX25519(random)
	if err != nil {
		return fmt.Errorf("pairing: %w", err)
	}
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return fmt.Errorf("pairing: %w", err)
	}
	public := ephemeral.PublicKey().Bytes()
	s, err := newLinkSession(inv, ephemeral, inv.key, public)
	if err != nil {
		return err
	}
	sig, err := t.self.sign(domainLink, s.statement(t.identity, nonce))
	if err != nil {
		return err
	}
	t.session, t.own = s, wireLinkProof{Identity: t.identity, Nonce: nonce, Signature: sig}
	t.message = encode(wireLinkTake{Kind: kindLinkTake, Ephemeral: public, Sealed: seal(s.key(roleTaker), encode(t.own))})
	return nil
}

// stand sees that the message stands in a box: the first free one, or else the
// last, which everybody who comes late takes from each other.
func (t *Take) stand(ctx context.Context, store dht.Store, now time.Time, boxes []box) error {
	if t.sent {
		found, ok, err := boxes[t.in].look(ctx, store, now)
		if err != nil || ok && bytes.Equal(found.message, t.message) {
			return err
		}
		t.sent = false
	}
	standing, err := lookAll(ctx, store, now, boxes)
	if err != nil {
		return err
	}
	for n, found := range standing {
		if found.ok && n < len(boxes)-1 && !bytes.Equal(found.message, t.message) {
			continue
		}
		sequence := uint64(1)
		if found.ok {
			if found.sequence >= pointer.MaxSequence {
				_, err := t.end(ErrTampered)
				return err
			}
			sequence = found.sequence + 1
		}
		err = boxes[n].put(ctx, store, t.message, max(sequence, t.sequence), now.Add(maxStand))
		if errors.Is(err, dht.ErrOlder) {
			t.sequence = max(sequence, t.sequence) + 1 // somebody was quicker
			return nil
		}
		if err != nil {
			return err
		}
		t.in, t.sent = n, true
		return nil
	}
	return nil
}

// maxStand is how long a taker's message stands unless it is put again.
const maxStand = 24 * time.Hour

func (t *Take) conclude(message []byte) (Event, error) {
	w, err := parseTaken(message)
	if err != nil {
		return t.end(ErrTampered)
	}
	them, theirs, err := t.session.checkTaken(w.Sealed, t.own)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return t.end(refused)
	}
	if err != nil {
		return t.end(ErrTampered)
	}
	transcript, err := t.session.transcript(theirs, t.own)
	if err != nil {
		return t.end(err)
	}
	t.event = &Event{Paired: &Paired{them, ChannelLink, transcript}}
	return *t.event, nil
}
