package petname

import (
	"bytes"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// A pin is what the book knows of the commitment to the next key at one pointer
// of a contact's chain. The strength of a pin is that of its sources:
//
//   - confirmed: the pointer's own signature carried the commitment, in a card,
//     a pairing, a mutual introduction, a contact request, or a step that both
//     keys signed; or the owner confirmed it;
//   - entered: the owner entered it, in a link for example;
//   - reported: a third party stated it, in an introduction or an import.
//
// At a pointer that was reached without the signature of the key before it,
// only the owner's acts pin, pairings among them: the holder of that key signs
// cards too, and may have stolen the key after its retirement.
//
// A card that names the successor of its pointer as well proves nothing alone,
// because one signature states the commitment and names what opens it. It confirms
// a commitment that another fact confirms or the owner entered, contradicts any
// other, and counts for nothing beside a third party's claim that it agrees with.
// So it counts no more when the decision or the link is undone because of which it
// was recorded.
//
// Versions before key 24 of an act did not record that a card names a successor, so
// such cards count as plain ones in their books, also after the view is rebuilt. They
// recorded one only beside what the owner entered, or what it contradicts. No attack
// follows from it: the holder of the key can sign a plain card first as well, which
// counts in the same way and stays after an undo. The owner settles both alike.
//
// Decisions of the owner settle what differs. A decision chooses one commitment
// and lists those that it rejects. What it rejects counts no more, in any order
// of merging; a commitment that it does not list is compared again.

// Pin is the strength of a pinned commitment; empty: nothing is pinned.
type Pin string

const (
	Claimed   Pin = "claimed"   // stated by the owner or by a third party
	Confirmed Pin = "confirmed" // carried by the pointer's own signature, or confirmed by the owner
)

// Contradiction is a set of commitments for one pointer, at most one of which
// can be right. The owner settles it: see [Book.Confirm] and
// [Source.ReplacePin].
type Contradiction struct {
	Pointer pointer.Pointer
	Claims  []PinClaim // at least two, with different commitments
	// the pointer's own signature carried two of them: another party has its key, or its holder
	// broke the protocol
	Duplicity bool
}

// PinClaim is a commitment with its source. There may be other sources that
// state the same: see [Contact.Provenance].
type PinClaim struct {
	Next pointer.Commitment
	Pin  Pin
	Kind string // as in [Fact]; "succession" for a step that both keys signed
	By   string // as in [Fact]
}

// rank is the strength of a source of a commitment.
type rank uint8

const (
	reported rank = iota + 1
	entered
	confirmed
)

func (r rank) pin() Pin {
	switch r {
	case 0:
		return ""
	case confirmed:
		return Confirmed
	}
	return Claimed
}

// byOwner is [Fact.By] of what the owner entered.
const byOwner = "me"

// rank returns the strength of a fact about a pointer; 0: it pins nothing.
// unsigned reports whether the pointer was reached without a signature of the
// key before it.
func (f pinFact) rank(unsigned bool) rank {
	switch {
	case f.Next.IsZero():
		return 0
	case f.decision != nil && f.Kind == factConfirm, f.Kind == string(Paired):
		return confirmed
	case f.decision != nil:
		return entered
	case unsigned && (f.By != byOwner || f.Kind == factCard):
		return 0
	}
	switch f.Kind {
	case factCard, string(Acquainted), string(ContactRequest):
		return confirmed
	case string(Introduced):
		if f.By == f.Pointer.String() { // its own signature
			return confirmed
		}
		return reported
	}
	if f.By == byOwner {
		return entered
	}
	return reported
}

// pinFact is a fact, with what its entry states about other commitments.
type pinFact struct {
	Fact
	differs  []pointer.Commitment // of a card: third parties' other commitments that were on record before it
	decision *decision            // nil: none

	namesSuccessor bool // of a card: it names the successor of its pointer as well
}

// decision is an act of the owner that settles a contradiction.
type decision struct {
	rejected []pointer.Commitment
	replaces []ledger.ID // those on record about the same pointer before it
}

// err returns the error for a contradiction.
func (c Contradiction) err() error {
	if !c.Duplicity {
		return &ContradictionError{c}
	}
	var own []pointer.Commitment
	for _, claim := range c.Claims {
		if claim.Pin == Confirmed {
			own = append(own, claim.Next)
		}
	}
	return &DuplicityError{c.Pointer, own[0], own[1]}
}

// wirePin is the part of an act about commitments: what the commitment of the
// act's fact differs from, and, of a decision, the decisions that it replaces.
type wirePin struct {
	_        struct{} `cbor:",toarray"`
	Differs  [][]byte
	Replaces []wireEntry
}

type wireEntry struct {
	_      struct{} `cbor:",toarray"`
	Device []byte
	Number uint64
}

// Bounds of a wirePin.
const (
	maxDiffering = 64
	maxReplaced  = 16
)

func (w wirePin) check() error {
	if len(w.Differs) > maxDiffering || len(w.Replaces) > maxReplaced {
		return errPinBounds
	}
	for _, b := range w.Differs {
		if _, err := pointer.CommitmentFromBytes(b); err != nil {
			return err
		}
	}
	for _, e := range w.Replaces {
		if len(e.Device) != len(ledger.DeviceID{}) {
			return errPinBounds
		}
	}
	return nil
}

func (w wirePin) differs() ([]pointer.Commitment, error) {
	var all []pointer.Commitment
	for _, b := range w.Differs {
		c, err := pointer.CommitmentFromBytes(b)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (w wirePin) replaces() []ledger.ID {
	var all []ledger.ID
	for _, e := range w.Replaces {
		all = append(all, entryID(e.Device, e.Number))
	}
	return all
}

func newWirePin(differs []pointer.Commitment, replaces []ledger.ID) *wirePin {
	w := &wirePin{Differs: [][]byte{}, Replaces: []wireEntry{}}
	for _, c := range differs[:min(len(differs), maxDiffering)] {
		w.Differs = append(w.Differs, c.Bytes())
	}
	slices.SortFunc(w.Differs, bytes.Compare)
	for _, id := range replaces[:min(len(replaces), maxReplaced)] {
		w.Replaces = append(w.Replaces, wireEntry{Device: slices.Clone(id.Device[:]), Number: id.Number})
	}
	return w
}
