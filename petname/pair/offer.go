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

// Save keeps an offer's state durably, and who has just taken it (nil: nobody),
// both or neither. The answer goes out only after it returns nil.
type Save func(ctx context.Context, state []byte, taken *Paired) error

const (
	// Grace is how long after its end an invitation is still answered, so that
	// who comes late is told.
	Grace = 10 * time.Minute

	// putEvery is how often the whole invitation is put anew: the network drops
	// records after 48 hours.
	putEvery = 6 * time.Hour
)

// Offer is the inviter's side of an invitation. It can be resumed after a
// restart out of its [Offer.State].
type Offer struct {
	self       Self
	identity   []byte
	save       Save
	invitation Invitation
	private    *ecdh.PrivateKey
	takers     []pointer.Pointer
	withdrawn  bool

	put     time.Time  // when the invitation was last put
	handled [][32]byte // by box: the last message that was dealt with
	pending *reply
	ended   error
}

// reply is an answer that has not gone out yet.
type reply struct {
	box     box
	message []byte
	event   Event
	in      int // the box that it answers
	take    [32]byte
	them    Identity
}

// Invite makes an invitation, and saves it before anybody can take it.
func Invite(ctx context.Context, self Self, terms Terms, save Save) (*Offer, error) {
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

func newOffer(self Self, inv Invitation, private *ecdh.PrivateKey, save Save) (*Offer, error) {
	if save == nil {
		return nil, errors.New("inviting needs a place to note who took the invitation")
	}
	identity, err := self.ready()
	if err != nil {
		return nil, err
	}
	if self.Identity.Pointer != inv.Inviter {
		return nil, fmt.Errorf("the invitation is of %s, and not of %s", inv.Inviter, self.Identity.Pointer)
	}
	self.Identity = self.Identity.clone()
	return &Offer{
		self: self, identity: identity, save: save, invitation: inv, private: private,
		handled: make([][32]byte, inv.Uses+1),
	}, nil
}

// Invitation is what is handed out.
func (o *Offer) Invitation() Invitation { return o.invitation.clone() }

// Takers are those who took it, in the order in which they did.
func (o *Offer) Takers() []pointer.Pointer { return slices.Clone(o.takers) }

// Left is how many uses are left.
func (o *Offer) Left() int {
	if o.withdrawn {
		return 0
	}
	return o.invitation.Uses - len(o.takers)
}

// Withdraw makes the invitation void from now on, durably.
func (o *Offer) Withdraw(ctx context.Context) error {
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
// is [ErrExpired], [Grace] after the invitation's.
func (o *Offer) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case o.ended != nil:
		return Event{}, o.ended
	case !now.Before(o.invitation.Expires.Add(Grace)):
		o.ended = final(ErrExpired)
		return Event{}, o.ended
	}
	if o.pending != nil {
		return o.send(ctx, store, now)
	}
	if o.put.IsZero() || now.Sub(o.put) >= putEvery {
		sealed := seal(cardKey(o.invitation.secret), o.invitation.signed)
		err := cardBox(o.invitation.secret).put(ctx, store, sealed, uint64(now.Unix()), o.invitation.Expires.Add(Grace))
		if err != nil && !errors.Is(err, dht.ErrOlder) {
			return Event{}, err
		}
		o.put = now
	}
	takes, err := lookAll(ctx, store, now, o.invitation.takeBoxes())
	if err != nil {
		return Event{}, err
	}
	for n, found := range takes {
		hash := [32]byte(takeHash(found.message))
		if !found.ok || hash == o.handled[n] {
			continue
		}
		r, err := o.judge(ctx, now, found.message)
		switch {
		case err != nil:
			return Event{}, err
		case r == nil:
			o.handled[n] = hash
			continue
		}
		r.in, r.take, o.pending = n, hash, r
		if event, err := o.send(ctx, store, now); err != nil || event != (Event{}) {
			return event, err
		}
	}
	return Event{}, nil
}

// send puts the pending answer out.
func (o *Offer) send(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	r := o.pending
	err := r.box.put(ctx, o.self.with(store, r.them), r.message, 1, o.invitation.Expires.Add(2*Grace))
	if err != nil && !errors.Is(err, dht.ErrOlder) {
		return Event{}, err
	}
	// What stands there already is the answer from before a restart, or somebody
	// with the secret in the way, whom the taker will notice.
	o.handled[r.in], o.pending = r.take, nil
	return r.event, nil
}

// judge makes the answer to a message, which is saved before it is returned;
// nil when the message is not one that a taker would send: there is nobody to
// answer to.
func (o *Offer) judge(ctx context.Context, now time.Time, message []byte) (*reply, error) {
	w, err := parseLinkTake(message)
	if err != nil {
		return nil, nil
	}
	s, err := newLinkSession(o.invitation, o.private, w.Ephemeral, w.Ephemeral)
	if err != nil {
		return nil, nil
	}
	them, theirs, err := s.checkTake(w.Sealed)
	if err != nil || them.Pointer == o.invitation.Inviter {
		return nil, nil
	}
	status, again := o.decide(them.Pointer, now)
	proof := wireTakenProof{Status: status}
	if status == 0 {
		proof.Identity = o.identity
	}
	if proof.Signature, err = o.self.sign(domainLink, s.statementBack(theirs, status, o.identity)); err != nil {
		return nil, err
	}
	r := &reply{
		box:     o.invitation.takenBox(message),
		message: encode(wireTaken{Kind: kindTaken, Sealed: seal(s.key(roleInviter), encode(proof))}),
		them:    them,
	}
	if status != 0 || again {
		return r, nil
	}
	transcript, err := s.transcript(proof, theirs)
	if err != nil {
		return nil, err
	}
	r.event.Taken = &Paired{them, ChannelLink, transcript}
	o.takers = append(o.takers, them.Pointer)
	if err := o.save(ctx, o.State(), r.event.Taken); err != nil {
		o.takers = o.takers[:len(o.takers)-1]
		return nil, fmt.Errorf("noting who took the invitation: %w", err)
	}
	return r, nil
}

// decide says whether somebody may take the invitation, and whether it has
// before: then it is told once more, after a restart of either side, and no use
// is counted.
func (o *Offer) decide(them pointer.Pointer, now time.Time) (status Reason, again bool) {
	switch {
	case !o.invitation.For.IsZero() && o.invitation.For != them:
		return ReasonOther, false
	case o.withdrawn:
		return ReasonWithdrawn, false
	case slices.Contains(o.takers, them):
		return 0, true
	case !now.Before(o.invitation.Expires):
		return ReasonExpired, false
	case o.Left() <= 0:
		return ReasonUsed, false
	}
	return 0, false
}
