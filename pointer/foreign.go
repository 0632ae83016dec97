package pointer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	ic "github.com/libp2p/go-libp2p/core/crypto"
	cryptopb "github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"

	"github.com/petnames-go/petnames/pointer/paste"
)

// The forms in which other systems write a public key. Each holds the whole key, so
// that its pointer can be computed.

// errSecret is returned for a text with a private key, which no error may quote.
var errSecret = errors.New("it has a private key: keep that to yourself, and use the public key")

// isSecret reports whether a text has a private key: see [paste.HasSecret]. A text in
// JSON has one if it has a member d at all.
func isSecret(s string) bool {
	s = strings.TrimSpace(s)
	return paste.HasSecret(s) || strings.HasPrefix(s, "{") && strings.Contains(strings.Join(strings.Fields(s), ""), `"d":`)
}

// pemBegin is the start of a block of PEM.
const pemBegin = "-----BEGIN "

// maxKeyText bounds the text of a public key in PEM or JSON, in bytes.
const maxKeyText = 8 << 10

// parseKeyText reads a public key as SSH, PEM and JSON Web Keys write it. It reports
// false for a text in none of these forms.
func parseKeyText(s string) (p Pointer, known bool, err error) {
	switch {
	case strings.HasPrefix(s, "ssh-") || strings.HasPrefix(s, "ecdsa-sha2-") || strings.HasPrefix(s, "sk-"):
		p, err = parseSSH(s)
	case strings.HasPrefix(s, pemBegin):
		p, err = parsePEM(s)
	case strings.HasPrefix(s, "{"):
		p, err = parseJWK(s)
	default:
		return Pointer{}, false, nil
	}
	return p, true, err
}

// parseSSH reads the line of a public key file of SSH (RFC 4253 §6.6, RFC 8709 §4).
func parseSSH(s string) (Pointer, error) {
	fields := strings.Fields(s)
	if fields[0] != sshKind {
		return Pointer{}, fmt.Errorf("is an SSH key of type %s: only %s is read", quote(fields[0]), sshKind)
	}
	if len(fields) < 2 {
		return Pointer{}, errors.New("is an SSH key without its key: was it cut short?")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil || len(b) != len(sshHeader)+ed25519.PublicKeySize || string(b[:len(sshHeader)]) != sshHeader {
		return Pointer{}, errors.New("is no whole SSH key: was it cut short?")
	}
	return FromPublicKey(ed25519.PublicKey(b[len(sshHeader):]))
}

// The type of an Ed25519 key in SSH, and what is before its 32 bytes.
const (
	sshKind   = "ssh-ed25519"
	sshHeader = "\x00\x00\x00\x0b" + sshKind + "\x00\x00\x00\x20"
)

// sshBlob is the start of a key of SSH of any type in base64: the upper bytes of the
// length of its type.
const sshBlob = "AAAA"

// parsePEM reads a public key in PEM (RFC 7468 §13).
func parsePEM(s string) (Pointer, error) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(s, pemBegin), "-----")
	if kind != "PUBLIC KEY" {
		return Pointer{}, fmt.Errorf("is a PEM block of type %s: only PUBLIC KEY is read", quote(kind))
	}
	var der []byte
	if block, _ := pem.Decode([]byte(s)); block != nil {
		der = block.Bytes
	} else if der = copiedPEM(s); der == nil {
		return Pointer{}, errors.New("is a damaged PEM block: was it cut short?")
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return Pointer{}, errors.New("is a PEM block without a public key that is known")
	}
	return fromStandardKey(key)
}

// copiedPEM returns the content of a PEM block of a public key of which a single padding
// character was removed with the line break after it, as a soft line break of quoted-printable
// is; nil for any other text.
func copiedPEM(s string) []byte {
	encoded, rest, _ := strings.Cut(strings.TrimPrefix(s, pemBegin+"PUBLIC KEY-----"), "-----")
	if !strings.HasPrefix(rest, "END PUBLIC KEY-----") {
		return nil
	}
	der, err := base64.RawStdEncoding.Strict().DecodeString(strings.Join(strings.Fields(encoded), ""))
	if err != nil {
		return nil
	}
	return der
}

// parseJWK reads a public key as JSON (RFC 7517, RFC 8037 §2).
func parseJWK(s string) (Pointer, error) {
	members, err := jsonMembers(s)
	if err != nil {
		return Pointer{}, err
	}
	var key struct {
		Kty, Crv, X, Y, N, E string
	}
	for name, to := range map[string]*string{"kty": &key.Kty, "crv": &key.Crv, "x": &key.X, "y": &key.Y, "n": &key.N, "e": &key.E} {
		if raw := members[name]; raw != nil && json.Unmarshal(raw, to) != nil {
			return Pointer{}, errNoKey
		}
	}
	number := func(text string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(b) == 0 {
			return nil
		}
		return new(big.Int).SetBytes(b)
	}
	switch {
	case key.Kty == "OKP" && key.Crv == "Ed25519":
		b, err := base64.RawURLEncoding.Strict().DecodeString(key.X)
		if err != nil || len(b) != ed25519.PublicKeySize {
			return Pointer{}, errors.New("is a JSON Web Key of which x is no Ed25519 key")
		}
		return FromPublicKey(ed25519.PublicKey(b))
	case key.Kty == "RSA":
		n, e := number(key.N), number(key.E)
		if n == nil || e == nil || !e.IsInt64() || e.Int64() > 1<<31-1 {
			return Pointer{}, errors.New("is a JSON Web Key of which n and e are no RSA key")
		}
		return fromStandardKey(&rsa.PublicKey{N: n, E: int(e.Int64())})
	case key.Kty == "EC" && key.Crv == "P-256":
		x, y := number(key.X), number(key.Y)
		if x == nil || y == nil || x.BitLen() > 256 || y.BitLen() > 256 {
			return Pointer{}, errors.New("is a JSON Web Key of which x and y are no point")
		}
		uncompressed := append([]byte{4}, append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)...)
		point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed)
		if err != nil {
			return Pointer{}, errors.New("is a JSON Web Key of which x and y are no point")
		}
		return fromStandardKey(point)
	}
	return Pointer{}, fmt.Errorf("is no JSON Web Key of a type that is read: kty %s, crv %s", quote(key.Kty), quote(key.Crv))
}

// errNoKey is returned for JSON that is no JSON Web Key.
var errNoKey = errors.New("is JSON, and no key: was it cut short?")

// jsonMembers returns the members of an object in JSON. Names are case-sensitive, and
// none may occur twice: parsers differ in which of the two they take.
func jsonMembers(s string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(strings.NewReader(s))
	if !json.Valid([]byte(s)) {
		return nil, errNoKey
	}
	if _, err := d.Token(); err != nil { // the opening brace
		return nil, errNoKey
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		text, ok := name.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return nil, errNoKey
		}
		if members[text] != nil {
			return nil, errSecondKey
		}
		members[text] = value
	}
	return members, nil
}

// fromStandardKey returns the pointer of a public key of the standard library.
func fromStandardKey(key any) (Pointer, error) {
	if pub, ok := key.(ed25519.PublicKey); ok {
		return FromPublicKey(pub)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return Pointer{}, errors.New("is a public key of a kind that is not known")
	}
	var pub ic.PubKey
	switch key.(type) {
	case *rsa.PublicKey:
		pub, err = ic.UnmarshalRsaPublicKey(der)
	case *ecdsa.PublicKey:
		pub, err = ic.UnmarshalECDSAPublicKey(der)
	default:
		return Pointer{}, errors.New("is a public key of a kind that no record is signed with")
	}
	if err != nil {
		return Pointer{}, fmt.Errorf("is a public key that signs no record: %w", err)
	}
	return fromPublicKey(pub)
}

// fromPublicKey returns the pointer of any public key of libp2p.
func fromPublicKey(pub ic.PubKey) (Pointer, error) {
	encoded, err := ic.MarshalPublicKey(pub)
	if err != nil {
		return Pointer{}, err
	}
	if len(encoded) <= maxInlineKey {
		return fromEncodedKey(encoded)
	}
	return fromKeyDigest(encoded)
}

// parseDID reads the identifiers did:key and did:dht, with or without a fragment,
// and the URI of a pkarr key.
func parseDID(s string) (Pointer, error) {
	s, _, _ = strings.Cut(s, "#")
	s, _, _ = strings.Cut(s, "?")
	if text, ok := strings.CutPrefix(s, "did:key:"); ok {
		return parseDIDKey(text)
	}
	for _, prefix := range []string{"did:dht:", "pk:"} {
		if text, ok := strings.CutPrefix(s, prefix); ok {
			text, _, _ = strings.Cut(strings.TrimPrefix(text, "//"), "/")
			if !isZBase32(text) {
				return Pointer{}, fmt.Errorf("is no %s… of an Ed25519 key", prefix)
			}
			return parseZBase32(text)
		}
	}
	method, _, _ := strings.Cut(strings.TrimPrefix(s, "did:"), ":")
	return Pointer{}, fmt.Errorf("is a DID of the method %s, which holds no key: did:key and did:dht do", quote(method))
}

// parseDIDKey reads the part of a did:key after "did:key:": a multicodec and a key
// (did:key §3.1.1).
func parseDIDKey(s string) (Pointer, error) {
	b, err := decodeMultibase(s)
	if err != nil || s[0] != multibase.Base58BTC {
		return Pointer{}, errors.New("is no did:key (did:key:z6Mk…): was it cut short?")
	}
	codec, n := binary.Uvarint(b)
	if n <= 0 || !bytes.Equal(binary.AppendUvarint(nil, codec), b[:n]) {
		return Pointer{}, errors.New("is no did:key (did:key:z6Mk…)")
	}
	key := b[n:]
	switch {
	case codec == codecEd25519 && len(key) == ed25519.PublicKeySize:
		return FromPublicKey(ed25519.PublicKey(key))
	case codec == codecSecp256k1 && len(key) == 33:
		pub, err := ic.UnmarshalSecp256k1PublicKey(key)
		if err != nil {
			return Pointer{}, errors.New("is a did:key of no point of secp256k1")
		}
		return fromPublicKey(pub)
	case codec == codecX25519:
		return Pointer{}, errors.New("is a did:key for encryption, which signs nothing")
	}
	return Pointer{}, errors.New("is a did:key of a kind that is not read: only Ed25519 (z6Mk…) and secp256k1 (zQ3s…)")
}

// Multicodecs of public keys.
const (
	codecEd25519   = 0xed
	codecSecp256k1 = 0xe7
	codecX25519    = 0xec
)

// zBase32 is the encoding of Ed25519 keys in pkarr and did:dht.
var zBase32 = base32.NewEncoding("ybndrfg8ejkmcpqxot1uwisza345h769").WithPadding(base32.NoPadding)

// isZBase32 reports whether a text can be an Ed25519 key in z-base-32.
func isZBase32(s string) bool {
	return len(s) == 52 && strings.Trim(s, "ybndrfg8ejkmcpqxot1uwisza345h769") == ""
}

// parseZBase32 reads an Ed25519 key in z-base-32.
func parseZBase32(s string) (Pointer, error) {
	b, err := zBase32.DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize || zBase32.EncodeToString(b) != s {
		return Pointer{}, errors.New("is no Ed25519 key in z-base-32")
	}
	return FromPublicKey(ed25519.PublicKey(b))
}

// looksLike describes what a text that is no pointer looks like.
func looksLike(s string) string {
	lower := strings.ToLower(s)
	switch {
	case strings.HasPrefix(lower, "petname-invite:"), strings.HasPrefix(s, "PETNAME:I."):
		return "an invitation, which petname pair takes"
	case strings.Contains(s, "PETNAMES STATEMENT"):
		return "a statement, which petname accept and petname inbox read from a file"
	case strings.HasPrefix(lower, "npub1"), strings.HasPrefix(lower, "nprofile1"):
		return "a Nostr key, which signs no such record"
	case strings.HasPrefix(lower, "age1"):
		return "an age key for encryption, which signs nothing"
	case strings.HasPrefix(lower, "0x"):
		return "a hash or an address in hexadecimal"
	case strings.HasPrefix(lower, "mailto:") || strings.Contains(s, "@") && strings.Contains(s, "."):
		return "an e-mail address"
	case strings.ContainsRune(s, '/'):
		return "a path, not a pointer"
	case strings.Contains(s, "://") || strings.Contains(s, ".") && !strings.ContainsAny(s, " \t"):
		return "a domain name or a URL, not a pointer"
	case len(strings.Fields(s)) == wordsCount:
		return "twelve words, which are for comparing"
	}
	return "no pointer"
}

// Form is a form in which other systems write a key.
type Form string

const (
	FormPeer   Form = "peer"    // a peer ID of libp2p, "12D3Koo…" or "Qm…"
	FormDIDKey Form = "did:key" // Ed25519 and secp256k1 only
	FormSSH    Form = "ssh"     // "ssh-ed25519 …"; Ed25519 only
	FormPkarr  Form = "pkarr"   // z-base-32; Ed25519 only
)

// Forms returns all forms.
func Forms() []Form { return []Form{FormPeer, FormDIDKey, FormSSH, FormPkarr} }

// As returns the pointer's key in a form of another system, which [Parse] reads. The
// error is for an unknown form, and for a key that has no such form.
func (p Pointer) As(f Form) (string, error) {
	if p.IsZero() {
		return "", errors.New("pointer: the zero pointer has no key")
	}
	if f == FormPeer {
		return multihash.Multihash(p.multihash).B58String(), nil
	}
	if !slices.Contains(Forms(), f) {
		return "", fmt.Errorf("%s is no form of a key: the forms are %s, %s, %s and %s", quote(string(f)), FormPeer, FormDIDKey, FormSSH, FormPkarr)
	}
	decoded, err := multihash.Decode([]byte(p.multihash))
	if err != nil || decoded.Code != multihash.IDENTITY {
		return "", fmt.Errorf("pointer %s holds only the hash of its key, which has no form as %s", p, f)
	}
	key, err := ic.UnmarshalPublicKey(decoded.Digest)
	if err != nil {
		return "", err
	}
	raw, err := key.Raw()
	if err != nil {
		return "", err
	}
	ed := key.Type() == cryptopb.KeyType_Ed25519
	switch {
	case f == FormSSH && ed:
		return sshKind + " " + base64.StdEncoding.EncodeToString(append([]byte(sshHeader), raw...)), nil
	case f == FormPkarr && ed:
		return zBase32.EncodeToString(raw), nil
	case f == FormDIDKey && (ed || key.Type() == cryptopb.KeyType_Secp256k1):
		codec := uint64(codecEd25519)
		if !ed {
			codec = codecSecp256k1
		}
		text, err := multibase.Encode(multibase.Base58BTC, append(binary.AppendUvarint(nil, codec), raw...))
		return "did:key:" + text, err
	}
	return "", fmt.Errorf("pointer %s holds a key of type %s, which has no form as %s", p, key.Type(), f)
}
