package kad

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	ic "github.com/libp2p/go-libp2p/core/crypto"
	cryptopb "github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// readKey converts a peer key to libp2p's form and returns it with its peer ID.
func readKey(k crypto.Signer) (ic.PrivKey, peer.ID, error) {
	key, err := hostKey(k)
	if err != nil {
		return nil, "", fmt.Errorf("peer key: %w", err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, "", fmt.Errorf("peer key: %w", err)
	}
	return key, id, nil
}

// hostKey converts an Ed25519 signer to a libp2p key. A signer that does not reveal its
// private key, such as hardware, becomes a signerKey.
func hostKey(k crypto.Signer) (ic.PrivKey, error) {
	if private, ok := k.(ed25519.PrivateKey); ok {
		if len(private) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("an Ed25519 key of %d bytes, not %d", len(private), ed25519.PrivateKeySize)
		}
		return ic.UnmarshalEd25519PrivateKey(private)
	}
	public, ok := k.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a %T, not an Ed25519 key", k.Public())
	}
	key, err := ic.UnmarshalEd25519PublicKey(public)
	if err != nil {
		return nil, err
	}
	s := signerKey{Signer: k, public: key}
	if _, err := rand.Read(s.secret[:]); err != nil {
		return nil, err
	}
	return s, nil
}

// signerKey is a libp2p key that signs with a crypto.Signer.
type signerKey struct {
	crypto.Signer
	public ic.PubKey
	secret [32]byte // returned by Raw
}

var _ ic.PrivKey = signerKey{}

// Sign returns the signer's signature of a message.
func (k signerKey) Sign(message []byte) ([]byte, error) {
	return k.Signer.Sign(rand.Reader, message, crypto.Hash(0))
}

// GetPublic and Type implement the libp2p key.
func (k signerKey) GetPublic() ic.PubKey   { return k.public }
func (k signerKey) Type() cryptopb.KeyType { return cryptopb.KeyType_Ed25519 }

// Equals reports whether two keys have the same public key.
func (k signerKey) Equals(other ic.Key) bool {
	private, ok := other.(ic.PrivKey)
	return ok && k.public.Equals(private.GetPublic())
}

// Raw returns 32 random bytes of this host instead of the private key, which
// the signer does not reveal. go-libp2p derives the keys of QUIC's stateless
// resets and address tokens from them, which only this host uses.
func (k signerKey) Raw() ([]byte, error) { return append([]byte(nil), k.secret[:]...), nil }
