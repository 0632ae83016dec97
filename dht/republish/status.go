package republish

import (
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Status is what a keeper does and did.
type Status struct {
	Kept  int       // records of others
	Next  time.Time // of any look, my own included; zero: none is to come
	Last  time.Time // zero: none since the start
	Said  string    // what the last one came to
	Walks int       // since the start
	Every time.Duration
	Own   *OwnStatus // nil: I have published nothing
}

// OwnStatus is about my own record.
type OwnStatus struct {
	Entry
	Expires time.Time
	// Warning is set when the record is near its end and can't be renewed,
	// since the identity is locked: from the middle of its life on, and a day
	// before the end at the latest.
	Warning string
}

// Status says what the keeper does.
func (k *Keeper) Status() Status {
	locked := k.c.Own != nil && k.c.Own.Locked()
	now := k.c.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Kept: len(k.items), Last: k.last, Said: k.said, Walks: k.walks, Every: k.interval()}
	if first := k.first(); first != nil {
		s.Next = first.Next
	}
	if k.own.Record == "" {
		return s
	}
	if s.Next.IsZero() || k.own.Next.Before(s.Next) {
		s.Next = k.own.Next
	}
	s.Own = &OwnStatus{Entry: k.own.Entry, Expires: k.own.Expires}
	if locked && !now.Before(k.own.warn()) {
		verb := "expires"
		if !now.Before(k.own.Expires) {
			verb = "expired"
		}
		s.Own.Warning = verb + " at " + k.own.Expires.UTC().Format(time.RFC3339) + ", identity locked"
	}
	return s
}

// Entries are those of all records of others that are kept.
func (k *Keeper) Entries() map[pointer.Pointer]Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	entries := make(map[pointer.Pointer]Entry, len(k.items))
	for _, it := range k.items {
		entries[it.pointer] = it.Entry
	}
	return entries
}
