package pair

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"
)

// The messages about an invitation, each alone in a box that its secret leads
// to, in canonical CBOR:
//
//	invitation = sealed under the secret: the whole signed invitation
//	take       = [5, ephemeral X25519 key, sealed [identity, nonce, signature]]
//	taken      = [6, sealed [status, identity or null, signature]]
//
// The two seals are AES-256-GCM under keys out of the secret and the X25519 of
// the taker's ephemeral key and the invitation's, so that others who hold the
// invitation can't read them.
type (
	wireLinkTake struct {
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
	wireTaken struct {
		_      struct{} `cbor:",toarray"`
		Kind   uint8
		Sealed []byte
	}
	wireTakenProof struct {
		_         struct{} `cbor:",toarray"`
		Status    Reason
		Identity  []byte
		Signature []byte
	}
)

const (
	kindLinkTake = 5
	kindTaken    = 6
	nonceSize    = 32
)

func parseLinkTake(b []byte) (wireLinkTake, error) {
	var w wireLinkTake
	if err := decode(b, maxMessage, &w); err != nil {
		return wireLinkTake{}, err
	}
	if w.Kind != kindLinkTake || len(w.Ephemeral) != 32 || len(w.Sealed) > maxSealed {
		return wireLinkTake{}, errMessage
	}
	return w, nil
}

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

func parseTaken(b []byte) (wireTaken, error) {
	var w wireTaken
	if err := decode(b, maxMessage, &w); err != nil {
		return wireTaken{}, err
	}
	if w.Kind != kindTaken || len(w.Sealed) > maxSealed {
		return wireTaken{}, errMessage
	}
	return w, nil
}

func parseTakenProof(b []byte) (wireTakenProof, error) {
	var w wireTakenProof
	if err := decode(b, maxProof, &w); err != nil {
		return wireTakenProof{}, err
	}
	if (w.Status == 0) != (len(w.Identity) > 0) {
		return wireTakenProof{}, errors.New("an answer accepts with an identity, or refuses without")
	}
	return w, nil
}

// linkSession is what one taking of an invitation shares.
type linkSession struct {
	invitation Invitation
	ephemeral  []byte // the taker's public key
	shared     []byte
}

// newLinkSession does one side's half of the X25519; peer is the other's key.
func newLinkSession(i Invitation, private *ecdh.PrivateKey, peer, ephemeral []byte) (linkSession, error) {
	public, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return linkSession{}, fmt.Errorf("its key: %w", err)
	}
	shared, err := private.ECDH(public) // refuses keys that give zero
	if err != nil {
		return linkSession{}, fmt.Errorf("its key: %w", err)
	}
	return linkSession{i, ephemeral, shared}, nil
}

func (s linkSession) key(role string) []byte {
	id := s.invitation.ID()
	return derive(slices.Concat(s.invitation.secret[:], s.shared), slices.Concat(id[:], s.ephemeral),
		"petnames/pair/link/v1 sealed by "+role, 32)
}

func (s linkSession) statement(identity, nonce []byte) takeStatement {
	id := s.invitation.ID()
	return takeStatement{
		Role: roleTaker, Inviter: s.invitation.Inviter.Bytes(), Invitation: id[:],
		Ephemeral: s.ephemeral, Nonce: nonce, Taker: identityHash(identity),
	}
}

// statementBack is the inviter's, about a taker's proof.
func (s linkSession) statementBack(theirs wireLinkProof, status Reason, identity []byte) takenStatement {
	st := takenStatement{Role: roleInviter, Take: s.statement(theirs.Identity, theirs.Nonce).hash(theirs.Signature), Status: status}
	if status == 0 {
		st.Inviter = identityHash(identity)
	}
	return st
}

// checkTake opens and verifies a taker's message.
func (s linkSession) checkTake(sealed []byte) (Identity, wireLinkProof, error) {
	plain, err := unseal(s.key(roleTaker), sealed)
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
	if err := verify(id.Pointer, domainLink, s.statement(proof.Identity, proof.Nonce), proof.Signature); err != nil {
		return Identity{}, wireLinkProof{}, err
	}
	return id, proof, nil
}

// checkTaken opens and verifies the inviter's answer to own. A refusal comes as
// a [*RefusedError].
func (s linkSession) checkTaken(sealed []byte, own wireLinkProof) (Identity, wireTakenProof, error) {
	fail := func(err error) (Identity, wireTakenProof, error) { return Identity{}, wireTakenProof{}, err }
	plain, err := unseal(s.key(roleInviter), sealed)
	if err != nil {
		return fail(err)
	}
	proof, err := parseTakenProof(plain)
	if err != nil {
		return fail(err)
	}
	statement := s.statementBack(own, proof.Status, proof.Identity)
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
		return fail(errors.New("the inviter answered as another"))
	}
	return id, proof, nil
}

func (s linkSession) transcript(inviter wireTakenProof, taker wireLinkProof) ([]byte, error) {
	id := s.invitation.ID()
	b := encode(wireTranscript{
		Channel: ChannelLink, Inviter: inviter.Identity, Taker: taker.Identity,
		Sigs:       [][]byte{inviter.Signature, taker.Signature},
		Invitation: id[:], Ephemeral: bytes.Clone(s.ephemeral), Nonce: taker.Nonce,
	})
	if _, err := ParseTranscript(b); err != nil {
		return nil, fmt.Errorf("own evidence: %w", err)
	}
	return b, nil
}
