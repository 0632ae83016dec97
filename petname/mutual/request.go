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

// Request is an offer, signed by the introducer, to introduce its recipient to another
// party. The pointer of that party is hidden.
type Request struct {
	Session   Session
	By, To    pointer.Pointer
	Suggested string    // a name for the other party: untrusted text, ≤ 64 bytes
	Note      string    // untrusted text, ≤ 512 bytes
	Made      time.Time // by the introducer's clock, to the millisecond
	Expires   time.Time // the end of the session
}

// OpenRequest parses and verifies a request. For an expired request it returns the
// request and an [*EndedError]; every other error wraps [ErrInvalid].
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

// request returns the content of a request.
func (m message) request() Request {
	return Request{Session: m.session, By: m.by, To: m.to, Suggested: m.Suggested, Note: m.Note, Made: m.made, Expires: m.expires}
}

// openRequest decodes and verifies a request. It does not check the time.
func openRequest(b []byte) (message, error) {
	m, err := openSigned(b, KindRequest)
	switch {
	case err != nil:
		return message{}, fmt.Errorf("request: %w", err)
	case m.by == m.to:
		return message{}, fmt.Errorf("request: %w", invalid("is addressed to its signer"))
	case !m.expires.After(m.made) || m.expires.Sub(m.made) > maxLife:
		return message{}, fmt.Errorf("request: %w", invalid("is valid for %s, over %s", m.expires.Sub(m.made), maxLife))
	}
	return m, nil
}

// Party is a party that is introduced, and what the other party learns about it.
type Party struct {
	Pointer   pointer.Pointer
	Suggested string // a name for the party, ≤ 64 bytes
	Note      string // about the party, ≤ 512 bytes
}

// newRequest returns the signed request to one party about the other.
func newRequest(now time.Time, signer crypto.Signer, session Session, side uint8, to pointer.Pointer, about Party, salt []byte, expires time.Time) (message, error) {
	hidden := hidePointer(session, side, salt, about.Pointer)
	return wire{Kind: KindRequest, Session: session[:], Side: side, Expires: expires.UnixMilli(), Made: now.UnixMilli(), To: to.Bytes(),
		Hidden: hidden[:], Suggested: about.Suggested, Note: about.Note}.sign(signer)
}

// hidePointer returns the commitment of a request to a pointer. It hides the pointer
// without the salt, and the salt opens it to one pointer only.
func hidePointer(session Session, side uint8, salt []byte, about pointer.Pointer) [hashSize]byte {
	return hash("petnames/mutual/pointer/v1\x00", session[:], side, salt, about.Bytes())
}

// newAccept returns the signed consent to a request.
func newAccept(signer crypto.Signer, request message, nonce, ephemeral []byte, payload [hashSize]byte) (message, error) {
	sum := sha256.Sum256(request.raw)
	return wire{Kind: KindAccept, Session: request.Session, Side: request.Side, Expires: request.Expires, To: request.By,
		Request: sum[:], Nonce: nonce, Ephemeral: ephemeral, Payload: payload[:]}.sign(signer)
}

// openAccept verifies a consent: its signer, and the session and the side that it is for.
func openAccept(b []byte, by pointer.Pointer, side uint8, request message) (message, error) {
	m, err := openSigned(b, KindAccept)
	switch {
	case err != nil:
	case m.by != by:
		err = invalid("is by %s, not by %s", m.by, by)
	case m.session != request.session || m.Expires != request.Expires || m.to != request.by || m.Side != side:
		err = invalid("is of another session or side")
	}
	if err != nil {
		return message{}, fmt.Errorf("consent: %w", err)
	}
	return m, nil
}

// readRandom reads n bytes.
func readRandom(random io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	return b, nil
}

// checkSigner returns an error if the key of signer is not the key of the pointer.
func checkSigner(signer crypto.Signer, want pointer.Pointer) error {
	if signer == nil {
		return errors.New("mutual introduction: the identity's key is needed")
	}
	p, err := pointer.FromPublicKey(signer.Public())
	if err != nil {
		return err
	}
	if p != want {
		return fmt.Errorf("mutual introduction: the key is of %s, not of %s", p, want)
	}
	return nil
}
