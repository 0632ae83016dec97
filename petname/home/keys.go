package home

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"

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

// readSmall reads a file of at most maxKeyFile bytes.
func readSmall(name string) ([]byte, error) { return readUpTo(name, maxKeyFile) }

// readUpTo reads a file of at most a number of bytes.
func readUpTo(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && info.IsDir() {
		return nil, fmt.Errorf("%q is a folder, and should be a file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, tooLong(name, most)
	}
	return b, nil
}

func tooLong(name string, most int64) error {
	return fmt.Errorf("%q is over %d bytes long", filepath.Base(name), most)
}
