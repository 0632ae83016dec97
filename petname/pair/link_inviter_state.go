package pair

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/pointer"
)

// wireState is an Offer at rest.
type wireState struct {
	Version    int      `cbor:"1,keyasint"`
	Invitation []byte   `cbor:"2,keyasint"` // signed
	Private    []byte   `cbor:"3,keyasint"` // X25519
	Invitees   [][]byte `cbor:"4,keyasint,omitempty"`
	Withdrawn  bool     `cbor:"5,keyasint,omitempty"`
}

const maxState = maxInvitation + 2048

// State is all that an offer needs to go on after a restart, in canonical
// CBOR. It holds the invitation's secret and private key: keep it as the
// identity key is kept.
func (o *Inviter) State() []byte {
	w := wireState{Version: 1, Invitation: o.invitation.signed, Private: o.private.Bytes(), Withdrawn: o.withdrawn}
	for _, p := range o.invitees {
		w.Invitees = append(w.Invitees, p.Bytes())
	}
	return encode(w)
}

// ResumeInviter goes on with an offer out of the state that was saved last. What
// has been answered is answered again when the question still stands.
func ResumeInviter(self Self, state []byte, save SaveState) (*Inviter, error) {
	s, err := parseState(state)
	if err != nil {
		return nil, fmt.Errorf("state of an invitation: %w", err)
	}
	o, err := newOffer(self, s.invitation, s.private, save)
	if err != nil {
		return nil, err
	}
	o.invitees, o.withdrawn = s.invitees, s.withdrawn
	return o, nil
}

type inviterState struct {
	invitation Invitation
	private    *ecdh.PrivateKey
	invitees   []pointer.Pointer
	withdrawn  bool
}

func parseState(b []byte) (inviterState, error) {
	var w wireState
	if err := decode(b, maxState, &w); err != nil {
		return inviterState{}, err
	}
	if w.Version != 1 {
		return inviterState{}, fmt.Errorf("has version %d, and this program knows 1", w.Version)
	}
	s := inviterState{withdrawn: w.Withdrawn}
	var err error
	if s.invitation, err = openInvitation(w.Invitation); err != nil {
		return inviterState{}, err
	}
	if s.private, err = ecdh.X25519().NewPrivateKey(w.Private); err != nil {
		return inviterState{}, errors.New("its private key is none")
	}
	if !bytes.Equal(s.private.PublicKey().Bytes(), s.invitation.key) {
		return inviterState{}, errors.New("its private key is of another invitation")
	}
	if len(w.Invitees) > s.invitation.Uses {
		return inviterState{}, fmt.Errorf("was taken %d times, and may be %d times", len(w.Invitees), s.invitation.Uses)
	}
	for _, invitee := range w.Invitees {
		p, err := pointer.FromBytes(invitee)
		if err != nil {
			return inviterState{}, err
		}
		if slices.Contains(s.invitees, p) || p == s.invitation.Inviter || !s.invitation.For.IsZero() && p != s.invitation.For {
			return inviterState{}, errors.New("was taken by somebody who can't have")
		}
		s.invitees = append(s.invitees, p)
	}
	return s, nil
}

// InvitationID is the ID of the invitation in an offer's state.
func InvitationID(state []byte) ([32]byte, error) {
	s, err := parseState(state)
	if err != nil {
		return [32]byte{}, err
	}
	return s.invitation.ID(), nil
}
