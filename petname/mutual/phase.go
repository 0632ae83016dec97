package mutual

import "fmt"

// Phase is the progress of a session on one side.
type Phase uint8

const (
	Invited       Phase = iota + 1 // consent is asked for
	Accepted                       // this party consented. Not used by an introducer
	Revealed                       // both consented, and the pointers are revealed
	Authenticated                  // the own AUTH is made. Not used by an introducer
	Active                         // both proofs are verified, on both sides
	Ended                          // the session failed: see Reason
)

// String returns the phase as text for people.
func (p Phase) String() string {
	if p < Invited || p > Ended {
		return fmt.Sprintf("phase %d", uint8(p))
	}
	return [...]string{"invited", "accepted", "revealed", "authenticated", "active", "ended"}[p-1]
}

// Reason is why a session ended. If another party ended it, the reason is a claim of
// that party or of the introducer.
type Reason uint8

const (
	Declined   Reason = iota + 1 // a party refused
	Expired                      // the end of the session has passed
	Unexpected                   // a message that no honest party sends in this phase
	Invalid                      // a message that does not verify
	Withdrawn                    // the introducer withdrew the request

	maxReason = Withdrawn
)

// String returns the reason as text for people.
func (r Reason) String() string {
	if r < Declined || r > maxReason {
		return fmt.Sprintf("reason %d", uint8(r))
	}
	return [...]string{"declined", "expired", "a message that was not expected", "a message that does not verify", "withdrawn by the introducer"}[r-1]
}

// EndedError is returned when a session has ended. If Handle returns it, the message
// ended the session: the caller saves the state and sends the messages that Handle
// returned with the error.
type EndedError struct {
	Reason Reason
	Err    error // the error in the message, if that is the reason
}

func (e *EndedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("mutual introduction ended: %s: %v", e.Reason, e.Err)
	}
	return fmt.Sprintf("mutual introduction ended: %s", e.Reason)
}

func (e *EndedError) Unwrap() error { return e.Err }
