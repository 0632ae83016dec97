package petname

import (
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Contact is somebody in the book: a pointer, and what I call it. It may have
// no name: then it was removed, or is in conflict, or its adding was undone.
type Contact struct {
	Pointer    pointer.Pointer    // where it is now, by the succession of its keys
	ID         pointer.Pointer    // the first pointer learnt of it; stays the same
	Name       name.Name          // zero: none
	Next       pointer.Commitment // the one on record for Pointer; zero: none was given yet, or see Duplicity
	Nickname   string             // what it calls itself, as first heard: hostile text
	Provenance []Fact             // in the order of their times
	Removed    time.Time          // zero: not removed
	Conflict   *Conflict          // nil: none
	Duplicity  bool               // two different commitments to one next key, or two successions, are on record: Provenance has them
	Kept       bool               // its records are put again while a node runs: see Keep

	Chain         []Step          // the pointers from ID to Pointer
	Contradiction *DuplicityError // what Duplicity means; nil: none
}

// Step is a pointer of a contact's succession, and the commitment to the key
// after it.
type Step struct {
	Pointer  pointer.Pointer
	Next     pointer.Commitment // zero: none is known
	Unsigned bool               // reached without the signature of the key before
}

// Fact is one thing known of a contact and where it came from. It is no
// verdict.
type Fact struct {
	Pointer  pointer.Pointer    // the one of the contact's that it is about; for "succession", where it leads
	Kind     string             // "typed", "link", "card", "succession"
	By       string             // "me", or the pointer of who said it
	Channel  string             // how it came: "argument", "stdin", "record", …
	At       time.Time          // by the clock of the device that wrote it down
	Nickname string             // the nickname that came with it: hostile text
	Next     pointer.Commitment // the commitment that came with it
	Entry    ledger.ID          // where the ledger has it
}

// The kinds of fact that others bring.
const (
	factCard       = "card"
	factSuccession = "succession"
)

// Conflict is what edits on two devices that didn't know of each other left
// behind. Nothing picks silently: the name doesn't resolve until the user has
// renamed or removed one side, or added the contact again.
type Conflict struct {
	Names    []name.Name       // different names that this contact was given
	Removed  bool              // it was removed too, or its adding undone
	Pointers []pointer.Pointer // other contacts that were given the same name, or have come to the same pointer; at most 64 are listed
}

func (c *Conflict) add(other pointer.Pointer) {
	if len(c.Pointers) < maxRivals && !slices.Contains(c.Pointers, other) {
		c.Pointers = append(c.Pointers, other)
	}
}
