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

// Request is an offer, signed by the introducer, to introduce the one it is made
// to and somebody who isn't named to each other.
type Request struct {
	Session   Session
	By, To    pointer.Pointer
	Suggested string    // a name for the other: hostile text, ≤ MaxText bytes
	Note      string    // hostile text, ≤ MaxNote bytes
	Made      time.Time // by the introducer's clock, to the millisecond
	Expires   time.Time // when the session ends, whatever has come of it
}

// OpenRequest parses and verifies a request. One that has expired comes beside
// an [*EndedError]; every other error wraps [ErrInvalid].
func OpenRequest(b []byte, now time.Time) (Request, error) {
	m, err := openRequest(b)
	if err != nil {
		return Request{}, err
	}
	if !now.Before(m.expires) {
		return m.request(), &EndedError{Reason: Expired}
	}
	return m.request(), nil
}

func (m message) request() Request {
	return Request{Session: m.session, By: m.by, To: m.to, Suggested: m.Suggested, Note: m.Note, Made: m.made, Expires: m.expires}
}

func openRequest(b []byte) (message, error) {
	m, err := openSigned(b, KindRequest)
	switch {
	case err != nil:
		return message{}, fmt.Errorf("request: %w", err)
	case m.by == m.to:
		return message{}, fmt.Errorf("request: %w", invalid("is made to who makes it"))
	case !m.expires.After(m.made) || m.expires.Sub(m.made) > MaxLife:
		return message{}, fmt.Errorf("request: %w", invalid("is good for %s: up to %s may be", m.expires.Sub(m.made), MaxLife))
	}
	return m, nil
}

// Party is somebody who is introduced, and what the other is told of them.
type Party struct {
	Pointer   pointer.Pointer
	Suggested string // a name that the other may call them by
	Note      string // to the other, about them
}

// newRequest is the request to one of two parties, about the other.
func newRequest(now time.Time, signer crypto.Signer, session Session, side uint8, to pointer.Pointer, about Party, salt []byte, expires time.Time) (message, error) {
	hidden := hide(session, side, salt, about.Pointer)
	return wire{Kind: KindRequest, Session: session[:], Side: side, Expires: expires.UnixMilli(), Made: now.UnixMilli(), To: to.Bytes(),
		Hidden: hidden[:], Suggested: about.Suggested, Note: about.Note}.sign(signer)
}

// hide is what a request says of the pointer that it doesn't show. Without the
// salt nobody can try pointers that it may stand for, and with it nobody can
// open it to another one.
func hide(session Session, side uint8, salt []byte, about pointer.Pointer) [hashSize]byte {
	return hash("petnames/mutual/pointer/v1\x00", session[:], side, salt, about.Bytes())
}

// newAccept is the consent to a request.
func newAccept(signer crypto.Signer, request message, nonce, ephemeral []byte, payload [hashSize]byte) (message, error) {
	of := sha256.Sum256(request.raw)
	return wire{Kind: KindAccept, Session: request.Session, Side: request.Side, Expires: request.Expires, To: request.By,
		Request: of[:], Nonce: nonce, Ephemeral: ephemeral, Payload: payload[:]}.sign(signer)
}

// openAccept verifies a consent: by whom, and of which side of which session.
func openAccept(b []byte, by pointer.Pointer, side uint8, request message) (message, error) {
	m, err := openSigned(b, KindAccept)
	switch {
	case err != nil:
	case m.by != by:
		err = invalid("is by %s, and not by %s", m.by, by)
	case m.session != request.session || m.Expires != request.Expires || m.to != request.by || m.Side != side:
		err = invalid("is of another session, or of the other side")
	}
	if err != nil {
		return message{}, fmt.Errorf("consent: %w", err)
	}
	return m, nil
}

// draw reads randomness.
func draw(random io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	return b, nil
}

// isSigner refuses a key that isn't the one of a pointer.
func isSigner(signer crypto.Signer, of pointer.Pointer) error {
	if signer == nil {
		return errors.New("mutual introduction: the identity's key is needed")
	}
	p, err := pointer.FromPublicKey(signer.Public())
	if err != nil {
		return err
	}
	if p != of {
		return fmt.Errorf("mutual introduction: the key is of %s, and not of %s", p, of)
	}
	return nil
}
