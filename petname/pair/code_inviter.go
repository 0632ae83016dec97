package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
)

// CodeInviter is the side that speaks the code. [CodeInviter.SaveWith] lets it be resumed.
type CodeInviter struct {
	codeSide
	offer   []byte    // the message; nil until a peer has stored it
	began   time.Time // of the first attempt to put it
	expires time.Time // of the offer
	noticed slot      // of the notice that is in the network; zero: none
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
func (i *CodeInviter) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case i.err != nil:
		return Event{}, i.err
	case i.event != nil:
		return *i.event, nil
	case i.answer != nil:
		return i.sendAnswer(ctx, store, now)
	case i.offer == nil:
		if i.began.IsZero() {
			i.began = now
		}
		err := i.publishOffer(ctx, store, now)
		if err != nil && i.err == nil && now.Sub(i.began) > CodeLife {
			return i.timeout(now, err)
		}
		return Event{}, err
	}
	i.expires = endNear(i.expires, now)
	// 1. An invitee cannot tell two offers in one slot apart: both fail.
	stored, ok, err := i.slot.mailbox(mailboxOffer).fetch(ctx, store, now)
	switch {
	case err != nil:
		return Event{}, err
	case ok && !bytes.Equal(stored.message, i.offer):
		return i.fail(ErrOccupied)
	}
	// 2. The first message in the mailbox of acceptances is the only one that is
	// handled, even if it is malformed.
	acceptance, accepted, err := i.slot.mailbox(mailboxAcceptance).fetch(ctx, store, now)
	if err != nil {
		return Event{}, err
	}
	if accepted {
		if err := clocksError(acceptance.message, now); err != nil {
			return i.fail(err)
		}
		return i.handleAcceptance(ctx, store, now, acceptance.message)
	}
	if !now.Before(i.expires) {
		return i.timeout(now, nil)
	}
	if !ok {
		return Event{}, i.slot.mailbox(mailboxOffer).put(ctx, store, i.offer, 1, i.expires.Add(clockTolerance))
	}
	return Event{}, i.putNotice(ctx, store, i.expires.Add(clockTolerance))
}

// putNotice puts the notice, by which an invitee with another clock finds the slot, when
// no acceptance came at once. An invitee with the same clock needs none, so a newer notice
// is no failure.
func (i *CodeInviter) putNotice(ctx context.Context, store dht.Store, until time.Time) error {
	if i.noticed == i.slot {
		return nil
	}
	notice := encode(wireNotice{Kind: kindNotice, Period: i.slot.period})
	err := i.code.noticeMailbox().put(ctx, store, notice, uint64(max(i.slot.period, 0)), until)
	if err != nil && !errors.Is(err, dht.ErrOlder) {
		return err
	}
	i.noticed = i.slot
	return nil
}

// publishOffer puts the offer, unless the slot is in use.
func (i *CodeInviter) publishOffer(ctx context.Context, store dht.Store, now time.Time) error {
	ownSlot := i.code.slot(now)
	var mailboxes []mailbox
	for _, s := range i.code.slotsNear(now) {
		mailboxes = append(mailboxes, s.mailbox(mailboxOffer))
	}
	offers := len(mailboxes)
	mailboxes = append(mailboxes, ownSlot.mailbox(mailboxAcceptance), ownSlot.mailbox(mailboxAnswer))
	if i.noticed != (slot{}) && i.noticed != ownSlot { // of the period before
		mailboxes = append(mailboxes, i.noticed.mailbox(mailboxAcceptance))
	}
	stored, err := fetchAll(ctx, store, now, mailboxes)
	if err != nil {
		return err
	}
	for n, found := range stored {
		if n < offers || n == offers+1 || !found.present { // an invitee found the notice below
			continue
		}
		if err := clocksError(found.message, now); err != nil {
			_, err = i.fail(err)
			return err
		}
	}
	for _, found := range stored {
		if found.present {
			_, err := i.fail(ErrOccupied)
			return err
		}
	}
	if i.cpace.scalar == nil || i.slot != ownSlot {
		if err := i.joinSlot(ownSlot); err != nil {
			return err
		}
	}
	m := i.message()
	message := encode(wireOffer{Kind: kindOffer, Share: m.share, Commit: m.data})
	expires := now.Add(CodeLife)
	if err := ownSlot.mailbox(mailboxOffer).put(ctx, store, message, 1, expires.Add(clockTolerance)); err != nil {
		if errors.Is(err, dht.ErrOlder) {
			_, err = i.fail(ErrOccupied)
			return err
		}
		// Peers whose clocks are over a day ahead store no message of this side: it has
		// ended. A notice that lasts leads the invitee to the slot, and both end at once.
		return errors.Join(err, i.putNotice(ctx, store, now.Add(noticeLife)))
	}
	i.offer, i.expires = message, expires
	return i.saveState(ctx, i.state)
}

// clocksError returns an [ErrClocks] if a message states the time of an invitee with a
// clock that is too far from this side's, and nil otherwise.
func clocksError(message []byte, now time.Time) error {
	period, err := parseClocks(message)
	if err != nil {
		return nil
	}
	theirs := periodStart(period)
	if theirs.Sub(now).Abs() <= clockTolerance-2*periodLength {
		return nil
	}
	return fmt.Errorf("%w: the invitee's shows %s, and this machine's %s", ErrClocks, clockText(theirs), clockText(now))
}

// handleAcceptance marks the code as used, and then verifies an acceptance.
func (i *CodeInviter) handleAcceptance(ctx context.Context, store dht.Store, now time.Time, message []byte) (Event, error) {
	if err := i.useCode(ctx, roleInviter, now); err != nil {
		if !errors.Is(err, ErrCodeUsed) {
			return Event{}, err
		}
		return i.refuse(ctx, store, now, message, ErrCodeUsed)
	}
	w, err := parseAcceptance(message)
	if err != nil {
		return i.refuse(ctx, store, now, message, ErrTampered)
	}
	s, err := newSession(i.slot, i.cpace, cpaceMessage{w.Share, w.Commit}, i.message(), cpaceMessage{w.Share, w.Commit})
	if err != nil {
		return i.refuse(ctx, store, now, message, ErrTampered)
	}
	peer, peerProof, err := s.openProof(roleInvitee, w.Tag, w.Sealed)
	switch {
	case errors.Is(err, errConfirmation):
		return i.refuse(ctx, store, now, message, ErrWrongCode)
	case err != nil:
		return i.refuse(ctx, store, now, message, ErrTampered)
	case peer.Pointer == i.self.Identity.Pointer:
		return i.refuse(ctx, store, now, message, ErrSelf)
	}
	sealed, sig, err := s.sealProof(i.self, roleInviter, i.identity, i.blind)
	if err != nil {
		return i.refuse(ctx, store, now, message, err)
	}
	transcript, err := s.transcript(wireProof{Identity: i.identity, Blind: i.blind, Signature: sig}, peerProof)
	if err != nil {
		return i.refuse(ctx, store, now, message, err)
	}
	i.answer = encode(wireAnswer{Kind: kindAnswer, Acceptance: acceptanceHash(message), Tag: s.tag(roleInviter), Sealed: sealed})
	i.paired = &Paired{peer, ChannelCode, transcript}
	if err := i.saveState(ctx, i.state); err != nil {
		return i.fail(err)
	}
	return i.sendAnswer(ctx, store, now)
}

// refuse answers with a failure, so that the invitee fails as well.
func (i *CodeInviter) refuse(ctx context.Context, store dht.Store, now time.Time, acceptance []byte, reason error) (Event, error) {
	i.answer, i.failure = encode(wireFailure{Kind: kindFailure, Acceptance: acceptanceHash(acceptance)}), reason
	return i.sendAnswer(ctx, store, now)
}

// sendAnswer puts the answer. The pairing is complete only after that.
func (i *CodeInviter) sendAnswer(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	if i.paired != nil {
		store = i.self.storeFor(store, i.paired.Peer)
	}
	err := i.slot.mailbox(mailboxAnswer).put(ctx, store, i.answer, 1, now.Add(CodeLife+clockTolerance))
	switch {
	case err != nil && i.failure != nil && (errors.Is(err, dht.ErrOlder) || !now.Before(i.expires)):
		return i.fail(i.failure)
	case errors.Is(err, dht.ErrOlder):
		return i.fail(ErrTampered)
	case err != nil && !now.Before(i.expires):
		return i.timeout(now, err)
	case err != nil:
		return Event{}, err
	case i.failure != nil:
		return i.fail(i.failure)
	}
	i.event = &Event{Paired: i.paired}
	return *i.event, nil
}
