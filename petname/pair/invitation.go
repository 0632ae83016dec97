package pair

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
)

// Invitation lets any holder pair with its inviter, unless it has a recipient. The
// inviter signed all of it. Its text, [Invitation.Link], and its short form,
// [Invitation.Compact], contain its secret.
type Invitation struct {
	Inviter   pointer.Pointer
	Next      pointer.Commitment // zero: none
	Addresses [][]byte           // multiaddrs in binary form, not checked
	Expires   time.Time          // to the second, in UTC
	Uses      int                // 1 to MaxUses
	Purpose   string             // ≤ MaxPurpose bytes; untrusted text
	For       pointer.Pointer    // the recipient; zero: any holder
	Device    bool               // admits a device of the inviter, and no contact
	Networks  []string           // of a Device: the networks of the inviter, as agents join them; not checked

	secret [secretSize]byte
	key    []byte // X25519 public key of this invitation
	signed []byte // the signed invitation, in canonical CBOR
}

const (
	// MaxUses bounds the identities that one invitation can pair with.
	MaxUses = 16

	// MaxPurpose bounds the purpose, in bytes of UTF-8.
	MaxPurpose = 140

	secretSize    = 16 // 128 bits
	linkPrefix    = "petname-invite:"
	devicePrefix  = "petname-device:"
	maxInvitation = 4 << 10 // bytes
	maxExpires    = 1 << 40 // seconds since 1970

	// maxNetworks bounds Invitation.Networks, and maxNetwork each of them, in bytes.
	maxNetworks = 8
	maxNetwork  = 256

	domainInvite = "petnames/pair/invitation/v1\x00"
)

// wireInvitation is signed by the inviter, after domainInvite.
type wireInvitation struct {
	Version   int      `cbor:"1,keyasint"`
	Inviter   []byte   `cbor:"2,keyasint"`
	Next      []byte   `cbor:"3,keyasint,omitempty"`
	Addresses [][]byte `cbor:"4,keyasint,omitempty"`
	Secret    []byte   `cbor:"5,keyasint"`
	Key       []byte   `cbor:"6,keyasint"`
	Expires   int64    `cbor:"7,keyasint"` // seconds since 1970
	Uses      int      `cbor:"8,keyasint"`
	Purpose   string   `cbor:"9,keyasint,omitempty"`
	For       []byte   `cbor:"10,keyasint,omitempty"`
	Device    bool     `cbor:"11,keyasint,omitempty"`
	Networks  []string `cbor:"12,keyasint,omitempty"` // with Device alone
}

// wireSigned is a signed invitation.
type wireSigned struct {
	_         struct{} `cbor:",toarray"`
	Body      wireInvitation
	Signature []byte
}

// ExpiredError is returned for a verified invitation that has expired.
type ExpiredError struct {
	Invitation Invitation
	Now        time.Time // by the clock of this machine, which may be wrong
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("%s (on %s; this machine's clock shows %s)", ErrExpired, e.Invitation.Expires.Format(time.RFC3339), clockText(e.Now))
}

func (e *ExpiredError) Unwrap() error { return ErrExpired }

// Terms are the terms of a new invitation.
type Terms struct {
	Expires time.Time
	Made    time.Time       // by the clock that Expires was taken from; zero: unknown
	Uses    int             // 0 means 1
	Purpose string          // ≤ MaxPurpose bytes
	For     pointer.Pointer // the recipient; zero: any holder

	Device   bool     // the invitation admits a device of the inviter
	Networks []string // of a Device: see Invitation; those that do not fit are left out
}

// invite returns a new signed invitation and the private half of its key.
func (s Self) invite(t Terms) (Invitation, *ecdh.PrivateKey, error) {
	fail := func(err error) (Invitation, *ecdh.PrivateKey, error) {
		return Invitation{}, nil, fmt.Errorf("inviting: %w", err)
	}
	if _, err := s.encodeIdentity(); err != nil {
		return fail(err)
	}
	if s.Device != t.Device {
		return fail(errPurpose(t.Device))
	}
	random := randomOr(s.Random)
	var secret [secretSize]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return fail(err)
	}
	private, err := newX25519(random)
	if err != nil {
		return fail(err)
	}
	if t.Uses == 0 {
		t.Uses = 1
	}
	body := wireInvitation{
		Version: 1, Inviter: s.Identity.Pointer.Bytes(), Next: s.Identity.Next.Bytes(), Addresses: s.Identity.Addresses,
		Secret: secret[:], Key: private.PublicKey().Bytes(),
		Expires: t.Expires.Unix(), Uses: t.Uses, Purpose: t.Purpose, For: t.For.Bytes(), Device: t.Device,
	}
	if t.Device {
		body.Networks = fittingNetworks(t.Networks)
	}
	if _, err := body.check(); err != nil {
		return fail(err)
	}
	sig, err := s.sign(domainInvite, body)
	if err != nil {
		return fail(err)
	}
	inv, err := openInvitation(encode(wireSigned{Body: body, Signature: sig}))
	if err != nil {
		return fail(err)
	}
	return inv, private, nil
}

// newX25519 returns the key of the next 32 bytes of random. ecdh.Curve.GenerateKey does
// not return the same key for the same bytes.
func newX25519(random io.Reader) (*ecdh.PrivateKey, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, err
	}
	return ecdh.X25519().NewPrivateKey(b[:])
}

// openInvitation decodes and verifies the signed form. It does not check the time.
func openInvitation(b []byte) (Invitation, error) {
	var w wireSigned
	if err := decode(b, maxInvitation, &w); err != nil {
		return Invitation{}, err
	}
	inv, err := w.Body.check()
	if err != nil {
		return Invitation{}, err
	}
	if err := verify(inv.Inviter, domainInvite, w.Body, w.Signature); err != nil {
		return Invitation{}, err
	}
	inv.signed = bytes.Clone(b)
	return inv, nil
}

// check returns the invitation if all fields are valid. It does not verify the signature.
func (w wireInvitation) check() (Invitation, error) {
	inv := Invitation{
		Addresses: cloneAddresses(w.Addresses), Expires: time.Unix(w.Expires, 0).UTC(), Uses: w.Uses, Purpose: w.Purpose,
		Device: w.Device, Networks: slices.Clone(w.Networks), key: bytes.Clone(w.Key),
	}
	if w.Version != 1 {
		return Invitation{}, fmt.Errorf("has version %d, not 1", w.Version)
	}
	var err error
	if inv.Inviter, err = pointer.FromBytes(w.Inviter); err != nil {
		return Invitation{}, err
	}
	if len(w.Next) > 0 {
		if inv.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
			return Invitation{}, err
		}
	}
	if len(w.For) > 0 {
		if inv.For, err = pointer.FromBytes(w.For); err != nil {
			return Invitation{}, err
		}
	}
	if inv.For == inv.Inviter {
		return Invitation{}, errors.New("is for the inviter itself")
	}
	if len(w.Secret) != secretSize || len(w.Key) != 32 {
		return Invitation{}, errors.New("its secret or its key has the wrong length")
	}
	inv.secret = [secretSize]byte(w.Secret)
	switch {
	case w.Expires < 0 || w.Expires > maxExpires:
		return Invitation{}, fmt.Errorf("its end, %d, is out of range", w.Expires)
	case w.Uses < 1 || w.Uses > MaxUses:
		return Invitation{}, fmt.Errorf("has %d uses, not 1 to %d", w.Uses, MaxUses)
	case len(w.Networks) > 0 && (!w.Device || len(fittingNetworks(w.Networks)) != len(w.Networks)):
		return Invitation{}, errors.New("its networks are too many or too long, or of no device")
	case len(w.Purpose) > MaxPurpose || !utf8.ValidString(w.Purpose):
		return Invitation{}, fmt.Errorf("its purpose is over %d bytes long, or not UTF-8", MaxPurpose)
	}
	return inv, checkAddresses(w.Addresses)
}

// fittingNetworks returns the networks that an invitation has room for.
func fittingNetworks(all []string) (fitting []string) {
	for _, n := range all {
		if n != "" && len(n) <= maxNetwork && utf8.ValidString(n) && len(fitting) < maxNetworks {
			fitting = append(fitting, n)
		}
	}
	return fitting
}

// Link returns the invitation as text, "petname-invite:…", or "petname-device:…" for one
// of a Device. Any holder of the text can accept the invitation.
func (i Invitation) Link() string {
	return i.linkPrefix() + base64.RawURLEncoding.EncodeToString(i.signed)
}

func (i Invitation) linkPrefix() string {
	if i.Device {
		return devicePrefix
	}
	return linkPrefix
}

// ID returns the hash of the signed invitation. It identifies the invitation without
// its secret.
func (i Invitation) ID() [32]byte {
	return [32]byte(digest("petnames/pair/invitation/id/v1\x00", i.signed))
}

// String describes the invitation without its secret.
func (i Invitation) String() string {
	if i.signed == nil {
		return "(no invitation)"
	}
	return "invitation of " + i.Inviter.String()
}

// Format prints String for every verb of fmt, so that the secret is not printed.
func (i Invitation) Format(f fmt.State, _ rune) { io.WriteString(f, i.String()) }

// MarshalText returns an error, so that no secret is written to JSON or a log by accident.
func (i Invitation) MarshalText() ([]byte, error) {
	return nil, errors.New("an invitation is not marshalled; use Link")
}

// clone returns a deep copy.
func (i Invitation) clone() Invitation {
	i.Addresses, i.Networks = cloneAddresses(i.Addresses), slices.Clone(i.Networks)
	i.key, i.signed = bytes.Clone(i.key), bytes.Clone(i.signed)
	return i
}

// Ticket is a parsed link or compact form. A compact form names the inviter, and the
// mailbox in which the invitation is.
type Ticket struct {
	Inviter    pointer.Pointer
	Addresses  [][]byte    // of the inviter; not checked, and in a compact form not signed
	Invitation *Invitation // nil: not yet fetched
	Device     bool        // see Invitation

	secret [secretSize]byte
}

// String describes the ticket without its secret.
func (t Ticket) String() string {
	if t.Inviter.IsZero() {
		return "(no invitation)"
	}
	return "invitation of " + t.Inviter.String()
}

// Format prints String for every verb of fmt, so that the secret is not printed.
func (t Ticket) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText returns an error, so that no secret is written to JSON or a log by accident.
func (t Ticket) MarshalText() ([]byte, error) {
	return nil, errors.New("an invitation is not marshalled")
}

// invitationMailbox returns the mailbox of the whole invitation, for holders of the
// compact form.
func invitationMailbox(secret [secretSize]byte) mailbox {
	m := newMailbox(secret[:], nil, "petnames/pair/link/v1 invitation")
	m.ended = true // its own end counts, and is reported
	return m
}

// invitationKey returns the key of the seal of the whole invitation.
func invitationKey(secret [secretSize]byte) []byte {
	return derive(secret[:], nil, "petnames/pair/link/v1 invitation sealed", 32)
}

// acceptanceMailboxes returns the mailboxes of acceptances: one more than there are uses,
// so that a late invitee receives a refusal.
func (i Invitation) acceptanceMailboxes() []mailbox {
	mailboxes := make([]mailbox, i.Uses+1)
	for n := range mailboxes {
		mailboxes[n] = newMailbox(i.secret[:], i.signed, fmt.Sprintf("petnames/pair/link/v1 take %d", n))
	}
	return mailboxes
}

// answerMailbox returns the mailbox of the answer to one acceptance.
func (i Invitation) answerMailbox(acceptance []byte) mailbox {
	return newMailbox(i.secret[:], slices.Concat(i.signed, acceptance), "petnames/pair/link/v1 taken")
}
