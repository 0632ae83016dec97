package pointer

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
)

// Succession is one step from an old pointer to the next: the new key shows
// itself, which opens the commitment that the old card carried, commits to the
// key after it, and signs all three. The old key signs too if it still exists;
// its signature alone moves nothing, and its loss blocks nothing.
//
// What is signed is
//
//	"petnames/succession/v1\0" ‖ canonical CBOR [old pointer, new key, commitment or null]
//
// The new key's own commitment stands under its signature because the next
// step of a chain is checked against it: someone who pinned the first pointer
// alone can then follow the chain to its end.
type Succession struct {
	Old          Pointer
	New          ed25519.PublicKey
	Next         Commitment // to the key after New; zero: none
	NewSignature []byte
	OldSignature []byte // nil: the old key is lost
}

// maxSuccession bounds a chain, in steps: a record holds no more anyway.
const maxSuccession = 32

type wireSuccession struct {
	_            struct{} `cbor:",toarray"`
	Old          []byte
	New          []byte
	Next         []byte
	NewSignature []byte
	OldSignature []byte
}

// Succeed makes the step from old to the key next, which commits to the key
// after it by commitment. oldKey may be nil.
func Succeed(old Pointer, next crypto.Signer, commitment Commitment, oldKey crypto.Signer) (Succession, error) {
	pub, ok := next.Public().(ed25519.PublicKey)
	if !ok {
		return Succession{}, fmt.Errorf("succession: key of type %T, not Ed25519", next.Public())
	}
	s := Succession{Old: old, New: pub, Next: commitment}
	statement, err := s.statement()
	if err != nil {
		return Succession{}, err
	}
	if s.NewSignature, err = next.Sign(nil, statement, crypto.Hash(0)); err != nil {
		return Succession{}, fmt.Errorf("succession: new key: %w", err)
	}
	if oldKey == nil {
		return s, nil
	}
	if s.OldSignature, err = oldKey.Sign(nil, statement, crypto.Hash(0)); err != nil {
		return Succession{}, fmt.Errorf("succession: old key: %w", err)
	}
	return s, nil
}

func (s Succession) statement() ([]byte, error) {
	encoded, err := encodeKey(s.New)
	if err != nil {
		return nil, err
	}
	b, err := cardEncoder.Marshal([]any{s.Old.Bytes(), encoded, s.Next.Bytes()})
	if err != nil {
		return nil, err
	}
	return append([]byte("petnames/succession/v1\x00"), b...), nil
}

// Follow walks a chain from a pointer whose commitment was pinned, and returns
// the pointer that it leads to and the commitment pinned there. Steps before
// from are passed over; a step that opens no pinned commitment, isn't signed by
// its new key, or carries a wrong signature of the old one ends it with an
// error, and so does a chain in which from doesn't stand.
func Follow(from Pointer, pinned Commitment, chain []Succession) (Pointer, Commitment, error) {
	if len(chain) > maxSuccession {
		return Pointer{}, Commitment{}, fmt.Errorf("succession: %d steps, over %d", len(chain), maxSuccession)
	}
	at := from
	moved := false
	for _, s := range chain {
		if s.Old != at {
			if moved {
				return Pointer{}, Commitment{}, fmt.Errorf("succession: the chain breaks after %s", at)
			}
			continue
		}
		if !pinned.Opens(s.New) {
			return Pointer{}, Commitment{}, fmt.Errorf("succession: the key after %s is not the one that was committed to", at)
		}
		next, err := s.verify()
		if err != nil {
			return Pointer{}, Commitment{}, err
		}
		at, pinned, moved = next, s.Next, true
	}
	if !moved {
		return Pointer{}, Commitment{}, fmt.Errorf("succession: the chain has no step from %s", from)
	}
	return at, pinned, nil
}

func (s Succession) verify() (Pointer, error) {
	next, err := FromPublicKey(s.New)
	if err != nil {
		return Pointer{}, fmt.Errorf("succession: new key %w", err)
	}
	statement, err := s.statement()
	if err != nil {
		return Pointer{}, fmt.Errorf("succession: %w", err)
	}
	if err := next.Verify(statement, s.NewSignature); err != nil {
		return Pointer{}, fmt.Errorf("succession: new key's %w", err)
	}
	if s.OldSignature == nil {
		return next, nil
	}
	if err := s.Old.Verify(statement, s.OldSignature); err != nil {
		return Pointer{}, fmt.Errorf("succession: old key's %w", err)
	}
	return next, nil
}

func (c Card) wireSuccession() []wireSuccession {
	chain := make([]wireSuccession, len(c.Succession))
	for i, s := range c.Succession {
		encoded, _ := encodeKey(s.New) // an empty key is refused on reading
		chain[i] = wireSuccession{Old: s.Old.Bytes(), New: encoded, Next: s.Next.Bytes(),
			NewSignature: s.NewSignature, OldSignature: s.OldSignature}
	}
	return chain
}

func openSuccession(chain []wireSuccession) ([]Succession, error) {
	if len(chain) > maxSuccession {
		return nil, fmt.Errorf("succession has %d steps, over %d", len(chain), maxSuccession)
	}
	var opened []Succession
	for _, w := range chain {
		old, err := FromBytes(w.Old)
		if err != nil {
			return nil, fmt.Errorf("succession: pointer %w", err)
		}
		pub, err := decodeKey(w.New)
		if err != nil {
			return nil, fmt.Errorf("succession: %w", err)
		}
		s := Succession{Old: old, New: pub, NewSignature: w.NewSignature, OldSignature: w.OldSignature}
		if w.Next != nil {
			if s.Next, err = CommitmentFromBytes(w.Next); err != nil {
				return nil, err
			}
		}
		if s.NewSignature == nil {
			return nil, errors.New("succession: a step without its new key's signature")
		}
		opened = append(opened, s)
	}
	return opened, nil
}
