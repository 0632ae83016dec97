// Package seal encrypts payloads to the sealing keys of a card with HPKE (RFC
// 9180, base mode, HKDF-SHA256, ChaCha20-Poly1305), padded to a few sizes.
//
// Call [SelectKey] and [Seal] to encrypt, and [Open] to decrypt:
//
//	key, err := seal.SelectKey(card.Sealing)
//	payload, err := seal.Seal(key, info, extra, sizes, plain)
//	…
//	plain, err := seal.Open(keys, info, extra, payload)
//
// [NewWriter] and [NewReader] seal files of any size, to the keys of several cards.
//
// The format of a payload:
//
//	payload = 1 (1 byte) ‖ KEM id (2 bytes) ‖ encapsulated key ‖ ciphertext
//	aad     = 1 ‖ KEM id ‖ extra
//	plain   = length (2 bytes) ‖ content ‖ zeroes
//
// A payload does not authenticate its sender: sign the content.
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

// The supported KEMs (RFC 9180, §7.1; draft-ietf-hpke-pq).
const (
	X25519 = 0x0020
	Hybrid = 0x647a // MLKEM768X25519
)

const (
	// HeaderSize is the size of the version and KEM id of a payload, in bytes.
	HeaderSize = 1 + 2

	version    = 1
	lengthSize = 2  // of the length of the content
	tagSize    = 16 // of ChaCha20-Poly1305 (RFC 8439, §2.8)
)

// SelectKey returns the key of a card to seal to: the first hybrid key, or else
// the first X25519 key. A malformed hybrid key is an error, so that the weaker
// key is never used in its place.
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
	return nil, errors.New("the card has no key to seal to")
}

// encapsulatedSize returns the size of the encapsulated key of a KEM, in bytes; 0
// if the KEM is not supported.
func encapsulatedSize(kem uint16) int {
	switch kem {
	case X25519:
		return 32
	case Hybrid:
		return 1088 + 32
	}
	return 0
}

// Capacity returns how many bytes of content fit into a payload of size bytes, for a
// supported KEM. It is negative if not even empty content fits.
func Capacity(kem uint16, size int) int {
	return size - HeaderSize - encapsulatedSize(kem) - tagSize - lengthSize
}

// newHeader returns the version and the KEM id of a payload.
func newHeader(kem uint16) []byte { return binary.BigEndian.AppendUint16([]byte{version}, kem) }

// additionalData returns the additional data of the encryption: the payload's
// header, and the data of the caller.
func additionalData(header, extra []byte) []byte {
	return append(bytes.Clone(header), extra...)
}

// Seal encrypts b to a key. The payload has the first of the sizes, in bytes, that
// b fits into; an error is returned if b fits into none. info and extra identify
// the context of the payload: Open needs the same values.
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
		header := newHeader(kem)
		sealed, err := sender.Seal(additionalData(header, extra), padded)
		if err != nil {
			return nil, err
		}
		return append(append(header, enc...), sealed...), nil
	}
	return nil, fmt.Errorf("%d bytes don't fit into a record", len(b))
}

// Open decrypts a payload of Seal with one of the keys. It returns an error if the
// payload is malformed, sealed to a different key, or in a different context.
func Open(keys []hpke.PrivateKey, info, extra, payload []byte) ([]byte, error) {
	if len(payload) < HeaderSize || payload[0] != version {
		return nil, errors.New("is not a sealed payload of this version")
	}
	header, rest := payload[:HeaderSize], payload[HeaderSize:]
	kem := binary.BigEndian.Uint16(header[1:])
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
		padded, err := recipient.Open(additionalData(header, extra), rest[size:])
		if err != nil {
			continue
		}
		return unpad(padded)
	}
	return nil, errors.New("is sealed to none of the keys")
}

// unpad returns the content without its length and its padding.
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
