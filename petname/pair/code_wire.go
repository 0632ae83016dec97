package pair

import (
	"crypto/hmac"
	"crypto/sha512"
	"errors"
	"fmt"
)

// The messages of a pairing by code, each in a mailbox of the slot, in canonical CBOR:
//
//	offer      = [1, share, commitment]                       mailbox "offer"
//	acceptance = [2, share, commitment, tag, sealed]          mailbox "take"
//	answer     = [3, hash of the acceptance, tag, sealed]     mailbox "answer"
//	failure    = [4, hash of the acceptance]                  mailbox "answer"
//	notice     = [7, period of the offer]                     mailbox of the nameplate alone
//	clocks     = [8, period by the clock of the invitee]      mailbox "take": too far apart
//	sealed     = AES-256-GCM of [identity, blind, signature]
//
// wireProof is the content of sealed.
type (
	wireOffer struct {
		_      struct{} `cbor:",toarray"`
		Kind   uint8
		Share  []byte
		Commit []byte
	}
	wireAcceptance struct {
		_      struct{} `cbor:",toarray"`
		Kind   uint8
		Share  []byte
		Commit []byte
		Tag    []byte
		Sealed []byte
	}
	wireAnswer struct {
		_          struct{} `cbor:",toarray"`
		Kind       uint8
		Acceptance []byte
		Tag        []byte
		Sealed     []byte
	}
	wireFailure struct {
		_          struct{} `cbor:",toarray"`
		Kind       uint8
		Acceptance []byte
	}
	wireNotice struct {
		_      struct{} `cbor:",toarray"`
		Kind   uint8
		Period int64
	}
	wireProof struct {
		_         struct{} `cbor:",toarray"`
		Identity  []byte
		Blind     []byte
		Signature []byte
	}
)

const (
	kindOffer = iota + 1
	kindAcceptance
	kindAnswer
	kindFailure
	kindNotice = 7 // 5 and 6 are messages of a pairing by link
	kindClocks = 8
)

const (
	hashSize  = 32
	blindSize = 32
	tagSize   = sha512.Size
	maxProof  = maxIdentity + 256
	maxSealed = maxProof + sealOverhead
)

// errMessage is returned for a message that does not have the form of its kind.
var errMessage = errors.New("is not a message of this protocol")

// parseOffer decodes an offer into the CPace message of the inviter.
func parseOffer(b []byte) (cpaceMessage, error) {
	var w wireOffer
	if err := decode(b, maxMessage, &w); err != nil {
		return cpaceMessage{}, err
	}
	if w.Kind != kindOffer || len(w.Share) != shareSize || len(w.Commit) != hashSize {
		return cpaceMessage{}, errMessage
	}
	return cpaceMessage{w.Share, w.Commit}, nil
}

// parseAcceptance decodes an acceptance. It verifies nothing: openProof does.
func parseAcceptance(b []byte) (wireAcceptance, error) {
	var w wireAcceptance
	if err := decode(b, maxMessage, &w); err != nil {
		return wireAcceptance{}, err
	}
	if w.Kind != kindAcceptance || len(w.Share) != shareSize || len(w.Commit) != hashSize ||
		len(w.Tag) != tagSize || len(w.Sealed) > maxSealed {
		return wireAcceptance{}, errMessage
	}
	return w, nil
}

// parseAnswer decodes an answer or a failure. A failure has no tag.
func parseAnswer(b []byte) (wireAnswer, error) {
	var f wireFailure
	if decode(b, maxMessage, &f) == nil {
		if f.Kind != kindFailure || len(f.Acceptance) != hashSize {
			return wireAnswer{}, errMessage
		}
		return wireAnswer{Kind: f.Kind, Acceptance: f.Acceptance}, nil
	}
	var w wireAnswer
	if err := decode(b, maxMessage, &w); err != nil {
		return wireAnswer{}, err
	}
	if w.Kind != kindAnswer || len(w.Acceptance) != hashSize || len(w.Tag) != tagSize || len(w.Sealed) > maxSealed {
		return wireAnswer{}, errMessage
	}
	return w, nil
}

// maxPeriod bounds the period in a notice. It is in the year 2161.
const maxPeriod = 10_000_000

// parseNotice returns the period of an offer.
func parseNotice(b []byte) (int64, error) { return parsePeriod(kindNotice, b) }

// parseClocks returns the period by the clock of an invitee.
func parseClocks(b []byte) (int64, error) { return parsePeriod(kindClocks, b) }

// parsePeriod parses a message with a period, which is a wireNotice.
func parsePeriod(kind uint8, b []byte) (int64, error) {
	var w wireNotice
	if err := decode(b, maxMessage, &w); err != nil {
		return 0, err
	}
	if w.Kind != kind || w.Period < 0 || w.Period > maxPeriod {
		return 0, errMessage
	}
	return w.Period, nil
}

// parseProof decodes the content of Sealed, decrypted. It verifies no signature.
func parseProof(b []byte) (wireProof, error) {
	var w wireProof
	if err := decode(b, maxProof, &w); err != nil {
		return wireProof{}, err
	}
	if len(w.Blind) != blindSize {
		return wireProof{}, errMessage
	}
	return w, nil
}

// acceptanceHash returns the hash by which an answer names the acceptance.
func acceptanceHash(message []byte) []byte { return digest("petnames/pair/code/take/v1\x00", message) }

// session is the result of a run of CPace: the messages of both sides, and the key.
type session struct {
	slot             slot
	inviter, invitee cpaceMessage
	id               []byte // public session ID
	isk              []byte // intermediate session key, which both sides share; secret
}

// newSession derives the session of a slot from the state of this side and the messages:
// peer is that of the other side, the inviter's or the invitee's.
func newSession(s slot, side cpaceSide, peer, inviter, invitee cpaceMessage) (session, error) {
	if isReflected(inviter, invitee) {
		return session{}, errors.New("a message of a side was reflected to it")
	}
	// The session ID of the draft is empty: the messages in the transcript distinguish runs.
	isk, err := side.isk(nil, peer, inviter, invitee)
	if err != nil {
		return session{}, err
	}
	return session{s, inviter, invitee, sidOutput(inviter, invitee), isk}, nil
}

// message returns the CPace message of a role.
func (s session) message(role string) cpaceMessage {
	if role == roleInviter {
		return s.inviter
	}
	return s.invitee
}

// tag returns the confirmation tag of a role.
func (s session) tag(role string) []byte { return confirmation(s.id, s.isk, s.message(role)) }

// key returns the key of the seal of a role.
func (s session) key(role string) []byte {
	return derive(s.isk, s.id, "petnames/pair/code/v1 sealed by "+role, 32)
}

// statement returns the statement that a role signs.
func (s session) statement(role string) codeStatement {
	return codeStatement{Role: role, Slot: s.slot.id(), Session: s.id}
}

// sealProof signs the session, and seals the signature with the identity of the side.
func (s session) sealProof(self Self, role string, identity, blind []byte) (sealed, sig []byte, err error) {
	if sig, err = self.sign(domainCode, s.statement(role)); err != nil {
		return nil, nil, err
	}
	return seal(s.key(role), encode(wireProof{Identity: identity, Blind: blind, Signature: sig})), sig, nil
}

// errConfirmation is returned when the peer does not have the key of the session.
var errConfirmation = errors.New("its confirmation is wrong")

// openProof verifies the peer, which has the given role: first that it has the key, and
// so the secret of the code; then that its identity is the one that it committed to; then
// that this identity signed the session.
func (s session) openProof(role string, tag, sealed []byte) (Identity, wireProof, error) {
	if !hmac.Equal(tag, s.tag(role)) {
		return Identity{}, wireProof{}, errConfirmation
	}
	plain, err := unseal(s.key(role), sealed)
	if err != nil {
		return Identity{}, wireProof{}, err
	}
	proof, err := parseProof(plain)
	if err != nil {
		return Identity{}, wireProof{}, err
	}
	if !hmac.Equal(commit(proof.Blind, proof.Identity), s.message(role).data) {
		return Identity{}, wireProof{}, errors.New("it committed to another identity")
	}
	id, err := parseIdentity(proof.Identity)
	if err != nil {
		return Identity{}, wireProof{}, err
	}
	if err := verify(id.Pointer, domainCode, s.statement(role), proof.Signature); err != nil {
		return Identity{}, wireProof{}, err
	}
	return id, proof, nil
}

// transcript returns the evidence of the session, verified.
func (s session) transcript(inviter, invitee wireProof) ([]byte, error) {
	b := encode(wireTranscript{
		Channel: ChannelCode, Inviter: inviter.Identity, Invitee: invitee.Identity,
		Sigs:      [][]byte{inviter.Signature, invitee.Signature},
		Nameplate: s.slot.nameplate, Period: s.slot.period,
		Shares: [][]byte{s.inviter.share, s.invitee.share},
		Blinds: [][]byte{inviter.Blind, invitee.Blind},
	})
	if _, err := ParseTranscript(b); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return b, nil
}
