package pair

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// Identity is the statement of one side of a pairing to the other. The signature of its
// key proves the pointer; the details are claims of that key.
type Identity struct {
	Pointer pointer.Pointer
	pointer.Details
}

const maxIdentity = 6 << 10 // bytes, encoded

// wireIdentity is the encoding of an Identity.
type wireIdentity struct {
	Version   int                  `cbor:"1,keyasint"`
	Pointer   []byte               `cbor:"2,keyasint"`
	Next      []byte               `cbor:"3,keyasint,omitempty"`
	Sealing   []pointer.SealingKey `cbor:"4,keyasint,omitempty"`
	Nickname  string               `cbor:"5,keyasint,omitempty"`
	Addresses [][]byte             `cbor:"6,keyasint,omitempty"`
}

// encode returns the canonical encoding, of at most maxIdentity bytes.
func (id Identity) encode() ([]byte, error) {
	if err := id.check(); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	b := encode(wireIdentity{1, id.Pointer.Bytes(), id.Next.Bytes(), id.Sealing, id.Nickname, id.Addresses})
	if len(b) > maxIdentity {
		return nil, fmt.Errorf("identity: is %d bytes long, over %d: use fewer keys or addresses", len(b), maxIdentity)
	}
	return b, nil
}

// check checks the form of an identity.
func (id Identity) check() error {
	if id.Pointer.IsZero() {
		return errors.New("has no pointer")
	}
	return id.Details.Check()
}

// checkAddresses checks the number and the length of addresses, and not that they are
// multiaddrs.
func checkAddresses(addresses [][]byte) error { return pointer.Details{Addresses: addresses}.Check() }

// parseIdentity decodes an identity. It verifies nothing: a signature over the bytes
// proves it.
func parseIdentity(b []byte) (Identity, error) {
	id, err := readIdentity(b)
	if err != nil {
		return Identity{}, fmt.Errorf("identity: %w", err)
	}
	return id, nil
}

// readIdentity is parseIdentity without the prefix of its errors.
func readIdentity(b []byte) (Identity, error) {
	var w wireIdentity
	if err := decode(b, maxIdentity, &w); err != nil {
		return Identity{}, err
	}
	if w.Version != 1 {
		return Identity{}, fmt.Errorf("has version %d, not 1", w.Version)
	}
	id := Identity{Details: pointer.Details{Sealing: w.Sealing, Nickname: w.Nickname, Addresses: w.Addresses}}
	var err error
	if id.Pointer, err = pointer.FromBytes(w.Pointer); err != nil {
		return Identity{}, err
	}
	if len(w.Next) > 0 {
		if id.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
			return Identity{}, err
		}
	}
	return id, id.check()
}

// clone returns a deep copy.
func (id Identity) clone() Identity {
	id.Sealing = slices.Clone(id.Sealing)
	for i := range id.Sealing {
		id.Sealing[i].Key = bytes.Clone(id.Sealing[i].Key)
	}
	id.Addresses = cloneAddresses(id.Addresses)
	return id
}

func cloneAddresses(addresses [][]byte) [][]byte {
	addresses = slices.Clone(addresses)
	for i := range addresses {
		addresses[i] = bytes.Clone(addresses[i])
	}
	return addresses
}

// Self is the side of the caller.
type Self struct {
	// Key signs for Identity.Pointer. A pairing uses it a few times.
	Key crypto.Signer
	// Identity is sent to the peer.
	Identity Identity
	// Device is true at both sides of an admission of a device, and false at those of a
	// pairing with a contact: codes, invitations and states of the other kind are refused
	// with [ErrDevice] or [ErrNoDevice].
	Device bool
	// Random is the source of secrets; nil means crypto/rand.
	Random io.Reader
	// Direct returns the store of the peer at these addresses. Messages to a known peer
	// are also put there; nil: into the other store alone.
	Direct func(addresses [][]byte) dht.Store
}

// storeFor returns the store for messages to a peer.
func (s Self) storeFor(store dht.Store, peer Identity) dht.Store {
	if s.Direct == nil || len(peer.Addresses) == 0 {
		return store
	}
	return dht.MultiStore{store, s.Direct(peer.Addresses)}
}

// encodeIdentity verifies that the key is the identity's, and returns the encoded identity.
func (s Self) encodeIdentity() ([]byte, error) {
	if s.Key == nil {
		return nil, errors.New("pairing needs the identity key")
	}
	p, err := pointer.FromPublicKey(s.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("pairing: %w", err)
	}
	if p != s.Identity.Pointer {
		return nil, fmt.Errorf("pairing as %s with the key of %s", s.Identity.Pointer, p)
	}
	return s.Identity.encode()
}

// sign returns a signature over a domain string and a statement in canonical CBOR.
func (s Self) sign(domain string, statement any) ([]byte, error) {
	return sign(s.Key, s.Identity.Pointer, append([]byte(domain), encode(statement)...))
}

// verify verifies a signature of Self.sign.
func verify(p pointer.Pointer, domain string, statement any, sig []byte) error {
	return p.Verify(append([]byte(domain), encode(statement)...), sig)
}
