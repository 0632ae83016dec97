package pointer

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
	"github.com/ipfs/go-cid"
	ic "github.com/libp2p/go-libp2p/core/crypto"
	cryptopb "github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"

	"github.com/petnames-go/petnames/pointer/paste"
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

	// maxText bounds an identifier in the input of Parse, in bytes, with the path
	// around it. The longest base (base2, 369) of the longest pointer is shorter.
	maxText = 2 << 10

	invalidText = "(no pointer)"
)

// Parse reads a pointer in the forms that people paste:
//
//   - the canonical base36 text ("k51…"), also in upper case, and any other multibase
//     of a CIDv1 with the libp2p-key codec;
//   - a peer ID ("12D3Koo…", "Qm…"), also behind "/p2p/" and at the end of a
//     multiaddr;
//   - "/ipns/…", "ipns://…", "dnslink=/ipns/…" and the address of a gateway, with or
//     without a path, which is ignored;
//   - keys of other systems: did:key (Ed25519 and secp256k1) and did:dht, z-base-32
//     (pkarr), "ssh-ed25519 …", and public keys in PEM and as JSON Web Keys.
//
// It ignores what other programs add to a text when it is copied: see package paste.
// A text with more than one key is refused. The error for any other text quotes it,
// unless it has a private key anywhere.
//
// A bare pointer has no checksum: many one-letter typos are refused only
// because they are not a curve point, and others are not refused. People should
// exchange a [Link], or compare [Words].
func Parse(s string) (Pointer, error) {
	if isSecret(s) {
		return Pointer{}, fmt.Errorf("pointer: %w", errSecret)
	}
	p, err := parseCopied(s)
	if err == nil && hasSecondKey(s, p) {
		err = errSecondKey
	}
	if err != nil {
		return Pointer{}, fmt.Errorf("pointer %s: %w", quote(s), err)
	}
	return p, nil
}

// parseCopied is Parse without the checks for private and for second keys, and without
// the prefix of its errors.
func parseCopied(s string) (Pointer, error) {
	trimmed := strings.TrimSpace(s)
	p, err := parse(trimmed)
	if err == nil {
		return p, nil
	}
	if strings.Contains(s, "\x1b") { // paste removes control sequences, in which a letter can be lost
		return Pointer{}, err
	}
	for _, copied := range []string{string(paste.Lines([]byte(s))), paste.Words(s)} { // of several lines, and of several words
		if p, known, err := parseKeyText(strings.TrimSpace(copied)); known && err == nil {
			return p, nil
		}
	}
	// A bare pointer has no checksum, so no lines are joined, and no letters mapped.
	token := paste.Words(s)
	if token != trimmed && !strings.Contains(token, " ") && !paste.HasFullWidth(s) {
		if p, err := parse(token); err == nil {
			return p, nil
		}
	}
	if foreign := paste.Foreign(token); foreign != "" && parseable(token) {
		err = fmt.Errorf("has the character %s, which no pointer has: it was mistyped, or is a forgery", foreign)
	}
	return Pointer{}, err
}

// parseable reports whether a text would be tried as a pointer if one character were
// another one.
func parseable(s string) bool {
	n := 0
	for _, r := range s {
		if r >= utf8.RuneSelf {
			n++
		}
	}
	return len(s) > 40 && n < 4
}

// parse reads one key as it is, without what other programs add to it.
func parse(s string) (Pointer, error) {
	if s == "" {
		return Pointer{}, errors.New("is empty")
	}
	if len(s) > maxKeyText {
		return Pointer{}, fmt.Errorf("is %d bytes long, over %d", len(s), maxKeyText)
	}
	if p, known, err := parseKeyText(s); known {
		return p, err
	}
	switch {
	case len(s) > maxText:
		return Pointer{}, fmt.Errorf("is %d bytes long, over %d", len(s), maxText)
	case hasPrefixFold(s, linkScheme):
		return Pointer{}, errors.New("is a link, not a bare pointer")
	case strings.HasPrefix(s, "did:"), strings.HasPrefix(s, "pk:"):
		return parseDID(s)
	}
	s, err := locate(s)
	if err != nil {
		return Pointer{}, err
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
	if err == nil {
		if c, cerr := cid.Cast(b); cerr == nil {
			if c.Version() != 1 || c.Type() != cid.Libp2pKey {
				return Pointer{}, errors.New("is the address of content, not a pointer to a key")
			}
			return FromBytes(c.Hash())
		}
	}
	switch {
	case isZBase32(s):
		return parseZBase32(s)
	case err == nil:
		return Pointer{}, errors.New("is no pointer (one looks like k51qzi5uqu5d…): was it cut short?")
	}
	return Pointer{}, fmt.Errorf("is %s (a pointer looks like k51qzi5uqu5d…)", looksLike(s))
}

// locate returns the identifier in a path, a URL or a multiaddr, and other text
// unchanged.
func locate(s string) (string, error) {
	s = strings.TrimPrefix(s, "dnslink=")
	first := func(path string) (string, error) {
		id, _, _ := strings.Cut(path, "/")
		if strings.Contains(id, ".") {
			return "", fmt.Errorf("is the domain name %s, which no key signs", quote(id))
		}
		return id, nil
	}
	for _, scheme := range []string{"https://", "http://"} {
		if !hasPrefixFold(s, scheme) {
			continue
		}
		address, _, _ := strings.Cut(s[len(scheme):], "#")
		address, _, _ = strings.Cut(address, "?")
		host, path, _ := strings.Cut(address, "/")
		if id, gateway, ok := strings.Cut(host, ".ipns."); ok && gateway != "" {
			return first(id)
		}
		if id, gateway, ok := strings.Cut(host, ".ipfs."); ok && gateway != "" && isCID(id) {
			return "", errors.New("is the address of content, not a pointer to a key")
		}
		if path, ok := strings.CutPrefix(path, "ipns/"); ok {
			return first(path)
		}
		return "", errors.New("is a web address, not that of a pointer at a gateway (…/ipns/k51…)")
	}
	switch {
	case hasPrefixFold(s, "ipns://"): // a URI scheme is case-insensitive (RFC 3986, §3.1)
		s, _, _ = strings.Cut(s[len("ipns://"):], "#")
		s, _, _ = strings.Cut(s, "?")
		return first(s)
	case strings.HasPrefix(s, "/ipns/"):
		return first(s[len("/ipns/"):])
	case strings.HasPrefix(s, "/ipfs/"), hasPrefixFold(s, "ipfs://"):
		return "", errors.New("is the address of content, not a pointer to a key")
	case strings.HasPrefix(s, "/"):
		parts := strings.Split(strings.TrimSuffix(s, "/"), "/")
		if n := len(parts); n > 2 && (parts[n-2] == "p2p" || parts[n-2] == "ipfs") {
			return parts[n-1], nil
		}
		if strings.Contains(s, "/p2p/") {
			return "", errors.New("is an address that does not end with a peer ID")
		}
		return "", errors.New("is a path, not a pointer")
	}
	return s, nil
}

// isCID reports whether a text is a CID.
func isCID(s string) bool {
	_, err := cid.Decode(s)
	return err == nil
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

// fromKeyDigest returns the pointer of a libp2p-encoded key that is not inlined.
func fromKeyDigest(encoded []byte) (Pointer, error) {
	mh, err := multihash.Sum(encoded, multihash.SHA2_256, -1)
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
	// SetBytes reduces y. Of the points with x = 0, the other non-canonical kind, both are of
	// low order.
	y, err := new(field.Element).SetBytes(raw)
	if err != nil {
		return err
	}
	if canonical := y.Bytes(); canonical[31] != raw[31]&0x7f || !bytes.Equal(canonical[:31], raw[:31]) {
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

// Ed25519 returns the Ed25519 key in the pointer; false for other kinds of key.
func (p Pointer) Ed25519() (ed25519.PublicKey, bool) {
	key, err := p.inlineKey()
	if err != nil {
		return nil, false
	}
	raw, err := key.Raw()
	return ed25519.PublicKey(raw), err == nil
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
