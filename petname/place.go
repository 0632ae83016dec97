package petname

import (
	"maps"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// place is what is on record about the commitment at one pointer of a chain.
type place struct {
	step      Step                 // to the pointer; without its pin
	signed    []pointer.Commitment // in the steps to it that both keys signed
	claims    []placeClaim         // one for each commitment that counts
	all       []pointer.Commitment
	reported  []pointer.Commitment // stated by third parties, whether rejected or not
	cards     []pointer.Commitment // carried by a card, whether it is rejected or not
	plain     []pointer.Commitment // carried by a card that names no successor; likewise
	idle      []ledger.ID          // of the cards that weigh nothing: they are in none of the other fields but all
	counting  int                  // of cards
	refused   []PinClaim           // rejected by the decisions, although the pointer's own signature carried them
	decisions []ledger.ID          // those that no other decision replaces
	contested []PinClaim           // claims that contradict each other; nil: none
	duplicity bool                 // the pointer's own signature carried two of these
}

// placeClaim is a commitment at a place.
type placeClaim struct {
	PinClaim      // with its strongest source
	rank     rank // of that source
	backed   bool // confirmed or entered by more than cards
	carried  bool // by the pointer's own signature, and not confirmed by the owner alone
	base     rank // of its strongest source but the cards that name their successor; 0: there is no other
}

// proven returns the strength of a claim as to what it lets a contact advance by, and
// settles: a card that names its successor adds to what the owner entered, and to
// nothing less.
func (c placeClaim) proven() rank {
	if c.base <= reported {
		return c.base
	}
	return c.rank
}

// placeOf collects what is on record about the pointer of a step. signed are the
// commitments in the steps to it that both keys signed.
func (h *chainFacts) placeOf(step Step, signed []pointer.Commitment) place {
	pl := place{step: step, signed: signed}
	replaced := h.replaced()
	rejected, chosen := make(map[pointer.Commitment]bool), make(map[pointer.Commitment]bool)
	for _, f := range h.facts {
		if f.Pointer != step.Pointer || f.decision == nil || replaced[f.Entry] {
			continue
		}
		pl.decisions = append(pl.decisions, f.Entry)
		chosen[f.Next] = true
		for _, next := range f.decision.rejected {
			rejected[next] = true
		}
	}
	known, at, refused := make(map[pointer.Commitment]bool), make(map[pointer.Commitment]int), make(map[pointer.Commitment]bool)
	add := func(next pointer.Commitment, r rank, kind, by string) {
		if !known[next] {
			known[next] = true
			pl.all = append(pl.all, next)
		}
		if r == 0 {
			return
		}
		if r == reported && !slices.Contains(pl.reported, next) {
			pl.reported = append(pl.reported, next)
		}
		if rejected[next] && !chosen[next] {
			if r == confirmed && !refused[next] {
				refused[next] = true
				pl.refused = append(pl.refused, PinClaim{next, r.pin(), kind, by})
			}
			return
		}
		i, found := at[next]
		if !found {
			i = len(pl.claims)
			at[next] = i
			pl.claims = append(pl.claims, placeClaim{PinClaim: PinClaim{Next: next}})
		}
		c := &pl.claims[i]
		c.carried = c.carried || r == confirmed && kind != factConfirm
		c.backed = c.backed || r > reported && kind != factCard
		if r > c.rank {
			c.PinClaim, c.rank = PinClaim{next, r.pin(), kind, by}, r
		}
	}
	for _, next := range signed {
		add(next, confirmed, factSuccession, step.Pointer.String())
	}
	before := make(map[pointer.Commitment][]pointer.Commitment) // of a card: what was on record before it, on every device
	record := func(f pinFact) {
		add(f.Next, f.rank(step.Unsigned), f.Kind, f.By)
		if f.Kind == factCard && f.decision == nil {
			pl.cards = append(pl.cards, f.Next)
			if !f.namesSuccessor {
				pl.plain = append(pl.plain, f.Next)
			}
			if !rejected[f.Next] || chosen[f.Next] {
				pl.counting++
			}
			if earlier, again := before[f.Next]; again { // another device knew the card without the claim
				before[f.Next] = slices.DeleteFunc(earlier, func(c pointer.Commitment) bool { return !slices.Contains(f.differs, c) })
			} else {
				before[f.Next] = slices.Clone(f.differs)
			}
		}
	}
	var naming []pinFact
	for _, f := range h.facts {
		switch {
		case f.Pointer != step.Pointer || f.Next.IsZero() || f.decision != nil && replaced[f.Entry]:
		case f.namesSuccessor:
			naming = append(naming, f)
		default:
			record(f)
		}
	}
	for i, c := range pl.claims {
		pl.claims[i].base = c.rank
	}
	for _, f := range naming {
		if !pl.weighs(f.Next) {
			pl.idle = append(pl.idle, f.Entry)
			add(f.Next, 0, f.Kind, f.By)
			continue
		}
		record(f)
	}
	pl.contest(before)
	return pl
}

// weighs reports whether a card with a commitment that names the successor of the
// pointer as well counts: whether anything but such cards states another commitment,
// which it contradicts, or the owner entered the same one, or it is confirmed.
func (pl place) weighs(next pointer.Commitment) bool {
	return slices.ContainsFunc(pl.claims, func(c placeClaim) bool { return c.base > 0 && (c.Next != next || c.base > reported) })
}

// contest finds the claims that contradict each other. A third party's claim
// does not contradict a confirmed commitment, unless that one is known by a card
// alone, and the card was first received after the claim: then either the third
// party or the card may be false, and the owner decides.
func (pl *place) contest(before map[pointer.Commitment][]pointer.Commitment) {
	carried, settled := 0, false
	earlier := make(map[pointer.Commitment]bool) // on record before a card that alone confirms another one
	for _, c := range pl.claims {
		if c.carried {
			carried++
		}
		if c.proven() != confirmed {
			continue
		}
		settled = true
		if !c.backed {
			for _, next := range before[c.Next] {
				earlier[next] = true
			}
		}
	}
	for _, c := range pl.claims {
		if !settled || c.rank > reported || earlier[c.Next] {
			pl.contested = append(pl.contested, c.PinClaim)
		}
	}
	pl.duplicity = carried > 1
	if len(pl.contested) < 2 {
		pl.contested = nil
	}
}

// pin returns the pinned commitment and its strength; zero: nothing is pinned,
// or what is pinned is contested.
func (pl place) pin() (pointer.Commitment, rank) {
	var best placeClaim
	if pl.contested != nil {
		return best.Next, 0
	}
	for _, c := range pl.claims {
		if c.rank > best.rank {
			best = c
		}
	}
	return best.Next, best.rank
}

// opened reports whether a step opens a commitment on record, and whether the
// chain advances by it: by any step that opens a confirmed commitment, and by a
// step that the old key signed if the owner entered the commitment. A claim of a
// third party alone advances nothing.
func (pl place) opened(s pointer.Succession) (opens, advances bool) {
	next, err := pointer.Commit(s.New)
	if err != nil {
		return false, false
	}
	for _, c := range pl.claims {
		if c.Next != next {
			continue
		}
		opens = true
		if c.proven().permits(s) {
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
	if h.closure != nil {
		return h.closure
	}
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
	h.closure = replaced
	return replaced
}
