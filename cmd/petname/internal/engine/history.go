package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Entry is one entry of the history as the verbs print it.
type Entry struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Op        string    `json:"op"`
	Pointer   string    `json:"pointer,omitempty"`
	Name      string    `json:"name,omitempty"`
	Was       []string  `json:"was,omitempty"` // several: it was in conflict
	Label     string    `json:"label,omitempty"`
	Kind      string    `json:"kind,omitempty"` // of the fact that came with it
	Undoes    uint64    `json:"undoes,omitempty"`
	Value     string    `json:"value,omitempty"`
	Sequence  uint64    `json:"sequence,omitempty"`
	Lookalike bool      `json:"lookalike,omitempty"` // named though it looks like another
	Dropped   bool      `json:"dropped,omitempty"`
}

// Entries is the result of log.
type Entries struct {
	Entries  []Entry  `json:"entries"`
	Verified bool     `json:"verified,omitempty"` // every entry, body and row was checked and held
	Problems []string `json:"problems,omitempty"`
}

func entry(ev petname.Event) Entry {
	out := Entry{ID: ev.ID.String(), At: ev.At, Op: ev.Op, Name: name.Clean(ev.Name), Label: name.Clean(ev.Label),
		Undoes: ev.Undoes, Value: ev.Value, Sequence: ev.Sequence, Dropped: ev.Dropped, Lookalike: ev.Lookalike}
	for _, was := range ev.Was {
		out.Was = append(out.Was, name.Clean(was))
	}
	if !ev.Contact.IsZero() {
		out.Pointer = ev.Contact.String()
	}
	if ev.Fact != nil {
		out.Kind = ev.Fact.Kind
	}
	return out
}

// LogArgs are the arguments of log.
type LogArgs struct {
	Name   string `json:"name"` // empty: everything
	Verify bool   `json:"verify"`
}

// Log gives the history, of one contact or of everything.
func (e *Engine) Log(ctx context.Context, a LogArgs) (*Entries, error) {
	var only pointer.Pointer
	if a.Name != "" {
		c, err := e.find(a.Name)
		if err != nil {
			return nil, err
		}
		only = c.ID
	}
	out := &Entries{Entries: []Entry{}}
	if a.Verify {
		out.Problems = e.verify(ctx)
		out.Verified = len(out.Problems) == 0
	}
	for ev, err := range e.book.Log() {
		if err != nil {
			return out, err
		}
		if only.IsZero() || ev.Contact == only {
			out.Entries = append(out.Entries, entry(ev))
		}
	}
	if len(out.Problems) > 0 {
		return out, &Error{Code: "damaged", Exit: ExitUnverified, Message: out.Problems[0], Next: "petname doctor"}
	}
	return out, nil
}

// verify walks the whole ledger and says what doesn't hold.
func (e *Engine) verify(ctx context.Context) []string {
	var problems []string
	for err := range e.book.Ledger().Verify(ctx) {
		problems = append(problems, err.Error())
	}
	forks, err := e.book.Ledger().Forks()
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, fork := range forks {
		problems = append(problems, fmt.Sprintf("fork: device wrote two entries %s: it was copied or stolen", fork.Other.ID()))
	}
	return problems
}

// Undo takes back the last change made on this device.
func (e *Engine) Undo(_ context.Context, _ NoArgs) (*Contact, error) {
	ev, err := e.book.Undo()
	if err != nil {
		return e.inTheWay(err, ev.Contact), err
	}
	if ev.Contact.IsZero() { // of a label
		return &Contact{Provenance: []Fact{}, Undone: undone(ev)}, nil
	}
	c, err := e.book.ByPointer(ev.Contact)
	if errors.Is(err, petname.ErrNotFound) { // its adding was undone
		c = petname.Contact{ID: ev.Contact, Pointer: ev.Contact}
	} else if err != nil {
		return nil, err
	}
	out := contact(c)
	out.Undone = undone(ev)
	return &out, nil
}

func undone(ev petname.Event) *Entry {
	out := entry(ev)
	return &out
}
