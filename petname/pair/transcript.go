package pair

import (
	"bytes"
	"errors"
	"fmt"
)

// Transcript is the verified evidence of a pairing: both keys signed one session, which
// names both. It does not state the petnames of the two sides.
type Transcript struct {
	Channel          string // ChannelCode or ChannelLink
	Inviter, Invitee Identity
}

// wireTranscript has what the signatures cover, and no secret: the shares of CPace do not
// reveal the password, and the invitation is represented by its hash.
type wireTranscript struct {
	Channel string   `cbor:"1,keyasint"`
	Inviter []byte   `cbor:"2,keyasint"` // identities
	Invitee []byte   `cbor:"3,keyasint"`
	Sigs    [][]byte `cbor:"4,keyasint"` // the inviter's, the invitee's

	Nameplate string   `cbor:"5,keyasint,omitempty"` // ChannelCode
	Period    int64    `cbor:"6,keyasint,omitempty"`
	Shares    [][]byte `cbor:"7,keyasint,omitempty"`
	Blinds    [][]byte `cbor:"8,keyasint,omitempty"`

	Invitation []byte `cbor:"9,keyasint,omitempty"` // ChannelLink: the hash
	Ephemeral  []byte `cbor:"10,keyasint,omitempty"`
	Nonce      []byte `cbor:"11,keyasint,omitempty"`
}

const (
	maxTranscript = 2*maxIdentity + 1024

	domainCode = "petnames/pair/code/v1\x00"
	domainLink = "petnames/pair/link/v1\x00"

	roleInviter = "inviter"
	roleInvitee = "taker"
)

// codeStatement is signed by each side of a code, after domainCode. Session is the session
// ID of CPace, which covers both sides' commitments to their identities.
type codeStatement struct {
	_       struct{} `cbor:",toarray"`
	Role    string
	Slot    []byte
	Session []byte
}

// acceptanceStatement is signed by the invitee of an invitation, after domainLink.
type acceptanceStatement struct {
	_          struct{} `cbor:",toarray"`
	Role       string
	Inviter    []byte // pointer
	Invitation []byte // the hash, which covers the secret
	Ephemeral  []byte
	Nonce      []byte
	Invitee    []byte // the hash of the identity
}

// answerStatement is signed by the inviter, after domainLink.
type answerStatement struct {
	_          struct{} `cbor:",toarray"`
	Role       string
	Acceptance []byte // the hash of the invitee's statement and signature
	Status     Reason // 0: accepted
	Inviter    []byte // the hash of the identity; nil: refused
}

// identityHash returns the hash of an encoded identity in statements.
func identityHash(identity []byte) []byte { return digest("petnames/pair/identity/v1\x00", identity) }

// hash returns the hash of the statement and of its signature.
func (s acceptanceStatement) hash(sig []byte) []byte {
	return digest("petnames/pair/take/v1\x00", encode(s), sig)
}

// commit returns a commitment to an identity; the blind opens it.
func commit(blind, identity []byte) []byte {
	return digest("petnames/pair/commit/v1\x00", blind, identity)
}

// ParseTranscript decodes the evidence of a pairing, and verifies both signatures.
func ParseTranscript(b []byte) (Transcript, error) {
	t, err := parseTranscript(b)
	if err != nil {
		return Transcript{}, fmt.Errorf("transcript of a pairing: %w", err)
	}
	return t, nil
}

// parseTranscript is ParseTranscript without the prefix of its errors.
func parseTranscript(b []byte) (Transcript, error) {
	var w wireTranscript
	if err := decode(b, maxTranscript, &w); err != nil {
		return Transcript{}, err
	}
	t := Transcript{Channel: w.Channel}
	var err error
	if t.Inviter, err = parseIdentity(w.Inviter); err != nil {
		return Transcript{}, err
	}
	if t.Invitee, err = parseIdentity(w.Invitee); err != nil {
		return Transcript{}, err
	}
	if t.Inviter.Pointer == t.Invitee.Pointer {
		return Transcript{}, errors.New("is of an identity with itself")
	}
	if len(w.Sigs) != 2 {
		return Transcript{}, errors.New("has not two signatures")
	}
	switch w.Channel {
	case ChannelCode:
		err = w.verifyCode(t)
	case ChannelLink:
		err = w.verifyLink(t)
	default:
		err = errors.New("is of an unknown channel")
	}
	if err != nil {
		return Transcript{}, err
	}
	return t, nil
}

// errTranscriptForm is returned for a transcript that mixes the fields of both channels.
var errTranscriptForm = errors.New("has fields of different channels")

// verifyCode verifies both signatures of a pairing by code.
func (w wireTranscript) verifyCode(t Transcript) error {
	if len(w.Shares) != 2 || len(w.Blinds) != 2 || w.Invitation != nil || w.Ephemeral != nil || w.Nonce != nil {
		return errTranscriptForm
	}
	session := sidOutput(
		cpaceMessage{w.Shares[0], commit(w.Blinds[0], w.Inviter)},
		cpaceMessage{w.Shares[1], commit(w.Blinds[1], w.Invitee)},
	)
	id := slot{w.Nameplate, w.Period}.id()
	if err := verify(t.Inviter.Pointer, domainCode, codeStatement{Role: roleInviter, Slot: id, Session: session}, w.Sigs[0]); err != nil {
		return err
	}
	return verify(t.Invitee.Pointer, domainCode, codeStatement{Role: roleInvitee, Slot: id, Session: session}, w.Sigs[1])
}

// verifyLink verifies both signatures of a pairing by invitation.
func (w wireTranscript) verifyLink(t Transcript) error {
	if w.Nameplate != "" || w.Period != 0 || w.Shares != nil || w.Blinds != nil {
		return errTranscriptForm
	}
	acceptance := acceptanceStatement{
		Role: roleInvitee, Inviter: t.Inviter.Pointer.Bytes(), Invitation: w.Invitation,
		Ephemeral: w.Ephemeral, Nonce: w.Nonce, Invitee: identityHash(w.Invitee),
	}
	if err := verify(t.Invitee.Pointer, domainLink, acceptance, w.Sigs[1]); err != nil {
		return err
	}
	answer := answerStatement{Role: roleInviter, Acceptance: acceptance.hash(w.Sigs[1]), Inviter: identityHash(w.Inviter)}
	return verify(t.Inviter.Pointer, domainLink, answer, w.Sigs[0])
}

// isReflected reports whether two CPace messages share a part, as messages of two honest
// sides do not: one is a copy of the other.
func isReflected(a, b cpaceMessage) bool {
	return bytes.Equal(a.share, b.share) || bytes.Equal(a.data, b.data)
}
