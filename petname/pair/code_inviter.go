package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
)

// CodeInviter is the side that speaks the code. It has no durable state: a code that was
// offered before a restart is invalid.
type CodeInviter struct {
	codeSide
	offer   []byte    // the message; nil before the first step
	expires time.Time // of the offer
	answer  []byte    // the message; nil before it is made
	failure error     // the result after the answer is sent; nil: paired
	paired  *Paired
}

// InviteByCode returns the side of the inviter, for a code that the owner then speaks.
// Steps put the offer, and wait for the invitee for [CodeLife].
func InviteByCode(self Self, code Code, markUsed MarkUsed) (*CodeInviter, error) {
	side, err := newCodeSide(self, code, markUsed)
	if err != nil {
		return nil, err
	}
	return &CodeInviter{codeSide: side}, nil
}

// Step implements [Stepper]. The event is Paired when the answer is sent.
func (o *CodeInviter) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case o.err != nil:
		return Event{}, o.err
	case o.event != nil:
		return *o.event, nil
	case o.answer != nil:
		return o.sendAnswer(ctx, store, now)
	case o.offer == nil:
		return Event{}, o.publishOffer(ctx, store, now)
	}
	// 1. An invitee cannot tell two offers in one slot apart: both fail.
	stored, ok, err := o.slot.mailbox(mailboxOffer).fetch(ctx, store, now)
	switch {
	case err != nil:
		return Event{}, err
	case ok && !bytes.Equal(stored.message, o.offer):
		return o.fail(ErrOccupied)
	}
	// 2. The first message in the mailbox of acceptances is the only one that is
	// handled, even if it is malformed.
	acceptance, answered, err := o.slot.mailbox(mailboxAcceptance).fetch(ctx, store, now)
	if err != nil {
		return Event{}, err
	}
	if answered {
		return o.handleAcceptance(ctx, store, now, acceptance.message)
	}
	if !now.Before(o.expires) {
		return o.fail(ErrTimeout)
	}
	if !ok {
		return Event{}, o.slot.mailbox(mailboxOffer).put(ctx, store, o.offer, 1, o.expires)
	}
	return Event{}, nil
}

// publishOffer puts the offer, unless the slot is in use.
func (o *CodeInviter) publishOffer(ctx context.Context, store dht.Store, now time.Time) error {
	own := o.code.slot(now)
	var mailboxes []mailbox
	for _, s := range o.code.slotsNear(now) {
		mailboxes = append(mailboxes, s.mailbox(mailboxOffer))
	}
	stored, err := fetchAll(ctx, store, now, append(mailboxes, own.mailbox(mailboxAcceptance), own.mailbox(mailboxAnswer)))
	if err != nil {
		return err
	}
	for _, f := range stored {
		if f.present {
			_, err := o.fail(ErrOccupied)
			return err
		}
	}
	if o.cpace.scalar == nil || o.slot != own {
		if err := o.joinSlot(own); err != nil {
			return err
		}
	}
	share := o.message()
	message := encode(wireOffer{Kind: kindOffer, Share: share.share, Commit: share.data})
	expires := now.Add(CodeLife)
	if err := own.mailbox(mailboxOffer).put(ctx, store, message, 1, expires); err != nil {
		if errors.Is(err, dht.ErrOlder) {
			_, err = o.fail(ErrOccupied)
		}
		return err
	}
	o.offer, o.expires = message, expires
	return nil
}

// handleAcceptance marks the code as used, and then verifies an acceptance.
func (o *CodeInviter) handleAcceptance(ctx context.Context, store dht.Store, now time.Time, message []byte) (Event, error) {
	if err := o.useCode(ctx, roleInviter, now); err != nil {
		if !errors.Is(err, ErrCodeUsed) {
			return Event{}, err
		}
		return o.refuse(ctx, store, now, message, ErrCodeUsed)
	}
	w, err := parseAcceptance(message)
	if err != nil {
		return o.refuse(ctx, store, now, message, ErrTampered)
	}
	s, err := newSession(o.slot, o.cpace, cpaceMessage{w.Share, w.Commit}, o.message(), cpaceMessage{w.Share, w.Commit})
	if err != nil {
		return o.refuse(ctx, store, now, message, ErrTampered)
	}
	peer, peerProof, err := s.openProof(roleInvitee, w.Tag, w.Sealed)
	switch {
	case errors.Is(err, errConfirmation):
		return o.refuse(ctx, store, now, message, ErrWrongCode)
	case err != nil:
		return o.refuse(ctx, store, now, message, ErrTampered)
	case peer.Pointer == o.self.Identity.Pointer:
		return o.refuse(ctx, store, now, message, ErrSelf)
	}
	sealed, sig, err := s.sealProof(o.self, roleInviter, o.identity, o.blind)
	if err != nil {
		return o.refuse(ctx, store, now, message, err)
	}
	transcript, err := s.transcript(wireProof{Identity: o.identity, Blind: o.blind, Signature: sig}, peerProof)
	if err != nil {
		return o.refuse(ctx, store, now, message, err)
	}
	o.answer = encode(wireAnswer{Kind: kindAnswer, Acceptance: acceptanceHash(message), Tag: s.tag(roleInviter), Sealed: sealed})
	o.paired = &Paired{peer, ChannelCode, transcript}
	return o.sendAnswer(ctx, store, now)
}

// refuse answers with a failure, so that the invitee fails as well.
func (o *CodeInviter) refuse(ctx context.Context, store dht.Store, now time.Time, acceptance []byte, reason error) (Event, error) {
	o.answer, o.failure = encode(wireFailure{Kind: kindFailure, Acceptance: acceptanceHash(acceptance)}), reason
	return o.sendAnswer(ctx, store, now)
}

// sendAnswer puts the answer. The pairing is complete only after that.
func (o *CodeInviter) sendAnswer(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	if o.paired != nil {
		store = o.self.storeFor(store, o.paired.Peer)
	}
	err := o.slot.mailbox(mailboxAnswer).put(ctx, store, o.answer, 1, now.Add(CodeLife))
	switch {
	case err != nil && o.failure != nil && (errors.Is(err, dht.ErrOlder) || !now.Before(o.expires)):
		return o.fail(o.failure)
	case errors.Is(err, dht.ErrOlder):
		return o.fail(ErrTampered)
	case err != nil && !now.Before(o.expires):
		return o.fail(fmt.Errorf("%w (%w)", ErrTimeout, err))
	case err != nil:
		return Event{}, err
	case o.failure != nil:
		return o.fail(o.failure)
	}
	o.event = &Event{Paired: o.paired}
	return *o.event, nil
}
