package mutual

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Invitee is one of the two in a session, on its own side. It is not safe for
// concurrent use.
type Invitee struct {
	phase   Phase
	reason  Reason
	request message

	// From Accepted to Authenticated; erased at the end.
	secret  *ecdh.PrivateKey
	payload []byte
	accept  message

	// From Revealed on.
	reveal  message
	accepts [3]message
	agreed  agreed
	auths   [3][]byte // by side; those that are there are verified
	proofs  [3][]byte // the signatures in them
	theirs  []byte    // the payload of the other

	transcript []byte // once Active
}

// Receive takes a request in: from is who sent it, as the channel knows it. The
// errors are those of [OpenRequest], and [ErrNotMine].
func Receive(now time.Time, me, from pointer.Pointer, request []byte) (*Invitee, error) {
	m, err := openRequest(request)
	if err != nil {
		return nil, err
	}
	if m.to != me || m.by != from {
		return nil, fmt.Errorf("request by %s to %s: %w", m.by, m.to, ErrNotMine)
	}
	if !now.Before(m.expires) {
		return nil, &EndedError{Reason: Expired}
	}
	if m.expires.Sub(now) > MaxLife+maxSkew {
		return nil, invalid("request by %s was made in the future, and would have to be remembered for %s", m.by, m.expires.Sub(now))
	}
	return &Invitee{phase: Invited, request: m}, nil
}

// Request is what was asked.
func (v *Invitee) Request() Request { return v.request.request() }

// Phase says how far it is, and, when it has ended, why.
func (v *Invitee) Phase() (Phase, Reason) { return v.phase, v.reason }

// NeedsKey says that both have consented, and the session waits for
// [Invitee.Authenticate].
func (v *Invitee) NeedsKey() bool { return v.phase == Revealed }

// Transcript is the evidence of an Active session, for [Verify]; nil before.
func (v *Invitee) Transcript() []byte { return bytes.Clone(v.transcript) }

// Accept consents, and fixes what the other will be told if it does, too. The
// signer is the identity's. random is for the nonce, the ephemeral key and the
// salt.
func (v *Invitee) Accept(now time.Time, random io.Reader, signer crypto.Signer, d pointer.Details) ([]Outgoing, error) {
	if err := v.running(now); err != nil {
		return nil, err
	}
	if v.phase != Invited {
		return nil, errors.New("mutual introduction: consent was given before")
	}
	if err := isSigner(signer, v.request.to); err != nil {
		return nil, err
	}
	drawn, err := draw(random, nonceSize+ephemeralSize+saltSize)
	if err != nil {
		return nil, err
	}
	nonce, scalar, salt := drawn[:nonceSize], drawn[nonceSize:nonceSize+ephemeralSize], drawn[nonceSize+ephemeralSize:]
	secret, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return nil, err
	}
	payload, err := encodePayload(d, salt)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	accept, err := newAccept(signer, v.request, nonce, secret.PublicKey().Bytes(), payloadHash(payload))
	if err != nil {
		return nil, err
	}
	v.phase, v.secret, v.payload, v.accept = Accepted, secret, payload, accept
	return v.out(accept.raw), nil
}

// Authenticate proves the identity's key to the other. It is due when
// [Invitee.NeedsKey] says so.
func (v *Invitee) Authenticate(now time.Time, random io.Reader, signer crypto.Signer) ([]Outgoing, error) {
	if err := v.running(now); err != nil {
		return nil, err
	}
	if v.phase != Revealed {
		return nil, errors.New("mutual introduction: there is nothing to be proven now")
	}
	if err := isSigner(signer, v.request.to); err != nil {
		return nil, err
	}
	side := v.request.Side
	b, err := v.agreed.auth(random, signer, v.request.session, side, v.payload)
	if err != nil {
		return nil, err
	}
	if err := v.openAuth(b, side); err != nil { // what a foreign signer gives
		return nil, err
	}
	v.phase = Authenticated
	return v.confirm(v.out(b)), nil
}

// openAuth verifies a proof, of either side, and keeps it.
func (v *Invitee) openAuth(b []byte, side uint8) error {
	m, err := decodeAs(b, KindAuth)
	if err != nil {
		return err
	}
	inside, _, err := v.agreed.openAuth(m, v.accepts[side])
	if err != nil {
		return err
	}
	v.auths[side], v.proofs[side] = m.raw, inside.Signature
	if side != v.request.Side {
		v.theirs = inside.Payload
	}
	return nil
}

// confirm adds the ACTIVATE, once my proof is sent and the other's verified.
func (v *Invitee) confirm(out []Outgoing) []Outgoing {
	side := v.request.Side
	if v.phase != Authenticated || v.auths[other(side)] == nil {
		return out
	}
	mac := v.agreed.activate(side, v.auths)
	return append(out, v.out(encode(wire{Kind: KindActivate, Session: v.request.Session, Side: side, MAC: mac}))...)
}

// Decline says no, or takes the consent back as long as the session isn't Active.
func (v *Invitee) Decline() []Outgoing {
	if v.over() {
		return nil
	}
	v.end(Declined)
	return v.out(encode(wire{Kind: KindDecline, Session: v.request.Session}))
}

// Expire ends a session whose time has come, and reports whether it did.
func (v *Invitee) Expire(now time.Time) bool {
	if v.over() || now.Before(v.request.expires) {
		return false
	}
	v.end(Expired)
	return true
}

// Handle takes a message in. A message that has no part in the session,
// [ErrNotMine], or is no message at all, [ErrInvalid], changes nothing; one that
// ends the session comes back as an [*EndedError]. What was handled before, and
// all that comes after the end, is passed over.
func (v *Invitee) Handle(now time.Time, from pointer.Pointer, b []byte) ([]Outgoing, error) {
	m, err := decode(b)
	if err != nil {
		return nil, err
	}
	if from != v.request.by || m.session != v.request.session {
		return nil, ErrNotMine
	}
	if v.over() || v.handled(m) {
		return nil, nil
	}
	if err := v.running(now); err != nil {
		return nil, err
	}
	theirs := other(v.request.Side)
	switch {
	case m.Kind == KindDecline:
		return nil, v.end(Declined)
	case m.Kind == KindAbort:
		return nil, v.end(m.Reason)
	case m.Kind == KindReveal && v.phase == Accepted:
		if err := v.revealed(m); err != nil {
			return v.abort(Invalid, err)
		}
		v.phase = Revealed
		return nil, nil
	case m.Kind == KindAuth && (v.phase == Revealed || v.phase == Authenticated) && v.auths[theirs] == nil:
		if err := v.openAuth(m.raw, theirs); err != nil {
			return v.abort(Invalid, err)
		}
		return v.confirm(nil), nil
	case m.Kind == KindActivate && v.phase == Authenticated && v.auths[theirs] != nil:
		if m.Side != theirs || !hmac.Equal(m.MAC, v.agreed.activate(theirs, v.auths)) {
			return v.abort(Invalid, invalid("the other's confirmation is not of this session as I know it"))
		}
		v.activated()
		return nil, nil
	}
	return v.abort(Unexpected, fmt.Errorf("message of kind %d, while %s", m.Kind, v.phase))
}

// handled: it is, byte for byte, one that was taken before.
func (v *Invitee) handled(m message) bool {
	for _, before := range [][]byte{v.request.raw, v.reveal.raw, v.auths[other(v.request.Side)]} {
		if before != nil && bytes.Equal(m.raw, before) {
			return true
		}
	}
	return false
}

// revealed takes in whom the introducer meant, and that they consented.
func (v *Invitee) revealed(m message) (err error) {
	if v.accepts, err = consents(v.request, m.Salt, m.about, v.accept.raw, m.Accept); err != nil {
		return err
	}
	if v.agreed, err = agree(v.secret, v.request.Side, v.request, v.accepts); err != nil {
		return err
	}
	v.reveal = m
	return nil
}

func (v *Invitee) activated() {
	side := v.request.Side
	v.transcript = encode(wireTranscript{Version: 1, Request: v.request.raw, Salt: v.reveal.Salt, About: v.reveal.About,
		Mine: v.accepts[side].raw, Theirs: v.accepts[other(side)].raw, MyProof: v.proofs[side], TheirProof: v.proofs[other(side)], Payload: v.theirs})
	v.erase(Active)
}

func (v *Invitee) over() bool { return v.phase == Active || v.phase == Ended }

// running refuses what is over, and ends what has expired.
func (v *Invitee) running(now time.Time) error {
	v.Expire(now)
	if v.phase == Ended {
		return &EndedError{Reason: v.reason}
	}
	if v.phase == Active {
		return errors.New("mutual introduction: it is done")
	}
	return nil
}

func (v *Invitee) abort(why Reason, err error) ([]Outgoing, error) {
	v.end(why)
	return v.out(encode(wire{Kind: KindAbort, Session: v.request.Session, Reason: why})), &EndedError{Reason: why, Err: err}
}

func (v *Invitee) end(why Reason) error {
	v.reason = why
	v.erase(Ended)
	return &EndedError{Reason: why}
}

// erase forgets all that is secret, and what was learnt of the other but for the
// transcript.
func (v *Invitee) erase(phase Phase) {
	*v = Invitee{phase: phase, reason: v.reason, request: v.request, transcript: v.transcript}
}

func (v *Invitee) out(b []byte) []Outgoing { return []Outgoing{{To: v.request.by, Bytes: b}} }
