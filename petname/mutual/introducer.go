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

// Introducer is a session on the side of who introduces. It needs the identity's
// key to start, and never again. It is not safe for concurrent use.
type Introducer struct {
	phase    Phase
	reason   Reason
	requests [3]message // by side
	salts    [3][]byte  // of the requests; erased at the end
	accepts  [3][]byte  // raw, verified
	auths    [3][]byte  // the hashes of those that were passed on
	activate [3][]byte  // likewise
}

// Start makes the requests that offer to introduce two people to each other.
func Start(now time.Time, random io.Reader, signer crypto.Signer, a, b Party, expires time.Time) (*Introducer, []Outgoing, error) {
	if signer == nil {
		return nil, nil, errors.New("mutual introduction: the identity's key is needed")
	}
	me, err := pointer.FromPublicKey(signer.Public())
	switch {
	case err != nil:
		return nil, nil, err
	case a.Pointer.IsZero() || b.Pointer.IsZero():
		return nil, nil, errors.New("mutual introduction: it takes two to be introduced")
	case a.Pointer == b.Pointer || a.Pointer == me || b.Pointer == me:
		return nil, nil, fmt.Errorf("mutual introduction of %s and %s by %s: it takes three", a.Pointer, b.Pointer, me)
	}
	drawn, err := draw(random, len(Session{})+2*saltSize)
	if err != nil {
		return nil, nil, err
	}
	session := Session(drawn)
	i := &Introducer{phase: Invited}
	i.salts = [3][]byte{1: drawn[len(session) : len(session)+saltSize], 2: drawn[len(session)+saltSize:]}
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

// Requests are the two that were made; the first is to the first party.
func (i *Introducer) Requests() [2]Request {
	return [2]Request{i.requests[1].request(), i.requests[2].request()}
}

// Phase says how far it is (Invited, Revealed, Active or Ended), and, when it has
// ended, why.
func (i *Introducer) Phase() (Phase, Reason) { return i.phase, i.reason }

// Consented says which of the two have, as long as it hasn't ended.
func (i *Introducer) Consented() [2]bool { return [2]bool{i.accepts[1] != nil, i.accepts[2] != nil} }

// Withdraw takes the offer back. Whoever was told something already knows it.
func (i *Introducer) Withdraw() []Outgoing {
	if i.over() {
		return nil
	}
	i.end(Withdrawn)
	return i.toBoth(encode(wire{Kind: KindAbort, Session: i.requests[1].Session, Reason: Withdrawn}))
}

// Expire ends a session whose time has come, and reports whether it did.
func (i *Introducer) Expire(now time.Time) bool {
	if i.over() || now.Before(i.requests[1].expires) {
		return false
	}
	i.end(Expired)
	return true
}

// Handle takes a message in and passes on what is to be: see [Invitee.Handle]
// for the errors.
func (i *Introducer) Handle(now time.Time, from pointer.Pointer, b []byte) ([]Outgoing, error) {
	m, err := decode(b)
	if err != nil {
		return nil, err
	}
	side := i.sideOf(from)
	if side == 0 || m.session != i.requests[1].session {
		return nil, ErrNotMine
	}
	if i.over() || i.handled(side, m) {
		return nil, nil
	}
	if i.Expire(now) {
		return nil, &EndedError{Reason: Expired}
	}
	sum := sha256.Sum256(m.raw)
	switch {
	case m.Kind == KindDecline:
		return i.pass(side, m), i.end(Declined)
	case m.Kind == KindAbort:
		return i.pass(side, m), i.end(m.Reason)
	case m.Kind == KindAccept && i.accepts[side] == nil:
		if err := i.consent(side, m); err != nil {
			return i.abort(Invalid, err)
		}
		return i.reveal(), nil
	case m.Kind == KindAuth && i.phase == Revealed && i.auths[side] == nil && m.Side == side:
		i.auths[side] = sum[:]
		return i.pass(side, m), nil
	case m.Kind == KindActivate && i.auths[1] != nil && i.auths[2] != nil && i.activate[side] == nil && m.Side == side:
		i.activate[side] = sum[:]
		if i.activate[other(side)] != nil {
			i.phase = Active
			i.salts = [3][]byte{}
		}
		return i.pass(side, m), nil
	}
	return i.abort(Unexpected, fmt.Errorf("message of kind %d, while %s", m.Kind, i.phase))
}

func (i *Introducer) sideOf(p pointer.Pointer) uint8 {
	for side := uint8(1); side <= 2; side++ {
		if p == i.requests[side].to {
			return side
		}
	}
	return 0
}

// handled: it is, byte for byte, one that was taken before.
func (i *Introducer) handled(side uint8, m message) bool {
	sum := sha256.Sum256(m.raw)
	return string(m.raw) == string(i.accepts[side]) || string(sum[:]) == string(i.auths[side]) || string(sum[:]) == string(i.activate[side])
}

func (i *Introducer) consent(side uint8, m message) error {
	accept, err := openAccept(m.raw, i.requests[side].to, side, i.requests[side])
	if err != nil {
		return err
	}
	if of := sha256.Sum256(i.requests[side].raw); string(of[:]) != string(accept.Request) {
		return invalid("the consent is to another request")
	}
	i.accepts[side] = accept.raw
	return nil
}

// reveal tells each who the other is, as soon as both have consented.
func (i *Introducer) reveal() []Outgoing {
	if i.accepts[1] == nil || i.accepts[2] == nil {
		return nil
	}
	i.phase = Revealed
	var out []Outgoing
	for side := uint8(1); side <= 2; side++ {
		about := i.requests[other(side)].to
		b := encode(wire{Kind: KindReveal, Session: i.requests[side].Session, Salt: i.salts[side], About: about.Bytes(), Accept: i.accepts[other(side)]})
		out = append(out, Outgoing{To: i.requests[side].to, Bytes: b})
	}
	return out
}

// pass hands a message on to the other.
func (i *Introducer) pass(side uint8, m message) []Outgoing {
	return []Outgoing{{To: i.requests[other(side)].to, Bytes: m.raw}}
}

func (i *Introducer) toBoth(b []byte) []Outgoing {
	return []Outgoing{{To: i.requests[1].to, Bytes: b}, {To: i.requests[2].to, Bytes: b}}
}

func (i *Introducer) over() bool { return i.phase == Active || i.phase == Ended }

func (i *Introducer) abort(why Reason, err error) ([]Outgoing, error) {
	i.end(why)
	return i.toBoth(encode(wire{Kind: KindAbort, Session: i.requests[1].Session, Reason: why})), &EndedError{Reason: why, Err: err}
}

func (i *Introducer) end(why Reason) error {
	*i = Introducer{phase: Ended, reason: why, requests: i.requests}
	return &EndedError{Reason: why}
}
