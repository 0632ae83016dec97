package kad

import (
	"crypto/sha256"
	"slices"

	"github.com/petnames-go/petnames/dht"
)

// counts says whether a level speaks of how many peers agree.
func countsAgreement(l dht.Level) bool { return l != dht.LevelAny }

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
type agreementFilter struct {
	walk    *walk
	records []*sameRecord
	ended   bool
}

// repeated is one record, and who gave it.
type sameRecord struct {
	id       [sha256.Size]byte
	pending  []pendingAnswer
	released []*contact
}

type pendingAnswer struct {
	contact *contact
	answer  dht.Answer
}

func (g *agreementFilter) add(c *contact, a dht.Answer) {
	id := sha256.Sum256(a.Record)
	i := slices.IndexFunc(g.records, func(r *sameRecord) bool { return r.id == id })
	if i < 0 {
		i = len(g.records)
		g.records = append(g.records, &sameRecord{id: id})
	}
	g.records[i].pending = append(g.records[i].pending, pendingAnswer{c, a})
}

// ripe gives the answers that may pass by now.
func (g *agreementFilter) release() (out []dht.Answer) {
	for _, r := range g.records {
		for len(r.pending) > 0 {
			i := 0
			if len(r.released) > 0 {
				if i = slices.IndexFunc(r.pending, func(h pendingAnswer) bool { return !h.contact.cached }); i < 0 || !g.allows(r) {
					break
				}
			}
			out = append(out, r.pending[i].answer)
			r.released = append(r.released, r.pending[i].contact)
			r.pending = slices.Delete(r.pending, i, i+1)
		}
	}
	return out
}

// mayPass says whether one more may agree with those that passed.
func (g *agreementFilter) allows(r *sameRecord) bool {
	if g.walk.dense != nil && !g.ended {
		return false
	}
	agreeing := slices.Clone(r.released)
	for _, h := range r.pending {
		if !h.contact.cached {
			agreeing = append(agreeing, h.contact)
		}
	}
	return len(r.released) < g.walk.size.countIndependent(agreeing)
}

// end gives what is left at the walk's end. What only memory vouches for is
// passed over, and of a crowd what may not pass even then.
func (g *agreementFilter) finish() (out []dht.Answer) {
	g.ended = true
	for _, r := range g.records {
		if len(r.released) > 0 {
			r.pending = slices.DeleteFunc(r.pending, func(h pendingAnswer) bool { return h.contact.cached })
		}
		for len(r.pending) > 0 && (len(r.released) == 0 || g.walk.dense == nil || g.allows(r)) {
			out = append(out, r.pending[0].answer)
			r.released = append(r.released, r.pending[0].contact)
			r.pending = r.pending[1:]
		}
	}
	return out
}
