package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// LastRecord is the last record of an earlier pointer of the owner, which leads
// followers on. It is a plain value.
type LastRecord struct {
	Pointer pointer.Pointer
	Until   time.Time // the end of its validity; zero: this home has none

	// Above is the sequence of another record of Pointer that this home has seen, that
	// did not end yet, and that followers prefer: another holder of the former key signed
	// it. 0: none.
	Above uint64

	// Labels are the labels of public edges in the last record, in ascending order, while it is
	// valid. Older versions signed such records. Nobody can sign another one: what the owner
	// withdraws stays readable there. Hostile text, if the record was found in the network.
	Labels []string
}

// lastRecords returns the last records of the earlier pointers.
func (s *state) lastRecords(id home.Identity) []LastRecord {
	var all []LastRecord
	for _, step := range id.Succession {
		last := LastRecord{Pointer: step.Old}
		r, expired, found := s.lastRecordOf(id, step.Old)
		if found {
			last.Until = r.Expires()
			if card, ok := r.Card(); ok && !expired {
				last.Labels = slices.Sorted(maps.Keys(card.Edges))
			}
		}
		if other, expired, err := s.held(step.Old); err == nil && !expired && !id.IsLast(other) && (!found || other.Compare(r) > 0) {
			last.Above = other.Sequence()
		}
		all = append(all, last)
	}
	return all
}

// retiredLabels returns the labels that a last record shows, and that are public no more, as text
// for people; "": none.
func (s *state) retiredLabels(id home.Identity) (text string, err error) {
	public, err := petname.PublishableEdges(s.book.Edges())
	if err != nil {
		return "", err
	}
	for _, last := range s.lastRecords(id) {
		for _, label := range last.Labels {
			if _, ok := public[label]; !ok {
				text += fmt.Sprintf("; the last record of %s shows the label %.200q, which you have withdrawn, until %s: its key is erased, so no other can be signed", last.Pointer, label, last.Until.UTC().Format(time.DateOnly))
			}
		}
	}
	return text, nil
}

// lastRecordOf returns the last record of an earlier pointer: of the book, or of the
// file of the identity key, in which a rotation left it, or else of the folder of
// records, where older versions had it alone. found is false if none of them has it.
func (s *state) lastRecordOf(id home.Identity, p pointer.Pointer) (r pointer.Record, expired, found bool) {
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) (err error) {
		r, expired, err = home.LastRecord(local, p, s.now())
		return err
	})
	if err == nil && id.IsLast(r) {
		return r, expired, true
	}
	if n := len(id.Succession); n > 0 && id.Last != nil && id.Succession[n-1].Old == p {
		if r, expired, err = pointer.OpenExpired(p, id.Last, s.now()); err == nil && id.IsLast(r) {
			return r, expired, true
		}
	}
	if r, expired, err = s.held(p); err == nil && id.IsLast(r) {
		return r, expired, true
	}
	return pointer.Record{}, false, false
}

// formerRecords returns the last records of the earlier keys, as far as the home has
// them.
func (s *state) formerRecords(id home.Identity) []pointer.Record {
	var all []pointer.Record
	for _, step := range id.Succession {
		if r, _, found := s.lastRecordOf(id, step.Old); found {
			all = append(all, r)
		}
	}
	return all
}

// saveLastRecords stores the last records of earlier keys in the book, as far as they are
// not there yet: no record that the network returns replaces them there. That of the
// previous key is also put among the home's records, as the newest of its pointer.
func (s *state) saveLastRecords(ctx context.Context, id home.Identity) error {
	for i, step := range id.Succession {
		r, expired, found := s.lastRecordOf(id, step.Old)
		if !found {
			continue
		}
		if err := s.saveLastRecord(r); err != nil {
			return err
		}
		if i < len(id.Succession)-1 || expired {
			continue
		}
		if have, _, err := s.held(step.Old); err == nil && have.Compare(r) >= 0 {
			continue
		}
		if _, err := s.records.Put(ctx, r.Pointer(), r.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// saveLastRecord stores a last record in the book, unless it is there.
func (s *state) saveLastRecord(r pointer.Record) error {
	var have pointer.Record
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) (err error) {
		have, _, err = home.LastRecord(local, r.Pointer(), s.now())
		return err
	})
	if err == nil && have.Pointer() == r.Pointer() && have.ID() == r.ID() {
		return nil
	}
	return s.book.Update(func(_ *petname.Book, local *ledger.View) error { return home.PutLastRecord(local, r) })
}

// putFormer stores the last records of the owner's earlier pointers again, which
// name this one. It returns the pointers with a last record that peers accepted, and
// those with one that no peer accepted, or fewer than refused it: these have a newer
// record. A pointer without a valid last record is in neither.
//
// A newer record of an earlier pointer in the home does not prevent it: other peers may
// not have it, or no longer.
func (s *state) putFormer(ctx context.Context, id home.Identity, stores []dht.Store) (stored, notStored []pointer.Pointer) {
	s.lookAtFormer(ctx, id, stores)
	s.lookForFormer(ctx, id, stores)
	if err := s.saveLastRecords(ctx, id); err != nil {
		s.log.Warn("last record of a former pointer not saved", "error", err)
	}
	resolver := &dht.Resolver{Stores: stores, Now: s.now}
	for _, step := range id.Succession {
		r, expired, found := s.lastRecordOf(id, step.Old)
		if !found || expired {
			continue
		}
		if _, err := s.records.Put(ctx, r.Pointer(), r.Bytes()); err != nil && !errors.Is(err, dht.ErrOlder) {
			s.log.Warn("last record of a former pointer not saved", "error", err)
		}
		receipt, err := resolver.Publish(ctx, r)
		if err != nil {
			s.log.Warn("last record of a former pointer not stored as widely as wanted", "error", err)
		}
		if receipt.Stored > receipt.Refused {
			stored = append(stored, step.Old)
		} else {
			notStored = append(notStored, step.Old)
		}
		if receipt.Refused > 0 {
			s.seeNewer(ctx, step.Old, stores)
		}
	}
	return stored, notStored
}

// seeNewer fetches the newest record of a former pointer after peers have refused its last
// record, so that the owner sees which record is above it: see LastRecord.Above.
func (s *state) seeNewer(ctx context.Context, p pointer.Pointer, stores []dht.Store) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	if _, err := s.resolver(stores...).Best(ctx, p, dht.LevelFresh); err != nil {
		s.log.Debug("newer record of a former pointer not found", "pointer", p, "error", err)
	}
}

// lookForFormer asks the network for the last records of earlier pointers that are not
// in the home: those before the ones in a recovery file. Records that are found are
// stored in the home.
func (s *state) lookForFormer(ctx context.Context, id home.Identity, stores []dht.Store) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	for _, step := range home.CardSteps(id.Succession) {
		if _, _, found := s.lastRecordOf(id, step.Old); found {
			continue
		}
		if _, err := s.resolver(stores...).Best(ctx, step.Old, dht.LevelFresh); err != nil {
			s.log.Debug("last record of a former pointer not found", "pointer", step.Old, "error", err)
		}
	}
}
