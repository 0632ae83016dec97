package home

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// Turn says how the identity is to go on to its next key.
type RotateOptions struct {
	Passphrase string // unlocks the identity key and Next, and locks what is written
	Next       string // the recovery file that has the next key; empty: the home has it
	Recovery   string // a new file to keep the key after it in; empty: the home, if it had the next one
	WorkFactor int    // scrypt's, log2; 0: age's own
}

// Rotation is a turn that is prepared: nothing has changed yet. The old key is
// there to sign its last record with; [Rotation.Commit] overwrites it.
type Rotation struct {
	Old, New   *pointer.Key
	OldNext    pointer.Commitment   // the old key's, to the new one
	Next       pointer.Commitment   // the new key's
	Succession []pointer.Succession // from the first key to New

	home         Home
	identity     secrets
	recovery     []byte // nil: none to be written
	recoveryPath string
}

var (
	// ErrNextElsewhere: the next key is in a recovery file.
	ErrNextElsewhere = errors.New("the next key is not in this home")

	// ErrNextWrong: a key that isn't the one committed to.
	ErrNextWrong = errors.New("that is not the key that was committed to as the next one")
)

// Rotate prepares the turn to the next key.
func (h Home) Rotate(t RotateOptions) (*Rotation, error) {
	id, err := h.Identity()
	if err != nil {
		return nil, err
	}
	old, next, err := id.keys(t.Passphrase)
	if err != nil {
		return nil, err
	}
	switch {
	case t.Next != "":
		if next, err = readRecovery(t.Next, t.Passphrase); err != nil {
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
	if t.Recovery == "" && id.NextElsewhere {
		return nil, fmt.Errorf("%w, and neither should be the one after it: name a new recovery file", ErrNextElsewhere)
	}
	if len(id.Succession) >= pointer.MaxKept {
		return nil, fmt.Errorf("the key has gone on %d times, and no longer a history fits: begin a new identity, and introduce it", len(id.Succession))
	}
	after, err := pointer.NewKey(nil)
	if err != nil {
		return nil, err
	}
	r := &Rotation{Old: old, New: next, OldNext: id.Next, home: h}
	if r.Next, err = pointer.Commit(after.Public()); err != nil {
		return nil, err
	}
	step, err := pointer.Succeed(id.Pointer, next, r.Next, old)
	if err != nil {
		return nil, err
	}
	r.Succession = append(slices.Clone(id.Succession), step)
	if t.Recovery != "" {
		if r.recoveryPath, err = recoveryPath(h.Dir, t.Recovery, t.Passphrase); err != nil {
			return nil, err
		}
		if r.recovery, err = formatRecovery(next.Pointer(), after, t.Passphrase, t.WorkFactor); err != nil {
			return nil, err
		}
	}
	passphrase := t.Passphrase
	if !id.Locked {
		passphrase = "" // it is for the recovery files alone
	}
	r.identity = secrets{current: next, next: after, nextElsewhere: t.Recovery != "", succession: r.Succession,
		passphrase: passphrase, workFactor: t.WorkFactor}
	return r, nil
}

// Commit makes the turn: first the recovery file is there, then the identity
// key is replaced, whole or not at all. The old key's last record stands in it:
// it names a successor that there isn't before, nor could it be signed after.
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
	// A turn that was cut short left keys behind in a file that nobody looks at.
	err = r.home.sweep()
	if err == nil {
		err = r.home.replace(identityFile, b)
	}
	if err != nil {
		// Of no use if the turn wasn't made, and the only copy if it was.
		if id, ierr := r.home.Identity(); r.recovery != nil && ierr == nil && id.Pointer == r.Old.Pointer() {
			_ = durable.Or(r.home.files).Remove(r.recoveryPath)
		}
		return fmt.Errorf("identity key: %w", err)
	}
	return nil
}
