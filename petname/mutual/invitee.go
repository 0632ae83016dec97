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

// Invitee is the side of one of the two parties of a session. It is not safe for
// concurrent use.
type Invitee struct {
	phase   Phase
	reason  Reason
	request message

	// From Accepted to Authenticated; erased at the end.
	secret  *ecdh.PrivateKey
	payload []byte
	accept  message

	// From Revealed to Authenticated; erased at the end.
	reveal      message
	accepts     [3]message
	keys        sessionKeys
	auths       [3][]byte // by side, verified
	proofs      [3][]byte // the signatures in them
	peerPayload []byte    // the payload of the peer

	transcript []byte // when Active
}

// Receive returns a new session for a request. from is the sender, as authenticated by
// the channel. Its errors are those of [OpenRequest], and [ErrOtherSession] if the
// signer of the request is not from, or its recipient not self.
func Receive(now time.Time, self, from pointer.Pointer, request []byte) (*Invitee, error) {
	m, err := openRequest(request)
	if err != nil {
		return nil, err
	}
	if m.to != self || m.by != from {
		return nil, fmt.Errorf("request by %s to %s: %w", m.by, m.to, ErrOtherSession)
	}
	if !now.Before(m.expires) {
		return nil, &EndedError{Reason: Expired}
	}
	if m.expires.Sub(now) > maxLife+maxSkew {
		return nil, invalid("request by %s has a date in the future: it expires in %s", m.by, m.expires.Sub(now))
	}
	return &Invitee{phase: Invited, request: m}, nil
}

// Request returns the request.
func (v *Invitee) Request() Request { return v.request.request() }

// Phase returns the phase, and the reason if the session has ended.
func (v *Invitee) Phase() (Phase, Reason) { return v.phase, v.reason }

// NeedsKey reports whether both parties consented and the session waits for
// [Invitee.Authenticate].
func (v *Invitee) NeedsKey() bool { return v.phase == Revealed }

// Transcript returns the evidence of an Active session, for [Verify]; nil before.
func (v *Invitee) Transcript() []byte { return bytes.Clone(v.transcript) }

// Accept consents, and fixes the details that the peer receives if it consents, too.
// signer is the identity's key, random the source of the nonce, the ephemeral key and
// the salt. Accept succeeds once.
func (v *Invitee) Accept(now time.Time, random io.Reader, signer crypto.Signer, d pointer.Details) ([]Outgoing, error) {
	if err := v.checkRunning(now); err != nil {
		return nil, err
	}
	if v.phase != Invited {
		return nil, errors.New("mutual introduction: it was accepted before")
	}
	if err := checkSigner(signer, v.request.to); err != nil {
		return nil, err
	}
	entropy, err := readRandom(random, nonceSize+ephemeralSize+saltSize)
	if err != nil {
		return nil, err
	}
	nonce, scalar, salt := entropy[:nonceSize], entropy[nonceSize:nonceSize+ephemeralSize], entropy[nonceSize+ephemeralSize:]
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
	return v.toIntroducer(accept.raw), nil
}

// Authenticate proves the identity's key to the peer. It is due when
// [Invitee.NeedsKey] returns true.
func (v *Invitee) Authenticate(now time.Time, random io.Reader, signer crypto.Signer) ([]Outgoing, error) {
	if err := v.checkRunning(now); err != nil {
		return nil, err
	}
	if v.phase != Revealed {
		return nil, errors.New("mutual introduction: no proof is needed now")
	}
	if err := checkSigner(signer, v.request.to); err != nil {
		return nil, err
	}
	side := v.request.Side
	b, err := v.keys.newAuth(random, signer, v.request.session, side, v.payload)
	if err != nil {
		return nil, err
	}
	if err := v.openAuth(b, side); err != nil { // of a foreign signer (an agent, hardware)
		return nil, err
	}
	v.phase = Authenticated
	return v.appendActivate(v.toIntroducer(b)), nil
}

// openAuth verifies the AUTH of a side and stores its contents.
func (v *Invitee) openAuth(b []byte, side uint8) error {
	m, err := decodeAs(b, KindAuth)
	if err != nil {
		return err
	}
	content, _, err := v.keys.openAuth(m, v.accepts[side])
	if err != nil {
		return err
	}
	v.auths[side], v.proofs[side] = m.raw, content.Signature
	if side != v.request.Side {
		v.peerPayload = content.Payload
	}
	return nil
}

// appendActivate appends the ACTIVATE, once the own AUTH is made and the peer's is verified.
func (v *Invitee) appendActivate(out []Outgoing) []Outgoing {
	side := v.request.Side
	if v.phase != Authenticated || v.auths[otherSide(side)] == nil {
		return out
	}
	mac := v.keys.activateMAC(side, v.auths)
	return append(out, v.toIntroducer(encode(wire{Kind: KindActivate, Session: v.request.Session, Side: side, MAC: mac}))...)
}

// Decline refuses the request, or withdraws the consent before the session is Active.
func (v *Invitee) Decline() []Outgoing {
	if v.finished() {
		return nil
	}
	v.end(Declined)
	return v.toIntroducer(encode(wire{Kind: KindDecline, Session: v.request.Session}))
}

// Expire ends a session whose end has passed, and reports whether it did.
func (v *Invitee) Expire(now time.Time) bool {
	if v.finished() || now.Before(v.request.expires) {
		return false
	}
	v.end(Expired)
	return true
}

// Handle processes a message and returns the messages to send. A message of another
// session or sender ([ErrOtherSession]) and a malformed one ([ErrInvalid]) change
// nothing. If the message ends the session, the error is an [*EndedError]. A message
// that was handled before, or is received after the end, is ignored.
func (v *Invitee) Handle(now time.Time, from pointer.Pointer, b []byte) ([]Outgoing, error) {
	m, err := decode(b)
	if err != nil {
		return nil, err
	}
	if from != v.request.by || m.session != v.request.session {
		return nil, ErrOtherSession
	}
	if v.finished() || v.wasHandled(m) {
		return nil, nil
	}
	if err := v.checkRunning(now); err != nil {
		return nil, err
	}
	peer := otherSide(v.request.Side)
	switch {
	case m.Kind == KindDecline:
		return nil, v.end(Declined)
	case m.Kind == KindAbort:
		return nil, v.end(m.Reason)
	case m.Kind == KindReveal && v.phase == Accepted:
		if err := v.applyReveal(m); err != nil {
			return v.abort(Invalid, err)
		}
		v.phase = Revealed
		return nil, nil
	case m.Kind == KindAuth && (v.phase == Revealed || v.phase == Authenticated) && v.auths[peer] == nil:
		if err := v.openAuth(m.raw, peer); err != nil {
			return v.abort(Invalid, err)
		}
		return v.appendActivate(nil), nil
	case m.Kind == KindActivate && v.phase == Authenticated && v.auths[peer] != nil:
		if m.Side != peer || !hmac.Equal(m.MAC, v.keys.activateMAC(peer, v.auths)) {
			return v.abort(Invalid, invalid("the confirmation of the peer does not match the session"))
		}
		v.activate()
		return nil, nil
	}
	return v.abort(Unexpected, fmt.Errorf("message of kind %d, while %s", m.Kind, v.phase))
}

// Early reports whether a message of the session is one that an honest introducer sends after
// others which Handle has not received yet. Handle would end the session. A caller whose channel
// does not preserve the order of messages, such as one that several devices read, handles the
// message later.
func (v *Invitee) Early(b []byte) bool {
	m, err := decode(b)
	if err != nil || v.finished() || v.wasHandled(m) {
		return false
	}
	switch m.Kind {
	case KindReveal:
		return v.phase == Invited
	case KindAuth:
		return v.phase < Revealed
	case KindActivate:
		return v.phase < Authenticated || v.auths[otherSide(v.request.Side)] == nil
	}
	return false
}

// wasHandled reports whether a message equals one that was handled before.
func (v *Invitee) wasHandled(m message) bool {
	for _, handled := range [][]byte{v.request.raw, v.reveal.raw, v.auths[otherSide(v.request.Side)]} {
		if handled != nil && bytes.Equal(m.raw, handled) {
			return true
		}
	}
	return false
}

// applyReveal verifies a REVEAL, and derives the keys of the session.
func (v *Invitee) applyReveal(m message) (err error) {
	if v.accepts, err = verifyAccepts(v.request, m.Salt, m.about, v.accept.raw, m.Accept); err != nil {
		return err
	}
	if v.keys, err = deriveKeys(v.secret, v.request.Side, v.request, v.accepts); err != nil {
		return err
	}
	v.reveal = m
	return nil
}

// activate makes the session Active: it stores the evidence, and erases the secrets.
func (v *Invitee) activate() {
	side := v.request.Side
	v.transcript = encode(wireTranscript{Version: 1, Request: v.request.raw, Salt: v.reveal.Salt, About: v.reveal.About,
		OwnAccept: v.accepts[side].raw, PeerAccept: v.accepts[otherSide(side)].raw, OwnProof: v.proofs[side], PeerProof: v.proofs[otherSide(side)], Payload: v.peerPayload})
	v.erase(Active)
}

// finished reports whether the session is over, with or without success.
func (v *Invitee) finished() bool { return v.phase == Active || v.phase == Ended }

// checkRunning returns an error for a session that is over, and ends one that has expired.
func (v *Invitee) checkRunning(now time.Time) error {
	v.Expire(now)
	if v.phase == Ended {
		return &EndedError{Reason: v.reason}
	}
	if v.phase == Active {
		return errors.New("mutual introduction: it is active already")
	}
	return nil
}

// abort ends the session because of err. It returns the message that ends it for the
// introducer, and the error of Handle.
func (v *Invitee) abort(reason Reason, err error) ([]Outgoing, error) {
	v.end(reason)
	return v.toIntroducer(encode(wire{Kind: KindAbort, Session: v.request.Session, Reason: reason})), &EndedError{Reason: reason, Err: err}
}

// end ends the session without success, and returns an *EndedError.
func (v *Invitee) end(reason Reason) error {
	v.reason = reason
	v.erase(Ended)
	return &EndedError{Reason: reason}
}

// erase removes all secrets, and all data of the peer except the transcript.
func (v *Invitee) erase(phase Phase) {
	*v = Invitee{phase: phase, reason: v.reason, request: v.request, transcript: v.transcript}
}

// toIntroducer returns a message, addressed to the introducer.
func (v *Invitee) toIntroducer(b []byte) []Outgoing { return []Outgoing{{To: v.request.by, Bytes: b}} }
