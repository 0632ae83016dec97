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
type SaveState func(ctx context.Context, state []byte, accepted *Paired) error

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
	made       time.Time // to the second; zero: unknown, by an older version

	lastPut time.Time  // when the invitation was last put
	handled [][32]byte // by mailbox: the last message that was handled
	pending *reply     // the answer that is not in the store yet; nil: none
	err     error      // the final error of Step; nil: none
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
	i, err := newInviter(self, inv, private, save)
	if err != nil {
		return nil, err
	}
	i.made = terms.Made.Truncate(time.Second)
	if err := save(ctx, i.State(), nil); err != nil {
		return nil, fmt.Errorf("inviting: %w", err)
	}
	return i, nil
}

// newInviter returns an inviter without invitees, after checking that the key of self made
// the invitation.
func newInviter(self Self, inv Invitation, private *ecdh.PrivateKey, save SaveState) (*Inviter, error) {
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
	if self.Device != inv.Device {
		return nil, errPurpose(inv.Device)
	}
	self.Identity = self.Identity.clone()
	return &Inviter{
		self: self, identity: identity, save: save, invitation: inv, private: private,
		handled: make([][32]byte, inv.Uses+1),
	}, nil
}

// Invitation returns the invitation.
func (i *Inviter) Invitation() Invitation { return i.invitation.clone() }

// Invitees returns the identities that accepted the invitation, in their order.
func (i *Inviter) Invitees() []pointer.Pointer { return slices.Clone(i.invitees) }

// UsesLeft returns the number of uses that are left; 0 if the invitation is withdrawn.
func (i *Inviter) UsesLeft() int {
	if i.withdrawn {
		return 0
	}
	return i.invitation.Uses - len(i.invitees)
}

// Withdraw makes the invitation invalid, durably.
func (i *Inviter) Withdraw(ctx context.Context) error {
	if i.withdrawn {
		return nil
	}
	i.withdrawn = true
	if err := i.save(ctx, i.State(), nil); err != nil {
		i.withdrawn = false
		return fmt.Errorf("withdrawing the invitation: %w", err)
	}
	return nil
}

// Step implements [Stepper]. The event is Accepted, once for each invitee; if a crash
// follows SaveState, only SaveState receives it. Further steps refuse late invitees. The
// final error is [ErrExpired], 10 minutes after the end of the invitation. While the clock
// is over clockTolerance (a day) behind [Terms].Made, admit refuses invitees as late: the
// clock was ahead when the invitation was made, so its end may be years away.
func (i *Inviter) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case i.err != nil:
		return Event{}, i.err
	case !now.Before(i.invitation.Expires.Add(gracePeriod)):
		i.err = final(ErrExpired)
		return Event{}, i.err
	}
	if i.pending != nil {
		return i.send(ctx, store, now)
	}
	if i.lastPut.IsZero() || now.Sub(i.lastPut) >= republishInterval {
		sealed := seal(invitationKey(i.invitation.secret), i.invitation.signed)
		err := invitationMailbox(i.invitation.secret).put(ctx, store, sealed, uint64(now.Unix()), i.invitation.Expires.Add(gracePeriod+clockTolerance))
		// With ErrOlder the store has a newer record: the invitation, put under a clock that was
		// ahead (the sequence is the time), or a record of another holder of the secret. Another
		// try replaces neither.
		if err != nil && !errors.Is(err, dht.ErrOlder) {
			return Event{}, err
		}
		i.lastPut = now
	}
	messages, err := fetchAll(ctx, store, now, i.invitation.acceptanceMailboxes())
	if err != nil {
		return Event{}, err
	}
	for n, found := range messages {
		hash := [32]byte(acceptanceHash(found.message))
		if !found.present || hash == i.handled[n] {
			continue
		}
		r, err := i.newReply(ctx, now, found.message)
		switch {
		case err != nil:
			return Event{}, err
		case r == nil:
			i.handled[n] = hash
			continue
		}
		r.index, r.hash = n, hash
		i.pending = r // kept until the put succeeds: the next Step tries again if send fails
		if event, err := i.send(ctx, store, now); err != nil || event != (Event{}) {
			return event, err
		}
	}
	return Event{}, nil
}

// send puts the pending answer.
func (i *Inviter) send(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	r := i.pending
	err := r.mailbox.put(ctx, i.self.storeFor(store, r.peer), r.message, 1, i.invitation.Expires.Add(2*gracePeriod+clockTolerance))
	if err != nil && !errors.Is(err, dht.ErrOlder) {
		return Event{}, err
	}
	// With ErrOlder the store has an answer: that of before a restart, or one of another holder
	// of the secret; the invitee detects the latter.
	i.handled[r.index], i.pending = r.hash, nil
	return r.event, nil
}

// newReply returns the answer to a message, and saves the state before; nil if the
// message does not verify as an acceptance.
func (i *Inviter) newReply(ctx context.Context, now time.Time, message []byte) (*reply, error) {
	w, err := parseLinkAcceptance(message)
	if err != nil {
		return nil, nil
	}
	s, err := newLinkSession(i.invitation, i.private, w.Ephemeral, w.Ephemeral)
	if err != nil {
		return nil, nil
	}
	peer, peerProof, err := s.openAcceptance(w.Sealed)
	if err != nil || peer.Pointer == i.invitation.Inviter {
		return nil, nil
	}
	status, repeated := i.admit(peer.Pointer, now)
	proof := wireAnswerProof{Status: status}
	if status == 0 {
		proof.Identity = i.identity
	}
	if proof.Signature, err = i.self.sign(domainLink, s.answerStatement(peerProof, status, i.identity)); err != nil {
		return nil, err
	}
	r := &reply{
		mailbox: i.invitation.answerMailbox(message),
		message: encode(wireLinkAnswer{Kind: kindLinkAnswer, Sealed: seal(s.key(roleInviter), encode(proof))}),
		peer:    peer,
	}
	if status != 0 || repeated {
		return r, nil
	}
	transcript, err := s.transcript(proof, peerProof)
	if err != nil {
		return nil, err
	}
	r.event.Accepted = &Paired{peer, ChannelLink, transcript}
	i.invitees = append(i.invitees, peer.Pointer)
	if err := i.save(ctx, i.State(), r.event.Accepted); err != nil {
		i.invitees = i.invitees[:len(i.invitees)-1]
		return nil, fmt.Errorf("saving the new invitee: %w", err)
	}
	return r, nil
}

// admit returns 0 if a peer may accept the invitation, or else the reason of the refusal.
// repeated is true if it accepted before, as after a restart of either side: it is answered
// again, and no use is counted.
func (i *Inviter) admit(peer pointer.Pointer, now time.Time) (status Reason, repeated bool) {
	switch {
	case !i.invitation.For.IsZero() && i.invitation.For != peer:
		return ReasonOtherRecipient, false
	case i.withdrawn:
		return ReasonWithdrawn, false
	case slices.Contains(i.invitees, peer):
		return 0, true
	case !now.Before(i.invitation.Expires), i.made.Sub(now) > clockTolerance:
		return ReasonExpired, false
	case i.UsesLeft() <= 0:
		return ReasonUsed, false
	}
	return 0, false
}
