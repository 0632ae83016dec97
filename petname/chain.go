package petname

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// The succession chain of a contact starts at the first pointer known of it. It
// has a further pointer for each step on record that opens the commitment
// pinned for the pointer before. It depends on the facts on record and not on
// their order, so devices with the same facts compute the same chain.

const (
	// maxChain bounds a succession chain, in keys: an identity rotates
	// [pointer.MaxKept] times. Acts of other devices can add one more.
	maxChain = pointer.MaxKept + 1

	// maxSteps bounds the steps of one act, and those that one resolution follows
	// from a pointer that is no contact.
	maxSteps = 64
)

// chainFacts are the facts about a contact, and the steps among them.
type chainFacts struct {
	facts  []pinFact // ordered by time
	steps  []chainStep
	undone map[ledger.ID][]ledger.ID // undone decisions, and the decisions that each replaced

	closure map[ledger.ID]bool // see replaced; nil: not computed yet
}

// chainStep is a step on record.
type chainStep struct {
	pointer.Succession
	restsOn []ledger.ID // the owner's acts without which it would not be on record: see [chainFacts.standing]
}

// addFacts reads the facts about a contact, and derives its chain from them.
func (c *Contact) addFacts(v *ledger.View) error {
	h, err := readFacts(v, c.ID)
	if err != nil {
		return err
	}
	for _, f := range h.facts {
		c.Provenance = append(c.Provenance, f.Fact)
	}
	idle := c.walkChain(h)
	for _, f := range h.facts { // a key that an undo took off the chain names nothing
		if f.Nickname != "" && c.hasPointer(f.Pointer) && !slices.Contains(idle, f.Entry) {
			c.Nickname = f.Nickname
			break
		}
	}
	return nil
}

// readFacts reads the facts about the contact with an id.
func readFacts(v *ledger.View, contact pointer.Pointer) (*chainFacts, error) {
	h := &chainFacts{undone: make(map[ledger.ID][]ledger.ID)}
	prefix := contact.Bytes()
	for kv, err := range v.Scan(tableContacts, prefix) {
		if err != nil {
			return nil, err
		}
		if len(kv.Key) == len(prefix) {
			continue // the row of the contact itself
		}
		state, err := decodeState[factState](tableContacts, kv.Value)
		if err != nil {
			return nil, err
		}
		id := kv.Key[len(prefix):]
		if len(id) != len(ledger.DeviceID{})+8 {
			return nil, errRow
		}
		if err := h.add(contact, entryID(id[:len(id)-8], binary.BigEndian.Uint64(id[len(id)-8:])), state); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(h.facts, func(a, b pinFact) int { return a.At.Compare(b.At) })
	return h, nil
}

// add adds the row of a fact.
func (h *chainFacts) add(contact pointer.Pointer, id ledger.ID, state factState) error {
	if state.Undone {
		h.undone[id] = state.Pin.replaces()
		return nil
	}
	next, err := state.Fact.next()
	if err != nil {
		return err
	}
	of := contact
	if state.Of != nil {
		if of, err = pointer.Restore(state.Of); err != nil {
			return err
		}
	}
	if state.Chain != nil {
		chain, err := pointer.ParseSuccession(state.Chain)
		if err != nil {
			return err
		}
		var restsOn []ledger.ID
		if state.Pin != nil {
			restsOn = state.Pin.replaces()
		}
		for _, s := range chain {
			h.steps = append(h.steps, chainStep{s, restsOn})
		}
		if of, err = pointer.FromPublicKey(chain[len(chain)-1].New); err != nil {
			return err
		}
	}
	f := pinFact{Fact: Fact{
		Pointer: of, Kind: state.Fact.Kind, By: state.Fact.By, Channel: state.Fact.Channel, At: time.UnixMilli(state.At).UTC(),
		Nickname: state.Fact.Nickname, Next: next, Entry: id,
	}, namesSuccessor: state.NamesSuccessor}
	if state.Pin != nil {
		if f.differs, err = state.Pin.differs(); err != nil {
			return err
		}
		if state.Decision {
			f.decision = &decision{f.differs, state.Pin.replaces()}
		}
	}
	h.facts = append(h.facts, f)
	return nil
}

// standing returns the steps that count at a pointer. While its commitments
// contradict each other, a step that rests on acts of the owner counts as long as one
// of them, or a decision for the commitment that it opens, is on record.
func (h *chainFacts) standing(contested bool) []pointer.Succession {
	var steps []pointer.Succession
	for _, s := range h.steps {
		if !contested || len(s.restsOn) == 0 || slices.ContainsFunc(h.facts, func(f pinFact) bool {
			return slices.Contains(s.restsOn, f.Entry) || f.decision != nil && f.Pointer == s.Old && f.Next.Opens(s.New)
		}) {
			steps = append(steps, s.Succession)
		}
	}
	return steps
}

// walkChain derives the succession chain and what contradicts on it. The chain
// continues as long as the next key is proven, and ends where two keys are. It
// returns the entries of the cards on it that count for nothing: see [place.weighs].
func (c *Contact) walkChain(h *chainFacts) (idle []ledger.ID) {
	step := Step{Pointer: c.ID}
	var signed []pointer.Commitment
	for {
		pl := h.placeOf(step, signed)
		if pl.contested != nil {
			c.Contradictions = append(c.Contradictions, Contradiction{step.Pointer, pl.contested, pl.duplicity})
		}
		c.Rejected = append(c.Rejected, pl.refused...)
		idle = append(idle, pl.idle...)
		next, r := pl.pin()
		step.Next, step.Pin = next, r.pin()
		c.Chain = append(c.Chain, step)
		to, commitments, proposed := pl.nextStep(step.Pointer, h.standing(pl.contested != nil))
		if len(c.Chain) > maxChain || to.Pointer.IsZero() || slices.ContainsFunc(c.Chain, func(s Step) bool { return s.Pointer == to.Pointer }) {
			c.Pointer, c.Unproven = step.Pointer, proposed
			break
		}
		step, signed = to, commitments
	}
	if len(c.Contradictions) == 0 {
		c.Next, c.Pin = step.Next, step.Pin
	}
	return idle
}

// nextStep returns the step from a pointer by which the chain advances, and the
// commitments of the target that both keys signed. The step is zero if there is
// none, or if two keys are proven. proposed is the successor by a step that opens
// a claim and advances nothing without the owner; zero: none.
//
// A step that the old key signed precedes one that it did not sign.
func (pl place) nextStep(from pointer.Pointer, steps []pointer.Succession) (to Step, signed []pointer.Commitment, proposed pointer.Pointer) {
	to.Unsigned = true
	for _, s := range steps {
		if s.Old != from {
			continue
		}
		successor, err := pointer.FromPublicKey(s.New)
		opens, advances := pl.opened(s)
		switch {
		case err != nil || !opens:
			continue
		case !advances:
			if proposed.IsZero() || bytes.Compare(successor.Bytes(), proposed.Bytes()) < 0 {
				proposed = successor
			}
			continue
		case !to.Pointer.IsZero() && successor != to.Pointer:
			return Step{}, nil, pointer.Pointer{} // two pins, and two keys that open them
		}
		to.Pointer = successor
		if s.OldSignature == nil {
			continue
		}
		to.Unsigned = false
		if !s.Next.IsZero() && !slices.Contains(signed, s.Next) {
			signed = append(signed, s.Next)
		}
	}
	return to, signed, proposed
}

// Pinned returns a [*DuplicityError] or a [*ContradictionError] if commitments
// of the contact contradict each other, or if next, which the signature of p carried,
// differs from the commitment on record for p. A zero next is not compared.
func (c Contact) Pinned(p pointer.Pointer, next pointer.Commitment) error {
	err := c.PinnedByLink(pointer.Link{Pointer: p, Next: next})
	if have := c.step(p); err != nil && len(c.Contradictions) == 0 && have.Pin == Confirmed {
		return &DuplicityError{p, have.Next, next}
	}
	return err
}

// PinnedByLink is [Contact.Pinned] for the commitment of a link, an edge or a third party's
// statement. No signature of the pointer carries it, so a difference is no duplicity.
func (c Contact) PinnedByLink(l pointer.Link) error {
	p, next := l.Pointer, l.Next
	if len(c.Contradictions) > 0 {
		return c.Contradictions[0].err()
	}
	have := c.step(p)
	if next.IsZero() || have.Next.IsZero() || next == have.Next {
		return nil
	}
	return &ContradictionError{Contradiction{Pointer: p, Claims: []PinClaim{{Next: have.Next, Pin: have.Pin}, {Next: next}}}}
}

// step returns the step of the chain with pointer p, or a step with p alone if
// the chain does not have it.
func (c Contact) step(p pointer.Pointer) Step {
	for _, s := range c.Chain {
		if s.Pointer == p {
			return s
		}
	}
	return Step{Pointer: p}
}

func (f wireFact) next() (pointer.Commitment, error) {
	if f.Next == nil {
		return pointer.Commitment{}, nil
	}
	return pointer.CommitmentFromBytes(f.Next)
}

// current returns the binary form of the contact's current pointer.
func (s contactState) current(id []byte) []byte {
	if len(s.Chain) == 0 {
		return id
	}
	return s.Chain[len(s.Chain)-1]
}

// updateChain derives the chain again after the facts about a contact changed.
func (f fold) updateChain(v *ledger.View, contact []byte) error {
	state, err := getState[contactState](v, tableContacts, contact)
	if err != nil || !state.HasSuccession {
		return err
	}
	id, err := pointer.Restore(contact)
	if err != nil {
		return err
	}
	c := Contact{ID: id}
	if err := c.addFacts(v); err != nil {
		return err
	}
	before := state.Chain
	previous := state.current(contact)
	state.Chain = nil
	for _, s := range c.Chain[1:] {
		state.Chain = append(state.Chain, s.Pointer.Bytes())
	}
	if slices.EqualFunc(before, state.Chain, bytes.Equal) {
		return nil
	}
	for _, p := range before {
		if err := v.Delete(tableSuccessors, successorKey(p, contact)); err != nil {
			return err
		}
	}
	for _, p := range state.Chain {
		if err := v.Put(tableSuccessors, successorKey(p, contact), []byte{}); err != nil {
			return err
		}
	}
	if err := putState(v, tableContacts, contact, state); err != nil {
		return err
	}
	if err := f.updateNameIndex(v, contact, nil, state); err != nil {
		return err
	}
	for _, p := range [][]byte{previous, state.current(contact)} {
		if err := f.updateShared(v, p, id); err != nil {
			return err
		}
	}
	return nil
}
