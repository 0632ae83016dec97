package petname

import (
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Contact is an entry of the book: a pointer and the owner's name for it. It
// has no name if it was removed, is in conflict, or if its addition was undone.
type Contact struct {
	Pointer pointer.Pointer // the current pointer, after all successions
	ID      pointer.Pointer // the first pointer known of it; never changes
	Name    name.Name       // zero: none
	// the commitment on record for Pointer; zero: none, or see Contradictions
	Next       pointer.Commitment
	Pin        Pin       // the strength of Next
	Nickname   string    // the contact's name for itself, as first received: hostile text
	Provenance []Fact    // ordered by time
	Removed    time.Time // zero: not removed
	Conflict   *Conflict // nil: none
	// a running node republishes its records: see Book.SetRepublished
	Republished bool

	Chain []Step // the pointers from ID to Pointer
	// commitments that contradict each other, in the order of Chain; until the owner settles
	// them, the contact does not resolve and does not advance
	Contradictions []Contradiction
	// a successor of Pointer by a step that opens only a claim: the contact advances to it when the
	// owner confirms the claim; zero: none
	Unproven pointer.Pointer
	// commitments that the contact's own signature carried and the owner rejected, in the order
	// of Chain; By is the pointer. A record of Pointer with one of them does not resolve
	Rejected []PinClaim
}

// Step is a pointer of a contact's succession chain, and the commitment to the
// key after it.
type Step struct {
	Pointer  pointer.Pointer
	Next     pointer.Commitment // zero: none is known, or they contradict each other
	Pin      Pin                // the strength of Next
	Unsigned bool               // reached without the signature of the previous key
}

// Fact is one piece of information about a contact, with its source. It is not
// a judgement.
type Fact struct {
	// the pointer of the contact that the fact is about; for "succession" the successor
	Pointer pointer.Pointer
	// "typed", "link", "card", "succession", "confirm", or the kind of the accepted suggestion:
	// "introduced", "paired", "acquainted", "stranger"
	Kind     string
	By       string             // "me" for the owner, or the pointer of the source
	Channel  string             // how it arrived: "argument", "stdin", "record", …
	At       time.Time          // by the clock of the device that recorded it
	Nickname string             // hostile text
	Next     pointer.Commitment // zero: none
	Entry    ledger.ID          // the entry that recorded it
}

// The kinds of fact that the book itself records.
const (
	factCard       = "card"
	factSuccession = "succession"
	channelRecord  = "record"  // the channel of what a verified record states
	factConfirm    = "confirm" // the owner confirmed a commitment: see [Book.Confirm]
)

// Conflict is the result of concurrent edits on two devices. Until the owner
// renames or removes one of the contacts, or adds this one again, the name does
// not resolve.
type Conflict struct {
	Names   []name.Name // the different names of this contact
	Removed bool        // it was removed too, or its addition undone
	// other contacts with the same name, or at the same pointer; at most 64
	Pointers []pointer.Pointer
}

// add adds another contact of the conflict, unless it is listed or maxRivals are.
func (c *Conflict) add(other pointer.Pointer) {
	if len(c.Pointers) < maxRivals && !slices.Contains(c.Pointers, other) {
		c.Pointers = append(c.Pointers, other)
	}
}
