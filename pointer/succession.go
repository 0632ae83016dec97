package pointer

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// Succession is one step from an old pointer to the next. The new key opens the
// commitment in the old card, commits to the key after it, and signs all three.
// The old key signs too if it still exists. Its signature alone proves nothing,
// and the step is possible without it.
//
// Without the old key's signature a step proves the new key, and not the new
// key's commitment: a later thief of the new key could make the same step with
// another commitment. So such a step is the last one that [Follow] accepts,
// until the owner hands over a new commitment, in a link.
//
// The signed message is
//
//	"petnames/succession/v1\0" ‖ canonical CBOR [old pointer, new key, commitment or null]
//
// It includes the new key's own commitment because the next step of a chain is
// checked against it: a reader that pinned the first pointer alone can then
// follow the chain to its end.
type Succession struct {
	Old          Pointer
	New          ed25519.PublicKey
	Next         Commitment // to the key after New; zero: none. Proven only with OldSignature
	NewSignature []byte
	OldSignature []byte // nil: the old key is lost
}

const (
	// maxSuccession bounds a chain in a card or in Follow, in steps. A record
	// has no room for more.
	maxSuccession = 32

	// MaxKept bounds a chain that is stored as evidence, in steps.
	MaxKept = 128
)

// wireSuccession is the encoding of a Succession.
type wireSuccession struct {
	_            struct{} `cbor:",toarray"`
	Old          []byte
	New          []byte
	Next         []byte
	NewSignature []byte
	OldSignature []byte
}

// Succeed makes the step from old to the key next, which commits to the key
// after it by commitment. oldKey may be nil. The signatures are verified: an
// invalid step is an error.
func Succeed(old Pointer, next crypto.Signer, commitment Commitment, oldKey crypto.Signer) (Succession, error) {
	if next == nil {
		return Succession{}, errors.New("succession: there is no new key")
	}
	pub, ok := next.Public().(ed25519.PublicKey)
	if !ok {
		return Succession{}, fmt.Errorf("succession: key of type %T, not Ed25519", next.Public())
	}
	s := Succession{Old: old, New: bytes.Clone(pub), Next: commitment}
	statement, err := s.statement()
	if err != nil {
		return Succession{}, fmt.Errorf("succession: new key: %w", err)
	}
	if s.NewSignature, err = next.Sign(rand.Reader, statement, crypto.Hash(0)); err != nil {
		return Succession{}, fmt.Errorf("succession: new key: %w", err)
	}
	if oldKey != nil {
		if s.OldSignature, err = oldKey.Sign(rand.Reader, statement, crypto.Hash(0)); err != nil {
			return Succession{}, fmt.Errorf("succession: old key: %w", err)
		}
	}
	if err := checkSuccession([]Succession{s}, 1); err != nil {
		return Succession{}, err
	}
	if target, err := s.Verify(); err != nil {
		return Succession{}, fmt.Errorf("succession: %w", err)
	} else if target == old {
		return Succession{}, fmt.Errorf("succession: the new key is the old one, of %s", old)
	}
	return s, nil
}

// Equal reports whether two steps are equal, signatures included.
func (s Succession) Equal(t Succession) bool {
	return s.Old == t.Old && s.New.Equal(t.New) && s.Next == t.Next &&
		bytes.Equal(s.NewSignature, t.NewSignature) && bytes.Equal(s.OldSignature, t.OldSignature)
}

// statement returns the message that both keys sign.
func (s Succession) statement() ([]byte, error) {
	encoded, err := encodeKey(s.New)
	if err != nil {
		return nil, err
	}
	b, err := canonical.Marshal([]any{s.Old.Bytes(), encoded, s.Next.Bytes()})
	if err != nil {
		return nil, err
	}
	return append([]byte("petnames/succession/v1\x00"), b...), nil
}

// Follow verifies a chain from a pointer with a pinned commitment. It returns
// the last pointer, and the commitment that is proven there, zero if the old
// key did not sign the last step. The steps are in order, each from the target
// of the one before it, and no pointer occurs twice. Steps before from are not
// verified. After it, these are errors: a step that opens no pinned commitment,
// a step that its new key did not sign, a wrong signature of the old key, and a
// step after one that the old key did not sign. A chain without from is an
// error too.
func Follow(from Pointer, pinned Commitment, chain []Succession) (Pointer, Commitment, error) {
	last, pinned, err := follow(from, pinned, chain)
	if err != nil {
		return Pointer{}, Commitment{}, fmt.Errorf("succession: %w", err)
	}
	return last, pinned, nil
}

// follow is Follow without the prefix of its errors.
func follow(from Pointer, pinned Commitment, chain []Succession) (Pointer, Commitment, error) {
	if len(chain) > maxSuccession {
		return Pointer{}, Commitment{}, fmt.Errorf("%d steps, over %d", len(chain), maxSuccession)
	}
	// 1. The shape of all steps: one line without a loop.
	start := -1
	seen := make(map[Pointer]bool, len(chain)+1)
	var target Pointer
	for i, s := range chain {
		if i > 0 && s.Old != target {
			return Pointer{}, Commitment{}, fmt.Errorf("the chain breaks after %s", target)
		}
		if s.Old == from {
			start = i
		}
		seen[s.Old] = true
		var err error
		if target, err = FromPublicKey(s.New); err != nil {
			return Pointer{}, Commitment{}, fmt.Errorf("new key %w", err)
		}
		if seen[target] {
			return Pointer{}, Commitment{}, fmt.Errorf("the chain leads back to %s", target)
		}
	}
	if start < 0 {
		return Pointer{}, Commitment{}, fmt.Errorf("the chain has no step from %s", from)
	}
	// 2. The evidence of the steps after from.
	current := from
	for _, s := range chain[start:] {
		if pinned.IsZero() {
			return Pointer{}, Commitment{}, fmt.Errorf("no commitment to the key after %s is known", current)
		}
		if !pinned.Opens(s.New) {
			return Pointer{}, Commitment{}, fmt.Errorf("the key after %s is not the one that was committed to", current)
		}
		next, err := s.Verify()
		if err != nil {
			return Pointer{}, Commitment{}, err
		}
		if current, pinned = next, s.Next; s.OldSignature == nil {
			pinned = Commitment{}
		}
	}
	return current, pinned, nil
}

// Verify checks the step's signatures, and returns the pointer that it leads
// to. Whether the step opens a pinned commitment is checked by [Follow].
func (s Succession) Verify() (Pointer, error) {
	next, err := FromPublicKey(s.New)
	if err != nil {
		return Pointer{}, fmt.Errorf("new key %w", err)
	}
	statement, err := s.statement()
	if err != nil {
		return Pointer{}, err
	}
	if err := next.Verify(statement, s.NewSignature); err != nil {
		return Pointer{}, fmt.Errorf("new key's %w", err)
	}
	if s.OldSignature == nil {
		return next, nil
	}
	if err := s.Old.Verify(statement, s.OldSignature); err != nil {
		return Pointer{}, fmt.Errorf("old key's %w", err)
	}
	return next, nil
}

// checkSuccession checks the bounds of a chain and that it can be encoded. It
// verifies no signatures.
func checkSuccession(chain []Succession, maxSteps int) error {
	if len(chain) > maxSteps {
		return fmt.Errorf("succession: %d steps, over %d", len(chain), maxSteps)
	}
	for _, s := range chain {
		if s.Old.IsZero() {
			return errors.New("succession: a step leads from no pointer")
		}
		if _, err := FromPublicKey(s.New); err != nil {
			return fmt.Errorf("succession: new key: %w", err)
		}
		if len(s.NewSignature) != ed25519.SignatureSize {
			return errors.New("succession: a step without its new key's signature")
		}
		if s.OldSignature != nil && len(s.OldSignature) != ed25519.SignatureSize {
			return errors.New("succession: an old key's signature of a wrong length")
		}
	}
	return nil
}

// EncodeSuccession returns a chain in its encoding in a card, for storing it as
// evidence.
func EncodeSuccession(chain []Succession) ([]byte, error) {
	if err := checkSuccession(chain, MaxKept); err != nil {
		return nil, err
	}
	wire, err := wireChain(chain)
	if err != nil {
		return nil, fmt.Errorf("succession: %w", err)
	}
	return canonical.Marshal(wire)
}

// ParseSuccession reads the output of [EncodeSuccession], and no other
// encoding. It verifies no signatures.
func ParseSuccession(b []byte) ([]Succession, error) {
	var wire []wireSuccession
	if err := canonical.UnmarshalLoose(b, &wire, cardBounds); err != nil || len(wire) == 0 {
		return nil, errors.New("succession: is not the CBOR of a chain") // the cause contains hostile text
	}
	chain, err := openSuccession(wire, MaxKept)
	if err != nil {
		return nil, err
	}
	if again, err := EncodeSuccession(chain); err != nil {
		return nil, err
	} else if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("succession: %w", canonical.ErrNotCanonical)
	}
	return chain, nil
}

// wireChain returns the encoding of a chain.
func wireChain(steps []Succession) ([]wireSuccession, error) {
	chain := make([]wireSuccession, len(steps))
	for i, s := range steps {
		encoded, err := encodeKey(s.New)
		if err != nil {
			return nil, err
		}
		chain[i] = wireSuccession{Old: s.Old.Bytes(), New: encoded, Next: s.Next.Bytes(),
			NewSignature: s.NewSignature, OldSignature: s.OldSignature}
	}
	return chain, nil
}

// openSuccession is the inverse of wireChain. It checks each part, and verifies no
// signatures.
func openSuccession(chain []wireSuccession, maxSteps int) ([]Succession, error) {
	if len(chain) > maxSteps {
		return nil, fmt.Errorf("succession: %d steps, over %d", len(chain), maxSteps)
	}
	var opened []Succession
	for _, w := range chain {
		old, err := FromBytes(w.Old)
		if err != nil {
			return nil, fmt.Errorf("succession: pointer %w", err)
		}
		pub, err := decodeKey(w.New)
		if err != nil {
			return nil, fmt.Errorf("succession: new key %w", err)
		}
		s := Succession{Old: old, New: pub, NewSignature: w.NewSignature, OldSignature: w.OldSignature}
		if w.Next != nil {
			if s.Next, err = CommitmentFromBytes(w.Next); err != nil {
				return nil, err
			}
		}
		opened = append(opened, s)
	}
	return opened, nil
}
