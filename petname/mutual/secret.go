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

// agreed is what the two know when both consents are there: the transcript so
// far, and the keys that they share and the introducer doesn't.
type agreed struct {
	transcript [hashSize]byte
	seal, mac  [3][]byte // by the side that uses them: 1 and 2
	header     []byte    // session and expiry, which stand in every MAC by themselves too
}

// transcriptOf is the hash that both sign: who introduced whom, in which session,
// until when, and both consents, with their nonces, their ephemeral keys, the
// hashes of what either was asked and of what either will tell.
func transcriptOf(request message, accepts [3]message) [hashSize]byte {
	return hash("petnames/mutual/transcript/v1\x00", request.Session, request.Expires, request.By,
		accepts[1].By, accepts[1].raw, accepts[2].By, accepts[2].raw)
}

// agree derives the keys. An ephemeral key of low order is an error.
func agree(secret *ecdh.PrivateKey, mine uint8, request message, accepts [3]message) (agreed, error) {
	a := agreed{transcript: transcriptOf(request, accepts), header: encode([]any{request.Session, request.Expires})}
	theirs, err := ecdh.X25519().NewPublicKey(accepts[other(mine)].Ephemeral)
	if err != nil {
		return agreed{}, invalid("%v", err)
	}
	shared, err := secret.ECDH(theirs)
	if err != nil {
		return agreed{}, invalid("%v", err)
	}
	for side := uint8(1); side <= 2; side++ {
		for _, k := range []struct {
			domain string
			into   *[]byte
		}{{"petnames/mutual/seal/v1\x00", &a.seal[side]}, {"petnames/mutual/activate/v1\x00", &a.mac[side]}} {
			if *k.into, err = hkdf.Key(sha256.New, shared, a.transcript[:], k.domain+string([]byte{side}), 32); err != nil {
				return agreed{}, err
			}
		}
	}
	return a, nil
}

// proof is what an identity signs to have taken part.
func proof(transcript [hashSize]byte, side uint8) []byte {
	return append([]byte("petnames/mutual/auth/v1\x00"), encode([]any{side, transcript[:]})...)
}

// sealedAuth is the inside of an AUTH.
type sealedAuth struct {
	_         struct{} `cbor:",toarray"`
	Payload   []byte
	Signature []byte
}

func (a agreed) aead(side uint8) cipher.AEAD {
	block, err := aes.NewCipher(a.seal[side])
	if err != nil {
		panic(err) // 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES
	}
	return aead
}

// aad is what the seal covers besides: session and expiry, side, transcript.
func (a agreed) aad(side uint8) []byte { return encode([]any{a.header, side, a.transcript[:]}) }

// auth makes the AUTH of one side.
func (a agreed) auth(random io.Reader, signer crypto.Signer, session Session, side uint8, payload []byte) ([]byte, error) {
	signature, err := signer.Sign(rand.Reader, proof(a.transcript, side), crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	nonce, err := draw(random, gcmNonceSize)
	if err != nil {
		return nil, err
	}
	plain := encode(sealedAuth{Payload: payload, Signature: signature})
	sealed := a.aead(side).Seal(nonce, nonce, plain, a.aad(side))
	return encode(wire{Kind: KindAuth, Session: session[:], Side: side, Sealed: sealed}), nil
}

// openAuth opens and verifies an AUTH: by the consent of that side it knows
// whose signature and which payload there must be.
func (a agreed) openAuth(m message, accept message) (sealedAuth, pointer.Details, error) {
	var inside sealedAuth
	if len(m.Sealed) < gcmNonceSize || m.Side != accept.Side {
		return sealedAuth{}, pointer.Details{}, invalid("proof that is no one's, or my own")
	}
	plain, err := a.aead(m.Side).Open(nil, m.Sealed[:gcmNonceSize], m.Sealed[gcmNonceSize:], a.aad(m.Side))
	if err != nil {
		return sealedAuth{}, pointer.Details{}, invalid("proof: %v", err)
	}
	if err := decodeInto(plain, maxSealed, &inside); err != nil {
		return sealedAuth{}, pointer.Details{}, err
	}
	if err := verifyProof(a.transcript, accept, inside.Signature); err != nil {
		return sealedAuth{}, pointer.Details{}, err
	}
	p, err := openCommitted(inside.Payload, accept)
	return inside, p, err
}

// verifyProof checks an identity's signature over the transcript.
func verifyProof(transcript [hashSize]byte, accept message, signature []byte) error {
	if err := accept.by.Verify(proof(transcript, accept.Side), signature); err != nil {
		return invalid("proof of %s: %v", accept.by, err)
	}
	return nil
}

// openCommitted opens the payload that a consent spoke of.
func openCommitted(payload []byte, accept message) (pointer.Details, error) {
	if h := payloadHash(payload); subtle.ConstantTimeCompare(h[:], accept.Payload) != 1 {
		return pointer.Details{}, invalid("%s tells something else than it consented to tell", accept.by)
	}
	p, err := openPayload(payload)
	if err != nil {
		return pointer.Details{}, fmt.Errorf("payload: %w", err)
	}
	return p, nil
}

// activate is the MAC by which a side says that it has verified the other's AUTH.
func (a agreed) activate(side uint8, auths [3][]byte) []byte {
	first, second := sha256.Sum256(auths[1]), sha256.Sum256(auths[2])
	mac := hmac.New(sha256.New, a.mac[side])
	mac.Write(encode([]any{a.header, side, a.transcript[:], first[:], second[:]}))
	return mac.Sum(nil)
}

// other is the other of two sides.
func other(side uint8) uint8 { return 3 - side }

// told reports whether a salt opens a request's hash to a pointer.
func told(request message, salt []byte, about pointer.Pointer) bool {
	h := hide(request.session, request.Side, salt, about)
	return subtle.ConstantTimeCompare(h[:], request.Hidden) == 1
}
