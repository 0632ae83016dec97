package pair

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"
)

// The messages of an invitation, each in a mailbox derived from its secret, in canonical
// CBOR:
//
//	invitation = sealed under the secret: the signed invitation
//	acceptance = [5, ephemeral X25519 key, sealed [identity, nonce, signature]]
//	answer     = [6, sealed [status, identity or null, signature]]
//
// The last two seals are AES-256-GCM under keys derived from the secret and the X25519 of
// the invitee's ephemeral key and the invitation's key, so that other holders of the
// invitation cannot open them. wireLinkProof is the content of the seal of an acceptance,
// wireAnswerProof that of an answer.
type (
	wireLinkAcceptance struct {
		_         struct{} `cbor:",toarray"`
		Kind      uint8
		Ephemeral []byte
		Sealed    []byte
	}
	wireLinkProof struct {
		_         struct{} `cbor:",toarray"`
		Identity  []byte
		Nonce     []byte
		Signature []byte
	}
	wireLinkAnswer struct {
		_      struct{} `cbor:",toarray"`
		Kind   uint8
		Sealed []byte
	}
	wireAnswerProof struct {
		_         struct{} `cbor:",toarray"`
		Status    Reason
		Identity  []byte
		Signature []byte
	}
)

const (
	kindLinkAcceptance = 5
	kindLinkAnswer     = 6
	nonceSize          = 32
)

// parseLinkAcceptance decodes an acceptance. It verifies nothing: openAcceptance does.
func parseLinkAcceptance(b []byte) (wireLinkAcceptance, error) {
	var w wireLinkAcceptance
	if err := decode(b, maxMessage, &w); err != nil {
		return wireLinkAcceptance{}, err
	}
	if w.Kind != kindLinkAcceptance || len(w.Ephemeral) != 32 || len(w.Sealed) > maxSealed {
		return wireLinkAcceptance{}, errMessage
	}
	return w, nil
}

// parseLinkProof decodes the content of an acceptance's seal.
func parseLinkProof(b []byte) (wireLinkProof, error) {
	var w wireLinkProof
	if err := decode(b, maxProof, &w); err != nil {
		return wireLinkProof{}, err
	}
	if len(w.Nonce) != nonceSize {
		return wireLinkProof{}, errMessage
	}
	return w, nil
}

// parseLinkAnswer decodes an answer. It verifies nothing: openAnswer does.
func parseLinkAnswer(b []byte) (wireLinkAnswer, error) {
	var w wireLinkAnswer
	if err := decode(b, maxMessage, &w); err != nil {
		return wireLinkAnswer{}, err
	}
	if w.Kind != kindLinkAnswer || len(w.Sealed) > maxSealed {
		return wireLinkAnswer{}, errMessage
	}
	return w, nil
}

// parseAnswerProof decodes the content of an answer's seal.
func parseAnswerProof(b []byte) (wireAnswerProof, error) {
	var w wireAnswerProof
	if err := decode(b, maxProof, &w); err != nil {
		return wireAnswerProof{}, err
	}
	if (w.Status == 0) != (len(w.Identity) > 0) {
		return wireAnswerProof{}, errors.New("an answer has an identity if it accepts, and none if it refuses")
	}
	return w, nil
}

// linkSession is the common state of both sides for one acceptance of an invitation.
type linkSession struct {
	invitation Invitation
	ephemeral  []byte // the invitee's public key
	shared     []byte
}

// newLinkSession returns the session of one acceptance. private is the private key of this
// side, peer the public key of the other, and ephemeral the public key of the invitee.
func newLinkSession(i Invitation, private *ecdh.PrivateKey, peer, ephemeral []byte) (linkSession, error) {
	public, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return linkSession{}, fmt.Errorf("its key: %w", err)
	}
	shared, err := private.ECDH(public) // returns an error for a zero result
	if err != nil {
		return linkSession{}, fmt.Errorf("its key: %w", err)
	}
	return linkSession{i, ephemeral, shared}, nil
}

// key returns the key of the seal of a role.
func (s linkSession) key(role string) []byte {
	id := s.invitation.ID()
	return derive(slices.Concat(s.invitation.secret[:], s.shared), slices.Concat(id[:], s.ephemeral),
		"petnames/pair/link/v1 sealed by "+role, 32)
}

// acceptanceStatement returns the statement that the invitee signs.
func (s linkSession) acceptanceStatement(identity, nonce []byte) acceptanceStatement {
	id := s.invitation.ID()
	return acceptanceStatement{
		Role: roleInvitee, Inviter: s.invitation.Inviter.Bytes(), Invitation: id[:],
		Ephemeral: s.ephemeral, Nonce: nonce, Invitee: identityHash(identity),
	}
}

// answerStatement returns the inviter's statement about the proof of an invitee.
func (s linkSession) answerStatement(peerProof wireLinkProof, status Reason, identity []byte) answerStatement {
	st := answerStatement{Role: roleInviter, Acceptance: s.acceptanceStatement(peerProof.Identity, peerProof.Nonce).hash(peerProof.Signature), Status: status}
	if status == 0 {
		st.Inviter = identityHash(identity)
	}
	return st
}

// openAcceptance opens and verifies an acceptance.
func (s linkSession) openAcceptance(sealed []byte) (Identity, wireLinkProof, error) {
	plain, err := unseal(s.key(roleInvitee), sealed)
	if err != nil {
		return Identity{}, wireLinkProof{}, err
	}
	proof, err := parseLinkProof(plain)
	if err != nil {
		return Identity{}, wireLinkProof{}, err
	}
	id, err := parseIdentity(proof.Identity)
	if err != nil {
		return Identity{}, wireLinkProof{}, err
	}
	if err := verify(id.Pointer, domainLink, s.acceptanceStatement(proof.Identity, proof.Nonce), proof.Signature); err != nil {
		return Identity{}, wireLinkProof{}, err
	}
	return id, proof, nil
}

// openAnswer opens and verifies the inviter's answer to an acceptance. It returns a
// refusal as a [*RefusedError].
func (s linkSession) openAnswer(sealed []byte, own wireLinkProof) (Identity, wireAnswerProof, error) {
	fail := func(err error) (Identity, wireAnswerProof, error) { return Identity{}, wireAnswerProof{}, err }
	plain, err := unseal(s.key(roleInviter), sealed)
	if err != nil {
		return fail(err)
	}
	proof, err := parseAnswerProof(plain)
	if err != nil {
		return fail(err)
	}
	statement := s.answerStatement(own, proof.Status, proof.Identity)
	if err := verify(s.invitation.Inviter, domainLink, statement, proof.Signature); err != nil {
		return fail(err)
	}
	if proof.Status != 0 {
		return fail(&RefusedError{proof.Status})
	}
	id, err := parseIdentity(proof.Identity)
	if err != nil {
		return fail(err)
	}
	if id.Pointer != s.invitation.Inviter {
		return fail(errors.New("the identity in the answer is not the inviter's"))
	}
	return id, proof, nil
}

// transcript returns the evidence of the session, verified.
func (s linkSession) transcript(inviter wireAnswerProof, invitee wireLinkProof) ([]byte, error) {
	id := s.invitation.ID()
	b := encode(wireTranscript{
		Channel: ChannelLink, Inviter: inviter.Identity, Invitee: invitee.Identity,
		Sigs:       [][]byte{inviter.Signature, invitee.Signature},
		Invitation: id[:], Ephemeral: bytes.Clone(s.ephemeral), Nonce: invitee.Nonce,
	})
	if _, err := ParseTranscript(b); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return b, nil
}
