package replicate

import (
	"crypto/ecdh"
	"crypto/ed25519"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
)

// PrivateKey returns the X25519 form of a device's private key, for a channel that carries
// the messages of a [Peer].
func PrivateKey(device ed25519.PrivateKey) (*ecdh.PrivateKey, error) { return x25519.Private(device) }

// PublicKey returns the X25519 form of a device's public key: see [PrivateKey].
func PublicKey(device ledger.DeviceID) (*ecdh.PublicKey, error) { return x25519.Public(device) }
