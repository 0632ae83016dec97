// Package seal encrypts what only the owner of a card is to read: with HPKE
// (RFC 9180, base mode, HKDF-SHA256, ChaCha20-Poly1305) to the sealing keys
// that the card offers, padded to few sizes.
//
//	key, err := seal.Pick(card.Sealing)
//	payload, err := seal.Seal(key, info, extra, sizes, plain)
//	…
//	plain, err := seal.Open(keys, info, extra, payload)
//
// The bytes of a payload:
//
//	payload = 1 (1 byte) ‖ KEM id (2 bytes) ‖ encapsulated key ‖ ciphertext
//	aad     = 1 ‖ KEM id ‖ extra
//	plain   = length (2 bytes) ‖ what is sealed ‖ zeroes
//
// A seal says nothing of who made it: sign inside.
package seal

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/petnames-go/petnames/pointer"
)

// The KEMs that a seal may be for (RFC 9180, §7.1; draft-ietf-hpke-pq).
const (
	X25519 = 0x0020
	Hybrid = 0x647a // MLKEM768X25519
)

const (
	// HeadSize is how many bytes of a payload name its version and KEM.
	HeaderSize = 1 + 2

	version    = 1
	lengthSize = 2  // of what is sealed, before the padding
	tagSize    = 16 // of ChaCha20-Poly1305 (RFC 8439, §2.8)
)

// Pick takes the key of a card to seal to: the first hybrid one, or else the
// first of X25519. A hybrid key that is malformed is an error and no reason to
// seal to the weaker one.
func SelectKey(keys []pointer.SealingKey) (hpke.PublicKey, error) {
	for _, kem := range []hpke.KEM{hpke.MLKEM768X25519(), hpke.DHKEM(ecdh.X25519())} {
		for _, k := range keys {
			if k.KEM != kem.ID() {
				continue
			}
			public, err := kem.NewPublicKey(k.Key)
			if err != nil {
				return nil, fmt.Errorf("the sealing key for KEM %04x is malformed", k.KEM)
			}
			return public, nil
		}
	}
	return nil, errors.New("the card offers no key to seal with")
}

// encapsulated is how long the encapsulated key of a KEM is, in bytes; 0: it is
// none of ours.
func encapsulatedSize(kem uint16) int {
	switch kem {
	case X25519:
		return 32
	case Hybrid:
		return 1088 + 32
	}
	return 0
}

// Room is how many bytes fit into a payload of a size.
func Capacity(kem uint16, size int) int {
	return size - HeaderSize - encapsulatedSize(kem) - tagSize - lengthSize
}

func header(kem uint16) []byte { return binary.BigEndian.AppendUint16([]byte{version}, kem) }

// additional is what the ciphertext holds only with: the payload's head, and
// what the caller binds it to.
func additionalData(head, extra []byte) []byte { return append(bytes.Clone(head), extra...) }

// Seal encrypts b into a payload of the first of the sizes that it fits. info
// and extra say where the payload belongs: it opens with the same alone.
func Seal(to hpke.PublicKey, info, extra []byte, sizes []int, b []byte) ([]byte, error) {
	kem := to.KEM().ID()
	for _, size := range sizes {
		capacity := Capacity(kem, size)
		if len(b) > capacity || len(b) > math.MaxUint16 {
			continue
		}
		padded := make([]byte, lengthSize+capacity)
		binary.BigEndian.PutUint16(padded, uint16(len(b)))
		copy(padded[lengthSize:], b)
		enc, sender, err := hpke.NewSender(to, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info)
		if err != nil {
			return nil, err
		}
		header := header(kem)
		sealed, err := sender.Seal(additionalData(header, extra), padded)
		if err != nil {
			return nil, err
		}
		return append(append(header, enc...), sealed...), nil
	}
	return nil, fmt.Errorf("%d bytes don't fit into a record", len(b))
}

// Open undoes Seal, with whichever of the keys it is for.
func Open(keys []hpke.PrivateKey, info, extra, payload []byte) ([]byte, error) {
	if len(payload) < HeaderSize || payload[0] != version {
		return nil, errors.New("is no seal of this version")
	}
	start, rest := payload[:HeaderSize], payload[HeaderSize:]
	kem := binary.BigEndian.Uint16(start[1:])
	size := encapsulatedSize(kem)
	if size == 0 || len(rest) < size+tagSize {
		return nil, fmt.Errorf("is sealed for KEM %04x, or cut short", kem)
	}
	for _, key := range keys {
		if key.KEM().ID() != kem {
			continue
		}
		recipient, err := hpke.NewRecipient(rest[:size], key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info)
		if err != nil {
			continue
		}
		padded, err := recipient.Open(additionalData(start, extra), rest[size:])
		if err != nil {
			continue
		}
		return unpad(padded)
	}
	return nil, errors.New("is sealed for no key that is here")
}

func unpad(padded []byte) ([]byte, error) {
	if len(padded) < lengthSize {
		return nil, errors.New("is cut short")
	}
	n := int(binary.BigEndian.Uint16(padded))
	b := padded[lengthSize:]
	if n > len(b) || len(bytes.TrimRight(b[n:], "\x00")) > 0 {
		return nil, errors.New("is padded wrong")
	}
	return b[:n], nil
}
