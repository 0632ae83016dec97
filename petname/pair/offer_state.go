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
	Takers     [][]byte `cbor:"4,keyasint,omitempty"`
	Withdrawn  bool     `cbor:"5,keyasint,omitempty"`
}

const maxState = maxInvitation + 2048

// State is all that an offer needs to go on after a restart, in canonical
// CBOR. It holds the invitation's secret and private key: keep it as the
// identity key is kept.
func (o *Offer) State() []byte {
	w := wireState{Version: 1, Invitation: o.invitation.signed, Private: o.private.Bytes(), Withdrawn: o.withdrawn}
	for _, p := range o.takers {
		w.Takers = append(w.Takers, p.Bytes())
	}
	return encode(w)
}

// ResumeOffer goes on with an offer out of the state that was saved last. What
// has been answered is answered again when the question still stands.
func ResumeOffer(self Self, state []byte, save Save) (*Offer, error) {
	s, err := parseState(state)
	if err != nil {
		return nil, fmt.Errorf("state of an invitation: %w", err)
	}
	o, err := newOffer(self, s.invitation, s.private, save)
	if err != nil {
		return nil, err
	}
	o.takers, o.withdrawn = s.takers, s.withdrawn
	return o, nil
}

type offerState struct {
	invitation Invitation
	private    *ecdh.PrivateKey
	takers     []pointer.Pointer
	withdrawn  bool
}

func parseState(b []byte) (offerState, error) {
	var w wireState
	if err := decode(b, maxState, &w); err != nil {
		return offerState{}, err
	}
	if w.Version != 1 {
		return offerState{}, fmt.Errorf("has version %d, and this program knows 1", w.Version)
	}
	s := offerState{withdrawn: w.Withdrawn}
	var err error
	if s.invitation, err = openInvitation(w.Invitation); err != nil {
		return offerState{}, err
	}
	if s.private, err = ecdh.X25519().NewPrivateKey(w.Private); err != nil {
		return offerState{}, errors.New("its private key is none")
	}
	if !bytes.Equal(s.private.PublicKey().Bytes(), s.invitation.key) {
		return offerState{}, errors.New("its private key is of another invitation")
	}
	if len(w.Takers) > s.invitation.Uses {
		return offerState{}, fmt.Errorf("was taken %d times, and may be %d times", len(w.Takers), s.invitation.Uses)
	}
	for _, taker := range w.Takers {
		p, err := pointer.FromBytes(taker)
		if err != nil {
			return offerState{}, err
		}
		if slices.Contains(s.takers, p) || p == s.invitation.Inviter || !s.invitation.For.IsZero() && p != s.invitation.For {
			return offerState{}, errors.New("was taken by somebody who can't have")
		}
		s.takers = append(s.takers, p)
	}
	return s, nil
}

// OfferID is the ID of the invitation in an offer's state.
func OfferID(state []byte) ([32]byte, error) {
	s, err := parseState(state)
	if err != nil {
		return [32]byte{}, err
	}
	return s.invitation.ID(), nil
}
