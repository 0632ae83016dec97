package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/petnames-go/petnames/dht"
)

// MarkUsed notes durably that a code has had its one try, before anything goes out
// that somebody could test a guess with. It returns an error that wraps
// [ErrCodeUsed] if mark was noted before, and may forget it after until. The mark
// has the public half of the code in it, and the side; nothing of the secret.
type MarkUsed func(ctx context.Context, mark string, until time.Time) error

// codeUsedPeriod is how long a code must not be tried again: long after everybody who
// remembers it has stopped retyping it.
const codeUsedPeriod = 24 * time.Hour

// codeSide is what the two sides of a spoken code have in common.
type codeSide struct {
	self     Self
	identity []byte
	blind    []byte
	code     Code
	markUsed MarkUsed

	slot  slot
	cpace cpaceSide
	err   error  // the final error
	event *Event // or the outcome
}

func newCodeSide(self Self, code Code, markUsed MarkUsed) (codeSide, error) {
	if code.IsZero() {
		return codeSide{}, errors.New("pairing: there is no code")
	}
	if markUsed == nil {
		return codeSide{}, errors.New("pairing by code needs a place to note that it was tried")
	}
	identity, err := self.encodeIdentity()
	if err != nil {
		return codeSide{}, err
	}
	self.Identity = self.Identity.clone()
	blind := make([]byte, blindSize)
	if _, err := io.ReadFull(randomOr(self.Random), blind); err != nil {
		return codeSide{}, fmt.Errorf("pairing: %w", err)
	}
	return codeSide{self: self, identity: identity, blind: blind, code: code, markUsed: markUsed}, nil
}

// enter makes the side's share for a slot.
func (c *codeSide) joinSlot(s slot) error {
	ci := lvCat([]byte("petnames/pair/code/v1"), s.id(), []byte(roleInviter), []byte(roleInvitee))
	side, err := newCPace(c.code.password(), ci, randomOr(c.self.Random))
	if err != nil {
		return err
	}
	c.slot, c.cpace = s, side
	return nil
}

func (c *codeSide) message() cpaceMessage {
	return cpaceMessage{c.cpace.share, commit(c.blind, c.identity)}
}

func (c *codeSide) useCode(ctx context.Context, role string, now time.Time) error {
	if err := c.markUsed(ctx, role+" "+c.code.nameplate(), now.Add(codeUsedPeriod)); err != nil {
		return fmt.Errorf("noting that the code is used: %w", err)
	}
	return nil
}

// end makes an error the last word.
func (c *codeSide) fail(err error) (Event, error) {
	c.err = final(err)
	return Event{}, c.err
}

// CodeInviter is the side that spoke the code. Nothing of it outlives the
// process: a code that was offered before a restart is dead.
type CodeInviter struct {
	codeSide
	offer   []byte    // the message; nil before the first step
	expires time.Time // of the offer
	answer  []byte    // the message, once there is one
	failure error     // what follows the answer; nil: paired
	paired  *Paired
}

// InviteByCode begins to pair by a code that the user then speaks. Steps put it
// out, and wait for the other side for [CodeLife].
func InviteByCode(self Self, code Code, markUsed MarkUsed) (*CodeInviter, error) {
	side, err := newCodeSide(self, code, markUsed)
	if err != nil {
		return nil, err
	}
	return &CodeInviter{codeSide: side}, nil
}

// Step is [Stepper]'s: the event is Paired once the answer has gone out.
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
	// 1. Two offers in one place can't be told apart by the taker: neither lives.
	stored, ok, err := o.slot.mailbox(mailboxOffer).fetch(ctx, store, now)
	switch {
	case err != nil:
		return Event{}, err
	case ok && !bytes.Equal(stored.message, o.offer):
		return o.fail(ErrOccupied)
	}
	// 2. Whatever stands in the taker's box first is the one try, a malformed
	// message too.
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

// open puts the offer out, unless somebody is at the place.
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

// judge burns the code, and only then looks at the taker's message.
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

// refuse lets the taker fail loudly as well.
func (o *CodeInviter) refuse(ctx context.Context, store dht.Store, now time.Time, acceptance []byte, why error) (Event, error) {
	o.answer, o.failure = encode(wireFailure{Kind: kindFailure, Acceptance: acceptanceHash(acceptance)}), why
	return o.sendAnswer(ctx, store, now)
}

// send puts the answer out; nobody is paired before that is done.
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
