package pointer

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"
)

// Commitment is a commitment of a pointer's owner to the next key. It hides the
// key until the key is used. It is the sha2-256 multihash of
//
//	"petnames/next/v1\0" ‖ libp2p-encoded next public key
//
// It is comparable; the zero value means that no commitment is known.
type Commitment struct {
	multihash string
}

const commitmentDomain = "petnames/next/v1\x00"

// Commit returns the commitment to an Ed25519 public key.
func Commit(next crypto.PublicKey) (Commitment, error) {
	encoded, err := encodeKey(next)
	if err != nil {
		return Commitment{}, err
	}
	sum := digest(commitmentDomain, encoded)
	mh, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		return Commitment{}, err
	}
	return Commitment{string(mh)}, nil
}

// CommitmentFromBytes reads the binary form, a sha2-256 multihash.
func CommitmentFromBytes(mh []byte) (Commitment, error) {
	decoded, err := multihash.Decode(mh)
	if err != nil || decoded.Code != multihash.SHA2_256 || len(decoded.Digest) != sha256.Size {
		return Commitment{}, errors.New("commitment: is not a sha2-256 multihash")
	}
	if canonical, err := multihash.Encode(decoded.Digest, decoded.Code); err != nil || !bytes.Equal(canonical, mh) {
		return Commitment{}, errors.New("commitment: is not a canonical multihash")
	}
	return Commitment{string(mh)}, nil
}

// ParseCommitment reads the output of [Commitment.String].
func ParseCommitment(s string) (Commitment, error) {
	if len(s) > maxText {
		return Commitment{}, fmt.Errorf("commitment %s: is too long", quote(s))
	}
	enc, b, err := multibase.Decode(s)
	if err != nil || enc != multibase.Base36 {
		return Commitment{}, fmt.Errorf("commitment %s: is not multibase base36", quote(s))
	}
	c, err := CommitmentFromBytes(b)
	if err != nil {
		return Commitment{}, fmt.Errorf("%s: %w", quote(s), err)
	}
	if c.String() != s {
		return Commitment{}, fmt.Errorf("commitment %s: is not in its canonical spelling", quote(s))
	}
	return c, nil
}

// IsZero reports whether no commitment is known.
func (c Commitment) IsZero() bool { return c.multihash == "" }

// Bytes returns the multihash, nil for the zero value. The slice is the
// caller's.
func (c Commitment) Bytes() []byte {
	if c.IsZero() {
		return nil
	}
	return []byte(c.multihash)
}

// String returns the multibase base36 form of the multihash, "" for the zero
// value.
func (c Commitment) String() string {
	if c.IsZero() {
		return ""
	}
	s, err := multibase.Encode(multibase.Base36, []byte(c.multihash))
	if err != nil {
		return "" // unreachable: base36 encodes all bytes
	}
	return s
}

// Opens reports whether next is the public key that c commits to. The zero
// commitment has none.
func (c Commitment) Opens(next crypto.PublicKey) bool {
	opened, err := Commit(next)
	return err == nil && opened == c // opened is never zero
}

// digest returns the domain-separated sha2-256 of the concatenated parts.
func digest(domain string, parts ...[]byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(domain))
	for _, part := range parts {
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
