package mutual

import "fmt"

// Phase is how far a session has come, for one of the three.
type Phase uint8

const (
	Invited       Phase = iota + 1 // consent is asked for
	Accepted                       // I consented; nothing of the other is known. Not used by an introducer
	Revealed                       // both consented, and the pointers were told
	Authenticated                  // my proof is on its way. Not used by an introducer
	Active                         // both proofs are verified, on both sides
	Ended                          // nothing came of it, see Reason
)

func (p Phase) String() string {
	if p < Invited || p > Ended {
		return fmt.Sprintf("phase %d", uint8(p))
	}
	return [...]string{"invited", "accepted", "revealed", "authenticated", "active", "ended"}[p-1]
}

// Reason is why a session ended. Of one that somebody else ended it is what
// they, or who passed it on, say.
type Reason uint8

const (
	Declined   Reason = iota + 1 // one of the two doesn't want to
	Expired                      // its end came first
	Unexpected                   // a message that no honest party sends then
	Invalid                      // a message that doesn't verify
	Withdrawn                    // the introducer took it back

	maxReason = Withdrawn
)

func (r Reason) String() string {
	if r < Declined || r > maxReason {
		return fmt.Sprintf("reason %d", uint8(r))
	}
	return [...]string{"declined", "expired", "a message that was not expected", "a message that does not verify", "withdrawn by the introducer"}[r-1]
}

// EndedError says that a session has ended. When Handle returns it, the session
// ended by this message: the state is to be saved, and what came beside the
// error to be sent, all the same.
type EndedError struct {
	Reason Reason
	Err    error // what was wrong with the message; nil unless something was
}

func (e *EndedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("mutual introduction ended: %s: %v", e.Reason, e.Err)
	}
	return fmt.Sprintf("mutual introduction ended: %s", e.Reason)
}

func (e *EndedError) Unwrap() error { return e.Err }
