package pair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// MarkUsed stores durably that a code was used, before a message is sent that an attacker
// could test a guess with. It returns an error that wraps [ErrCodeUsed] if the mark was
// stored before, and may delete the mark after until. The mark has the nameplate of the
// code and the role of the side, and no part of the secret.
type MarkUsed func(ctx context.Context, mark string, until time.Time) error

// codeUsedPeriod is how long a code cannot be used again: long after its users stop
// entering it.
const codeUsedPeriod = 24 * time.Hour

// codeSide is the common part of both sides of a code.
type codeSide struct {
	self     Self
	identity []byte
	blind    []byte
	code     Code
	markUsed MarkUsed
	save     SaveCode // nil: the side cannot be resumed

	slot  slot
	cpace cpaceSide
	err   error  // the final error, once the side failed
	event *Event // the final event, once the side paired
}

// newCodeSide returns a side that has joined no slot yet. It draws the blind of its
// commitment.
func newCodeSide(self Self, code Code, markUsed MarkUsed) (codeSide, error) {
	if code.IsZero() {
		return codeSide{}, errors.New("pairing: there is no code")
	}
	if code.device != self.Device {
		return codeSide{}, fmt.Errorf("pairing: %w", errPurpose(code.device))
	}
	if markUsed == nil {
		return codeSide{}, errors.New("pairing by code needs a MarkUsed")
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

// joinSlot draws the CPace share of the side for a slot.
func (c *codeSide) joinSlot(s slot) error {
	ci := lvCat([]byte("petnames/pair/code/v1"), s.id(), []byte(roleInviter), []byte(roleInvitee))
	side, err := newCPace(c.code.password(), ci, randomOr(c.self.Random))
	if err != nil {
		return err
	}
	c.slot, c.cpace = s, side
	return nil
}

// message returns the CPace message of this side: its share, and the commitment to its
// identity as the associated data.
func (c *codeSide) message() cpaceMessage {
	return cpaceMessage{c.cpace.share, commit(c.blind, c.identity)}
}

// useCode marks the code as used, durably.
func (c *codeSide) useCode(ctx context.Context, role string, now time.Time) error {
	if err := c.markUsed(ctx, role+" "+c.code.nameplate(), now.Add(codeUsedPeriod)); err != nil {
		return fmt.Errorf("marking the code as used: %w", err)
	}
	return nil
}

// timeout fails because the peer did not answer in time, for a reason of the network if
// there is one.
func (c *codeSide) timeout(now time.Time, network error) (Event, error) {
	err := fmt.Errorf("%w; if both sides used the same code, compare their clocks: this machine's shows %s", ErrTimeout, clockText(now))
	if network != nil {
		err = fmt.Errorf("%w (%w)", err, network)
	}
	return c.fail(err)
}

// fail makes an error final.
func (c *codeSide) fail(err error) (Event, error) {
	c.err = final(err)
	return Event{}, c.err
}
