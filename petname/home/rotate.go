package home

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// RotateOptions are the options of [Home.Rotate].
type RotateOptions struct {
	Passphrase string // decrypts the identity key and Next, and encrypts the new files
	Next       string // the recovery file with the next key; empty: the home has it
	Recovery   string // a new recovery file for the key after the next; empty: the home, if it had the next key
	WorkFactor int    // of scrypt, log2; 0: the default of age
}

// Rotation is a prepared rotation: nothing on disk has changed yet. The caller
// signs the last record of the old key; [Rotation.Commit] overwrites that key.
type Rotation struct {
	Old, New   *pointer.Key
	OldNext    pointer.Commitment   // the commitment of Old: to New
	Next       pointer.Commitment   // the commitment of New: to the key after it
	Succession []pointer.Succession // from the first key to New

	home         Home
	identity     secrets
	recovery     []byte // content of the new recovery file; nil: none to be written
	recoveryPath string
}

var (
	// ErrNextElsewhere is returned when the next key is in a recovery file and no
	// recovery file was given.
	ErrNextElsewhere = errors.New("the next key is not in this home")

	// ErrNextWrong is returned when a key does not match the commitment.
	ErrNextWrong = errors.New("that is not the key that was committed to as the next one")
)

// Rotate prepares the rotation to the next key. It fails with [ErrLocked],
// [ErrPassphrase], [ErrNextElsewhere], [ErrNextWrong] or [ErrRecoveryInHome], and
// when the succession chain has its maximum length, [pointer.MaxKept].
func (h Home) Rotate(o RotateOptions) (*Rotation, error) {
	id, err := h.Identity()
	if err != nil {
		return nil, err
	}
	old, next, err := id.keys(o.Passphrase)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Next != "":
		if next, err = readRecovery(o.Next, o.Passphrase); err != nil {
			return nil, err
		}
	case id.NextElsewhere:
		return nil, ErrNextElsewhere
	case next == nil:
		return nil, errors.New("identity key: the next key in it is damaged")
	}
	if !id.Next.Opens(next.Public()) {
		return nil, ErrNextWrong
	}
	if o.Recovery == "" && id.NextElsewhere {
		return nil, fmt.Errorf("%w, and neither should be the one after it: name a new recovery file", ErrNextElsewhere)
	}
	if len(id.Succession) >= pointer.MaxKept {
		return nil, fmt.Errorf("the key was rotated %d times, which is the maximum: begin a new identity, and introduce it", len(id.Succession))
	}
	afterNext, err := pointer.NewKey(nil)
	if err != nil {
		return nil, err
	}
	r := &Rotation{Old: old, New: next, OldNext: id.Next, home: h}
	if r.Next, err = pointer.Commit(afterNext.Public()); err != nil {
		return nil, err
	}
	step, err := pointer.Succeed(id.Pointer, next, r.Next, old)
	if err != nil {
		return nil, err
	}
	r.Succession = append(slices.Clone(id.Succession), step)
	if o.Recovery != "" {
		if r.recoveryPath, err = recoveryPath(h.Dir, o.Recovery, o.Passphrase); err != nil {
			return nil, err
		}
		if r.recovery, err = formatRecovery(next.Pointer(), afterNext, o.Passphrase, o.WorkFactor); err != nil {
			return nil, err
		}
	}
	passphrase := o.Passphrase
	if !id.Locked {
		passphrase = "" // it is only for the recovery files
	}
	r.identity = secrets{current: next, next: afterNext, nextElsewhere: o.Recovery != "", succession: r.Succession,
		passphrase: passphrase, workFactor: o.WorkFactor}
	return r, nil
}

// Commit writes the recovery file and then replaces identity.key atomically. last
// is the last record of the old key and is stored in identity.key: it names the
// successor, so it must not exist before the rotation, and afterwards the old key
// is no longer there to sign it.
func (r *Rotation) Commit(last []byte) error {
	r.identity.last = last
	b, err := r.identity.format()
	if err != nil {
		return err
	}
	if r.recovery != nil {
		if err := durable.Create(r.home.files, r.recoveryPath, r.recovery); err != nil {
			return fmt.Errorf("recovery file: %w", err)
		}
	}
	// An interrupted rotation can have left keys in a temporary file.
	err = r.home.sweep()
	if err == nil {
		err = r.home.replace(identityFile, b)
	}
	if err != nil {
		// The recovery file is removed only if the old identity is certainly in place:
		// with the new one, it is the only copy of the next key.
		if id, ierr := r.home.Identity(); r.recovery != nil && ierr == nil && id.Pointer == r.Old.Pointer() {
			_ = durable.Or(r.home.files).Remove(r.recoveryPath)
		}
		return fmt.Errorf("identity key: %w", err)
	}
	return nil
}
