package delegation

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// MaxLifetime bounds the time for which a delegation is valid.
const MaxLifetime = 7 * 24 * time.Hour

const (
	// maxAhead is how far the clock of another party may be ahead.
	maxAhead = 24 * time.Hour

	maxSize    = 512
	maxSeconds = 1 << 36
	domain     = "petnames/delegation/v1\x00"
)

var (
	// ErrInvalid is wrapped by errors about bytes of the other party.
	ErrInvalid = errors.New("does not verify")

	// ErrExpired is returned for a delegation that is no longer valid, or not yet.
	ErrExpired = errors.New("the delegation of the peer key has expired, or a clock is wrong")

	// ErrEpoch is returned for a delegation of an earlier epoch than a card states.
	ErrEpoch = errors.New("the delegation of the peer key was revoked")
)

// Delegation is an identity's statement that a peer key speaks for its pointer. Its
// signature was verified. It is immutable. The zero value is invalid.
type Delegation struct {
	raw  []byte
	body body

	by, peer pointer.Pointer
}

// signed is the encoding of a Delegation.
type signed struct {
	_         struct{} `cbor:",toarray"`
	Signature []byte
	Body      []byte
}

type body struct {
	_       struct{} `cbor:",toarray"`
	Version uint
	By      []byte
	Peer    []byte
	Epoch   uint64
	Made    int64
	Expires int64
}

// Sign returns the delegation of an identity key to a peer key, for a time that starts
// now and is at most [MaxLifetime].
func Sign(identity crypto.Signer, peer pointer.Pointer, epoch uint64, now, expires time.Time) (Delegation, error) {
	by, err := pointer.FromPublicKey(identity.Public())
	if err != nil {
		return Delegation{}, fmt.Errorf("delegation: %w", err)
	}
	b, err := canonical.Marshal(body{Version: 1, By: by.Bytes(), Peer: peer.Bytes(), Epoch: epoch, Made: now.Unix(), Expires: expires.Unix()})
	if err != nil {
		return Delegation{}, fmt.Errorf("delegation: %w", err)
	}
	signature, err := identity.Sign(rand.Reader, append([]byte(domain), b...), crypto.Hash(0))
	if err != nil {
		return Delegation{}, fmt.Errorf("delegation: %w", err)
	}
	raw, err := canonical.Marshal(signed{Signature: signature, Body: b})
	if err != nil {
		return Delegation{}, fmt.Errorf("delegation: %w", err)
	}
	return Open(raw)
}

// Open parses and verifies a delegation. Its errors wrap [ErrInvalid]. It reads no
// clock: see [Delegation.Check].
func Open(b []byte) (Delegation, error) {
	invalid := func(err error) (Delegation, error) {
		return Delegation{}, fmt.Errorf("delegation %w: %w", ErrInvalid, err)
	}
	d := Delegation{raw: append([]byte(nil), b...)}
	var s signed
	if err := canonical.Unmarshal(d.raw, &s, canonical.Bounds{Size: maxSize}); err != nil {
		return invalid(err)
	}
	if err := canonical.Unmarshal(s.Body, &d.body, canonical.Bounds{Size: maxSize}); err != nil {
		return invalid(err)
	}
	if d.body.Version != 1 {
		return invalid(fmt.Errorf("version %d", d.body.Version))
	}
	var err error
	if d.by, err = pointer.FromBytes(d.body.By); err != nil {
		return invalid(err)
	}
	if d.peer, err = pointer.FromBytes(d.body.Peer); err != nil {
		return invalid(err)
	}
	made, expires := d.body.Made, d.body.Expires
	if made < 0 || expires > maxSeconds || expires <= made || expires-made > int64(MaxLifetime/time.Second) {
		return invalid(errors.New("the times are out of range"))
	}
	if err := d.by.Verify(append([]byte(domain), s.Body...), s.Signature); err != nil {
		return invalid(err)
	}
	return d, nil
}

// Bytes returns the encoding of a delegation, which Open reads.
func (d Delegation) Bytes() []byte { return append([]byte(nil), d.raw...) }

// By returns the pointer that the peer key speaks for.
func (d Delegation) By() pointer.Pointer { return d.by }

// Peer returns the peer key as a pointer: its text in [pointer.FormPeer] is the peer ID.
func (d Delegation) Peer() pointer.Pointer { return d.peer }

// Epoch returns the epoch, which the owner raises to revoke earlier delegations.
func (d Delegation) Epoch() uint64 { return d.body.Epoch }

// Expires returns the end of the validity.
func (d Delegation) Expires() time.Time { return time.Unix(d.body.Expires, 0).UTC() }

// IsZero reports whether d is the zero value.
func (d Delegation) IsZero() bool { return d.raw == nil }

// Check returns [ErrExpired] or [ErrEpoch] for a delegation that is not valid now, or
// of an earlier epoch than the newest card of the pointer states. Clocks may differ by
// a day before its beginning, and not after its end.
func (d Delegation) Check(now time.Time, epoch uint64) error {
	made := time.Unix(d.body.Made, 0)
	if !now.Before(d.Expires()) || made.Sub(now) > maxAhead {
		return fmt.Errorf("%w: it is valid from %s to %s", ErrExpired, made.UTC().Format(time.RFC3339), d.Expires().Format(time.RFC3339))
	}
	if d.Epoch() < epoch {
		return ErrEpoch
	}
	return nil
}
