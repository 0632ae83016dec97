package ledger

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Device describes one device of the book.
type Device struct {
	ID DeviceID
	// according to the identity's admission; hostile text unless the identity is trusted
	Name    string
	Head    uint64    // number of its latest entry in this ledger, 0 before its first
	At      time.Time // of that entry, by the device's clock, which may be wrong; zero before its first
	Removed bool
	Last    uint64 // of a removed device: its last entry that counts
}

// checkName checks the length and the encoding of a device's name.
func checkName(name string) error {
	if len(name) > maxName || !utf8.ValidString(name) {
		return fmt.Errorf("device name %q: at most %d bytes of UTF-8", name, maxName)
	}
	return nil
}

// sign signs a message with an Ed25519 key.
func sign(signer crypto.Signer, rand io.Reader, message []byte) ([]byte, error) {
	return signer.Sign(rand, message, crypto.Hash(0))
}

// deviceOf returns the id of the device with this key.
func deviceOf(signer crypto.Signer) (id DeviceID, err error) {
	if signer == nil {
		return id, errors.New("no device key")
	}
	return deviceFromKey(signer.Public())
}

// deviceFromKey returns the id of the device with this public key.
func deviceFromKey(key crypto.PublicKey) (id DeviceID, err error) {
	k, ok := key.(ed25519.PublicKey)
	if !ok || len(k) != len(id) {
		return id, fmt.Errorf("device key is a %T, must be Ed25519", key)
	}
	copy(id[:], k)
	return id, nil
}
