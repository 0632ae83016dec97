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

// Burn notes durably that a code has had its one try, before anything goes out
// that somebody could test a guess with. It returns an error that wraps
// [ErrBurnt] if mark was noted before, and may forget it after until. The mark
// has the public half of the code in it, and the side; nothing of the secret.
type Burn func(ctx context.Context, mark string, until time.Time) error

// burnFor is how long a code must not be tried again: long after everybody who
// remembers it has stopped retyping it.
const burnFor = 24 * time.Hour

// codeSide is what the two sides of a spoken code have in common.
type codeSide struct {
	self     Self
	identity []byte
	blind    []byte
	code     Code
	burn     Burn

	slot  slot
	cpace cpaceSide
	ended error  // the final error
	event *Event // or the outcome
}

func newCodeSide(self Self, code Code, burn Burn) (codeSide, error) {
	if code.IsZero() {
		return codeSide{}, errors.New("pairing: there is no code")
	}
	if burn == nil {
		return codeSide{}, errors.New("pairing by code needs a place to note that it was tried")
	}
	identity, err := self.ready()
	if err != nil {
		return codeSide{}, err
	}
	self.Identity = self.Identity.clone()
	blind := make([]byte, blindSize)
	if _, err := io.ReadFull(randomOr(self.Random), blind); err != nil {
		return codeSide{}, fmt.Errorf("pairing: %w", err)
	}
	return codeSide{self: self, identity: identity, blind: blind, code: code, burn: burn}, nil
}

// enter makes the side's share for a slot.
func (c *codeSide) enter(s slot) error {
	ci := lvCat([]byte("petnames/pair/code/v1"), s.id(), []byte(roleInviter), []byte(roleTaker))
	side, err := newCPace(c.code.password(), ci, randomOr(c.self.Random))
	if err != nil {
		return err
	}
	c.slot, c.cpace = s, side
	return nil
}

func (c *codeSide) says() spoken { return spoken{c.cpace.share, commit(c.blind, c.identity)} }

func (c *codeSide) mark(ctx context.Context, role string, now time.Time) error {
	if err := c.burn(ctx, role+" "+c.code.place(), now.Add(burnFor)); err != nil {
		return fmt.Errorf("noting that the code is used: %w", err)
	}
	return nil
}

// end makes an error the last word.
func (c *codeSide) end(err error) (Event, error) {
	c.ended = final(err)
	return Event{}, c.ended
}

// CodeOffer is the side that spoke the code. Nothing of it outlives the
// process: a code that was offered before a restart is dead.
type CodeOffer struct {
	codeSide
	offer    []byte    // the message; nil before the first step
	expires  time.Time // of the offer
	answer   []byte    // the message, once there is one
	verdict  error     // what follows the answer; nil: paired
	answered *Paired
}

// OfferCode begins to pair by a code that the user then speaks. Steps put it
// out, and wait for the other side for [CodeLife].
func OfferCode(self Self, code Code, burn Burn) (*CodeOffer, error) {
	side, err := newCodeSide(self, code, burn)
	if err != nil {
		return nil, err
	}
	return &CodeOffer{codeSide: side}, nil
}

// Step is [Stepper]'s: the event is Paired once the answer has gone out.
func (o *CodeOffer) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	switch {
	case o.ended != nil:
		return Event{}, o.ended
	case o.event != nil:
		return *o.event, nil
	case o.answer != nil:
		return o.send(ctx, store, now)
	case o.offer == nil:
		return Event{}, o.open(ctx, store, now)
	}
	// 1. Two offers in one place can't be told apart by the taker: neither lives.
	standing, ok, err := o.slot.box(boxOffer).look(ctx, store, now)
	switch {
	case err != nil:
		return Event{}, err
	case ok && !bytes.Equal(standing.message, o.offer):
		return o.end(ErrOccupied)
	}
	// 2. Whatever stands in the taker's box first is the one try, a malformed
	// message too.
	take, taken, err := o.slot.box(boxTake).look(ctx, store, now)
	if err != nil {
		return Event{}, err
	}
	if taken {
		return o.judge(ctx, store, now, take.message)
	}
	if !now.Before(o.expires) {
		return o.end(ErrTimeout)
	}
	if !ok {
		return Event{}, o.slot.box(boxOffer).put(ctx, store, o.offer, 1, o.expires)
	}
	return Event{}, nil
}

// open puts the offer out, unless somebody is at the place.
func (o *CodeOffer) open(ctx context.Context, store dht.Store, now time.Time) error {
	own := o.code.slot(now)
	var boxes []box
	for _, s := range o.code.slotsAbout(now) {
		boxes = append(boxes, s.box(boxOffer))
	}
	standing, err := lookAll(ctx, store, now, append(boxes, own.box(boxTake), own.box(boxAnswer)))
	if err != nil {
		return err
	}
	for _, f := range standing {
		if f.ok {
			_, err := o.end(ErrOccupied)
			return err
		}
	}
	if o.cpace.scalar == nil || o.slot != own {
		if err := o.enter(own); err != nil {
			return err
		}
	}
	said := o.says()
	message := encode(wireOffer{Kind: kindOffer, Share: said.share, Commit: said.data})
	expires := now.Add(CodeLife)
	if err := own.box(boxOffer).put(ctx, store, message, 1, expires); err != nil {
		if errors.Is(err, dht.ErrOlder) {
			_, err = o.end(ErrOccupied)
		}
		return err
	}
	o.offer, o.expires = message, expires
	return nil
}

// judge burns the code, and only then looks at the taker's message.
func (o *CodeOffer) judge(ctx context.Context, store dht.Store, now time.Time, message []byte) (Event, error) {
	if err := o.mark(ctx, roleInviter, now); err != nil {
		if !errors.Is(err, ErrBurnt) {
			return Event{}, err
		}
		return o.refuse(ctx, store, now, message, ErrBurnt)
	}
	w, err := parseTake(message)
	if err != nil {
		return o.refuse(ctx, store, now, message, ErrTampered)
	}
	s, err := newSession(o.slot, o.cpace, spoken{w.Share, w.Commit}, o.says(), spoken{w.Share, w.Commit})
	if err != nil {
		return o.refuse(ctx, store, now, message, ErrTampered)
	}
	them, theirs, err := s.check(roleTaker, w.Tag, w.Sealed)
	switch {
	case errors.Is(err, errGuess):
		return o.refuse(ctx, store, now, message, ErrWrongCode)
	case err != nil:
		return o.refuse(ctx, store, now, message, ErrTampered)
	case them.Pointer == o.self.Identity.Pointer:
		return o.refuse(ctx, store, now, message, ErrSelf)
	}
	sealed, sig, err := s.prove(o.self, roleInviter, o.identity, o.blind)
	if err != nil {
		return o.refuse(ctx, store, now, message, err)
	}
	transcript, err := s.transcript(wireProof{Identity: o.identity, Blind: o.blind, Signature: sig}, theirs)
	if err != nil {
		return o.refuse(ctx, store, now, message, err)
	}
	o.answer = encode(wireAnswer{Kind: kindAnswer, Take: takeHash(message), Tag: s.tag(roleInviter), Sealed: sealed})
	o.answered = &Paired{them, ChannelCode, transcript}
	return o.send(ctx, store, now)
}

// refuse lets the taker fail loudly as well.
func (o *CodeOffer) refuse(ctx context.Context, store dht.Store, now time.Time, take []byte, why error) (Event, error) {
	o.answer, o.verdict = encode(wireFailure{Kind: kindFailure, Take: takeHash(take)}), why
	return o.send(ctx, store, now)
}

// send puts the answer out; nobody is paired before that is done.
func (o *CodeOffer) send(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	if o.answered != nil {
		store = o.self.with(store, o.answered.Them)
	}
	err := o.slot.box(boxAnswer).put(ctx, store, o.answer, 1, now.Add(CodeLife))
	switch {
	case err != nil && o.verdict != nil && (errors.Is(err, dht.ErrOlder) || !now.Before(o.expires)):
		return o.end(o.verdict)
	case errors.Is(err, dht.ErrOlder):
		return o.end(ErrTampered)
	case err != nil && !now.Before(o.expires):
		return o.end(fmt.Errorf("%w (%w)", ErrTimeout, err))
	case err != nil:
		return Event{}, err
	case o.verdict != nil:
		return o.end(o.verdict)
	}
	o.event = &Event{Paired: o.answered}
	return *o.event, nil
}

// CodeTake is the side that heard the code.
type CodeTake struct {
	codeSide
	until   time.Time // when to give up; zero before the first step
	session session
	own     wireProof
	take    []byte // the message, once made
	sent    bool
}

// TakeCode begins to pair by a code that was heard. Steps look for the offer
// for [CodeLife], answer it once, and wait as long for what comes of it.
func TakeCode(self Self, code Code, burn Burn) (*CodeTake, error) {
	side, err := newCodeSide(self, code, burn)
	if err != nil {
		return nil, err
	}
	return &CodeTake{codeSide: side}, nil
}

// Step is [Stepper]'s: the event is Paired once the inviter is verified.
func (t *CodeTake) Step(ctx context.Context, store dht.Store, now time.Time) (Event, error) {
	if t.until.IsZero() {
		t.until = now.Add(CodeLife)
	}
	switch {
	case t.ended != nil:
		return Event{}, t.ended
	case t.event != nil:
		return *t.event, nil
	case t.take == nil:
		if ok, err := t.accept(ctx, store, now); err != nil || !ok {
			return Event{}, err
		}
	}
	if !t.sent {
		if err := t.slot.box(boxTake).put(ctx, store, t.take, 1, now.Add(CodeLife)); err != nil {
			switch {
			case errors.Is(err, dht.ErrOlder):
				return t.end(ErrOccupied)
			case !now.Before(t.until):
				return t.end(fmt.Errorf("%w (%w)", ErrTimeout, err))
			}
			return Event{}, err
		}
		t.sent, t.until = true, now.Add(CodeLife)
	}
	answer, ok, err := t.slot.box(boxAnswer).look(ctx, store, now)
	switch {
	case ok:
		return t.conclude(answer.message)
	case !now.Before(t.until):
		return t.end(ErrTimeout)
	case err != nil:
		return Event{}, err
	}
	// What the network lost, or somebody wrote over, is put again: the inviter
	// looks at one message alone, so this can't become a second try.
	standing, ok, err := t.slot.box(boxTake).look(ctx, store, now)
	if err != nil {
		return Event{}, err
	}
	if ok && !bytes.Equal(standing.message, t.take) {
		return t.end(ErrOccupied)
	}
	t.sent = ok
	return Event{}, nil
}

// accept looks for the one offer, and makes the answer to it; ok is false
// while there is none.
func (t *CodeTake) accept(ctx context.Context, store dht.Store, now time.Time) (ok bool, err error) {
	slots := t.code.slotsAbout(now)
	var boxes []box
	for _, s := range slots {
		boxes = append(boxes, s.box(boxOffer))
	}
	standing, err := lookAll(ctx, store, now, boxes)
	if err != nil {
		if !now.Before(t.until) {
			_, err = t.end(fmt.Errorf("%w (%w)", ErrTimeout, err))
		}
		return false, err
	}
	var at slot
	var offer []byte
	offers := 0
	for n, f := range standing {
		if f.ok {
			at, offer = slots[n], f.message
			offers++
		}
	}
	fail := func(err error) (bool, error) {
		_, err = t.end(err)
		return false, err
	}
	switch {
	case offers > 1:
		return fail(ErrOccupied)
	case offers == 0 && !now.Before(t.until):
		return fail(ErrTimeout)
	case offers == 0:
		return false, nil
	}
	if _, ok, err := at.box(boxTake).look(ctx, store, now); err != nil {
		return false, err
	} else if ok {
		return fail(ErrOccupied)
	}
	// The tag in the answer is what the inviter's side can test a guess with:
	// the code is used up before it is made.
	if err := t.mark(ctx, roleTaker, now); err != nil {
		if errors.Is(err, ErrBurnt) {
			return fail(ErrBurnt)
		}
		return false, err
	}
	inviter, err := parseOffer(offer)
	if err != nil {
		return fail(ErrTampered)
	}
	if err := t.enter(at); err != nil {
		return fail(err)
	}
	s, err := newSession(at, t.cpace, inviter, inviter, t.says())
	if err != nil {
		return fail(ErrTampered)
	}
	sealed, sig, err := s.prove(t.self, roleTaker, t.identity, t.blind)
	if err != nil {
		return fail(err)
	}
	said := t.says()
	t.session = s
	t.own = wireProof{Identity: t.identity, Blind: t.blind, Signature: sig}
	t.take = encode(wireTake{Kind: kindTake, Share: said.share, Commit: said.data, Tag: s.tag(roleTaker), Sealed: sealed})
	return true, nil
}

// conclude verifies the one answer.
func (t *CodeTake) conclude(message []byte) (Event, error) {
	w, err := parseAnswer(message)
	if err != nil {
		return t.end(ErrTampered)
	}
	mine := bytes.Equal(w.Take, takeHash(t.take))
	switch {
	case !mine:
		return t.end(ErrOccupied) // somebody else was first to answer the offer
	case w.Kind == kindFailure:
		return t.end(ErrWrongCode)
	}
	them, theirs, err := t.session.check(roleInviter, w.Tag, w.Sealed)
	switch {
	case errors.Is(err, errGuess):
		return t.end(ErrWrongCode)
	case err != nil:
		return t.end(ErrTampered)
	case them.Pointer == t.self.Identity.Pointer:
		return t.end(ErrSelf)
	}
	transcript, err := t.session.transcript(theirs, t.own)
	if err != nil {
		return t.end(err)
	}
	t.event = &Event{Paired: &Paired{them, ChannelCode, transcript}}
	return *t.event, nil
}
