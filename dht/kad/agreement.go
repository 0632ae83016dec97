package kad

import (
	"crypto/sha256"
	"slices"

	"github.com/petnames-go/petnames/dht"
)

// countsAgreement reports whether a level depends on the number of peers that
// agree.
func countsAgreement(l dht.Level) bool { return l != dht.LevelAny }

// agreementFilter delays or drops answers whose agreement proves little, so
// that five Sybils generated for the key do not count as five independent
// peers. It releases the first answer with a record immediately. Before the end
// of the walk, it releases an answer that repeats a record only
//
//   - if the region around the key is not dense, since in a dense region the
//     whole region is asked first;
//   - from where it is expected: the j-th closest honest holder is at about j/n
//     of the key space, Sybils are much nearer;
//   - from a peer that the routing table or another peer asked in this walk has
//     named, not only a peer in the holder cache.
//
// At the end, see finish, the first condition no longer applies, and the second
// applies only in a dense region.
type agreementFilter struct {
	walk    *walk
	records []*sameRecord
	ended   bool
}

// sameRecord is the answers that contain one record.
type sameRecord struct {
	id       [sha256.Size]byte
	pending  []pendingAnswer
	released []*contact // the peers of the released answers
}

// pendingAnswer is an answer that is not released yet.
type pendingAnswer struct {
	contact *contact
	answer  dht.Answer
}

// add adds an answer that contains a record.
func (f *agreementFilter) add(c *contact, a dht.Answer) {
	id := sha256.Sum256(a.Record)
	i := slices.IndexFunc(f.records, func(r *sameRecord) bool { return r.id == id })
	if i < 0 {
		i = len(f.records)
		f.records = append(f.records, &sameRecord{id: id})
	}
	f.records[i].pending = append(f.records[i].pending, pendingAnswer{c, a})
}

// release returns the answers that can be released now.
func (f *agreementFilter) release() (out []dht.Answer) {
	for _, r := range f.records {
		for len(r.pending) > 0 {
			i := 0 // the first answer with the record, at once
			if len(r.released) > 0 {
				if i = slices.IndexFunc(r.pending, func(h pendingAnswer) bool { return !h.contact.cached }); i < 0 || !f.allows(r) {
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

// allows reports whether one more answer may agree with the released ones.
func (f *agreementFilter) allows(r *sameRecord) bool {
	if f.walk.dense != nil && !f.ended {
		return false
	}
	agreeing := slices.Clone(r.released)
	for _, h := range r.pending {
		if !h.contact.cached {
			agreeing = append(agreeing, h.contact)
		}
	}
	return len(r.released) < f.walk.size.countIndependent(agreeing)
}

// finish returns the remaining answers at the end of the walk. It drops answers
// of peers that only the holder cache named, and in a dense region those that
// allows still refuses.
func (f *agreementFilter) finish() (out []dht.Answer) {
	f.ended = true
	for _, r := range f.records {
		if len(r.released) > 0 {
			r.pending = slices.DeleteFunc(r.pending, func(h pendingAnswer) bool { return h.contact.cached })
		}
		for len(r.pending) > 0 && (len(r.released) == 0 || f.walk.dense == nil || f.allows(r)) {
			out = append(out, r.pending[0].answer)
			r.released = append(r.released, r.pending[0].contact)
			r.pending = r.pending[1:]
		}
	}
	return out
}
