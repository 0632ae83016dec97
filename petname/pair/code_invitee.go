package pair

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht"
)

// CodeInvitee is the side that enters the code.
type CodeInvitee struct {
	codeSide
	deadline   time.Time // zero before the first step
	session    session
	ownProof   wireProof
	acceptance []byte // the message; nil before it is made
	sent       bool
}

// AcceptCode returns the side of the invitee, for a code that the owner entered. Steps
// look for the offer for [CodeLife], accept it once, and wait as long for the answer.
func AcceptCode(self Self, code Code, markUsed MarkUsed) (*CodeInvitee, error) {
	side, err := newCodeSide(self, code, markUsed)
	if err != nil {
		return nil, err
	}
	return &CodeInvitee{codeSide: side}, nil
}

// Step implements [Stepper]. The event is Paired when the inviter is verified.
func (v *CodeInvitee) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	v.deadline = endNear(v.deadline, now)
	if v.deadline.IsZero() {
		v.deadline = now.Add(CodeLife)
	}
	switch {
	case v.err != nil:
		return Event{}, v.err
	case v.event != nil:
		return *v.event, nil
	case v.acceptance == nil:
		if ok, err := v.acceptOffer(ctx, store, now); err != nil || !ok {
			return Event{}, err
		}
	}
	if !v.sent {
		if err := v.slot.mailbox(mailboxAcceptance).put(ctx, store, v.acceptance, 1, now.Add(CodeLife+clockTolerance)); err != nil {
			switch {
			case errors.Is(err, dht.ErrOlder):
				return v.fail(ErrOccupied)
			case !now.Before(v.deadline):
				return v.timeout(now, err)
			}
			return Event{}, err
		}
		v.sent, v.deadline = true, now.Add(CodeLife)
	}
	answer, ok, err := v.slot.mailbox(mailboxAnswer).fetch(ctx, store, now)
	switch {
	case ok:
		return v.verifyAnswer(answer.message)
	case !now.Before(v.deadline):
		return v.timeout(now, nil)
	case err != nil:
		return Event{}, err
	}
	// A message that the network lost is put again. This is no second guess: the
	// inviter reads one message only.
	stored, ok, err := v.slot.mailbox(mailboxAcceptance).fetch(ctx, store, now)
	if err != nil {
		return Event{}, err
	}
	if ok && !bytes.Equal(stored.message, v.acceptance) {
		return v.fail(ErrOccupied)
	}
	v.sent = ok
	return Event{}, nil
}

// putClocks puts the time of this side into the slot of the inviter, so that the inviter
// ends with the same reason. That it fails changes nothing for this side.
func (v *CodeInvitee) putClocks(ctx context.Context, store dht.Store, s slot, now time.Time) {
	until := periodStart(s.period)
	if now.After(until) {
		until = now // by the clock of this side it has not ended either
	}
	message := encode(wireNotice{Kind: kindClocks, Period: min(max(periodOf(now), 0), maxPeriod)})
	_ = s.mailbox(mailboxAcceptance).put(ctx, store, message, 1, until.Add(CodeLife+clockTolerance))
}

// acceptOffer looks for the offer and makes the acceptance; ok is false while there is
// no offer.
func (v *CodeInvitee) acceptOffer(ctx context.Context, store dht.Store, now time.Time) (ok bool, err error) {
	slots := v.code.slotsNear(now)
	var mailboxes []mailbox
	for _, s := range slots {
		mailboxes = append(mailboxes, s.mailbox(mailboxOffer))
	}
	stored, err := fetchAll(ctx, store, now, append(mailboxes, v.code.noticeMailbox()))
	if err != nil {
		if !now.Before(v.deadline) {
			_, err = v.timeout(now, err)
		}
		return false, err
	}
	notice := stored[len(slots)]
	stored = stored[:len(slots)]
	var offerSlot slot
	var offer []byte
	offers := 0
	for index, found := range stored {
		if found.present {
			offerSlot, offer = slots[index], found.message
			offers++
		}
	}
	fail := func(err error) (bool, error) {
		_, err = v.fail(err)
		return false, err
	}
	if offers == 0 && notice.present { // the clocks of the two sides may differ
		s, ok, err := v.code.noticed(notice.message, now)
		if err != nil {
			v.putClocks(ctx, store, s, now)
			return fail(err)
		}
		if ok && !slices.Contains(slots, s) {
			f, present, err := s.mailbox(mailboxOffer).fetch(ctx, store, now)
			if err != nil {
				return false, err
			}
			if present {
				offerSlot, offer, offers = s, f.message, 1
			}
		}
	}
	switch {
	case offers > 1:
		return fail(ErrOccupied)
	case offers == 0 && !now.Before(v.deadline):
		_, err := v.timeout(now, nil)
		return false, err
	case offers == 0:
		return false, nil
	}
	if _, ok, err := offerSlot.mailbox(mailboxAcceptance).fetch(ctx, store, now); err != nil {
		return false, err
	} else if ok {
		return fail(ErrOccupied)
	}
	// The inviter can test a guess with the tag of the acceptance, so the code is marked
	// as used before the tag is made.
	if err := v.useCode(ctx, roleInvitee, now); err != nil {
		if errors.Is(err, ErrCodeUsed) {
			return fail(ErrCodeUsed)
		}
		return false, err
	}
	inviter, err := parseOffer(offer)
	if err != nil {
		return fail(ErrTampered)
	}
	if err := v.joinSlot(offerSlot); err != nil {
		return fail(err)
	}
	s, err := newSession(offerSlot, v.cpace, inviter, inviter, v.message())
	if err != nil {
		return fail(ErrTampered)
	}
	sealed, sig, err := s.sealProof(v.self, roleInvitee, v.identity, v.blind)
	if err != nil {
		return fail(err)
	}
	own := v.message()
	v.session = s
	v.ownProof = wireProof{Identity: v.identity, Blind: v.blind, Signature: sig}
	v.acceptance = encode(wireAcceptance{Kind: kindAcceptance, Share: own.share, Commit: own.data, Tag: s.tag(roleInvitee), Sealed: sealed})
	if err := v.saveState(ctx, v.state); err != nil {
		return fail(err)
	}
	return true, nil
}

// verifyAnswer verifies the answer of the inviter.
func (v *CodeInvitee) verifyAnswer(message []byte) (Event, error) {
	w, err := parseAnswer(message)
	if err != nil {
		return v.fail(ErrTampered)
	}
	answersThis := bytes.Equal(w.Acceptance, acceptanceHash(v.acceptance))
	switch {
	case !answersThis:
		return v.fail(ErrOccupied) // the offer was accepted by another side
	case w.Kind == kindFailure:
		return v.fail(ErrWrongCode)
	}
	peer, peerProof, err := v.session.openProof(roleInviter, w.Tag, w.Sealed)
	switch {
	case errors.Is(err, errConfirmation):
		return v.fail(ErrWrongCode)
	case err != nil:
		return v.fail(ErrTampered)
	case peer.Pointer == v.self.Identity.Pointer:
		return v.fail(ErrSelf)
	}
	transcript, err := v.session.transcript(peerProof, v.ownProof)
	if err != nil {
		return v.fail(err)
	}
	v.event = &Event{Paired: &Paired{peer, ChannelCode, transcript}}
	return *v.event, nil
}
