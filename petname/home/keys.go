package home

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/petnames-go/petnames/pointer"
)

// readKey reads a file with one secret key in the text form of [pointer.ParseKey].
func readKey(name string) (*pointer.Key, error) {
	text, err := readText(name)
	if err != nil {
		return nil, err
	}
	key, err := pointer.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("key file %q: %w", name, err)
	}
	return key, nil
}

// readPeerKey reads a peer key: PKCS #8 in PEM. It returns the private key and not
// a [crypto.Signer], because libp2p needs the key itself.
func readPeerKey(name string) (ed25519.PrivateKey, error) {
	text, err := readText(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("peer key %q: is not PEM of a private key: damaged", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("peer key %q: is not PKCS #8: damaged", name)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("peer key %q: is not an Ed25519 key", name)
	}
	return private, nil
}

const pemType = "PRIVATE KEY"

// newPeerKey returns the content of a peer.key with a new key.
func newPeerKey() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}
