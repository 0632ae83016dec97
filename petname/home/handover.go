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
// current key, locked by the passphrase and with the work factor of this one if it is
// locked, or without it. The next key is never in it: the device states that it is
// elsewhere. The errors are those of [Identity.Unlock].
func (id Identity) Handover(passphrase string, withKey bool) ([]byte, error) {
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
		if out.passphrase, out.workFactor = passphrase, workFactor(id.body); out.workFactor == 0 {
			return nil, id.damaged(errors.New("no recipient stanza of scrypt"))
		}
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
