package dht

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Memory is a Store in memory. The zero value is an empty store.
type Memory struct {
	// Now is the clock for expiry; nil means time.Now.
	Now func() time.Time
	// Source is the Source of the answers; "" means [SourceHome].
	Source Source

	mu      sync.RWMutex
	records map[pointer.Pointer]pointer.Record
}

// Get yields one answer, with the record if there is one, even if it has expired.
func (m *Memory) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		a := Answer{Source: m.Source}
		if a.Source == "" {
			a.Source = SourceHome
		}
		if err := ctx.Err(); err != nil {
			yield(a, err)
			return
		}
		m.mu.RLock()
		rec, ok := m.records[p]
		m.mu.RUnlock()
		if ok {
			a.Record = rec.Bytes()
		}
		yield(a, nil)
	}
}

// Put verifies a record and stores it. It returns an error that wraps [ErrOlder]
// if it has a newer one.
func (m *Memory) Put(ctx context.Context, p pointer.Pointer, record []byte) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	rec, err := pointer.Open(p, record, now().Round(0))
	if err != nil {
		return Receipt{Asked: 1, Refused: 1}, fmt.Errorf("put: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if stored, ok := m.records[p]; ok && supersedes(stored, rec) {
		return Receipt{Asked: 1, Refused: 1}, olderError(stored, rec)
	}
	if m.records == nil {
		m.records = map[pointer.Pointer]pointer.Record{}
	}
	m.records[p] = rec
	return Receipt{Asked: 1, Stored: 1}, nil
}

// supersedes reports whether a store that holds have must refuse rec.
func supersedes(have, rec pointer.Record) bool { return have.Compare(rec) > 0 }

// olderError returns the error for a put of rec while have is stored.
func olderError(have, rec pointer.Record) error {
	return fmt.Errorf("put for %s: sequence %d: %w (sequence %d)", rec.Pointer(), rec.Sequence(), ErrOlder, have.Sequence())
}

// openExpired is pointer.Open, but accepts an authentic record that has expired:
// such a record is still the floor.
func openExpired(p pointer.Pointer, b []byte, now time.Time) (rec pointer.Record, expired bool, err error) {
	rec, err = pointer.Open(p, b, now)
	if e, ok := errors.AsType[*pointer.ExpiredError](err); ok {
		return e.Record, true, nil
	}
	return rec, false, err
}

// floorRecord is a record with the time when it was last confirmed to be the
// newest.
type floorRecord struct {
	record    pointer.Record
	confirmed time.Time
}

// floorStore stores the floor of a Resolver: for each pointer the newest record known,
// so that a network that returns an older one is not believed. Dir is the durable
// implementation.
type floorStore interface {
	// load returns the floor of p; ok is false if there is none.
	load(p pointer.Pointer, now time.Time) (stored floorRecord, ok bool, err error)
	// store stores rec unless there is a newer record. If rec is already stored,
	// it sets the time of the confirmation, unless that is zero. It returns the
	// stored record.
	store(rec pointer.Record, confirmed time.Time) (floorRecord, error)
}

// memoryFloor is the floorStore of a Resolver without a home.
type memoryFloor struct {
	mu      sync.Mutex
	records map[pointer.Pointer]floorRecord
}

// load implements floorStore.
func (m *memoryFloor) load(p pointer.Pointer, _ time.Time) (floorRecord, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored, ok := m.records[p]
	return stored, ok, nil
}

// store implements floorStore.
func (m *memoryFloor) store(rec pointer.Record, confirmed time.Time) (floorRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored, ok := m.records[rec.Pointer()]
	switch {
	case ok && supersedes(stored.record, rec):
		return stored, nil
	case ok && stored.record.ID() == rec.ID():
		if !confirmed.IsZero() {
			stored.confirmed = confirmed
		}
	default:
		stored = floorRecord{rec, confirmed}
	}
	if m.records == nil {
		m.records = map[pointer.Pointer]floorRecord{}
	}
	m.records[rec.Pointer()] = stored
	return stored, nil
}
