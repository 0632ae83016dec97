package dht

import (
	"context"
	"slices"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Bounds of a look-up for [Newest].
type Bounds struct {
	Answers  int // that are taken from a store
	Verified int // different records that are verified of these
	Returned int // of the newest that verify
}

// Newest gives the newest records of a pointer that a store has and that verify,
// the newest first: for records whose owner may be several, each of whom has to
// be heard, and none believed before what is in them was looked at. A store that
// floods is left. The error is the store's, and comes beside what was found.
func Newest(ctx context.Context, store Store, p pointer.Pointer, now time.Time, b Bounds) ([]pointer.Record, error) {
	var found []pointer.Record
	var failed error
	looked := map[string]bool{}
	answers := 0
	for a, err := range store.Get(ctx, p) {
		if answers++; answers > b.Answers {
			break
		}
		if err != nil {
			if a.Peer == "" {
				failed = err
			}
			continue
		}
		if len(a.Record) == 0 || len(a.Record) > pointer.MaxRecord || looked[string(a.Record)] {
			continue
		}
		if len(looked) == b.Verified {
			break
		}
		looked[string(a.Record)] = true
		rec, err := pointer.Open(p, a.Record, now)
		if err != nil || slices.ContainsFunc(found, func(r pointer.Record) bool { return r.ID() == rec.ID() }) {
			continue
		}
		found = append(found, rec)
		slices.SortFunc(found, func(a, b pointer.Record) int { return b.Compare(a) })
		found = found[:min(len(found), b.Returned)]
	}
	return found, failed
}
