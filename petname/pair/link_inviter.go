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

// SaveState keeps an offer's state durably, and who has just taken it (nil: nobody),
// both or neither. The answer goes out only after it returns nil.
type SaveState func(ctx context.Context, state []byte, answered *Paired) error

const (
	// gracePeriod is how long after its end an invitation is still answered, so that
	// who comes late is told.
	gracePeriod = 10 * time.Minute

	// republishInterval is how often the whole invitation is put anew: the network drops
	// records after 48 hours.
	republishInterval = 6 * time.Hour
)

// Inviter is the inviter's side of an invitation. It can be resumed after a
// restart out of its [Inviter.State].
type Inviter struct {
	self       Self
	identity   []byte
	save       SaveState
	invitation Invitation
	private    *ecdh.PrivateKey
	invitees   []pointer.Pointer
	withdrawn  bool

	lastPut time.Time  // when the invitation was last put
	handled [][32]byte // by box: the last message that was dealt with
	pending *reply
	err     error
}

// reply is an answer that has not gone out yet.
type reply struct {
	mailbox mailbox
	message []byte
	event   Event
	index   int // the box that it answers
	hash    [32]byte
	peer    Identity
}

// Invite makes an invitation, and saves it before anybody can take it.
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
		return nil, errors.New("inviting needs a place to note who took the invitation")
	}
	identity, err := self.encodeIdentity()
	if err != nil {
		return nil, err
	}
	if self.Identity.Pointer != inv.Inviter {
		return nil, fmt.Errorf("the invitation is of %s, and not of %s", inv.Inviter, self.Identity.Pointer)
	}
	self.Identity = self.Identity.clone()
	return &Inviter{
		self: self, identity: identity, save: save, invitation: inv, private: private,
		handled: make([][32]byte, inv.Uses+1),
	}, nil
}

// Invitation is what is handed out.
func (o *Inviter) Invitation() Invitation { return o.invitation.clone() }

// Takers are those who took it, in the order in which they did.
func (o *Inviter) Invitees() []pointer.Pointer { return slices.Clone(o.invitees) }

// Left is how many uses are left.
func (o *Inviter) UsesLeft() int {
	if o.withdrawn {
		return 0
	}
	return o.invitation.Uses - len(o.invitees)
}

// Withdraw makes the invitation void from now on, durably.
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

// Step is [Stepper]'s. An event is Taken, once for each taker; it may come
// after a restart only to Save. Further steps tell those who come late; the end
// is [ErrExpired], [gracePeriod] after the invitation's.
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

// send puts the pending answer out.
func (o *Inviter) send(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	r := o.pending
	err := r.mailbox.put(ctx, o.self.storeFor(store, r.peer), r.message, 1, o.invitation.Expires.Add(2*gracePeriod))
	if err != nil && !errors.Is(err, dht.ErrOlder) {
		return Event{}, err
	}
	// What stands there already is the answer from before a restart, or somebody
	// with the secret in the way, whom the taker will notice.
	o.handled[r.index], o.pending = r.hash, nil
	return r.event, nil
}

// judge makes the answer to a message, which is saved before it is returned;
// nil when the message is not one that a taker would send: there is nobody to
// answer to.
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
		return nil, fmt.Errorf("noting who took the invitation: %w", err)
	}
	return r, nil
}

// decide says whether somebody may take the invitation, and whether it has
// before: then it is told once more, after a restart of either side, and no use
// is counted.
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
