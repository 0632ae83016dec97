package kad

import (
	"crypto/sha256"
	"slices"

	"github.com/petnames-go/petnames/dht"
)

// counts says whether a level speaks of how many peers agree.
func counts(l dht.Level) bool { return l != dht.LevelAny }

// gate holds back answers whose agreement proves little. Whoever counts what
// comes through it then can't be told that five agree by five IDs that one
// attacker made to lie at the key. The first answer with a record is let
// through at once; one that repeats it
//
//   - not before the walk's end, if more peers stand about the key than chance
//     explains: then the whole region has been asked;
//   - only if it is where it can be expected: the honest j-th closest holder lies
//     at about j/n of the space, an ID that was made for the key far nearer;
//   - only from a peer that the routing table or somebody asked in this walk has
//     named, not memory alone.
type gate struct {
	walk    *walk
	records []*repeated
	ended   bool
}

// repeated is one record, and who gave it.
type repeated struct {
	id   [sha256.Size]byte
	held []heldAnswer
	out  []*contact
}

type heldAnswer struct {
	contact *contact
	answer  dht.Answer
}

func (g *gate) hold(c *contact, a dht.Answer) {
	id := sha256.Sum256(a.Record)
	i := slices.IndexFunc(g.records, func(r *repeated) bool { return r.id == id })
	if i < 0 {
		i = len(g.records)
		g.records = append(g.records, &repeated{id: id})
	}
	g.records[i].held = append(g.records[i].held, heldAnswer{c, a})
}

// ripe gives the answers that may pass by now.
func (g *gate) ripe() (out []dht.Answer) {
	for _, r := range g.records {
		for len(r.held) > 0 {
			i := 0
			if len(r.out) > 0 {
				if i = slices.IndexFunc(r.held, func(h heldAnswer) bool { return !h.contact.remembered }); i < 0 || !g.mayPass(r) {
					break
				}
			}
			out = append(out, r.held[i].answer)
			r.out = append(r.out, r.held[i].contact)
			r.held = slices.Delete(r.held, i, i+1)
		}
	}
	return out
}

// mayPass says whether one more may agree with those that passed.
func (g *gate) mayPass(r *repeated) bool {
	if g.walk.crowd != nil && !g.ended {
		return false
	}
	agreeing := slices.Clone(r.out)
	for _, h := range r.held {
		if !h.contact.remembered {
			agreeing = append(agreeing, h.contact)
		}
	}
	return len(r.out) < g.walk.size.plausible(agreeing)
}

// end gives what is left at the walk's end. What only memory vouches for is
// passed over, and of a crowd what may not pass even then.
func (g *gate) end() (out []dht.Answer) {
	g.ended = true
	for _, r := range g.records {
		if len(r.out) > 0 {
			r.held = slices.DeleteFunc(r.held, func(h heldAnswer) bool { return h.contact.remembered })
		}
		for len(r.held) > 0 && (len(r.out) == 0 || g.walk.crowd == nil || g.mayPass(r)) {
			out = append(out, r.held[0].answer)
			r.out = append(r.out, r.held[0].contact)
			r.held = r.held[1:]
		}
	}
	return out
}
