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

// Memory is a Store in this process. The zero value is empty and ready.
type Memory struct {
	// Now is the clock that records expire by; nil means time.Now.
	Now func() time.Time
	// Source is what the answers say; "" means [SourceHome].
	Source Source

	mu      sync.RWMutex
	records map[pointer.Pointer]pointer.Record
}

// Get yields one answer: the record, or that there is none. An expired record
// is served as it is.
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

// Put keeps a verified record, unless a newer one is there.
func (m *Memory) Put(ctx context.Context, p pointer.Pointer, record []byte) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	rec, err := pointer.Open(p, record, now())
	if err != nil {
		return Receipt{Asked: 1, Refused: 1}, fmt.Errorf("put: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if have, ok := m.records[p]; ok && supersedes(have, rec) {
		return Receipt{Asked: 1, Refused: 1}, olderError(have, rec)
	}
	if m.records == nil {
		m.records = map[pointer.Pointer]pointer.Record{}
	}
	m.records[p] = rec
	return Receipt{Asked: 1, Stored: 1}, nil
}

// supersedes says whether a store that holds have must refuse rec.
func supersedes(have, rec pointer.Record) bool { return have.Compare(rec) > 0 }

func olderError(have, rec pointer.Record) error {
	return fmt.Errorf("put for %s: sequence %d: %w (sequence %d)", rec.Pointer(), rec.Sequence(), ErrOlder, have.Sequence())
}

// openAny is pointer.Open that takes an authentic record past its end, too:
// what was once the newest stays the floor.
func openExpired(p pointer.Pointer, b []byte, now time.Time) (rec pointer.Record, expired bool, err error) {
	rec, err = pointer.Open(p, b, now)
	if e, ok := errors.AsType[*pointer.ExpiredError](err); ok {
		return e.Record, true, nil
	}
	return rec, false, err
}

// kept is a record with the time when it was last confirmed to be the newest.
type floorRecord struct {
	record    pointer.Record
	confirmed time.Time
}

// keeper is where a Resolver keeps its floor. Dir is the durable one.
type floorStore interface {
	// held gives what is kept of p; ok is false if there is nothing.
	load(p pointer.Pointer, now time.Time) (k floorRecord, ok bool, err error)
	// keep stores rec unless a newer one is kept, and sets the time if it is
	// the same one; a zero time leaves the time alone. It returns what is kept
	// afterwards.
	store(rec pointer.Record, confirmed time.Time) (floorRecord, error)
}

// volatile is the keeper of a Resolver without a home.
type memoryFloor struct {
	mu      sync.Mutex
	records map[pointer.Pointer]floorRecord
}

func (v *memoryFloor) load(p pointer.Pointer, _ time.Time) (floorRecord, bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.records[p]
	return k, ok, nil
}

func (v *memoryFloor) store(rec pointer.Record, confirmed time.Time) (floorRecord, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	have, ok := v.records[rec.Pointer()]
	switch {
	case ok && supersedes(have.record, rec):
		return have, nil
	case ok && have.record.ID() == rec.ID():
		if !confirmed.IsZero() {
			have.confirmed = confirmed
		}
	default:
		have = floorRecord{rec, confirmed}
	}
	if v.records == nil {
		v.records = map[pointer.Pointer]floorRecord{}
	}
	v.records[rec.Pointer()] = have
	return have, nil
}
