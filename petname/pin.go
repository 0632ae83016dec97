package petname

import (
	"bytes"
	"maps"
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
	differs  []pointer.Commitment // of a card: the other commitments that were on record before it
	decision *decision            // nil: none
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

// place is what is on record about the commitment at one pointer of a chain.
type place struct {
	claims    []PinClaim // one for each commitment that counts, with its strongest source
	ranks     []rank     // of claims
	backed    []bool     // of claims: confirmed or entered by more than cards
	all       []pointer.Commitment
	cards     []pointer.Commitment // carried by a card, whether it counts or not
	rejected  []pointer.Commitment // by the decisions
	refused   []PinClaim           // rejected, although the pointer's own signature carried them
	decisions []ledger.ID          // those that no other decision replaces
	chosen    []pointer.Commitment // by these
	contested []PinClaim           // claims that contradict each other; nil: none
	duplicity bool
}

// placeOf collects what is on record about the pointer of a step. signed are the
// commitments in the steps to it that both keys signed.
func (h *chainFacts) placeOf(step Step, signed []pointer.Commitment) place {
	var pl place
	replaced := h.replaced()
	for _, f := range h.facts {
		if f.Pointer != step.Pointer || f.decision == nil || replaced[f.Entry] {
			continue
		}
		pl.decisions = append(pl.decisions, f.Entry)
		pl.rejected = append(pl.rejected, f.decision.rejected...)
		if !slices.Contains(pl.chosen, f.Next) {
			pl.chosen = append(pl.chosen, f.Next)
		}
	}
	add := func(next pointer.Commitment, r rank, kind, by string) {
		if !slices.Contains(pl.all, next) {
			pl.all = append(pl.all, next)
		}
		if r == 0 {
			return
		}
		if pl.rejects(next) {
			if claim := (PinClaim{next, r.pin(), kind, by}); r == confirmed && !slices.ContainsFunc(pl.refused, func(c PinClaim) bool { return c.Next == next }) {
				pl.refused = append(pl.refused, claim)
			}
			return
		}
		i := slices.IndexFunc(pl.claims, func(c PinClaim) bool { return c.Next == next })
		if i < 0 {
			i = len(pl.claims)
			pl.claims, pl.ranks, pl.backed = append(pl.claims, PinClaim{Next: next}), append(pl.ranks, 0), append(pl.backed, false)
		}
		pl.backed[i] = pl.backed[i] || r > reported && kind != factCard
		if r > pl.ranks[i] {
			pl.claims[i], pl.ranks[i] = PinClaim{next, r.pin(), kind, by}, r
		}
	}
	for _, next := range signed {
		add(next, confirmed, factSuccession, step.Pointer.String())
	}
	seenByCards := make(map[pointer.Commitment][]pointer.Commitment)
	for _, f := range h.facts {
		if f.Pointer != step.Pointer || f.Next.IsZero() || f.decision != nil && replaced[f.Entry] {
			continue
		}
		add(f.Next, f.rank(step.Unsigned), f.Kind, f.By)
		if f.Kind == factCard && f.decision == nil {
			pl.cards = append(pl.cards, f.Next)
			if earlier, again := seenByCards[f.Next]; again { // another device knew the card without the claim
				seenByCards[f.Next] = slices.DeleteFunc(earlier, func(c pointer.Commitment) bool { return !slices.Contains(f.differs, c) })
			} else {
				seenByCards[f.Next] = slices.Clone(f.differs)
			}
		}
	}
	pl.contest(seenByCards)
	return pl
}

// rejects reports whether the owner's decisions reject a commitment.
func (pl place) rejects(next pointer.Commitment) bool {
	return slices.Contains(pl.rejected, next) && !slices.Contains(pl.chosen, next)
}

// contest finds the claims that contradict each other. A third party's claim
// does not contradict a confirmed commitment, unless that one is known by a card
// alone, and the card was first received after the claim: then either the third
// party or the card may be false, and the owner decides.
func (pl *place) contest(seenByCards map[pointer.Commitment][]pointer.Commitment) {
	count := func(r rank) (n int) {
		for _, have := range pl.ranks {
			if have == r {
				n++
			}
		}
		return n
	}
	if count(confirmed) == 0 {
		if len(pl.claims) > 1 {
			pl.contested = slices.Clone(pl.claims)
		}
		return
	}
	pl.duplicity = count(confirmed) > 1
	var earlier []pointer.Commitment // on record before a card that alone confirms another one
	for i, own := range pl.claims {
		if pl.ranks[i] == confirmed && !pl.backed[i] {
			earlier = append(earlier, seenByCards[own.Next]...)
		}
	}
	for i, c := range pl.claims {
		if pl.ranks[i] > reported || slices.Contains(earlier, c.Next) {
			pl.contested = append(pl.contested, c)
		}
	}
	if len(pl.contested) < 2 {
		pl.contested = nil
	}
}

// pin returns the pinned commitment and its strength; zero: nothing is pinned,
// or what is pinned is contested.
func (pl place) pin() (pointer.Commitment, rank) {
	if pl.contested != nil {
		return pointer.Commitment{}, 0
	}
	best := -1
	for i, r := range pl.ranks {
		if best < 0 || r > pl.ranks[best] {
			best = i
		}
	}
	if best < 0 {
		return pointer.Commitment{}, 0
	}
	return pl.claims[best].Next, pl.ranks[best]
}

// opened reports whether a step opens a commitment on record, and whether the
// chain advances by it: by any step that opens a confirmed commitment, and by a
// step that the old key signed if the owner entered the commitment. A claim of a
// third party alone advances nothing.
func (pl place) opened(s pointer.Succession) (opens, advances bool) {
	for i, c := range pl.claims {
		if !c.Next.Opens(s.New) {
			continue
		}
		opens = true
		if pl.ranks[i] == confirmed || pl.ranks[i] == entered && s.OldSignature != nil {
			return true, true
		}
	}
	return opens, false
}

// permits reports whether a pin of this strength lets a contact advance by a
// step that opens it.
func (r rank) permits(s pointer.Succession) bool {
	return r == confirmed || r == entered && s.OldSignature != nil
}

// replaced returns the decisions that a decision on record replaces, or that one
// of these replaced, even if it was undone since.
func (h *chainFacts) replaced() map[ledger.ID]bool {
	replaces := maps.Clone(h.undone)
	var open []ledger.ID
	for _, f := range h.facts {
		if f.decision != nil {
			open = append(open, f.decision.replaces...)
			replaces[f.Entry] = f.decision.replaces
		}
	}
	replaced := make(map[ledger.ID]bool)
	for len(open) > 0 {
		id := open[len(open)-1]
		open = open[:len(open)-1]
		if !replaced[id] {
			replaced[id] = true
			open = append(open, replaces[id]...)
		}
	}
	return replaced
}
