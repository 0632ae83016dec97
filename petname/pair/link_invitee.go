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

// Invitee is the side that accepts an invitation. It needs no durable state: if the same
// identity accepts the invitation again after a restart, this counts once.
type Invitee struct {
	self     Self
	identity []byte
	ticket   Ticket
	deadline time.Time // of the search for the invitation of a compact form

	session  linkSession
	ownProof wireLinkProof
	message  []byte // nil until the invitation is known
	index    int    // of the mailbox that holds the message
	sent     bool
	sequence uint64

	err   error
	event *Event
}

// AcceptTicket returns the side of the invitee, for an invitation.
func AcceptTicket(self Self, ticket Ticket) (*Invitee, error) {
	identity, err := self.encodeIdentity()
	if err != nil {
		return nil, err
	}
	if ticket.Inviter.IsZero() {
		return nil, errors.New("pairing: there is no invitation")
	}
	if ticket.Device != self.Device {
		return nil, fmt.Errorf("pairing: %w", errPurpose(ticket.Device))
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

// Invitation returns the invitation; false while that of a compact form is not found yet.
func (v *Invitee) Invitation() (Invitation, bool) {
	if v.ticket.Invitation == nil {
		return Invitation{}, false
	}
	return v.ticket.Invitation.clone(), true
}

// fail makes an error final.
func (v *Invitee) fail(err error) (Event, error) {
	v.err = final(err)
	return Event{}, v.err
}

// Step implements [Stepper]. The event is Paired when the inviter has accepted, which may
// be much later, when its node is online. A refusal is a [*RefusedError].
func (v *Invitee) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case v.err != nil:
		return Event{}, v.err
	case v.event != nil:
		return *v.event, nil
	}
	if v.ticket.Invitation == nil {
		if done, err := v.fetchInvitation(ctx, store, now); err != nil || !done {
			return Event{}, err
		}
	}
	inv := *v.ticket.Invitation
	if v.message == nil {
		switch {
		case !now.Before(inv.Expires):
			return v.fail(&ExpiredError{inv, now})
		case !inv.For.IsZero() && inv.For != v.self.Identity.Pointer:
			return v.fail(&RefusedError{ReasonOtherRecipient})
		}
		if err := v.newAcceptance(inv); err != nil {
			return v.fail(err)
		}
	}
	found, ok, err := inv.answerMailbox(v.message).fetch(ctx, store, now)
	switch {
	case ok:
		return v.verifyAnswer(found.message)
	case !now.Before(inv.Expires.Add(gracePeriod)):
		return v.fail(ErrTimeout)
	case err != nil:
		return Event{}, err
	}
	return Event{}, v.ensurePut(ctx, store, now, inv.acceptanceMailboxes())
}

// fetchInvitation looks for the invitation of a compact form.
func (v *Invitee) fetchInvitation(ctx context.Context, store dht.Store, now time.Time) (done bool, err error) {
	if v.deadline.IsZero() {
		v.deadline = now.Add(CodeLife)
	}
	found, ok, err := invitationMailbox(v.ticket.secret).fetch(ctx, store, now)
	switch {
	case !ok && !now.Before(v.deadline):
		_, err = v.fail(fmt.Errorf("%w: the invitation is not in the network", ErrTimeout))
		return false, err
	case err != nil || !ok:
		return false, err
	}
	inv, err := openSealedInvitation(v.ticket, found.message)
	if err != nil {
		_, err = v.fail(fmt.Errorf("%w (the invitation in the network %w)", ErrTampered, err))
		return false, err
	}
	v.ticket.Invitation = &inv
	return true, nil
}

// openSealedInvitation opens and verifies the invitation that a compact form refers to.
func openSealedInvitation(t Ticket, sealed []byte) (Invitation, error) {
	plain, err := unseal(invitationKey(t.secret), sealed)
	if err != nil {
		return Invitation{}, err
	}
	inv, err := openInvitation(plain)
	if err != nil {
		return Invitation{}, err
	}
	if inv.Inviter != t.Inviter || inv.secret != t.secret || inv.Device != t.Device {
		return Invitation{}, errors.New("is another invitation")
	}
	return inv, nil
}

// newAcceptance makes the message, and the session of the answer to it.
func (v *Invitee) newAcceptance(inv Invitation) error {
	random := randomOr(v.self.Random)
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
	sig, err := v.self.sign(domainLink, s.acceptanceStatement(v.identity, nonce))
	if err != nil {
		return err
	}
	v.session, v.ownProof = s, wireLinkProof{Identity: v.identity, Nonce: nonce, Signature: sig}
	v.message = encode(wireLinkAcceptance{Kind: kindLinkAcceptance, Ephemeral: public, Sealed: seal(s.key(roleInvitee), encode(v.ownProof))})
	return nil
}

// ensurePut puts the message, unless it is in its mailbox: into the first free mailbox, or
// else into the last one, in which late invitees replace each other's messages.
func (v *Invitee) ensurePut(ctx context.Context, store dht.Store, now time.Time, mailboxes []mailbox) error {
	if v.sent {
		found, ok, err := mailboxes[v.index].fetch(ctx, store, now)
		if err != nil || ok && bytes.Equal(found.message, v.message) {
			return err
		}
		v.sent = false
	}
	stored, err := fetchAll(ctx, store, now, mailboxes)
	if err != nil {
		return err
	}
	for n, found := range stored {
		if found.present && n < len(mailboxes)-1 && !bytes.Equal(found.message, v.message) {
			continue
		}
		sequence := uint64(1)
		if found.present {
			if found.sequence >= pointer.MaxSequence {
				_, err := v.fail(ErrTampered)
				return err
			}
			sequence = found.sequence + 1
		}
		err = mailboxes[n].put(ctx, store, v.message, max(sequence, v.sequence), now.Add(acceptanceLife))
		if errors.Is(err, dht.ErrOlder) {
			v.sequence = max(sequence, v.sequence) + 1 // another invitee was faster
			return nil
		}
		if err != nil {
			return err
		}
		v.index, v.sent = n, true
		return nil
	}
	return nil
}

// acceptanceLife is the lifetime of the record of an acceptance. It is put again if lost.
const acceptanceLife = 24 * time.Hour

// verifyAnswer verifies the answer of the inviter.
func (v *Invitee) verifyAnswer(message []byte) (Event, error) {
	w, err := parseLinkAnswer(message)
	if err != nil {
		return v.fail(ErrTampered)
	}
	peer, peerProof, err := v.session.openAnswer(w.Sealed, v.ownProof)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return v.fail(refused)
	}
	if err != nil {
		return v.fail(ErrTampered)
	}
	transcript, err := v.session.transcript(peerProof, v.ownProof)
	if err != nil {
		return v.fail(err)
	}
	v.event = &Event{Paired: &Paired{peer, ChannelLink, transcript}}
	return *v.event, nil
}
