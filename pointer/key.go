package pointer

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Key is an Ed25519 identity key. It implements [crypto.Signer]. Functions of
// this module that sign take a crypto.Signer, so that keys in an agent or on
// hardware work as well. Printing a Key prints its pointer, never its secret.
//
// The zero Key has no secret and signs nothing.
type Key struct {
	private *hidden
	pointer Pointer
}

// hidden is behind two pointers because fmt prints the unexported fields of a
// struct without calling Format: it follows no pointer inside a struct, except
// that for a verb that does not fit (%s) it starts over, and follows one.
type hidden struct {
	key *ed25519.PrivateKey
}

const (
	secretPrefix   = "PETNAME-SECRET-KEY-1"
	secretDomain   = "petnames/secret/v1\x00"
	secretChecksum = 4
)

var secretEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewKey makes a key from 32 bytes read from random; nil is crypto/rand.
func NewKey(random io.Reader) (*Key, error) {
	if random == nil {
		random = rand.Reader
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return keyFromSeed(seed)
}

// keyFromSeed returns the key of an Ed25519 seed (RFC 8032).
func keyFromSeed(seed []byte) (*Key, error) {
	private := ed25519.NewKeyFromSeed(seed)
	p, err := FromPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	return &Key{&hidden{&private}, p}, nil
}

// ParseKey reads the output of [Key.Secret]. It ignores white space around it.
// Errors never contain the input.
func ParseKey(s string) (*Key, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), secretPrefix)
	if !ok {
		return nil, errors.New("secret key: does not start with " + secretPrefix)
	}
	if len(rest) != secretEncoding.EncodedLen(ed25519.SeedSize+secretChecksum) {
		return nil, errors.New("secret key: malformed or cut short")
	}
	b, err := secretEncoding.DecodeString(rest)
	if err != nil || len(b) != ed25519.SeedSize+secretChecksum || secretEncoding.EncodeToString(b) != rest {
		return nil, errors.New("secret key: malformed or cut short")
	}
	seed := b[:ed25519.SeedSize]
	if sum := digest(secretDomain, seed); string(sum[:secretChecksum]) != string(b[ed25519.SeedSize:]) {
		return nil, errors.New("secret key: the checksum is wrong: it was mistyped or damaged")
	}
	return keyFromSeed(seed)
}

// Secret returns the secret key as one line:
//
//	PETNAME-SECRET-KEY-1 ‖ base32(seed (32 bytes) ‖ checksum (4 bytes))
//
// in upper case without padding; the checksum is the start of the sha2-256 of
// "petnames/secret/v1\0" ‖ seed.
func (k *Key) Secret() string {
	if k.isZero() {
		return ""
	}
	seed := k.private.key.Seed()
	sum := digest(secretDomain, seed)
	return secretPrefix + secretEncoding.EncodeToString(append(seed, sum[:secretChecksum]...))
}

// isZero reports whether the key has no secret.
func (k *Key) isZero() bool { return k == nil || k.private == nil }

// Pointer returns the pointer of the key, the zero Pointer for the zero Key.
func (k *Key) Pointer() Pointer {
	if k.isZero() {
		return Pointer{}
	}
	return k.pointer
}

// Public returns the ed25519.PublicKey.
func (k *Key) Public() crypto.PublicKey {
	if k.isZero() {
		return ed25519.PublicKey(nil)
	}
	return k.private.key.Public()
}

// Ed25519 returns the private key itself, for protocols that need it, as X25519 forms do; nil
// for the zero Key.
func (k *Key) Ed25519() ed25519.PrivateKey {
	if k.isZero() {
		return nil
	}
	return ed25519.NewKeyFromSeed(k.private.key.Seed())
}

// Sign signs message itself (not a hash of it) when opts is crypto.Hash(0), as
// ed25519.PrivateKey does.
func (k *Key) Sign(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.isZero() {
		return nil, errors.New("signing: there is no key")
	}
	return k.private.key.Sign(random, message, opts)
}

// Format prints the pointer for every verb of fmt, %#v and %x included. Format
// and MarshalText have a value receiver, so that they apply to copies of a Key
// too.
func (k Key) Format(f fmt.State, _ rune) {
	io.WriteString(f, "key of "+k.pointer.String())
}

// MarshalText returns an error, so that no secret gets into JSON or a log by
// accident.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret key is not marshalled; use Secret")
}

var _ crypto.Signer = (*Key)(nil)
