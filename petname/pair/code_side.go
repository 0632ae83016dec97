package pair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
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
