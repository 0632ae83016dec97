package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
)

// CodeInvitee is the side that heard the code.
type CodeInvitee struct {
	codeSide
	deadline   time.Time // when to give up; zero before the first step
	session    session
	ownProof   wireProof
	acceptance []byte // the message, once made
	sent       bool
}

// AcceptCode begins to pair by a code that was heard. Steps look for the offer
// for [CodeLife], answer it once, and wait as long for what comes of it.
func AcceptCode(self Self, code Code, markUsed MarkUsed) (*CodeInvitee, error) {
	side, err := newCodeSide(self, code, markUsed)
	if err != nil {
		return nil, err
	}
	return &CodeInvitee{codeSide: side}, nil
}

// Step is [Stepper]'s: the event is Paired once the inviter is verified.
func (t *CodeInvitee) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	if t.deadline.IsZero() {
		t.deadline = now.Add(CodeLife)
	}
	switch {
	case t.err != nil:
		return Event{}, t.err
	case t.event != nil:
		return *t.event, nil
	case t.acceptance == nil:
		if ok, err := t.acceptOffer(ctx, store, now); err != nil || !ok {
			return Event{}, err
		}
	}
	if !t.sent {
		if err := t.slot.mailbox(mailboxAcceptance).put(ctx, store, t.acceptance, 1, now.Add(CodeLife)); err != nil {
			switch {
			case errors.Is(err, dht.ErrOlder):
				return t.fail(ErrOccupied)
			case !now.Before(t.deadline):
				return t.fail(fmt.Errorf("%w (%w)", ErrTimeout, err))
			}
			return Event{}, err
		}
		t.sent, t.deadline = true, now.Add(CodeLife)
	}
	answer, ok, err := t.slot.mailbox(mailboxAnswer).fetch(ctx, store, now)
	switch {
	case ok:
		return t.verifyAnswer(answer.message)
	case !now.Before(t.deadline):
		return t.fail(ErrTimeout)
	case err != nil:
		return Event{}, err
	}
	// What the network lost, or somebody wrote over, is put again: the inviter
	// looks at one message alone, so this can't become a second try.
	stored, ok, err := t.slot.mailbox(mailboxAcceptance).fetch(ctx, store, now)
	if err != nil {
		return Event{}, err
	}
	if ok && !bytes.Equal(stored.message, t.acceptance) {
		return t.fail(ErrOccupied)
	}
	t.sent = ok
	return Event{}, nil
}

// accept looks for the one offer, and makes the answer to it; ok is false
// while there is none.
func (t *CodeInvitee) acceptOffer(ctx context.Context, store dht.Store, now time.Time) (ok bool, err error) {
	slots := t.code.slotsNear(now)
	var mailboxes []mailbox
	for _, s := range slots {
		mailboxes = append(mailboxes, s.mailbox(mailboxOffer))
	}
	stored, err := fetchAll(ctx, store, now, mailboxes)
	if err != nil {
		if !now.Before(t.deadline) {
			_, err = t.fail(fmt.Errorf("%w (%w)", ErrTimeout, err))
		}
		return false, err
	}
	var at slot
	var offer []byte
	offers := 0
	for n, f := range stored {
		if f.present {
			at, offer = slots[n], f.message
			offers++
		}
	}
	fail := func(err error) (bool, error) {
		_, err = t.fail(err)
		return false, err
	}
	switch {
	case offers > 1:
		return fail(ErrOccupied)
	case offers == 0 && !now.Before(t.deadline):
		return fail(ErrTimeout)
	case offers == 0:
		return false, nil
	}
	if _, ok, err := at.mailbox(mailboxAcceptance).fetch(ctx, store, now); err != nil {
		return false, err
	} else if ok {
		return fail(ErrOccupied)
	}
	// The tag in the answer is what the inviter's side can test a guess with:
	// the code is used up before it is made.
	if err := t.useCode(ctx, roleInvitee, now); err != nil {
		if errors.Is(err, ErrCodeUsed) {
			return fail(ErrCodeUsed)
		}
		return false, err
	}
	inviter, err := parseOffer(offer)
	if err != nil {
		return fail(ErrTampered)
	}
	if err := t.joinSlot(at); err != nil {
		return fail(err)
	}
	s, err := newSession(at, t.cpace, inviter, inviter, t.message())
	if err != nil {
		return fail(ErrTampered)
	}
	sealed, sig, err := s.sealProof(t.self, roleInvitee, t.identity, t.blind)
	if err != nil {
		return fail(err)
	}
	share := t.message()
	t.session = s
	t.ownProof = wireProof{Identity: t.identity, Blind: t.blind, Signature: sig}
	t.acceptance = encode(wireAcceptance{Kind: kindAcceptance, Share: share.share, Commit: share.data, Tag: s.tag(roleInvitee), Sealed: sealed})
	return true, nil
}

// conclude verifies the one answer.
func (t *CodeInvitee) verifyAnswer(message []byte) (Event, error) {
	w, err := parseAnswer(message)
	if err != nil {
		return t.fail(ErrTampered)
	}
	forOwn := bytes.Equal(w.Acceptance, acceptanceHash(t.acceptance))
	switch {
	case !forOwn:
		return t.fail(ErrOccupied) // somebody else was first to answer the offer
	case w.Kind == kindFailure:
		return t.fail(ErrWrongCode)
	}
	peer, peerProof, err := t.session.openProof(roleInviter, w.Tag, w.Sealed)
	switch {
	case errors.Is(err, errConfirmation):
		return t.fail(ErrWrongCode)
	case err != nil:
		return t.fail(ErrTampered)
	case peer.Pointer == t.self.Identity.Pointer:
		return t.fail(ErrSelf)
	}
	transcript, err := t.session.transcript(peerProof, t.ownProof)
	if err != nil {
		return t.fail(err)
	}
	t.event = &Event{Paired: &Paired{peer, ChannelCode, transcript}}
	return *t.event, nil
}
