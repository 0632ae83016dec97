package petname

import (
	"maps"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// place is what is on record about the commitment at one pointer of a chain.
type place struct {
	step      Step         // to the pointer; without its pin
	claims    []placeClaim // one for each commitment that counts
	all       []pointer.Commitment
	cards     []pointer.Commitment // carried by a card, whether it counts or not
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
}

// placeOf collects what is on record about the pointer of a step. signed are the
// commitments in the steps to it that both keys signed.
func (h *chainFacts) placeOf(step Step, signed []pointer.Commitment) place {
	pl := place{step: step}
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
	for _, f := range h.facts {
		if f.Pointer != step.Pointer || f.Next.IsZero() || f.decision != nil && replaced[f.Entry] {
			continue
		}
		add(f.Next, f.rank(step.Unsigned), f.Kind, f.By)
		if f.Kind == factCard && f.decision == nil {
			pl.cards = append(pl.cards, f.Next)
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
	pl.contest(before)
	return pl
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
		if c.rank != confirmed {
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
		if c.rank.permits(s) {
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
