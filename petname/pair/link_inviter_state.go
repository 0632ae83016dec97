package pair

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// wireState is the encoding of an Inviter's state.
type wireState struct {
	Version    int      `cbor:"1,keyasint"`
	Invitation []byte   `cbor:"2,keyasint"` // signed
	Private    []byte   `cbor:"3,keyasint"` // X25519
	Invitees   [][]byte `cbor:"4,keyasint,omitempty"`
	Withdrawn  bool     `cbor:"5,keyasint,omitempty"`
	Made       int64    `cbor:"6,keyasint,omitempty"` // seconds since 1970
}

const maxState = maxInvitation + 2048

// State returns the state of the inviter, in canonical CBOR, for [ResumeInviter]. It
// contains the secret and the private key of the invitation: store it as safely as the
// identity key.
func (i *Inviter) State() []byte {
	w := wireState{Version: 1, Invitation: i.invitation.signed, Private: i.private.Bytes(), Withdrawn: i.withdrawn}
	for _, p := range i.invitees {
		w.Invitees = append(w.Invitees, p.Bytes())
	}
	if i.made.Unix() > 0 {
		w.Made = i.made.Unix()
	}
	return encode(w)
}

// ResumeInviter restores an inviter from the state that was saved last. Acceptances that
// are still in their mailboxes are answered again.
func ResumeInviter(self Self, state []byte, save SaveState) (*Inviter, error) {
	s, err := parseState(state)
	if err != nil {
		return nil, fmt.Errorf("state of an invitation: %w", err)
	}
	i, err := newInviter(self, s.invitation, s.private, save)
	if err != nil {
		return nil, err
	}
	i.invitees, i.withdrawn, i.made = s.invitees, s.withdrawn, s.made
	return i, nil
}

// inviterState is the content of a state.
type inviterState struct {
	invitation Invitation
	private    *ecdh.PrivateKey
	invitees   []pointer.Pointer
	withdrawn  bool
	made       time.Time
}

// parseState decodes and verifies a state.
func parseState(b []byte) (inviterState, error) {
	var w wireState
	if err := decode(b, maxState, &w); err != nil {
		return inviterState{}, err
	}
	if w.Version != 1 {
		return inviterState{}, fmt.Errorf("has version %d, not 1", w.Version)
	}
	s := inviterState{withdrawn: w.Withdrawn}
	if w.Made < 0 || w.Made > maxExpires {
		return inviterState{}, fmt.Errorf("its time, %d, is out of range", w.Made)
	}
	if w.Made > 0 {
		s.made = time.Unix(w.Made, 0).UTC()
	}
	var err error
	if s.invitation, err = openInvitation(w.Invitation); err != nil {
		return inviterState{}, err
	}
	if s.private, err = ecdh.X25519().NewPrivateKey(w.Private); err != nil {
		return inviterState{}, errors.New("its private key is invalid")
	}
	if !bytes.Equal(s.private.PublicKey().Bytes(), s.invitation.key) {
		return inviterState{}, errors.New("its private key is of another invitation")
	}
	if len(w.Invitees) > s.invitation.Uses {
		return inviterState{}, fmt.Errorf("was accepted %d times, over its %d uses", len(w.Invitees), s.invitation.Uses)
	}
	for _, invitee := range w.Invitees {
		p, err := pointer.FromBytes(invitee)
		if err != nil {
			return inviterState{}, err
		}
		if slices.Contains(s.invitees, p) || p == s.invitation.Inviter || !s.invitation.For.IsZero() && p != s.invitation.For {
			return inviterState{}, errors.New("was accepted by a pointer that it refuses")
		}
		s.invitees = append(s.invitees, p)
	}
	return s, nil
}

// InvitationOf returns the invitation in an inviter's state.
func InvitationOf(state []byte) (Invitation, error) {
	s, err := parseState(state)
	return s.invitation, err
}
