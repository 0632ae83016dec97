package home

import (
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// The last records of former keys are in a device-local table of the book (package
// ledger), and not in the folder of records: there a newer record that a thief of such
// a key signed replaces them, and the key that could sign another is erased.
//
//	last: former pointer → last record, up to 10 KiB

const tableLast = "last"

// LastRecord returns the last record of a former pointer that is stored in the book, and
// reports whether it has expired. It returns the zero value if there is none.
func LastRecord(local *ledger.View, p pointer.Pointer, now time.Time) (r pointer.Record, expired bool, err error) {
	b, err := local.Get(tableLast, p.Bytes())
	if err != nil || b == nil {
		return pointer.Record{}, false, err
	}
	return pointer.OpenExpired(p, b, now)
}

// putLastRecords stores the last records of former pointers in a book.
func putLastRecords(book *petname.Book, all []pointer.Record) error {
	if len(all) == 0 {
		return nil
	}
	return book.Update(func(_ *petname.Book, local *ledger.View) error {
		for _, r := range all {
			if err := PutLastRecord(local, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutLastRecord stores the last record of a former pointer in the book. The caller has
// verified it: see [Identity.IsLast].
func PutLastRecord(local *ledger.View, r pointer.Record) error {
	return local.Put(tableLast, r.Pointer().Bytes(), r.Bytes())
}

// BestLast returns the last record of a former pointer among some records in binary form: of
// several, the one that followers prefer, with the highest sequence and then the latest end. It
// reports false if none verifies and is one.
func (id Identity) BestLast(p pointer.Pointer, all [][]byte, now time.Time) (best pointer.Record, found bool) {
	for _, b := range all {
		r, _, err := pointer.OpenExpired(p, b, now)
		if err == nil && id.IsLast(r) && (!found || r.Compare(best) > 0) {
			best, found = r, true
		}
	}
	return best, found
}

// IsLast reports whether a record is a last record of a former key: it names the
// successor that the identity has at that place of its chain, and has the same step. A
// record that a thief of the former key signed for a successor of its own is none.
func (id Identity) IsLast(r pointer.Record) bool { return isLast(id.Succession, r) }

func isLast(chain []pointer.Succession, r pointer.Record) bool {
	at := stepFrom(chain, r.Pointer())
	if at < 0 {
		return false
	}
	card, _ := r.Card()
	to, err := pointer.FromPublicKey(chain[at].New)
	return err == nil && card.Successor == to && card.Next.Opens(chain[at].New) &&
		slices.ContainsFunc(card.Succession, chain[at].Equal)
}

// stepFrom returns the index of the step from a pointer; -1: none.
func stepFrom(chain []pointer.Succession, p pointer.Pointer) int {
	return slices.IndexFunc(chain, func(s pointer.Succession) bool { return s.Old == p })
}
