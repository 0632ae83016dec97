package mutual

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"fmt"
)

// maxState bounds a stored state, in bytes.
const maxState = 32 << 10

// wireInvitee is a stored Invitee: the messages, from which all else is derived and
// verified again.
type wireInvitee struct {
	_          struct{} `cbor:",toarray"`
	Version    uint8    // 1
	Phase      Phase
	Reason     Reason
	Request    []byte
	Secret     []byte // ephemeral
	Payload    []byte
	Accept     []byte
	Reveal     []byte
	OwnAuth    []byte // AUTH
	PeerAuth   []byte // AUTH
	Transcript []byte
}

// State returns the session, to be stored durably before the messages that were
// returned with it are sent. It contains a secret until the session has ended. Never
// restore an older state: the session fails.
func (v *Invitee) State() []byte {
	w := wireInvitee{Version: 1, Phase: v.phase, Reason: v.reason, Request: v.request.raw, Payload: v.payload, Accept: v.accept.raw,
		Reveal: v.reveal.raw, OwnAuth: v.auths[v.request.Side], PeerAuth: v.auths[otherSide(v.request.Side)], Transcript: v.transcript}
	if v.secret != nil {
		w.Secret = v.secret.Bytes()
	}
	return encode(w)
}

// RestoreInvitee decodes what [Invitee.State] returned. Its errors wrap [ErrInvalid].
func RestoreInvitee(state []byte) (*Invitee, error) {
	v, err := restoreInvitee(state)
	if err != nil {
		return nil, fmt.Errorf("state of an invitee: %w", err)
	}
	return v, nil
}

// restoreInvitee checks that a state has the parts of its phase and no others, and
// verifies them.
func restoreInvitee(state []byte) (*Invitee, error) {
	var w wireInvitee
	if err := decodeInto(state, maxState, &w); err != nil {
		return nil, err
	}
	v := &Invitee{phase: w.Phase, reason: w.Reason}
	var err error
	if v.request, err = openRequest(w.Request); err != nil {
		return nil, err
	}
	has := func(parts ...[]byte) bool {
		for _, p := range parts {
			if len(p) == 0 {
				return false
			}
		}
		return true
	}
	consented := has(w.Secret, w.Payload, w.Accept)
	empty := w.Secret == nil && w.Payload == nil && w.Accept == nil && w.Reveal == nil && w.OwnAuth == nil && w.PeerAuth == nil
	fits := false
	switch w.Phase {
	case Invited, Ended:
		fits = empty && w.Transcript == nil
	case Active:
		fits = empty && has(w.Transcript)
	case Accepted:
		fits = consented && w.Reveal == nil && w.OwnAuth == nil && w.PeerAuth == nil && w.Transcript == nil
	case Revealed:
		fits = consented && has(w.Reveal) && w.OwnAuth == nil && w.Transcript == nil
	case Authenticated:
		fits = consented && has(w.Reveal, w.OwnAuth) && w.Transcript == nil
	}
	if !fits || w.Version != 1 || w.Reason > maxReason || (w.Phase == Ended) != (w.Reason != 0) {
		return nil, invalid("does not have the parts of its phase")
	}
	switch w.Phase {
	case Invited, Ended:
		return v, nil
	case Active:
		_, t, err := openTranscript(w.Transcript)
		if err != nil || !bytes.Equal(t.Request, w.Request) {
			return nil, invalid("transcript of another session, or %v", err)
		}
		v.transcript = w.Transcript
		return v, nil
	}
	return v, v.restoreConsent(w)
}

// restoreConsent restores and verifies the messages since the consent.
func (v *Invitee) restoreConsent(w wireInvitee) (err error) {
	if v.secret, err = ecdh.X25519().NewPrivateKey(w.Secret); err != nil {
		return invalid("%v", err)
	}
	if v.accept, err = openAccept(w.Accept, v.request.to, v.request.Side, v.request); err != nil {
		return err
	}
	sum := sha256.Sum256(v.request.raw)
	if !bytes.Equal(v.accept.Request, sum[:]) || !bytes.Equal(v.accept.Ephemeral, v.secret.PublicKey().Bytes()) {
		return invalid("the consent is for another request, or has another key")
	}
	if _, err = openCommitted(w.Payload, v.accept); err != nil {
		return err
	}
	v.payload = w.Payload
	if w.Reveal == nil {
		return nil
	}
	reveal, err := decodeAs(w.Reveal, KindReveal)
	if err != nil || reveal.session != v.request.session {
		return invalid("reveal of another session, or %v", err)
	}
	if err := v.applyReveal(reveal); err != nil {
		return err
	}
	if w.OwnAuth != nil {
		if err := v.restoreAuth(w.OwnAuth, v.request.Side); err != nil {
			return err
		}
	}
	if w.PeerAuth != nil {
		return v.restoreAuth(w.PeerAuth, otherSide(v.request.Side))
	}
	return nil
}

// restoreAuth restores and verifies the AUTH of a side.
func (v *Invitee) restoreAuth(auth []byte, side uint8) error {
	if session, _, err := SessionOf(auth); err != nil || session != v.request.session {
		return invalid("proof of another session, or %v", err)
	}
	return v.openAuth(auth, side)
}

// wireIntroducer is a stored Introducer.
type wireIntroducer struct {
	_        struct{} `cbor:",toarray"`
	Version  uint8    // 1
	Phase    Phase
	Reason   Reason
	Requests [2][]byte
	Salts    [2][]byte
	Accepts  [2][]byte
	Auths    [2][]byte
	Activate [2][]byte
}

// State returns the session, to be stored: see [Invitee.State].
func (i *Introducer) State() []byte {
	w := wireIntroducer{Version: 1, Phase: i.phase, Reason: i.reason}
	for n := range 2 {
		w.Requests[n], w.Salts[n], w.Accepts[n] = i.requests[n+1].raw, i.salts[n+1], i.accepts[n+1]
		w.Auths[n], w.Activate[n] = i.auths[n+1], i.activates[n+1]
	}
	return encode(w)
}

// RestoreIntroducer decodes what [Introducer.State] returned. Its errors wrap
// [ErrInvalid].
func RestoreIntroducer(state []byte) (*Introducer, error) {
	i, err := restoreIntroducer(state)
	if err != nil {
		return nil, fmt.Errorf("state of an introducer: %w", err)
	}
	return i, nil
}

// restoreIntroducer checks that a state has the parts of its phase and no others, and
// verifies them.
func restoreIntroducer(state []byte) (*Introducer, error) {
	var w wireIntroducer
	if err := decodeInto(state, maxState, &w); err != nil {
		return nil, err
	}
	i := &Introducer{phase: w.Phase, reason: w.Reason}
	for n := range 2 {
		m, err := openRequest(w.Requests[n])
		if err != nil {
			return nil, err
		}
		if int(m.Side) != n+1 {
			return nil, invalid("requests in the wrong order")
		}
		i.requests[n+1], i.salts[n+1] = m, w.Salts[n]
	}
	first, second := i.requests[1], i.requests[2]
	if first.session != second.session || first.by != second.by || first.to == second.to || first.Expires != second.Expires {
		return nil, invalid("requests of two sessions")
	}
	for n := range 2 {
		if err := i.restoreSide(uint8(n+1), w.Accepts[n], w.Auths[n], w.Activate[n]); err != nil {
			return nil, err
		}
	}
	consented, authenticated := i.accepts[1] != nil && i.accepts[2] != nil, i.auths[1] != nil || i.auths[2] != nil
	active := i.activates[1] != nil && i.activates[2] != nil
	hasSalts := i.salts[1] != nil && i.salts[2] != nil
	fits := false
	switch w.Phase {
	case Invited:
		fits = hasSalts && !consented && !authenticated
	case Revealed:
		fits = hasSalts && consented && !active
	case Active:
		fits = i.salts[1] == nil && i.salts[2] == nil && consented && active
	case Ended:
		fits = i.salts[1] == nil && i.salts[2] == nil && i.accepts[1] == nil && i.accepts[2] == nil && !authenticated
	}
	if !fits || w.Version != 1 || w.Reason > maxReason || (w.Phase == Ended) != (w.Reason != 0) {
		return nil, invalid("does not have the parts of its phase")
	}
	return i, nil
}

// restoreSide restores and verifies the messages of one side.
func (i *Introducer) restoreSide(side uint8, accept, auth, activate []byte) error {
	if salt := i.salts[side]; salt != nil && (len(salt) != saltSize || !revealsPointer(i.requests[side], salt, i.requests[otherSide(side)].to)) {
		return invalid("the salt does not open the request")
	}
	if accept != nil {
		m, err := decodeAs(accept, KindAccept)
		if err != nil {
			return err
		}
		if err := i.recordAccept(side, m); err != nil {
			return err
		}
	}
	for _, sum := range [][]byte{auth, activate} {
		if sum != nil && len(sum) != hashSize {
			return invalid("hash of %d bytes", len(sum))
		}
	}
	if activate != nil && auth == nil {
		return invalid("does not have the parts of its phase")
	}
	i.auths[side], i.activates[side] = auth, activate
	return nil
}
