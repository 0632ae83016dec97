package pair

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gtank/ristretto255"
)

// SaveCode stores the state of a side of a code durably, before a message is sent that
// depends on it, for [ResumeInviteByCode] or [ResumeAcceptCode]. The state contains the
// code and keys of the session: store it as safely as the identity key, and delete it when
// the side has paired or failed. [ErrTimeout] alone leaves it of use.
type SaveCode func(ctx context.Context, state []byte) error

// SaveWith sets where a side stores its state, so that a pairing that was broken off can be
// continued. It is called before the first step.
func (c *codeSide) SaveWith(save SaveCode) { c.save = save }

func (c *codeSide) saveState(ctx context.Context, state func() []byte) error {
	if c.save == nil {
		return nil
	}
	if err := c.save(ctx, state()); err != nil {
		return fmt.Errorf("saving the pairing: %w", err)
	}
	return nil
}

// ErrState is returned for a state that is not of this code, side and identity.
var ErrState = errors.New("is no state of this pairing")

// wireCodeState is the state of a side.
type wireCodeState struct {
	Version  int    `cbor:"1,keyasint"`
	Role     string `cbor:"2,keyasint"`
	Code     string `cbor:"3,keyasint"`
	Period   int64  `cbor:"4,keyasint"`
	Identity []byte `cbor:"5,keyasint"`
	Blind    []byte `cbor:"6,keyasint"`
	Scalar   []byte `cbor:"7,keyasint"`
	Share    []byte `cbor:"8,keyasint"`

	// Of an inviter: the end of the code, and after the acceptance also the answer and
	// the evidence.
	Expires    int64  `cbor:"9,keyasint,omitempty"` // seconds since 1970
	Answer     []byte `cbor:"10,keyasint,omitempty"`
	Transcript []byte `cbor:"11,keyasint,omitempty"`

	// Of an invitee: the message of the inviter, its own one, and the signature in it.
	Offer      []byte `cbor:"12,keyasint,omitempty"`
	Acceptance []byte `cbor:"13,keyasint,omitempty"`
	Signature  []byte `cbor:"14,keyasint,omitempty"`
}

const (
	codeStateVersion = 1
	maxCodeState     = 2*maxMessage + maxTranscript + maxIdentity + 1024
)

func (c *codeSide) state(role string) wireCodeState {
	return wireCodeState{Version: codeStateVersion, Role: role, Code: c.code.Secret(), Period: c.slot.period,
		Identity: c.identity, Blind: c.blind, Scalar: c.cpace.scalar.Encode(nil), Share: c.cpace.share}
}

// state returns the state of the inviter, in canonical CBOR.
func (i *CodeInviter) state() []byte {
	w := i.codeSide.state(roleInviter)
	w.Expires, w.Answer = max(i.expires.Unix(), 0), i.answer
	if i.paired != nil {
		w.Transcript = i.paired.Transcript
	}
	return encode(w)
}

// state returns the state of the invitee, in canonical CBOR.
func (v *CodeInvitee) state() []byte {
	w := v.codeSide.state(roleInvitee)
	w.Offer = encode(wireOffer{Kind: kindOffer, Share: v.session.inviter.share, Commit: v.session.inviter.data})
	w.Acceptance, w.Signature = v.acceptance, v.ownProof.Signature
	return encode(w)
}

// resume decodes the common part of a state.
func resume(self Self, state []byte, role string, markUsed MarkUsed) (codeSide, wireCodeState, error) {
	fail := func(err error) (codeSide, wireCodeState, error) {
		return codeSide{}, wireCodeState{}, fmt.Errorf("pairing: %w", err)
	}
	w, code, err := decodeCodeState(state)
	if err != nil {
		return codeSide{}, wireCodeState{}, err
	}
	if w.Role != role {
		return fail(ErrState)
	}
	side, err := newCodeSide(self, code, markUsed)
	if err != nil {
		return codeSide{}, wireCodeState{}, err
	}
	identity, err := parseIdentity(w.Identity)
	scalar := ristretto255.NewScalar()
	if err != nil || identity.Pointer != self.Identity.Pointer || len(w.Blind) != blindSize || len(w.Share) != shareSize || scalar.Decode(w.Scalar) != nil {
		return fail(ErrState)
	}
	side.identity, side.blind = w.Identity, w.Blind
	side.slot, side.cpace = slot{code.nameplate(), w.Period}, cpaceSide{scalar, w.Share}
	return side, w, nil
}

// CodeOf returns the code in the state of a side, which may be of any identity. It fails with
// [ErrState].
func CodeOf(state []byte) (Code, error) {
	_, code, err := decodeCodeState(state)
	return code, err
}

// decodeCodeState decodes a state and the code in it.
func decodeCodeState(state []byte) (w wireCodeState, code Code, err error) {
	if err = decode(state, maxCodeState, &w); err == nil && w.Version == codeStateVersion {
		code, err = ParseCode(w.Code)
	}
	if err != nil || code.IsZero() {
		return wireCodeState{}, Code{}, fmt.Errorf("pairing: %w", ErrState)
	}
	return w, code, nil
}

// ResumeInviteByCode restores the side of an inviter from the state that was saved last. It
// handles one acceptance in all: none if the earlier process ended while it handled one,
// and that one again if it had answered.
func ResumeInviteByCode(self Self, state []byte, markUsed MarkUsed) (*CodeInviter, error) {
	side, w, err := resume(self, state, roleInviter, markUsed)
	if err != nil {
		return nil, err
	}
	i := &CodeInviter{codeSide: side, expires: time.Unix(w.Expires, 0).UTC(), answer: w.Answer}
	m := i.message()
	i.offer = encode(wireOffer{Kind: kindOffer, Share: m.share, Commit: m.data})
	if w.Answer == nil {
		return i, nil
	}
	t, err := ParseTranscript(w.Transcript)
	if err != nil || t.Channel != ChannelCode || t.Inviter.Pointer != self.Identity.Pointer {
		return nil, fmt.Errorf("pairing: %w", ErrState)
	}
	i.paired = &Paired{t.Invitee, ChannelCode, w.Transcript}
	return i, nil
}

// ResumeAcceptCode restores the side of an invitee that has accepted an offer, for the code
// that the owner entered again. It sends the same acceptance, which is no second guess. For
// another code, and so for other secret words, it fails with [ErrState].
func ResumeAcceptCode(self Self, state []byte, code Code, markUsed MarkUsed) (*CodeInvitee, error) {
	side, w, err := resume(self, state, roleInvitee, markUsed)
	if err != nil {
		return nil, err
	}
	inviter, err := parseOffer(w.Offer)
	if err != nil || side.code != code || len(w.Acceptance) == 0 {
		return nil, fmt.Errorf("pairing: %w", ErrState)
	}
	v := &CodeInvitee{codeSide: side, acceptance: w.Acceptance}
	if v.session, err = newSession(v.slot, v.cpace, inviter, inviter, v.message()); err != nil {
		return nil, fmt.Errorf("pairing: %w", ErrState)
	}
	v.ownProof = wireProof{Identity: v.identity, Blind: v.blind, Signature: w.Signature}
	return v, nil
}
