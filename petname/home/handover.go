package home

import (
	"errors"
	"fmt"
)

// ErrKeyElsewhere is returned when the identity key is needed on a device that does not have
// it. It wraps [ErrLocked].
var ErrKeyElsewhere error = keyElsewhereError{}

type keyElsewhereError struct{}

func (keyElsewhereError) Error() string { return "the identity key is on another device" }
func (keyElsewhereError) Unwrap() error { return ErrLocked }

// Handover returns the content of identity.key for another device of the owner: with the
// current key, locked by the passphrase if this one is, or without it. The next key is
// never in it: the device states that it is elsewhere. workFactor is scrypt's, log2; 0: the
// default of age. The errors are those of [Identity.Unlock].
func (id Identity) Handover(passphrase string, withKey bool, workFactor int) ([]byte, error) {
	s, err := id.secretLines(passphrase)
	if err != nil {
		return nil, err
	}
	next, err := id.nextCommitment(s)
	if err != nil {
		return nil, err
	}
	if next.IsZero() { // a file of an older version, whose next key is elsewhere
		next = id.Next
	}
	out := secrets{current: s.current, committed: next, nextElsewhere: true, succession: id.Succession, last: id.Last, keyless: !withKey}
	if withKey && id.Locked {
		out.passphrase, out.workFactor = passphrase, workFactor
	}
	return out.format()
}

// ParseHandover parses the output of [Identity.Handover] without the passphrase.
func ParseHandover(b []byte) (Identity, error) {
	if len(b) > maxKeyFile {
		return Identity{}, fmt.Errorf("identity key of %d bytes", len(b))
	}
	id, err := parseIdentity(b)
	if err == nil && !id.NextElsewhere {
		err = errors.New("states that the next key is in it")
	}
	if err != nil {
		return Identity{}, fmt.Errorf("identity key of another device: %w", err)
	}
	if !id.Locked && !id.KeyElsewhere {
		if _, _, err := id.keys(""); err != nil {
			return Identity{}, err
		}
	}
	return id, nil
}
