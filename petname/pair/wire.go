package pair

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// encode returns the canonical CBOR of a wire type of this package.
func encode(v any) []byte { return canonical.MustMarshal(v) }

// decode decodes canonical CBOR of at most maxSize bytes into v, a pointer to a wire type.
// Errors do not contain the input, which may have secrets.
func decode(b []byte, maxSize int, v any) error {
	return canonical.Unmarshal(b, v, canonical.Bounds{Size: maxSize, Nesting: 8, Elements: 64, Pairs: 16})
}

// derive is HKDF-SHA-512 (RFC 5869).
func derive(secret, salt []byte, info string, length int) []byte {
	key, err := hkdf.Key(sha512.New, secret, salt, info, length)
	if err != nil {
		panic(err) // unreachable: the lengths are constants far below the limit
	}
	return key
}

// seal encrypts by AES-256-GCM with a random nonce, which precedes the ciphertext. A key is
// for one session and side, but a side may seal different messages after a restart.
func seal(key, plain []byte) []byte { return gcm(key).Seal(nil, nil, plain, nil) }

// unseal decrypts and authenticates what seal returned.
func unseal(key, sealed []byte) ([]byte, error) {
	plain, err := gcm(key).Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, errors.New("was not sealed with the key")
	}
	return plain, nil
}

// sealOverhead is the size of the nonce (12 bytes) and the tag (16).
const sealOverhead = 28

// gcm returns AES-256-GCM, which draws a nonce for each message and puts it in front.
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // unreachable: keys are 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // unreachable: the block is AES's
	}
	return aead
}

// digest returns the SHA-256 hash of the domain and the parts, each after its length.
func digest(domain string, parts ...[]byte) []byte {
	sum := sha256.Sum256(append([]byte(domain), lvCat(parts...)...))
	return sum[:]
}

// sign returns a signature by the key of p, verified, as a foreign signer may fail.
func sign(key crypto.Signer, p pointer.Pointer, message []byte) ([]byte, error) {
	sig, err := key.Sign(rand.Reader, message, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("signing with the identity: %w", err)
	}
	if err := p.Verify(message, sig); err != nil {
		return nil, fmt.Errorf("signing with the identity: %w", err)
	}
	return sig, nil
}

// randomOr returns random, or crypto/rand if it is nil.
func randomOr(random io.Reader) io.Reader {
	if random == nil {
		return rand.Reader
	}
	return random
}
