package pair

import (
	"bytes"
	"errors"
	"fmt"
)

// Transcript is the evidence of a pairing, verified: both keys signed one
// session, which names both. Who the two are to each other is not in it.
type Transcript struct {
	Channel          string // ChannelCode or ChannelLink
	Inviter, Invitee Identity
}

// wireTranscript has what the signatures are over, and no secret: the shares
// of CPace tell nothing of the password to who hasn't seen the key, and the
// invitation stands there by its hash.
type wireTranscript struct {
	Channel string   `cbor:"1,keyasint"`
	Inviter []byte   `cbor:"2,keyasint"` // identities
	Invitee []byte   `cbor:"3,keyasint"`
	Sigs    [][]byte `cbor:"4,keyasint"` // the inviter's, the taker's

	Nameplate string   `cbor:"5,keyasint,omitempty"` // ChannelCode
	Period    int64    `cbor:"6,keyasint,omitempty"`
	Shares    [][]byte `cbor:"7,keyasint,omitempty"`
	Blinds    [][]byte `cbor:"8,keyasint,omitempty"`

	Invitation []byte `cbor:"9,keyasint,omitempty"` // ChannelLink: its hash
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

// codeStatement is what each side of a spoken code signs, behind domainCode.
// The session is CPace's, whose transcript has both sides' commitments to
// their identities.
type codeStatement struct {
	_       struct{} `cbor:",toarray"`
	Role    string
	Slot    []byte
	Session []byte
}

// acceptanceStatement is what the taker of an invitation signs, behind domainLink.
type acceptanceStatement struct {
	_          struct{} `cbor:",toarray"`
	Role       string
	Inviter    []byte // pointer
	Invitation []byte // its hash, and so its secret's
	Ephemeral  []byte
	Nonce      []byte
	Invitee    []byte // hash of the identity
}

// answerStatement is what the inviter signs, behind domainLink.
type answerStatement struct {
	_          struct{} `cbor:",toarray"`
	Role       string
	Acceptance []byte // hash of the taker's statement and signature
	Status     Reason // 0: accepted
	Inviter    []byte // hash of the identity; nil when refused
}

func identityHash(identity []byte) []byte { return digest("petnames/pair/identity/v1\x00", identity) }

func (s acceptanceStatement) hash(sig []byte) []byte {
	return digest("petnames/pair/take/v1\x00", encode(s), sig)
}

// commit hides an identity until its blind is shown, and binds to it.
func commit(blind, identity []byte) []byte {
	return digest("petnames/pair/commit/v1\x00", blind, identity)
}

// ParseTranscript reads the evidence of a pairing and verifies both
// signatures.
func ParseTranscript(b []byte) (Transcript, error) {
	t, err := parseTranscript(b)
	if err != nil {
		return Transcript{}, fmt.Errorf("transcript of a pairing: %w", err)
	}
	return t, nil
}

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
		return Transcript{}, errors.New("is of somebody with itself")
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
		err = errors.New("is of no channel that this program knows")
	}
	if err != nil {
		return Transcript{}, err
	}
	return t, nil
}

var errTranscriptForm = errors.New("has fields that don't belong together")

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
	answered := answerStatement{Role: roleInviter, Acceptance: acceptance.hash(w.Sigs[1]), Inviter: identityHash(w.Inviter)}
	return verify(t.Inviter.Pointer, domainLink, answered, w.Sigs[0])
}

// isReflected reports whether two messages of CPace share a part that no two
// honest sides would: one is the other played back.
func isReflected(a, b cpaceMessage) bool {
	return bytes.Equal(a.share, b.share) || bytes.Equal(a.data, b.data)
}
