package mutual

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Introducer is the introducer's side of a session. It needs the identity's key in
// [Start] only. It is not safe for concurrent use.
type Introducer struct {
	phase     Phase
	reason    Reason
	requests  [3]message // by side
	salts     [3][]byte  // of the requests; erased at the end
	accepts   [3][]byte  // raw, verified
	auths     [3][]byte  // hashes of the messages that were forwarded
	activates [3][]byte  // likewise
}

// Start returns a new session that offers to introduce two parties to each other, and
// the request to each. random is the source of the session ID and the salts. expires
// is at most 90 days after now.
func Start(now time.Time, random io.Reader, signer crypto.Signer, a, b Party, expires time.Time) (*Introducer, []Outgoing, error) {
	if signer == nil {
		return nil, nil, errors.New("mutual introduction: the identity's key is needed")
	}
	self, err := pointer.FromPublicKey(signer.Public())
	switch {
	case err != nil:
		return nil, nil, err
	case a.Pointer.IsZero() || b.Pointer.IsZero():
		return nil, nil, errors.New("mutual introduction: a pointer is missing")
	case a.Pointer == b.Pointer || a.Pointer == self || b.Pointer == self:
		return nil, nil, fmt.Errorf("mutual introduction of %s and %s by %s: three different pointers are needed", a.Pointer, b.Pointer, self)
	}
	entropy, err := readRandom(random, len(Session{})+2*saltSize)
	if err != nil {
		return nil, nil, err
	}
	session := Session(entropy)
	i := &Introducer{phase: Invited}
	i.salts = [3][]byte{1: entropy[len(session) : len(session)+saltSize], 2: entropy[len(session)+saltSize:]}
	var out []Outgoing
	for side, pair := range [3][2]Party{1: {a, b}, 2: {b, a}} {
		if side == 0 {
			continue
		}
		to, about := pair[0], pair[1]
		m, err := newRequest(now, signer, session, uint8(side), to.Pointer, about, i.salts[side], expires)
		if err == nil {
			m, err = openRequest(m.raw)
		}
		if err != nil {
			return nil, nil, err
		}
		i.requests[side] = m
		out = append(out, Outgoing{To: to.Pointer, Bytes: m.raw})
	}
	return i, out, nil
}

// Requests returns the two requests; the first is to the first party.
func (i *Introducer) Requests() [2]Request {
	return [2]Request{i.requests[1].request(), i.requests[2].request()}
}

// Phase returns the phase (Invited, Revealed, Active or Ended), and the reason if the
// session has ended.
func (i *Introducer) Phase() (Phase, Reason) { return i.phase, i.reason }

// Consented reports which of the two parties consented; neither after the end.
func (i *Introducer) Consented() [2]bool { return [2]bool{i.accepts[1] != nil, i.accepts[2] != nil} }

// Withdraw ends the session, and returns the messages that end it for both parties.
func (i *Introducer) Withdraw() []Outgoing {
	if i.finished() {
		return nil
	}
	i.end(Withdrawn)
	return i.toBoth(encode(wire{Kind: KindAbort, Session: i.requests[1].Session, Reason: Withdrawn}))
}

// Expire ends a session whose end has passed, and reports whether it did.
func (i *Introducer) Expire(now time.Time) bool {
	if i.finished() || now.Before(i.requests[1].expires) {
		return false
	}
	i.end(Expired)
	return true
}

// Handle processes a message and returns the messages to send. Its errors are those
// of [Invitee.Handle].
func (i *Introducer) Handle(now time.Time, from pointer.Pointer, b []byte) ([]Outgoing, error) {
	m, err := decode(b)
	if err != nil {
		return nil, err
	}
	side := i.sideOf(from)
	if side == 0 || m.session != i.requests[1].session {
		return nil, ErrOtherSession
	}
	if i.finished() || i.wasHandled(side, m) {
		return nil, nil
	}
	if i.Expire(now) {
		return nil, &EndedError{Reason: Expired}
	}
	sum := sha256.Sum256(m.raw)
	switch {
	case m.Kind == KindDecline:
		return i.forward(side, m), i.end(Declined)
	case m.Kind == KindAbort:
		return i.forward(side, m), i.end(m.Reason)
	case m.Kind == KindAccept && i.accepts[side] == nil:
		if err := i.recordAccept(side, m); err != nil {
			return i.abort(Invalid, err)
		}
		return i.reveal(), nil
	case m.Kind == KindAuth && i.phase == Revealed && i.auths[side] == nil && m.Side == side:
		i.auths[side] = sum[:]
		return i.forward(side, m), nil
	case m.Kind == KindActivate && i.auths[1] != nil && i.auths[2] != nil && i.activates[side] == nil && m.Side == side:
		i.activates[side] = sum[:]
		if i.activates[otherSide(side)] != nil {
			i.phase = Active
			i.salts = [3][]byte{}
		}
		return i.forward(side, m), nil
	}
	return i.abort(Unexpected, fmt.Errorf("message of kind %d, while %s", m.Kind, i.phase))
}

// Early is [Invitee.Early] for a message of a party.
func (i *Introducer) Early(from pointer.Pointer, b []byte) bool {
	m, err := decode(b)
	side := i.sideOf(from)
	if err != nil || side == 0 || i.finished() || i.wasHandled(side, m) {
		return false
	}
	switch m.Kind {
	case KindAuth:
		return i.phase < Revealed
	case KindActivate:
		return i.auths[1] == nil || i.auths[2] == nil
	}
	return false
}

// sideOf returns the side of a party; 0: it has no part in the session.
func (i *Introducer) sideOf(p pointer.Pointer) uint8 {
	for side := uint8(1); side <= 2; side++ {
		if p == i.requests[side].to {
			return side
		}
	}
	return 0
}

// wasHandled reports whether a message equals one that was handled before.
func (i *Introducer) wasHandled(side uint8, m message) bool {
	sum := sha256.Sum256(m.raw)
	return string(m.raw) == string(i.accepts[side]) || string(sum[:]) == string(i.auths[side]) || string(sum[:]) == string(i.activates[side])
}

// recordAccept verifies the consent of a side, and stores it.
func (i *Introducer) recordAccept(side uint8, m message) error {
	accept, err := openAccept(m.raw, i.requests[side].to, side, i.requests[side])
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(i.requests[side].raw); string(sum[:]) != string(accept.Request) {
		return invalid("the consent is for another request")
	}
	i.accepts[side] = accept.raw
	return nil
}

// reveal returns a REVEAL to each party once both consented, and nil before.
func (i *Introducer) reveal() []Outgoing {
	if i.accepts[1] == nil || i.accepts[2] == nil {
		return nil
	}
	i.phase = Revealed
	var out []Outgoing
	for side := uint8(1); side <= 2; side++ {
		about := i.requests[otherSide(side)].to
		b := encode(wire{Kind: KindReveal, Session: i.requests[side].Session, Salt: i.salts[side], About: about.Bytes(), Accept: i.accepts[otherSide(side)]})
		out = append(out, Outgoing{To: i.requests[side].to, Bytes: b})
	}
	return out
}

// forward returns a message, addressed to the other party.
func (i *Introducer) forward(side uint8, m message) []Outgoing {
	return []Outgoing{{To: i.requests[otherSide(side)].to, Bytes: m.raw}}
}

// toBoth returns a message, addressed to each party.
func (i *Introducer) toBoth(b []byte) []Outgoing {
	return []Outgoing{{To: i.requests[1].to, Bytes: b}, {To: i.requests[2].to, Bytes: b}}
}

// finished reports whether the session is over, with or without success.
func (i *Introducer) finished() bool { return i.phase == Active || i.phase == Ended }

// abort ends the session because of err. It returns the messages that end it for both
// parties, and the error of Handle.
func (i *Introducer) abort(reason Reason, err error) ([]Outgoing, error) {
	i.end(reason)
	return i.toBoth(encode(wire{Kind: KindAbort, Session: i.requests[1].Session, Reason: reason})), &EndedError{Reason: reason, Err: err}
}

// end ends the session, erases all but the requests, and returns an *EndedError.
func (i *Introducer) end(reason Reason) error {
	*i = Introducer{phase: Ended, reason: reason, requests: i.requests}
	return &EndedError{Reason: reason}
}
