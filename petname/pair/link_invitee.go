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

// Invitee is the side of somebody who was handed an invitation. It needs no state:
// taken anew after a restart, by the same identity, an invitation counts once.
type Invitee struct {
	self     Self
	identity []byte
	ticket   Ticket
	deadline time.Time // when to give up looking for the rest of a compact form

	session  linkSession
	ownProof wireLinkProof
	message  []byte // nil until the invitation is there
	index    int    // the box that holds it
	sent     bool
	sequence uint64

	err   error
	event *Event
}

// AcceptTicket begins to take an invitation.
func AcceptTicket(self Self, ticket Ticket) (*Invitee, error) {
	identity, err := self.encodeIdentity()
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
	return &Invitee{self: self, identity: identity, ticket: ticket}, nil
}

// Invitation is the whole invitation; false while a compact form's rest has not
// been found.
func (t *Invitee) Invitation() (Invitation, bool) {
	if t.ticket.Invitation == nil {
		return Invitation{}, false
	}
	return t.ticket.Invitation.clone(), true
}

func (t *Invitee) fail(err error) (Event, error) {
	t.err = final(err)
	return Event{}, t.err
}

// Step is [Stepper]'s: the event is Paired once the inviter has said yes, which
// may be long after, when its node is back. A no is a [*RefusedError].
func (t *Invitee) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case t.err != nil:
		return Event{}, t.err
	case t.event != nil:
		return *t.event, nil
	}
	if t.ticket.Invitation == nil {
		if done, err := t.fetchInvitation(ctx, store, now); err != nil || !done {
			return Event{}, err
		}
	}
	inv := *t.ticket.Invitation
	if t.message == nil {
		switch {
		case !now.Before(inv.Expires):
			return t.fail(&ExpiredError{inv})
		case !inv.For.IsZero() && inv.For != t.self.Identity.Pointer:
			return t.fail(&RefusedError{ReasonOtherRecipient})
		}
		if err := t.newAcceptance(inv); err != nil {
			return t.fail(err)
		}
	}
	found, ok, err := inv.answerMailbox(t.message).fetch(ctx, store, now)
	switch {
	case ok:
		return t.verifyAnswer(found.message)
	case !now.Before(inv.Expires.Add(gracePeriod)):
		return t.fail(ErrTimeout)
	case err != nil:
		return Event{}, err
	}
	return Event{}, t.ensurePut(ctx, store, now, inv.acceptanceMailboxes())
}

// fetch looks for the rest of a compact form.
func (t *Invitee) fetchInvitation(ctx context.Context, store dht.Store, now time.Time) (done bool, err error) {
	if t.deadline.IsZero() {
		t.deadline = now.Add(CodeLife)
	}
	found, ok, err := invitationMailbox(t.ticket.secret).fetch(ctx, store, now)
	switch {
	case !ok && !now.Before(t.deadline):
		_, err = t.fail(fmt.Errorf("%w: the invitation is not in the network, or not any more", ErrTimeout))
		return false, err
	case err != nil || !ok:
		return false, err
	}
	inv, err := openSealedInvitation(t.ticket, found.message)
	if err != nil {
		_, err = t.fail(fmt.Errorf("%w (what stands in the invitation's place %w)", ErrTampered, err))
		return false, err
	}
	t.ticket.Invitation = &inv
	return true, nil
}

func openSealedInvitation(t Ticket, sealed []byte) (Invitation, error) {
	plain, err := unseal(invitationKey(t.secret), sealed)
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
func (t *Invitee) newAcceptance(inv Invitation) error {
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
	sig, err := t.self.sign(domainLink, s.acceptanceStatement(t.identity, nonce))
	if err != nil {
		return err
	}
	t.session, t.ownProof = s, wireLinkProof{Identity: t.identity, Nonce: nonce, Signature: sig}
	t.message = encode(wireLinkAcceptance{Kind: kindLinkAcceptance, Ephemeral: public, Sealed: seal(s.key(roleInvitee), encode(t.ownProof))})
	return nil
}

// stand sees that the message stands in a box: the first free one, or else the
// last, which everybody who comes late takes from each other.
func (t *Invitee) ensurePut(ctx context.Context, store dht.Store, now time.Time, mailboxes []mailbox) error {
	if t.sent {
		found, ok, err := mailboxes[t.index].fetch(ctx, store, now)
		if err != nil || ok && bytes.Equal(found.message, t.message) {
			return err
		}
		t.sent = false
	}
	stored, err := fetchAll(ctx, store, now, mailboxes)
	if err != nil {
		return err
	}
	for n, found := range stored {
		if found.present && n < len(mailboxes)-1 && !bytes.Equal(found.message, t.message) {
			continue
		}
		sequence := uint64(1)
		if found.present {
			if found.sequence >= pointer.MaxSequence {
				_, err := t.fail(ErrTampered)
				return err
			}
			sequence = found.sequence + 1
		}
		err = mailboxes[n].put(ctx, store, t.message, max(sequence, t.sequence), now.Add(acceptanceLife))
		if errors.Is(err, dht.ErrOlder) {
			t.sequence = max(sequence, t.sequence) + 1 // somebody was quicker
			return nil
		}
		if err != nil {
			return err
		}
		t.index, t.sent = n, true
		return nil
	}
	return nil
}

// acceptanceLife is how long a taker's message stands unless it is put again.
const acceptanceLife = 24 * time.Hour

func (t *Invitee) verifyAnswer(message []byte) (Event, error) {
	w, err := parseLinkAnswer(message)
	if err != nil {
		return t.fail(ErrTampered)
	}
	peer, peerProof, err := t.session.openAnswer(w.Sealed, t.ownProof)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return t.fail(refused)
	}
	if err != nil {
		return t.fail(ErrTampered)
	}
	transcript, err := t.session.transcript(peerProof, t.ownProof)
	if err != nil {
		return t.fail(err)
	}
	t.event = &Event{Paired: &Paired{peer, ChannelLink, transcript}}
	return *t.event, nil
}
