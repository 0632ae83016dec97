package pointer

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
	"github.com/ipfs/go-cid"
	ic "github.com/libp2p/go-libp2p/core/crypto"
	cryptopb "github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"
)

// Pointer is the multihash of a libp2p-encoded public key: a self-certifying
// name. It is comparable and usable as a map key. The zero value is invalid: it
// prints as "(no pointer)" and nothing verifies against it.
//
// Keys with an encoding of at most 42 bytes (Ed25519, secp256k1) are part of
// the pointer, under the identity multihash. For others (RSA, ECDSA) the
// pointer has the sha2-256, and the key is part of the record.
type Pointer struct {
	multihash string
}

const (
	// maxInlineKey is the longest public key encoding that is inlined, in
	// bytes, by libp2p's peer ID specification.
	maxInlineKey = 42

	// maxQuoted bounds the part of a hostile input that an error contains, in
	// bytes.
	maxQuoted = 100

	// maxText bounds the input of Parse, in bytes: the longest base (base2,
	// 369) of the longest pointer is shorter.
	maxText = 512

	invalidText = "(no pointer)"
)

// Parse reads a pointer in the forms that people paste: the canonical base36
// text ("k51…", also in upper case), any other multibase of a CIDv1 with the
// libp2p-key codec, a base58 peer ID ("12D3Koo…", "Qm…"), any of these behind
// "/ipns/" or "ipns://", and "did:key:z6Mk…". It ignores white space around it.
// The error for any other text quotes it.
//
// A bare pointer has no checksum: many one-letter typos are refused only
// because they are not a curve point, and others are not refused. People should
// exchange a [Link], or compare [Words].
func Parse(s string) (Pointer, error) {
	p, err := parse(strings.TrimSpace(s))
	if err != nil {
		return Pointer{}, fmt.Errorf("pointer %s: %w", quote(s), err)
	}
	return p, nil
}

// parse is Parse without the prefix of its errors.
func parse(s string) (Pointer, error) {
	switch {
	case s == "":
		return Pointer{}, errors.New("is empty")
	case len(s) > maxText:
		return Pointer{}, fmt.Errorf("is %d bytes long, over %d", len(s), maxText)
	case strings.HasPrefix(s, "did:key:"):
		return parseDIDKey(strings.TrimPrefix(s, "did:key:"))
	case hasPrefixFold(s, linkScheme):
		return Pointer{}, errors.New("is a link, not a bare pointer")
	case strings.HasPrefix(s, "/ipns/"):
		s = strings.TrimSuffix(s[len("/ipns/"):], "/")
	case hasPrefixFold(s, "ipns://"): // a URI scheme is case-insensitive (RFC 3986, §3.1)
		s = strings.TrimSuffix(s[len("ipns://"):], "/")
	}
	// No multibase prefix is Q or 1, and libp2p's peer IDs start with one of
	// them, so the two forms cannot be confused.
	if strings.HasPrefix(s, "Qm") || strings.HasPrefix(s, "1") {
		mh, err := multihash.FromB58String(s)
		if err != nil {
			return Pointer{}, errors.New("is no base58 peer ID")
		}
		return FromBytes(mh)
	}
	b, err := decodeMultibase(s)
	if err != nil {
		if strings.ContainsRune(s, '/') {
			return Pointer{}, errors.New("is a path, not a pointer")
		}
		return Pointer{}, errors.New("is no pointer (one looks like k51qzi5uqu5d…)")
	}
	c, err := cid.Cast(b)
	if err != nil {
		return Pointer{}, errors.New("is no pointer (one looks like k51qzi5uqu5d…): was it cut short?")
	}
	if c.Version() != 1 || c.Type() != cid.Libp2pKey {
		return Pointer{}, errors.New("is the address of content, not a pointer to a key")
	}
	return FromBytes(c.Hash())
}

// decodeMultibase accepts a text only if its bytes encode to the same text, in
// any case for a base without case. The decoders accept more: line breaks,
// unused bits that are set, and unencoded bytes.
func decodeMultibase(s string) ([]byte, error) {
	errSpelling := errors.New("is no multibase text")
	enc, b, err := multibase.Decode(s)
	if err != nil || enc == multibase.Identity {
		return nil, errSpelling
	}
	again, err := multibase.Encode(enc, b)
	if err != nil {
		return nil, errSpelling
	}
	switch enc {
	case multibase.Base58BTC, multibase.Base58Flickr, multibase.Base64, multibase.Base64pad,
		multibase.Base64url, multibase.Base64urlPad, multibase.Base256Emoji:
		if again != s {
			return nil, errSpelling
		}
	default:
		if !equalFoldASCII(again, s) {
			return nil, errSpelling
		}
	}
	return b, nil
}

// hasPrefixFold is strings.HasPrefix without regard to case. The prefix is ASCII.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// equalFoldASCII ignores the case of ASCII letters alone. To strings.EqualFold
// the Kelvin sign equals k.
func equalFoldASCII(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(a, b)
}

// parseDIDKey parses the part of a did:key after "did:key:".
func parseDIDKey(s string) (Pointer, error) {
	b, err := decodeMultibase(s)
	// did:key, §3.1.1: the multicodec ed25519-pub (0xed 0x01), then the key.
	if err != nil || s[0] != multibase.Base58BTC || len(b) != 2+ed25519.PublicKeySize || b[0] != 0xed || b[1] != 0x01 {
		return Pointer{}, errors.New("is no did:key of an Ed25519 key (did:key:z6Mk…)")
	}
	return FromPublicKey(ed25519.PublicKey(b[2:]))
}

// FromBytes reads the binary form: the multihash itself. It refuses Ed25519
// points of low order and non-canonical encodings, of points and of the key's
// wrapping: one key has one pointer.
func FromBytes(mh []byte) (Pointer, error) {
	decoded, err := multihash.Decode(mh)
	if err != nil {
		return Pointer{}, fmt.Errorf("is no multihash: %w", err)
	}
	if canonical, err := multihash.Encode(decoded.Digest, decoded.Code); err != nil || !bytes.Equal(canonical, mh) {
		return Pointer{}, errors.New("is not a canonical multihash")
	}
	switch decoded.Code {
	case multihash.SHA2_256:
		if len(decoded.Digest) != 32 {
			return Pointer{}, fmt.Errorf("is a sha2-256 cut to %d bytes", len(decoded.Digest))
		}
	case multihash.IDENTITY:
		if len(decoded.Digest) > maxInlineKey {
			return Pointer{}, fmt.Errorf("has an inline key of %d bytes, over %d", len(decoded.Digest), maxInlineKey)
		}
		key, err := ic.UnmarshalPublicKey(decoded.Digest)
		if err != nil {
			return Pointer{}, errors.New("holds no public key")
		}
		if canonical, err := ic.MarshalPublicKey(key); err != nil || !bytes.Equal(canonical, decoded.Digest) {
			return Pointer{}, errors.New("holds a public key that is not canonically encoded")
		}
		if err := checkKey(key); err != nil {
			return Pointer{}, err
		}
	default:
		return Pointer{}, fmt.Errorf("uses the hash function 0x%x; pointers use identity or sha2-256", decoded.Code)
	}
	return Pointer{string(mh)}, nil
}

// FromPublicKey returns the pointer of an Ed25519 public key.
func FromPublicKey(pub crypto.PublicKey) (Pointer, error) {
	encoded, err := encodeKey(pub)
	if err != nil {
		return Pointer{}, err
	}
	return fromEncodedKey(encoded)
}

// fromEncodedKey returns the pointer of a libp2p-encoded key that is inlined.
func fromEncodedKey(encoded []byte) (Pointer, error) {
	mh, err := multihash.Encode(encoded, multihash.IDENTITY)
	if err != nil {
		return Pointer{}, err
	}
	return FromBytes(mh)
}

// encodeKey returns the libp2p encoding of an Ed25519 public key.
func encodeKey(pub crypto.PublicKey) ([]byte, error) {
	key, ok := pub.(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("key of type %T: only Ed25519 keys of %d bytes can sign here", pub, ed25519.PublicKeySize)
	}
	k, err := ic.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return nil, err
	}
	return ic.MarshalPublicKey(k)
}

// decodeKey is the inverse of encodeKey, with all of its checks.
func decodeKey(encoded []byte) (ed25519.PublicKey, error) {
	key, err := ic.UnmarshalPublicKey(encoded)
	if err != nil || key.Type() != cryptopb.KeyType_Ed25519 {
		return nil, errors.New("is no Ed25519 public key")
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	raw, err := key.Raw()
	if err != nil {
		return nil, err
	}
	if canonical, err := encodeKey(ed25519.PublicKey(raw)); err != nil || !bytes.Equal(canonical, encoded) {
		return nil, errors.New("holds a public key that is not canonically encoded")
	}
	return raw, nil
}

// checkKey refuses keys that an Ed25519 verifier would accept and no honest key
// generation returns: a point off the curve, a point of low order (one
// signature verifies for many messages), or a point in a second encoding (one
// key would have two pointers).
func checkKey(key ic.PubKey) error {
	if key.Type() != cryptopb.KeyType_Ed25519 {
		return nil
	}
	raw, err := key.Raw()
	if err != nil {
		return err
	}
	point, err := new(edwards25519.Point).SetBytes(raw)
	if err != nil {
		return errors.New("holds an Ed25519 key that is not a point on the curve")
	}
	if !bytes.Equal(point.Bytes(), raw) {
		return errors.New("holds an Ed25519 key in a non-canonical encoding")
	}
	if new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return errors.New("holds an Ed25519 key of low order, which anybody can sign for")
	}
	return nil
}

// IsZero reports whether p is the invalid zero value.
func (p Pointer) IsZero() bool { return p.multihash == "" }

// Bytes returns the multihash. The slice is the caller's.
func (p Pointer) Bytes() []byte { return []byte(p.multihash) }

// String returns the canonical text form: the base36 CIDv1 with the libp2p-key
// codec, "k51…" for Ed25519 keys.
func (p Pointer) String() string {
	if p.IsZero() {
		return invalidText
	}
	s, err := cid.NewCidV1(cid.Libp2pKey, multihash.Multihash(p.multihash)).StringOfBase(multibase.Base36)
	if err != nil {
		return invalidText // unreachable: base36 encodes all bytes
	}
	return s
}

// Short returns the pointer shortened for display beside a nickname,
// "k51…sxel2r". It identifies nothing by itself: an attacker can generate a key
// that matches it.
func (p Pointer) Short() string {
	s := p.String()
	if p.IsZero() || len(s) < 12 {
		return s
	}
	return s[:3] + "…" + s[len(s)-6:]
}

// MarshalText returns the canonical text. For the zero value it returns an
// error.
func (p Pointer) MarshalText() ([]byte, error) {
	if p.IsZero() {
		return nil, errors.New("pointer: the zero pointer has no text")
	}
	return []byte(p.String()), nil
}

// UnmarshalText is [Parse].
func (p *Pointer) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// Verify checks a signature by the Ed25519 key in the pointer. For pointers of
// other kinds of key it returns an error: such keys verify records only (see
// [Open]).
func (p Pointer) Verify(message, sig []byte) error {
	key, err := p.inlineKey()
	if err != nil {
		return fmt.Errorf("pointer %s: %w", p, err)
	}
	if ok, err := key.Verify(message, sig); err != nil || !ok {
		return fmt.Errorf("signature does not verify against pointer %s", p)
	}
	return nil
}

// inlineKey returns the Ed25519 key in the pointer.
func (p Pointer) inlineKey() (ic.PubKey, error) {
	decoded, err := multihash.Decode([]byte(p.multihash))
	if err != nil {
		return nil, errors.New("is no multihash")
	}
	if decoded.Code != multihash.IDENTITY {
		return nil, errors.New("holds only the hash of its key")
	}
	key, err := ic.UnmarshalPublicKey(decoded.Digest)
	if err != nil {
		return nil, err
	}
	if key.Type() != cryptopb.KeyType_Ed25519 {
		return nil, fmt.Errorf("holds a key of type %s, not Ed25519", key.Type())
	}
	return key, nil
}

// quote returns hostile input for an error: escaped and bounded.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q…", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}
