package pair

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// SaveState stores the state of an inviter durably, and the new invitee (nil: none) in the
// same transaction. The answer is sent only after it returns nil.
type SaveState func(ctx context.Context, state []byte, answered *Paired) error

const (
	// gracePeriod is how long an invitation is answered after its end, so that a late
	// invitee receives a refusal.
	gracePeriod = 10 * time.Minute

	// republishInterval is how often the whole invitation is put again: the network
	// drops records after 48 hours.
	republishInterval = 6 * time.Hour
)

// Inviter is the side that made an invitation. [ResumeInviter] restores it from its
// [Inviter.State] after a restart.
type Inviter struct {
	self       Self
	identity   []byte
	save       SaveState
	invitation Invitation
	private    *ecdh.PrivateKey
	invitees   []pointer.Pointer
	withdrawn  bool

	lastPut time.Time  // when the invitation was last put
	handled [][32]byte // by mailbox: the last message that was handled
	pending *reply
	err     error
}

// reply is an answer that is not sent yet.
type reply struct {
	mailbox mailbox
	message []byte
	event   Event
	index   int // of the mailbox with the acceptance
	hash    [32]byte
	peer    Identity
}

// Invite returns a new invitation. It saves the state before it returns.
func Invite(ctx context.Context, self Self, terms Terms, save SaveState) (*Inviter, error) {
	inv, private, err := self.invite(terms)
	if err != nil {
		return nil, err
	}
	o, err := newOffer(self, inv, private, save)
	if err != nil {
		return nil, err
	}
	if err := save(ctx, o.State(), nil); err != nil {
		return nil, fmt.Errorf("inviting: %w", err)
	}
	return o, nil
}

func newOffer(self Self, inv Invitation, private *ecdh.PrivateKey, save SaveState) (*Inviter, error) {
	if save == nil {
		return nil, errors.New("inviting needs a SaveState")
	}
	identity, err := self.encodeIdentity()
	if err != nil {
		return nil, err
	}
	if self.Identity.Pointer != inv.Inviter {
		return nil, fmt.Errorf("the invitation is of %s, not of %s", inv.Inviter, self.Identity.Pointer)
	}
	self.Identity = self.Identity.clone()
	return &Inviter{
		self: self, identity: identity, save: save, invitation: inv, private: private,
		handled: make([][32]byte, inv.Uses+1),
	}, nil
}

// Invitation returns the invitation.
func (o *Inviter) Invitation() Invitation { return o.invitation.clone() }

// Invitees returns the identities that accepted the invitation, in their order.
func (o *Inviter) Invitees() []pointer.Pointer { return slices.Clone(o.invitees) }

// UsesLeft returns the number of uses that are left; 0 if the invitation is withdrawn.
func (o *Inviter) UsesLeft() int {
	if o.withdrawn {
		return 0
	}
	return o.invitation.Uses - len(o.invitees)
}

// Withdraw makes the invitation invalid, durably.
func (o *Inviter) Withdraw(ctx context.Context) error {
	if o.withdrawn {
		return nil
	}
	o.withdrawn = true
	if err := o.save(ctx, o.State(), nil); err != nil {
		o.withdrawn = false
		return fmt.Errorf("withdrawing the invitation: %w", err)
	}
	return nil
}

// Step implements [Stepper]. The event is Accepted, once for each invitee; if a crash
// follows SaveState, only SaveState receives it. Further steps refuse late invitees. The
// final error is [ErrExpired], 10 minutes after the end of the invitation.
func (o *Inviter) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case o.err != nil:
		return Event{}, o.err
	case !now.Before(o.invitation.Expires.Add(gracePeriod)):
		o.err = final(ErrExpired)
		return Event{}, o.err
	}
	if o.pending != nil {
		return o.send(ctx, store, now)
	}
	if o.lastPut.IsZero() || now.Sub(o.lastPut) >= republishInterval {
		sealed := seal(invitationKey(o.invitation.secret), o.invitation.signed)
		err := invitationMailbox(o.invitation.secret).put(ctx, store, sealed, uint64(now.Unix()), o.invitation.Expires.Add(gracePeriod))
		if err != nil && !errors.Is(err, dht.ErrOlder) {
			return Event{}, err
		}
		o.lastPut = now
	}
	messages, err := fetchAll(ctx, store, now, o.invitation.acceptanceMailboxes())
	if err != nil {
		return Event{}, err
	}
	for n, found := range messages {
		hash := [32]byte(acceptanceHash(found.message))
		if !found.present || hash == o.handled[n] {
			continue
		}
		r, err := o.newReply(ctx, now, found.message)
		switch {
		case err != nil:
			return Event{}, err
		case r == nil:
			o.handled[n] = hash
			continue
		}
		r.index, r.hash, o.pending = n, hash, r
		if event, err := o.send(ctx, store, now); err != nil || event != (Event{}) {
			return event, err
		}
	}
	return Event{}, nil
}

// send puts the pending answer.
func (o *Inviter) send(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	r := o.pending
	err := r.mailbox.put(ctx, o.self.storeFor(store, r.peer), r.message, 1, o.invitation.Expires.Add(2*gracePeriod))
	if err != nil && !errors.Is(err, dht.ErrOlder) {
		return Event{}, err
	}
	// An older record is the answer of before a restart, or of another holder of the
	// secret; the invitee detects the latter.
	o.handled[r.index], o.pending = r.hash, nil
	return r.event, nil
}

// newReply returns the answer to a message, and saves the state before; nil if the
// message does not verify as an acceptance.
func (o *Inviter) newReply(ctx context.Context, now time.Time, message []byte) (*reply, error) {
	w, err := parseLinkAcceptance(message)
	if err != nil {
		return nil, nil
	}
	s, err := newLinkSession(o.invitation, o.private, w.Ephemeral, w.Ephemeral)
	if err != nil {
		return nil, nil
	}
	peer, peerProof, err := s.openAcceptance(w.Sealed)
	if err != nil || peer.Pointer == o.invitation.Inviter {
		return nil, nil
	}
	status, again := o.admit(peer.Pointer, now)
	proof := wireAnswerProof{Status: status}
	if status == 0 {
		proof.Identity = o.identity
	}
	if proof.Signature, err = o.self.sign(domainLink, s.answerStatement(peerProof, status, o.identity)); err != nil {
		return nil, err
	}
	r := &reply{
		mailbox: o.invitation.answerMailbox(message),
		message: encode(wireLinkAnswer{Kind: kindLinkAnswer, Sealed: seal(s.key(roleInviter), encode(proof))}),
		peer:    peer,
	}
	if status != 0 || again {
		return r, nil
	}
	transcript, err := s.transcript(proof, peerProof)
	if err != nil {
		return nil, err
	}
	r.event.Accepted = &Paired{peer, ChannelLink, transcript}
	o.invitees = append(o.invitees, peer.Pointer)
	if err := o.save(ctx, o.State(), r.event.Accepted); err != nil {
		o.invitees = o.invitees[:len(o.invitees)-1]
		return nil, fmt.Errorf("saving the new invitee: %w", err)
	}
	return r, nil
}

// admit returns whether a peer may accept the invitation (0), or the reason of a refusal.
// again is true if it accepted before, as after a restart of either side: it is answered
// again, and no use is counted.
func (o *Inviter) admit(peer pointer.Pointer, now time.Time) (status Reason, again bool) {
	switch {
	case !o.invitation.For.IsZero() && o.invitation.For != peer:
		return ReasonOtherRecipient, false
	case o.withdrawn:
		return ReasonWithdrawn, false
	case slices.Contains(o.invitees, peer):
		return 0, true
	case !now.Before(o.invitation.Expires):
		return ReasonExpired, false
	case o.UsesLeft() <= 0:
		return ReasonUsed, false
	}
	return 0, false
}
