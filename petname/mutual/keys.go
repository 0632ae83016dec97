package mutual

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"

	"github.com/petnames-go/petnames/pointer"
)

const (
	nonceSize     = 32
	ephemeralSize = 32
	saltSize      = 32
	signatureSize = 64
	gcmNonceSize  = 12
)

// sessionKeys are the transcript hash and the keys that both parties derive after both
// consented. The introducer cannot derive the keys.
type sessionKeys struct {
	transcript [hashSize]byte
	seal, mac  [3][]byte // by the side that uses them: 1 and 2
	header     []byte    // session and end, which are in every MAC as well
}

// transcriptOf returns the hash that both parties sign. It covers the introducer, the
// session, its end and both consents, and so their nonces, their ephemeral keys and the
// hashes of both requests and both payloads.
func transcriptOf(request message, accepts [3]message) [hashSize]byte {
	return hash("petnames/mutual/transcript/v1\x00", request.Session, request.Expires, request.By,
		accepts[1].By, accepts[1].raw, accepts[2].By, accepts[2].raw)
}

// deriveKeys derives the keys of a session. secret is the ephemeral key of ownSide. It
// returns an error for an ephemeral key of low order.
func deriveKeys(secret *ecdh.PrivateKey, ownSide uint8, request message, accepts [3]message) (sessionKeys, error) {
	derived := sessionKeys{transcript: transcriptOf(request, accepts), header: encode([]any{request.Session, request.Expires})}
	peer, err := ecdh.X25519().NewPublicKey(accepts[otherSide(ownSide)].Ephemeral)
	if err != nil {
		return sessionKeys{}, invalid("%v", err)
	}
	shared, err := secret.ECDH(peer)
	if err != nil {
		return sessionKeys{}, invalid("%v", err)
	}
	for side := uint8(1); side <= 2; side++ {
		for _, key := range []struct {
			domain string
			into   *[]byte
		}{{"petnames/mutual/seal/v1\x00", &derived.seal[side]}, {"petnames/mutual/activate/v1\x00", &derived.mac[side]}} {
			if *key.into, err = hkdf.Key(sha256.New, shared, derived.transcript[:], key.domain+string([]byte{side}), 32); err != nil {
				return sessionKeys{}, err
			}
		}
	}
	return derived, nil
}

// proofStatement returns the bytes that an identity signs in its AUTH.
func proofStatement(transcript [hashSize]byte, side uint8) []byte {
	return append([]byte("petnames/mutual/auth/v1\x00"), encode([]any{side, transcript[:]})...)
}

// sealedAuth is the plaintext of an AUTH.
type sealedAuth struct {
	_         struct{} `cbor:",toarray"`
	Payload   []byte
	Signature []byte
}

// aead returns the cipher of the AUTH of a side.
func (k sessionKeys) aead(side uint8) cipher.AEAD {
	block, err := aes.NewCipher(k.seal[side])
	if err != nil {
		panic(err) // unreachable: the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // unreachable: the block is AES
	}
	return aead
}

// additionalData returns the additional data of the seal: session and end, side, transcript.
func (k sessionKeys) additionalData(side uint8) []byte {
	return encode([]any{k.header, side, k.transcript[:]})
}

// newAuth returns the AUTH of one side.
func (k sessionKeys) newAuth(random io.Reader, signer crypto.Signer, session Session, side uint8, payload []byte) ([]byte, error) {
	signature, err := signer.Sign(rand.Reader, proofStatement(k.transcript, side), crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	nonce, err := readRandom(random, gcmNonceSize)
	if err != nil {
		return nil, err
	}
	plain := encode(sealedAuth{Payload: payload, Signature: signature})
	sealed := k.aead(side).Seal(nonce, nonce, plain, k.additionalData(side))
	return encode(wire{Kind: KindAuth, Session: session[:], Side: side, Sealed: sealed}), nil
}

// openAuth opens an AUTH, and verifies that its signature and its payload are those of
// the consent of its side.
func (k sessionKeys) openAuth(m message, accept message) (sealedAuth, pointer.Details, error) {
	var content sealedAuth
	if len(m.Sealed) < gcmNonceSize || m.Side != accept.Side {
		return sealedAuth{}, pointer.Details{}, invalid("proof of an unknown side, or of the recipient")
	}
	plain, err := k.aead(m.Side).Open(nil, m.Sealed[:gcmNonceSize], m.Sealed[gcmNonceSize:], k.additionalData(m.Side))
	if err != nil {
		return sealedAuth{}, pointer.Details{}, invalid("proof: %v", err)
	}
	if err := decodeInto(plain, maxSealed, &content); err != nil {
		return sealedAuth{}, pointer.Details{}, err
	}
	if err := verifyProof(k.transcript, accept, content.Signature); err != nil {
		return sealedAuth{}, pointer.Details{}, err
	}
	details, err := openCommitted(content.Payload, accept)
	return content, details, err
}

// verifyProof verifies an identity's signature over the transcript.
func verifyProof(transcript [hashSize]byte, accept message, signature []byte) error {
	if err := accept.by.Verify(proofStatement(transcript, accept.Side), signature); err != nil {
		return invalid("proof of %s: %v", accept.by, err)
	}
	return nil
}

// openCommitted opens a payload, and verifies it against the hash in the consent.
func openCommitted(payload []byte, accept message) (pointer.Details, error) {
	if sum := payloadHash(payload); subtle.ConstantTimeCompare(sum[:], accept.Payload) != 1 {
		return pointer.Details{}, invalid("the payload of %s is not the one of its consent", accept.by)
	}
	details, err := openPayload(payload)
	if err != nil {
		return pointer.Details{}, fmt.Errorf("payload: %w", err)
	}
	return details, nil
}

// activateMAC returns the MAC by which a side confirms that it verified the peer's AUTH.
func (k sessionKeys) activateMAC(side uint8, auths [3][]byte) []byte {
	first, second := sha256.Sum256(auths[1]), sha256.Sum256(auths[2])
	mac := hmac.New(sha256.New, k.mac[side])
	mac.Write(encode([]any{k.header, side, k.transcript[:], first[:], second[:]}))
	return mac.Sum(nil)
}

// otherSide returns the other of the two sides.
func otherSide(side uint8) uint8 { return 3 - side }

// revealsPointer reports whether a salt opens the commitment of a request to a pointer.
func revealsPointer(request message, salt []byte, about pointer.Pointer) bool {
	commitment := hidePointer(request.session, request.Side, salt, about)
	return subtle.ConstantTimeCompare(commitment[:], request.Hidden) == 1
}
