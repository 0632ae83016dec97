package petname

import (
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

var (
	// ErrNotFound is returned when the book has no such name, pointer, label or
	// suggestion.
	ErrNotFound = errors.New("not in the book")

	// ErrAmbiguous is returned when several suggestions have numbers that start with the
	// digits.
	ErrAmbiguous = errors.New("several suggestions start with")

	// ErrOwnPointer is returned for a pointer of the owner, which cannot have a
	// petname.
	ErrOwnPointer = errors.New("that is your own pointer")

	// ErrSenderInDoubt is returned for a statement of a contact with contradictions
	// about its next key. When the owner has settled them, it can be received.
	ErrSenderInDoubt = errors.New("its statements wait until its next key is settled")

	// ErrNoCommitment is returned for a link without a commitment to the next
	// key that is to replace the one on record.
	ErrNoCommitment = errors.New("the link has no commitment to a next key")

	// ErrNothingToUndo is returned when this device has made no change that can
	// be undone.
	ErrNothingToUndo = errors.New("nothing to undo")

	// ErrChanged is returned when another device has changed what is to be
	// undone.
	ErrChanged = errors.New("changed since by another device: it can't be undone here, only changed again")
)

// SequenceError is returned for a sequence that cannot be reserved any more, because
// another publication of this book has reserved it or a later one.
type SequenceError struct {
	Sequence uint64
	Last     uint64 // the last one that was reserved
}

func (e *SequenceError) Error() string {
	return fmt.Sprintf("sequence %d was used already: the last is %d", e.Sequence, e.Last)
}

// NoNameError is returned for a name that no contact has. It is an [ErrNotFound].
type NoNameError struct{ Name name.Name }

func (e *NoNameError) Error() string { return fmt.Sprintf("%q: %v", e.Name, ErrNotFound) }

// Unwrap returns [ErrNotFound].
func (e *NoNameError) Unwrap() error { return ErrNotFound }

// TakenError is returned when the name or the label belongs to another contact.
type TakenError struct {
	Name    name.Name
	Contact pointer.Pointer // the current one of that contact
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("the name %q is in use for %s: choose another, or rename that contact first", e.Name, e.Contact)
}

// NamedError is returned when the contact has another name.
type NamedError struct {
	Name    name.Name
	Contact pointer.Pointer
}

func (e *NamedError) Error() string {
	return fmt.Sprintf("%s is already called %q: rename it instead", e.Contact, e.Name)
}

// ConflictError is returned when edits on several devices bound one name to
// several contacts, or several names to one contact, and the owner has not
// resolved the conflict.
type ConflictError struct {
	Name     name.Name // the requested name; zero if the request was for a pointer
	Contacts []Contact // the candidates; at most 64 are listed
	// the pointer of all of them, or to which one moved that is the pointer of another: a
	// removal resolves it, and no new name does; of a link that is perhaps that of the only
	// contact, but old or altered; zero: the conflict is over names
	Pointer pointer.Pointer
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
	if !e.Pointer.IsZero() {
		if len(e.Contacts) > 1 { // else nothing is known of another party
			b.WriteString(": remove one by its pointer")
		}
		return b.String()
	}
	b.WriteString(": rename or remove one by its pointer")
	return b.String()
}

// DuplicityError is returned when two commitments of one pointer are known.
// Either another party has the key, or its holder broke the protocol; in both
// cases no successor can be verified.
type DuplicityError struct {
	Pointer      pointer.Pointer
	Pinned, Seen pointer.Commitment
}

func (e *DuplicityError) Error() string {
	return fmt.Sprintf("duplicity: %s committed to the next key %s when it was first learnt, and to %s now: ask its owner over another channel", e.Pointer, e.Pinned, e.Seen)
}

// UnnamedError is returned by [Book.Confirm] for a card of a pointer that the contact came to
// without the signature of its old key, if nothing in the book states its commitment and the
// confirmation does not name it: a thief of the old key can have signed that card.
type UnnamedError struct {
	Pointer pointer.Pointer
	Next    pointer.Commitment
}

func (e *UnnamedError) Error() string {
	return fmt.Sprintf("the contact came to %s without the signature of its old key, and the card there states the next key %s, which was not shown before", e.Pointer, e.Next)
}

// ContradictionError is returned for a contact with claims about its next key
// that contradict each other, and for a claim or a card that contradicts a claim
// on record. The owner settles it with [Book.Confirm] or [Source.ReplacePin].
type ContradictionError struct{ Contradiction }

func (e *ContradictionError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "what is known of the next key of %s contradicts itself:", e.Pointer)
	for i, c := range e.Claims {
		if i == maxShownClaims {
			fmt.Fprintf(&b, " and %d more", len(e.Claims)-i)
			break
		}
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %s", c.Next)
		switch {
		case c.Kind == "":
		case c.By == byOwner || c.Kind == factCard:
			fmt.Fprintf(&b, " (%s)", c.Kind)
		default:
			fmt.Fprintf(&b, " (%s, by %s)", c.Kind, c.By)
		}
	}
	return b.String()
}

// maxShownClaims bounds the claims in an error's text.
const maxShownClaims = 4

// errPinBounds is returned for an act about more commitments than an act has
// room for.
var errPinBounds = errors.New("commitments out of bounds")

// SuccessionError is returned for a succession that does not agree with the
// pinned commitments. Such a statement was signed by a holder of the old key
// without the next key.
type SuccessionError struct {
	Pointer pointer.Pointer // of the old key
	Err     error
}

func (e *SuccessionError) Error() string {
	return fmt.Sprintf("the successor of %s is not proven: %v", e.Pointer, e.Err)
}

func (e *SuccessionError) Unwrap() error { return e.Err }
