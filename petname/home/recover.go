package home

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// RecoverOptions are the options of [Recover].
type RecoverOptions struct {
	File       string // the recovery file
	Passphrase string // decrypts it, and encrypts the new files
	Recovery   string // new recovery file for the key after the next; empty: File with ".next" appended
	WorkFactor int    // of scrypt, log2; 0: the default of age
}

// Recovered is an identity that [Recover] continued. It is a plain value.
type Recovered struct {
	Old, New     pointer.Pointer // before, and of the new home
	Nickname     string          // of the old pointer when the file was written; "": none, or not known
	NicknameLost bool            // the new home does not have it: this version makes no card with it
	RecoveryFile string          // the new recovery file, as an absolute path; "": the key can be rotated no more

	// Until is the end of the last record of Old, which leads followers to New. It is
	// zero for a recovery file of version 1: that one has neither this record nor the
	// signature of the old key, and contacts have to confirm the new pointer.
	Until time.Time

	// UsedBefore is the recovery file of an earlier recovery from the same file, beside it, as an
	// absolute path: another home may have been made, with the same key. "": none is there.
	UsedBefore string
}

// ErrRecovery is wrapped by the errors of [Recover] and [Home.Rotate] about a recovery file that is
// damaged, altered or none.
var ErrRecovery = errors.New("the recovery file cannot be used")

// RetryError is returned by [Recover] when the new recovery file exists that it would
// write by default: an earlier call was interrupted after it had written that file, or
// has made a home. The file continues the identity of that home; without one, it
// continues File.
type RetryError struct {
	File, Next string
	Cut        bool // Next cannot be read with the passphrase of File: it is not whole, or another file
}

func (e *RetryError) Error() string {
	if e.Cut {
		return fmt.Sprintf("%q exists, and is not whole, or not the recovery file that follows %q", e.Next, e.File)
	}
	return fmt.Sprintf("%q was used before: %q is the recovery file of the home that was made of it, or left by a recovery that was interrupted", e.File, e.Next)
}

// Unwrap returns [fs.ErrExist].
func (e *RetryError) Unwrap() error { return fs.ErrExist }

// Recover creates a home in dir from a recovery file alone, after the home that it
// belonged to was lost. The identity is the next key of that home. The book is empty;
// the device key, the peer key and the sealing keys are new. The key after the next is
// in a new recovery file only.
//
// It fails with [ErrLocked] without a passphrase, with [ErrPassphrase], with an error
// that wraps [ErrRecovery] for a file with parts that do not belong together, with a
// [*RetryError], and with the errors of [Create]. After an error it removes what it created.
func Recover(dir string, o RecoverOptions) (Home, Recovered, error) { return recoverOn(nil, dir, o) }

func recoverOn(files durable.FS, dir string, o RecoverOptions) (Home, Recovered, error) {
	byDefault := o.Recovery == ""
	if byDefault {
		o.Recovery = o.File + ".next"
	}
	r, err := openRecovery(o.File, o.Passphrase)
	if err != nil {
		return Home{}, Recovered{}, err
	}
	n := newHome{CreateOptions: CreateOptions{Passphrase: o.Passphrase, Recovery: o.Recovery, WorkFactor: o.WorkFactor},
		current: r.next, next: r.after, succession: r.chain}
	out := Recovered{Old: r.old, New: r.next.Pointer()}
	if out.RecoveryFile, err = filepath.Abs(o.Recovery); err != nil {
		return Home{}, Recovered{}, err
	}
	if r.last != nil {
		card, _ := r.last.Card()
		n.last, out.Until = r.last.Bytes(), r.last.Expires()
		// The rules for names and their tables change in the life of a recovery file.
		if _, err := name.Parse(card.Nickname); err == nil {
			n.Nickname = card.Nickname
		} else {
			out.NicknameLost = card.Nickname != ""
		}
		n.former = append(r.former, *r.last)
		out.Nickname = card.Nickname
	} else if n.next, n.succession, err = continueUnsigned(r); err != nil {
		return Home{}, Recovered{}, err
	}
	if len(n.succession) >= pointer.MaxKept { // there is no further step
		n.Recovery, out.RecoveryFile = "", ""
	}
	if n.after, err = pointer.NewKey(nil); err != nil {
		return Home{}, Recovered{}, err
	}
	if n.from, err = filepath.Abs(o.File); err != nil {
		return Home{}, Recovered{}, err
	}
	if !byDefault {
		out.UsedBefore = usedBefore(o, out.New)
	}
	h, err := n.createOn(files, dir)
	if byDefault && errors.Is(err, errRecoveryTaken) {
		_, rerr := readRecovery(o.Recovery, o.Passphrase)
		err = &RetryError{o.File, o.Recovery, rerr != nil}
	}
	if err != nil {
		return Home{}, Recovered{}, err
	}
	return h, out, nil
}

// usedBefore returns the path of the recovery file that an earlier recovery from the same file
// wrote by default for the key of pointer p; "": there is none.
func usedBefore(o RecoverOptions, p pointer.Pointer) string {
	earlier, err := filepath.Abs(o.File + ".next")
	if err != nil {
		return ""
	}
	if r, err := readRecovery(earlier, o.Passphrase); err != nil || r.old != p {
		return ""
	}
	return earlier
}

// openRecovery is readRecovery. Its error wraps [ErrRecovery] for a file that was read
// and unlocked, and cannot be used.
func openRecovery(file string, passphrase string) (recovery, error) {
	r, err := readRecovery(file, passphrase)
	if err == nil || errors.Is(err, ErrLocked) || errors.Is(err, ErrPassphrase) || errors.As(err, new(*fs.PathError)) || errors.As(err, new(*durable.KindError)) {
		return r, err
	}
	return recovery{}, fmt.Errorf("%w: %w", ErrRecovery, err)
}

// continueUnsigned returns the key after the next, and the step to the next key
// without a signature of the old key, which a recovery file of version 1 lacks.
func continueUnsigned(r recovery) (*pointer.Key, []pointer.Succession, error) {
	after, err := pointer.NewKey(nil)
	if err != nil {
		return nil, nil, err
	}
	commitment, err := pointer.Commit(after.Public())
	if err != nil {
		return nil, nil, err
	}
	step, err := pointer.Succeed(r.old, r.next, commitment, nil)
	return after, []pointer.Succession{step}, err
}
