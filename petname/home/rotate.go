package home

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// RotateOptions are the options of [Home.Rotate].
type RotateOptions struct {
	Passphrase string // decrypts the identity key and Next, and encrypts the new files
	Next       string // the recovery file with the next key; empty: the home has it
	Recovery   string // a new recovery file for the key after the next; empty: the home, if it had the next key
	Nickname   string // for the last record in the new recovery file; empty: none

	// Former is the last records of the keys before the current one, for the new recovery
	// file.
	Former []pointer.Record

	WorkFactor int // of scrypt, log2; 0: the default of age

	Now    func() time.Time // nil: time.Now
	Newest time.Time        // of the entries of the book: see LastExpiry and RenewSealing
}

// Rotation is a prepared rotation: nothing on disk has changed yet. The caller
// signs the last record of the old key; [Rotation.Commit] overwrites that key.
type Rotation struct {
	Old, New   *pointer.Key
	OldNext    pointer.Commitment   // the commitment of Old: to New
	Next       pointer.Commitment   // the commitment of New: to the key after it
	Succession []pointer.Succession // from the first key to New

	home         Home
	now          func() time.Time
	newest       time.Time
	identity     secrets
	keys         *recoveryKeys // of the new recovery file; nil: none to be written
	recovery     []byte        // its content
	recoveryPath string
	expires      time.Time // of the last record in it
	passphrase   string
}

// UnfinishedError is returned by [Rotation.Commit] when the identity has changed and a
// later part of the rotation failed. [Home.FinishRotation] does the rest.
type UnfinishedError struct {
	Old, New pointer.Pointer
	Err      error
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("the key was rotated, and the pointer is now %s; the rest of the rotation is not done yet: %v", e.New, e.Err)
}

func (e *UnfinishedError) Unwrap() error { return e.Err }

var (
	// ErrNextElsewhere is returned when the next key is in a recovery file and no
	// recovery file was given.
	ErrNextElsewhere = errors.New("the next key is not in this home")

	// ErrNextWrong is returned when a key does not match the commitment.
	ErrNextWrong = errors.New("that is not the key that was committed to as the next one")
)

// Rotate prepares the rotation to the next key. It fails with [ErrLocked],
// [ErrPassphrase], [ErrNextElsewhere], [ErrNextWrong], [ErrRecovery] or [ErrRecoveryInHome], and
// when the succession chain has its maximum length, [pointer.MaxKept].
func (h Home) Rotate(o RotateOptions) (*Rotation, error) {
	for _, file := range []string{identityFile, sealingFile} {
		if err := h.replaceable(file); err != nil {
			return nil, err
		}
	}
	id, err := h.Identity()
	if err != nil {
		return nil, err
	}
	old, next, err := id.keys(o.Passphrase)
	if err != nil {
		return nil, err
	}
	var file recovery
	switch {
	case o.Next != "":
		if file, err = openRecovery(o.Next, o.Passphrase); err != nil {
			return nil, err
		}
		next = file.next
	case id.NextElsewhere:
		return nil, ErrNextElsewhere
	}
	if !id.Next.Opens(next.Public()) {
		return nil, ErrNextWrong
	}
	if o.Recovery == "" && id.NextElsewhere {
		return nil, fmt.Errorf("%w, and neither should be the one after it: name a new recovery file", ErrNextElsewhere)
	}
	most := pointer.MaxKept
	if o.Recovery != "" {
		most-- // the recovery file has a step more
	}
	if len(id.Succession) >= most {
		return nil, fmt.Errorf("the key was rotated %d times, which is the maximum: begin a new identity, and introduce it", len(id.Succession))
	}
	// The step in the recovery file is signed already. Another one, to the same key with
	// another commitment, would be duplicity.
	after := file.after
	if after == nil || file.old != id.Pointer {
		if after, err = pointer.NewKey(nil); err != nil {
			return nil, err
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Rotation{Old: old, New: next, OldNext: id.Next, home: h, now: o.Now, newest: o.Newest}
	if r.Next, err = pointer.Commit(after.Public()); err != nil {
		return nil, err
	}
	step, err := pointer.Succeed(id.Pointer, next, r.Next, old)
	if err != nil {
		return nil, err
	}
	r.Succession = append(slices.Clone(id.Succession), step)
	if o.Recovery != "" {
		if r.recoveryPath, err = recoveryPath(h.Dir, o.Recovery, o.Passphrase); err == nil {
			err = checkNoFile(r.recoveryPath)
		}
		if err != nil {
			return nil, err
		}
		r.keys = &recoveryKeys{current: next, next: after, chain: r.Succession, nickname: o.Nickname, former: o.Former}
		if r.keys.after, err = pointer.NewKey(nil); err != nil {
			return nil, err
		}
		r.expires, r.passphrase = LastExpiry(o.Now(), o.Newest), o.Passphrase
	}
	passphrase := o.Passphrase
	if !id.Locked {
		passphrase = "" // it is only for the recovery files
	}
	r.identity = secrets{current: next, next: after, nextElsewhere: o.Recovery != "", succession: r.Succession,
		passphrase: passphrase, workFactor: o.WorkFactor}
	return r, nil
}

// Commit writes the recovery file, replaces identity.key atomically, and then replaces
// the sealing keys, which a thief of the old key may have. last is the last record of
// the old key and is stored in identity.key: it names the successor, so it must not
// exist before the rotation, and afterwards the old key is no longer there to sign it.
//
// After an error the old identity is in place and the recovery file is removed, unless
// the error is an [*UnfinishedError]: the new identity is in place then. A journal in
// the home makes the same of a rotation that a crash interrupts: see
// [Home.FinishRotation]. The caller has the book open.
func (r *Rotation) Commit(last []byte) error {
	r.identity.last = last
	b, err := r.identity.format()
	if err != nil {
		return err
	}
	// An interrupted rotation can have left keys in a temporary file.
	if err := r.home.sweep(); err != nil {
		return fmt.Errorf("identity key: %w", err)
	}
	if err := r.formatRecovery(last); err != nil {
		return err
	}
	j, err := r.writeJournal()
	if err != nil {
		return err
	}
	if r.recovery != nil {
		if err := durable.Create(r.home.files, r.recoveryPath, r.recovery); err != nil {
			return errors.Join(&RecoveryFileError{r.recoveryPath, err}, r.home.removeJournal())
		}
	}
	if err := r.home.replace(identityFile, b); err != nil {
		err = fmt.Errorf("identity key: %w", err)
		// The recovery file is removed only if the old identity is certainly in place:
		// with the new one, it is the only copy of the next key.
		id, ierr := r.home.Identity()
		switch {
		case ierr != nil:
			return err
		case id.Pointer == r.New.Pointer():
			return &UnfinishedError{r.Old.Pointer(), id.Pointer, err}
		}
		if r.recovery != nil {
			err = errors.Join(err, durable.Or(r.home.files).Remove(r.recoveryPath))
		}
		return errors.Join(err, r.home.removeJournal())
	}
	if err := r.home.finish(j, r.now(), r.newest); err != nil {
		return &UnfinishedError{r.Old.Pointer(), r.New.Pointer(), err}
	}
	return nil
}

// formatRecovery sets the content of the new recovery file. last is the last record of
// the old key, which is in it too if it verifies.
func (r *Rotation) formatRecovery(last []byte) error {
	if r.keys == nil {
		return nil
	}
	record, _, err := pointer.OpenExpired(r.Old.Pointer(), last, r.now())
	if err == nil {
		r.keys.former = append(slices.Clone(r.keys.former), record)
	}
	r.recovery, err = r.keys.format(r.expires, r.passphrase, r.identity.workFactor)
	return err
}
