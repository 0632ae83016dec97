package mutual

import (
	"crypto/sha256"
	"fmt"

	"github.com/petnames-go/petnames/pointer"
)

// MaxTranscript bounds a transcript, in bytes.
const MaxTranscript = 8000

// wireTranscript is what one of the two keeps: all that was signed, and what
// opens it. It needs no secret to be verified.
type wireTranscript struct {
	_          struct{} `cbor:",toarray"`
	Version    uint8    // 1
	Request    []byte   // to the one who keeps it, signed by the introducer
	Salt       []byte   // opens it to About
	About      []byte
	Mine       []byte // the consent of the one who keeps it
	Theirs     []byte // and the other's
	MyProof    []byte // their signatures over the transcript
	TheirProof []byte
	Payload    []byte // what the other told of itself; null: taken out, see Redact
}

// Summary is what a transcript proves: that an introducer said, in a request
// that it signed, that a pointer is whom it suggested a name for; that both
// keys consented; and that both signed the whole of it. It doesn't prove whose
// key the pointer is: that is the introducer's word.
type Summary struct {
	Request  Request
	Pointer  pointer.Pointer // of the other, as the introducer told it
	Payload  pointer.Details // what the other told of itself; the zero value when Redacted
	Redacted bool
}

// Verify checks all signatures and hashes of a transcript. Its errors wrap
// [ErrInvalid].
func Verify(transcript []byte) (Summary, error) {
	s, _, err := openTranscript(transcript)
	if err != nil {
		return Summary{}, fmt.Errorf("transcript: %w", err)
	}
	return s, nil
}

// Redact takes out of a transcript what the other told of itself, addresses
// above all, for showing it to others. It still verifies.
func Redact(transcript []byte) ([]byte, error) {
	_, w, err := openTranscript(transcript)
	if err != nil {
		return nil, fmt.Errorf("transcript: %w", err)
	}
	w.Payload = nil
	return encode(w), nil
}

func openTranscript(b []byte) (Summary, wireTranscript, error) {
	var w wireTranscript
	fail := func(err error) (Summary, wireTranscript, error) { return Summary{}, wireTranscript{}, err }
	if err := decodeInto(b, MaxTranscript, &w); err != nil {
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
	accepts, err := consents(request, w.Salt, about, w.Mine, w.Theirs)
	if err != nil {
		return fail(err)
	}
	transcript := transcriptOf(request, accepts)
	if err := verifyProof(transcript, accepts[request.Side], w.MyProof); err != nil {
		return fail(err)
	}
	if err := verifyProof(transcript, accepts[other(request.Side)], w.TheirProof); err != nil {
		return fail(err)
	}
	s := Summary{Request: request.request(), Pointer: about, Redacted: w.Payload == nil}
	if w.Payload != nil {
		if s.Payload, err = openCommitted(w.Payload, accepts[other(request.Side)]); err != nil {
			return fail(err)
		}
	}
	return s, w, nil
}

// consents verifies what a REVEAL says against the request that it was hidden in,
// and both consents against each other.
func consents(request message, salt []byte, about pointer.Pointer, mine, theirs []byte) (accepts [3]message, err error) {
	switch {
	case len(salt) != saltSize || !told(request, salt, about):
		return accepts, invalid("%s is not the pointer that the request was about", about)
	case about == request.to, about == request.by:
		return accepts, invalid("%s is introduced to itself, or introduces itself", about)
	}
	if accepts[request.Side], err = openAccept(mine, request.to, request.Side, request); err != nil {
		return accepts, err
	}
	if of := sha256.Sum256(request.raw); string(of[:]) != string(accepts[request.Side].Request) {
		return accepts, invalid("the consent is to another request")
	}
	accepts[other(request.Side)], err = openAccept(theirs, about, other(request.Side), request)
	return accepts, err
}
