// Package x25519 converts the Ed25519 keys of devices to X25519 keys, with which devices
// encrypt to each other (RFC 7748, §4.1).
package x25519

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha512"
	"fmt"

	"filippo.io/edwards25519"

	"github.com/petnames-go/petnames/ledger"
)

// Public returns the X25519 form of a device's public key. Of a key with the opposite sign
// it is the same; the private keys are then known to the same holder.
func Public(id ledger.DeviceID) (*ecdh.PublicKey, error) {
	p, err := new(edwards25519.Point).SetBytes(id[:])
	if err != nil {
		return nil, fmt.Errorf("device %v: %w", id, err)
	}
	return ecdh.X25519().NewPublicKey(p.BytesMontgomery())
}

// Private returns the X25519 form of a device's private key.
func Private(key ed25519.PrivateKey) (*ecdh.PrivateKey, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("a device key of %d bytes, must be %d", len(key), ed25519.PrivateKeySize)
	}
	h := sha512.Sum512(key.Seed())
	return ecdh.X25519().NewPrivateKey(h[:32])
}
