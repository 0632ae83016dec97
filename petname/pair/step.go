package pair

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
)

// Channels that a pairing can come over, for provenance.
const (
	ChannelCode = "code"
	ChannelLink = "link"
)

// Paired is the outcome of a pairing: who the other side is, and the evidence.
type Paired struct {
	Peer    Identity
	Channel string // ChannelCode or ChannelLink

	// Transcript is what both sides signed, which anybody can verify with
	// [ParseTranscript]. It has no secret in it, but both identities with
	// their addresses.
	Transcript []byte
}

// Event is what a step came to. Both are nil while there is nothing new.
type Event struct {
	// Paired: this side is done, and has verified the other.
	Paired *Paired

	// Taken: somebody took an invitation. It counts as pairing only when the
	// inviting person has seen who it is, and agrees.
	Accepted *Paired
}

// Stepper is one side of a pairing. A step does what there is to do and
// returns at once; it is for one goroutine at a time.
//
// After an error that is [Final] all is over, and every further step returns
// it again. Any other is the network's, and the step is to be tried again.
type Stepper interface {
	Step(ctx context.Context, store dht.Store, now time.Time) (Event, error)
}

// The ways in which a pairing can fail for good.
var (
	// ErrOccupied: somebody else is using the code's place.
	ErrOccupied = errors.New("somebody else is at this code's meeting place: take a new code")

	// ErrWrongCode: the two sides used different secret words, or somebody
	// tried to guess them. The code is dead, on both sides.
	ErrWrongCode = errors.New("the code was mistyped, or somebody tried to guess it: it is used up; take a new code")

	// ErrCodeUsed: the code was tried before. A [MarkUsed] returns it.
	ErrCodeUsed = errors.New("this code was tried before, and one try is all it has: take a new code")

	// ErrTampered: messages came that no honest side would have sent.
	ErrTampered = errors.New("somebody interfered with the pairing: take a new code or invitation")

	// ErrTimeout: the other side didn't come, or went away.
	ErrTimeout = errors.New("the other side did not answer in time: try again, with a new code or invitation")

	// ErrSelf: the other side has this side's own pointer.
	ErrSelf = errors.New("that is your own code or invitation")

	// ErrExpired: the invitation is past its end. Also inside an
	// [*ExpiredError].
	ErrExpired = errors.New("the invitation has expired: ask for a new one")
)

// RefusedError is the inviter's answer to somebody whom it won't pair with,
// signed by its key.
type RefusedError struct {
	Reason Reason
}

func (e *RefusedError) Error() string { return "the inviter refused: " + e.Reason.String() }

// Reason says why an invitation was refused.
type Reason uint8

// The reasons.
const (
	ReasonUsed Reason = iota + 1
	ReasonExpired
	ReasonOtherRecipient // it is for somebody else
	ReasonWithdrawn
)

func (r Reason) String() string {
	switch r {
	case ReasonUsed:
		return "the invitation has been used: ask for a new one"
	case ReasonExpired:
		return "the invitation has expired: ask for a new one"
	case ReasonOtherRecipient:
		return "the invitation is for somebody else"
	case ReasonWithdrawn:
		return "the invitation was withdrawn"
	}
	return fmt.Sprintf("for reason %d", uint8(r))
}

type finalError struct{ err error }

func (e finalError) Error() string { return e.err.Error() }
func (e finalError) Unwrap() error { return e.err }

func final(err error) error { return finalError{err} }

// Final reports whether a step's error ended the pairing.
func Final(err error) bool {
	_, ok := errors.AsType[finalError](err)
	return ok
}

// Run steps until something comes of it, every so often. It returns the first
// event, or the final error, or the context's with the last one of the network.
// A nil now means time.Now.
func Run(ctx context.Context, s Stepper, store dht.Store, now func() time.Time, every time.Duration) (Event, error) {
	if now == nil {
		now = time.Now
	}
	tick := time.NewTicker(max(every, time.Millisecond))
	defer tick.Stop()
	for {
		event, err := s.Step(ctx, store, now())
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
