package mutual

import (
	"crypto/sha256"
	"fmt"

	"github.com/petnames-go/petnames/pointer"
)

// maxTranscript bounds a transcript, in bytes.
const maxTranscript = 8000

// wireTranscript is the evidence that one party stores: all that was signed, and what
// opens it. Verifying it needs no secret.
type wireTranscript struct {
	_          struct{} `cbor:",toarray"`
	Version    uint8    // 1
	Request    []byte   // to the owner of the transcript, signed by the introducer
	Salt       []byte   // opens the request to About
	About      []byte
	OwnAccept  []byte // the consent of the owner
	PeerAccept []byte // the consent of the peer
	OwnProof   []byte // the signatures of both over the transcript
	PeerProof  []byte
	Payload    []byte // of the peer; null: redacted
}

// Summary is what a transcript proves: the introducer signed a request about the
// pointer, with a suggested name; the keys of both parties consented, and both signed
// the session. It does not prove that the pointer is the key of the contact that the
// introducer named.
type Summary struct {
	Request  Request
	Pointer  pointer.Pointer // of the peer, as the introducer revealed it
	Payload  pointer.Details // the details of the peer; zero if Redacted
	Redacted bool
}

// Verify verifies all signatures and hashes of a transcript. Its errors wrap
// [ErrInvalid].
func Verify(transcript []byte) (Summary, error) {
	s, _, err := openTranscript(transcript)
	if err != nil {
		return Summary{}, fmt.Errorf("transcript: %w", err)
	}
	return s, nil
}

// Redact returns a transcript without the payload of the peer, with its addresses, for
// showing it to others. It still verifies.
func Redact(transcript []byte) ([]byte, error) {
	_, w, err := openTranscript(transcript)
	if err != nil {
		return nil, fmt.Errorf("transcript: %w", err)
	}
	w.Payload = nil
	return encode(w), nil
}

// openTranscript decodes a transcript, and verifies all of it.
func openTranscript(b []byte) (Summary, wireTranscript, error) {
	var w wireTranscript
	fail := func(err error) (Summary, wireTranscript, error) { return Summary{}, wireTranscript{}, err }
	if err := decodeInto(b, maxTranscript, &w); err != nil {
		return fail(err)
	}
	if w.Version != 1 {
		return fail(invalid("version %d", w.Version))
	}
	request, err := openRequest(w.Request)
	if err != nil {
		return fail(err)
	}
	about, err := pointer.FromBytes(w.About)
	if err != nil {
		return fail(invalid("%v", err))
	}
	accepts, err := verifyAccepts(request, w.Salt, about, w.OwnAccept, w.PeerAccept)
	if err != nil {
		return fail(err)
	}
	transcript := transcriptOf(request, accepts)
	if err := verifyProof(transcript, accepts[request.Side], w.OwnProof); err != nil {
		return fail(err)
	}
	if err := verifyProof(transcript, accepts[otherSide(request.Side)], w.PeerProof); err != nil {
		return fail(err)
	}
	s := Summary{Request: request.request(), Pointer: about, Redacted: w.Payload == nil}
	if w.Payload != nil {
		if s.Payload, err = openCommitted(w.Payload, accepts[otherSide(request.Side)]); err != nil {
			return fail(err)
		}
	}
	return s, w, nil
}

// verifyAccepts verifies the contents of a REVEAL against the request, and both
// consents against each other.
func verifyAccepts(request message, salt []byte, about pointer.Pointer, own, peer []byte) (accepts [3]message, err error) {
	switch {
	case len(salt) != saltSize || !revealsPointer(request, salt, about):
		return accepts, invalid("%s is not the pointer that the request was about", about)
	case about == request.to, about == request.by:
		return accepts, invalid("%s is the recipient or the introducer of the request", about)
	}
	if accepts[request.Side], err = openAccept(own, request.to, request.Side, request); err != nil {
		return accepts, err
	}
	if sum := sha256.Sum256(request.raw); string(sum[:]) != string(accepts[request.Side].Request) {
		return accepts, invalid("the consent is for another request")
	}
	accepts[otherSide(request.Side)], err = openAccept(peer, about, otherSide(request.Side), request)
	return accepts, err
}
