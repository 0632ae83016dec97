package pair

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
)

// Channels of a pairing, for provenance.
const (
	ChannelCode = "code"
	ChannelLink = "link"
)

// Paired is the result of a pairing: the identity of the peer, and the evidence.
type Paired struct {
	Peer    Identity
	Channel string // ChannelCode or ChannelLink

	// Transcript is signed by both sides; [ParseTranscript] verifies it. It contains
	// both identities with their addresses, and no secret.
	Transcript []byte
}

// Event is the result of a step. The zero value is no event.
type Event struct {
	// Paired is set when this side has verified its peer, and is done.
	Paired *Paired

	// Accepted is set when an invitee accepted an invitation. The pairing counts only
	// after the owner has confirmed the invitee.
	Accepted *Paired
}

// Stepper is one side of a pairing. A step does what is due and returns without waiting
// for the peer. It is not safe for concurrent use.
//
// After an error for which [Final] returns true the side has ended, and every further
// step returns the same error. Any other error is of the network: try the step again.
type Stepper interface {
	Step(ctx context.Context, store dht.Store, now time.Time) (Event, error)
}

// Final errors of a pairing.
var (
	// ErrOccupied is returned when another pairing uses the slot of the code.
	ErrOccupied = errors.New("another pairing uses the number and the first word of this code: take a new code")

	// ErrWrongCode is returned when the secret words of the two sides differ: by a
	// mistake, or because an attacker guessed. The code is used, on both sides.
	ErrWrongCode = errors.New("the code was mistyped or guessed, and cannot be used again: take a new code")

	// ErrCodeUsed is returned by a [MarkUsed] if the code was used before.
	ErrCodeUsed = errors.New("this code was used before, and a code can be used once: take a new code")

	// ErrTampered is returned for messages that no honest side sends.
	ErrTampered = errors.New("a message of the pairing was tampered with: take a new code or invitation")

	// ErrTimeout is returned when the peer did not answer in time.
	ErrTimeout = errors.New("the peer did not answer in time: try again with a new code or invitation")

	// ErrClocks is returned when the offer seems to be over a day away from this side's
	// clock. A party that knows the public half of the code can cause it, too.
	ErrClocks = errors.New("compare the clocks of the two machines, which seem to differ by more than a day, and take a new code")

	// ErrSelf is returned when the peer has the pointer of this side.
	ErrSelf = errors.New("this is your own code or invitation")

	// ErrDevice is returned for a code or invitation that admits a device of its owner,
	// where one of a contact is wanted, and ErrNoDevice for the reverse.
	ErrDevice   = errors.New("this admits a new device of its owner, and no contact")
	ErrNoDevice = errors.New("this is for a pairing with a contact, and admits no device")

	// ErrExpired is returned when the invitation has expired. An [*ExpiredError]
	// wraps it.
	ErrExpired = errors.New("the invitation has expired: ask for a new one")
)

// errPurpose returns the error for a code or invitation that is of a device, or not, where
// the other is wanted.
func errPurpose(device bool) error {
	if device {
		return ErrDevice
	}
	return ErrNoDevice
}

// RefusedError is returned when the inviter refused an acceptance. The refusal is signed
// by its key.
type RefusedError struct {
	Reason Reason
}

func (e *RefusedError) Error() string { return "the inviter refused: " + e.Reason.String() }

// Reason is why an invitation was refused.
type Reason uint8

// The reasons.
const (
	ReasonUsed Reason = iota + 1
	ReasonExpired
	ReasonOtherRecipient // the invitation has another recipient
	ReasonWithdrawn
)

// String returns the reason as text for people.
func (r Reason) String() string {
	switch r {
	case ReasonUsed:
		return "the invitation has been used: ask for a new one"
	case ReasonExpired:
		return "the invitation has expired: ask for a new one"
	case ReasonOtherRecipient:
		return "the invitation is for another recipient"
	case ReasonWithdrawn:
		return "the invitation was withdrawn"
	}
	return fmt.Sprintf("for reason %d", uint8(r))
}

// finalError marks an error that ends a side: see Final.
type finalError struct{ err error }

func (e finalError) Error() string { return e.err.Error() }
func (e finalError) Unwrap() error { return e.err }

// final returns err as a final error.
func final(err error) error { return finalError{err} }

// Final reports whether a step's error ended the side.
func Final(err error) bool {
	_, ok := errors.AsType[finalError](err)
	return ok
}

// Run steps a side at an interval until there is an event or a final error. When ctx is
// done, it returns the error of ctx, joined with the last one of the network. A nil now
// means time.Now.
func Run(ctx context.Context, s Stepper, store dht.Store, now func() time.Time, interval time.Duration) (Event, error) {
	if now == nil {
		now = time.Now
	}
	tick := time.NewTicker(max(interval, time.Millisecond))
	defer tick.Stop()
	for {
		event, err := s.Step(ctx, store, now().Round(0))
		if event != (Event{}) || Final(err) {
			return event, err
		}
		select {
		case <-ctx.Done():
			return Event{}, errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}
