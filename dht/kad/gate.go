package kad

import (
	"crypto/sha256"
	"slices"

	"github.com/petnames-go/petnames/dht"
)

// counts says whether a level is reached by counting peers that agree.
func counts(l dht.Level) bool { return l == dht.LevelAgreed || l == dht.LevelFresh }

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
	if g.walk.crowd != nil {
		return false
	}
	if g.walk.size.peers == 0 {
		return true
	}
	var spans []float64
	for _, c := range r.out {
		spans = append(spans, c.span)
	}
	for _, h := range r.held {
		if !h.contact.remembered {
			spans = append(spans, h.contact.span)
		}
	}
	slices.Sort(spans)
	plausible := 0
	for _, s := range spans {
		if g.walk.size.peers*s >= float64(plausible) {
			plausible++
		}
	}
	return len(r.out) < plausible
}

// rest gives all that is left, at the walk's end.
func (g *gate) rest() (out []dht.Answer) {
	for _, r := range g.records {
		for _, h := range r.held {
			out = append(out, h.answer)
		}
		r.held = nil
	}
	return out
}
