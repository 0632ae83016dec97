package pair

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
)

// Invitation lets whoever holds it pair with its inviter: a bearer's ticket. All
// of it stands under the inviter's signature. Its text, [Invitation.Link], and
// its short form for a QR code, [Invitation.Compact], hold its secret.
type Invitation struct {
	Inviter   pointer.Pointer
	Next      pointer.Commitment // zero: none
	Addresses [][]byte           // multiaddrs in binary form, not checked
	Expires   time.Time          // to the second, in UTC
	Uses      int                // 1 to MaxUses
	Purpose   string             // ≤ MaxPurpose bytes; hostile until cleaned
	For       pointer.Pointer    // who may take it; zero: anyone

	secret [secretSize]byte
	key    []byte // X25519 public key of this invitation
	signed []byte // the whole, in canonical CBOR
}

const (
	// MaxUses bounds how many people one invitation can pair with.
	MaxUses = 16

	// MaxPurpose bounds the purpose, in bytes of UTF-8.
	MaxPurpose = 140

	secretSize    = 16 // 128 bits
	linkPrefix    = "petname-invite:"
	maxInvitation = 4 << 10 // bytes
	maxExpires    = 1 << 40 // seconds since 1970

	domainInvite = "petnames/pair/invitation/v1\x00"
)

// wireInvitation is what the inviter signs, behind domainInvite.
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
}

type wireSigned struct {
	_         struct{} `cbor:",toarray"`
	Body      wireInvitation
	Signature []byte
}

// ExpiredError carries an invitation that verifies and is past its end.
type ExpiredError struct {
	Invitation Invitation
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("%s (on %s)", ErrExpired, e.Invitation.Expires.Format(time.RFC3339))
}

func (e *ExpiredError) Unwrap() error { return ErrExpired }

// Terms are what the inviter chooses.
type Terms struct {
	Expires time.Time
	Uses    int             // 0 means 1
	Purpose string          // ≤ MaxPurpose bytes
	For     pointer.Pointer // zero: anyone
}

// invite makes and signs an invitation, with the private half of its key.
func (s Self) invite(t Terms) (Invitation, *ecdh.PrivateKey, error) {
	fail := func(err error) (Invitation, *ecdh.PrivateKey, error) {
		return Invitation{}, nil, fmt.Errorf("inviting: %w", err)
	}
	if _, err := s.encodeIdentity(); err != nil {
		return fail(err)
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
		Expires: t.Expires.Unix(), Uses: t.Uses, Purpose: t.Purpose, For: t.For.Bytes(),
	}
	if _, err := body.read(); err != nil {
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

// newX25519 reads the key's 32 bytes out of random: ecdh.Curve.GenerateKey
// doesn't give the same key for the same bytes.
func newX25519(random io.Reader) (*ecdh.PrivateKey, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, err
	}
	return ecdh.X25519().NewPrivateKey(b[:])
}

// openInvitation reads and verifies the signed form; time is not looked at.
func openInvitation(b []byte) (Invitation, error) {
	var w wireSigned
	if err := decode(b, maxInvitation, &w); err != nil {
		return Invitation{}, err
	}
	inv, err := w.Body.read()
	if err != nil {
		return Invitation{}, err
	}
	if err := verify(inv.Inviter, domainInvite, w.Body, w.Signature); err != nil {
		return Invitation{}, err
	}
	inv.signed = bytes.Clone(b)
	return inv, nil
}

func (w wireInvitation) read() (Invitation, error) {
	inv := Invitation{
		Addresses: cloneAddresses(w.Addresses), Expires: time.Unix(w.Expires, 0).UTC(), Uses: w.Uses, Purpose: w.Purpose,
		key: bytes.Clone(w.Key),
	}
	if w.Version != 1 {
		return Invitation{}, fmt.Errorf("has version %d, and this program knows 1", w.Version)
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
		return Invitation{}, fmt.Errorf("its end, %d, is no time", w.Expires)
	case w.Uses < 1 || w.Uses > MaxUses:
		return Invitation{}, fmt.Errorf("has %d uses, and 1 to %d are possible", w.Uses, MaxUses)
	case len(w.Purpose) > MaxPurpose || !utf8.ValidString(w.Purpose):
		return Invitation{}, fmt.Errorf("its purpose is over %d bytes long, or not UTF-8", MaxPurpose)
	}
	return inv, checkAddresses(w.Addresses)
}

// Link is the invitation as text, "petname-invite:…". Whoever reads it can
// take the invitation.
func (i Invitation) Link() string {
	return linkPrefix + base64.RawURLEncoding.EncodeToString(i.signed)
}

// ID tells invitations apart, without their secret: the hash of the whole.
func (i Invitation) ID() [32]byte {
	return [32]byte(digest("petnames/pair/invitation/id/v1\x00", i.signed))
}

// String names the invitation without its secret.
func (i Invitation) String() string {
	if i.signed == nil {
		return "(no invitation)"
	}
	return "invitation of " + i.Inviter.String()
}

// Format keeps the secret out of every verb of fmt.
func (i Invitation) Format(f fmt.State, _ rune) { io.WriteString(f, i.String()) }

// MarshalText refuses: a secret must not slip into JSON or a log by accident.
func (i Invitation) MarshalText() ([]byte, error) {
	return nil, errors.New("an invitation is not marshalled; use Link")
}

func (i Invitation) clone() Invitation {
	i.Addresses = cloneAddresses(i.Addresses)
	i.key, i.signed = bytes.Clone(i.key), bytes.Clone(i.signed)
	return i
}

// Ticket is what a person was handed: a whole invitation, or its compact form,
// which says by whom it is and where the rest can be had.
type Ticket struct {
	Inviter    pointer.Pointer
	Addresses  [][]byte    // of the inviter; not checked, and of a compact form not signed
	Invitation *Invitation // nil: not yet fetched

	secret [secretSize]byte
}

// String names the ticket without its secret.
func (t Ticket) String() string {
	if t.Inviter.IsZero() {
		return "(no invitation)"
	}
	return "invitation of " + t.Inviter.String()
}

// Format keeps the secret out of every verb of fmt.
func (t Ticket) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText refuses: a secret must not slip into JSON or a log by accident.
func (t Ticket) MarshalText() ([]byte, error) {
	return nil, errors.New("an invitation is not marshalled")
}

// ParseTicket reads a link, "petname-invite:…", or a compact form,
// "PETNAME:I.…". White space around it is dropped. A link is verified; one past
// its end comes inside an [*ExpiredError]. Of a compact form the inviter's
// pointer is all that is certain: what is fetched with it is held against that
// pointer. Errors don't repeat the input, which has a secret in it.
func ParseTicket(s string, now time.Time) (Ticket, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, compactPrefix) {
		t, err := parseCompact(s)
		if err != nil {
			return Ticket{}, fmt.Errorf("invitation: %w", err)
		}
		return t, nil
	}
	inv, err := parseLink(s)
	if err != nil {
		return Ticket{}, fmt.Errorf("invitation: %w", err)
	}
	if !now.Before(inv.Expires) {
		return Ticket{}, &ExpiredError{inv}
	}
	return Ticket{Inviter: inv.Inviter, Addresses: cloneAddresses(inv.Addresses), Invitation: &inv, secret: inv.secret}, nil
}

func parseLink(s string) (Invitation, error) {
	text, ok := strings.CutPrefix(s, linkPrefix)
	if !ok {
		return Invitation{}, fmt.Errorf("does not begin with %s or %s: paste all of it", linkPrefix, compactPrefix)
	}
	if len(text) > base64.RawURLEncoding.EncodedLen(maxInvitation) {
		return Invitation{}, fmt.Errorf("is %d bytes long", len(s))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != text {
		return Invitation{}, errors.New("was mistyped or cut short: ask for it again")
	}
	return openInvitation(b)
}

// card is the box in which the inviter leaves the whole invitation for those
// who have the compact form.
func invitationMailbox(secret [secretSize]byte) mailbox {
	return newMailbox(secret[:], nil, "petnames/pair/link/v1 invitation")
}

func invitationKey(secret [secretSize]byte) []byte {
	return derive(secret[:], nil, "petnames/pair/link/v1 invitation sealed", 32)
}

// takeBoxes are where takers leave their messages: one more than there are
// uses, so that who comes late can be told.
func (i Invitation) acceptanceMailboxes() []mailbox {
	mailboxes := make([]mailbox, i.Uses+1)
	for n := range mailboxes {
		mailboxes[n] = newMailbox(i.secret[:], i.signed, fmt.Sprintf("petnames/pair/link/v1 take %d", n))
	}
	return mailboxes
}

// takenBox is where the answer to one message is.
func (i Invitation) answerMailbox(acceptance []byte) mailbox {
	return newMailbox(i.secret[:], slices.Concat(i.signed, acceptance), "petnames/pair/link/v1 taken")
}
