package petname

import (
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

var (
	// ErrNotFound: nothing in the book answers to that.
	ErrNotFound = errors.New("not in the book")

	// ErrOwnPointer: the pointer is my own, which has no petname.
	ErrOwnPointer = errors.New("that is your own pointer")

	// ErrNothingToUndo: this device has made no change that still stands.
	ErrNothingToUndo = errors.New("nothing to undo")

	// ErrChanged: another device has changed since what was to be undone.
	ErrChanged = errors.New("changed since by another device: it can't be undone here, only changed again")
)

// TakenError: the name, or the label, belongs to another contact.
type TakenError struct {
	Name    name.Name
	Contact pointer.Pointer
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("the name %q is taken by %s: choose another, or rename that one first", e.Name, e.Contact)
}

// NamedError: the contact already has another name.
type NamedError struct {
	Name    name.Name
	Contact pointer.Pointer
}

func (e *NamedError) Error() string {
	return fmt.Sprintf("%s is already called %q: rename it instead", e.Contact, e.Name)
}

// ConflictError: edits on several devices gave one name to several contacts or
// one contact several names, and the user has not yet picked.
type ConflictError struct {
	Name     name.Name // as asked for; zero when asked by pointer
	Contacts []Contact // the candidates; at most 64 are listed
}

func (e *ConflictError) Error() string {
	var b strings.Builder
	if !e.Name.IsZero() {
		fmt.Fprintf(&b, "%q is in conflict", e.Name)
	} else {
		b.WriteString("the contact is in conflict")
	}
	for i, c := range e.Contacts {
		sep := ": "
		if i > 0 {
			sep = "; "
		}
		fmt.Fprintf(&b, "%s%s", sep, c.ID)
		if c.Conflict == nil {
			continue
		}
		for _, n := range c.Conflict.Names {
			fmt.Fprintf(&b, " %q", n)
		}
		if c.Conflict.Removed {
			b.WriteString(" removed")
		}
	}
	b.WriteString(": rename or remove one by its pointer")
	return b.String()
}

// DuplicityError: two commitments for one pointer. Somebody else has its key,
// or its owner broke the rules; either way it can't be followed further.
type DuplicityError struct {
	Pointer      pointer.Pointer
	Pinned, Seen pointer.Commitment
}

func (e *DuplicityError) Error() string {
	return fmt.Sprintf("duplicity: %s committed to the next key %s when it was first learnt, and to %s now: ask its owner, over another way", e.Pointer, e.Pinned, e.Seen)
}

// SuccessionError: a key is said to have a successor, and what is said doesn't
// agree with what was pinned. Who says so has the old key, and not the next.
type SuccessionError struct {
	Pointer pointer.Pointer // the old key's
	Err     error
}

func (e *SuccessionError) Error() string {
	return fmt.Sprintf("the successor of %s is not proven: %v", e.Pointer, e.Err)
}

func (e *SuccessionError) Unwrap() error { return e.Err }
