package dht

import (
	"context"
	"slices"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Bounds is the limits of a call of [Newest].
type Bounds struct {
	Answers  int // answers read from the store
	Verified int // different records of these that are verified
	Returned int // valid records returned, the newest
}

// Newest returns the newest valid records of a pointer in a store, the newest
// first. Use it for a key that several parties have: each of them may have put a
// record, and only the content shows which records to accept. Newest stops at the
// bounds. If the store fails, it returns the error of the store beside the
// records found.
func Newest(ctx context.Context, store Store, p pointer.Pointer, now time.Time, b Bounds) ([]pointer.Record, error) {
	var found []pointer.Record
	var storeErr error
	seen := map[string]bool{}
	answers := 0
	for a, err := range store.Get(ctx, p) {
		if answers++; answers > b.Answers {
			break
		}
		if err != nil {
			if a.Peer == "" {
				storeErr = err
			}
			continue
		}
		if len(a.Record) == 0 || len(a.Record) > pointer.MaxRecord || seen[string(a.Record)] {
			continue
		}
		if len(seen) == b.Verified {
			break
		}
		seen[string(a.Record)] = true
		rec, err := pointer.Open(p, a.Record, now)
		if err != nil || slices.ContainsFunc(found, func(r pointer.Record) bool { return r.ID() == rec.ID() }) {
			continue
		}
		found = append(found, rec)
		slices.SortFunc(found, func(a, b pointer.Record) int { return b.Compare(a) })
		found = found[:min(len(found), b.Returned)]
	}
	return found, storeErr
}
