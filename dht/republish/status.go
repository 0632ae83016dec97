package republish

import (
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Status is the status of a Republisher.
type Status struct {
	Records  int           // records of contacts
	Next     time.Time     // when the next query is due, the own record included; zero: none
	Last     time.Time     // the last query or put; zero: none since the start
	Outcome  string        // of the last query or put, for people
	Walks    int           // since the start
	Interval time.Duration // between two queries for a record, without jitter
	Own      *OwnStatus    // nil: the home has no own record
}

// OwnStatus is the status of the owner's record.
type OwnStatus struct {
	Entry
	Expires time.Time
	// Warning is set when the record expires soon and cannot be renewed, because
	// the identity is locked: from the middle of its lifetime, or from a day
	// before it expires, whichever is earlier.
	Warning string
}

// Status returns the current status.
func (r *Republisher) Status() Status {
	locked := r.config.Own != nil && r.config.Own.Locked()
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{Records: len(r.items), Last: r.last, Outcome: r.outcome, Walks: r.walks, Interval: r.interval()}
	if first := r.earliest(); first != nil {
		s.Next = first.Next
	}
	if r.own.Record == "" {
		return s
	}
	if s.Next.IsZero() || r.own.Next.Before(s.Next) {
		s.Next = r.own.Next
	}
	s.Own = &OwnStatus{Entry: r.own.Entry, Expires: r.own.Expires}
	if locked && !now.Before(r.own.warnAt()) {
		verb := "expires"
		if !now.Before(r.own.Expires) {
			verb = "expired"
		}
		s.Own.Warning = verb + " at " + r.own.Expires.UTC().Format(time.RFC3339) + ", identity locked"
	}
	return s
}

// Entries returns the entries of the contacts' records.
func (r *Republisher) Entries() map[pointer.Pointer]Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := make(map[pointer.Pointer]Entry, len(r.items))
	for _, it := range r.items {
		entries[it.pointer] = it.Entry
	}
	return entries
}
