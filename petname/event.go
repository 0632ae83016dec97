package petname

import (
	"iter"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Event is one entry of the book's history. Which fields are set depends on
// Op: "name", "remove", "learn", "share", "unshare", "undo", "profile",
// "publish", "keep", "unkeep" are mine; "genesis", "admit" and "retire" are about devices; "unknown"
// says nothing to this version.
type Event struct {
	ID        ledger.ID
	At        time.Time
	Op        string
	Contact   pointer.Pointer // name, remove, learn, share, undo, keep, unkeep
	Name      string          // the name given or taken away; the nickname of a profile
	Was       []string        // what the contact was called before; several names when it was in conflict
	Label     string          // share, unshare
	Fact      *Fact           // what came with it
	Lookalike bool            // name: given though it looks like another
	Undoes    uint64          // undo: the number of the entry of the same device
	Value     string          // publish
	Sequence  uint64          // publish
	Item      SuggestionID    // name, learn, decide: the suggestion that was decided; undo: the one that is open again; zero: none
	Dropped   bool            // the body was dropped: nothing more is known
}

// Log yields the history, oldest first by the entries' clocks. Each entry is
// verified as it is read; after a damaged one the rest still follows.
func (b *Book) Log() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for e, err := range b.ledger.Entries() {
			var ev Event
			if err == nil {
				ev = logged(e.Entry, e.Body)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

func logged(e ledger.Entry, body []byte) Event {
	switch e.Kind() {
	case ledger.KindGenesis:
		return Event{ID: e.ID(), At: e.Time(), Op: "genesis"}
	case ledger.KindAdmit:
		return Event{ID: e.ID(), At: e.Time(), Op: "admit"}
	case ledger.KindRemove:
		return Event{ID: e.ID(), At: e.Time(), Op: "retire"}
	}
	a, err := decodeAct(body)
	if err != nil {
		return Event{ID: e.ID(), At: e.Time(), Op: "unknown", Dropped: body == nil}
	}
	return event(e, a)
}

func event(e ledger.Entry, a act) Event {
	ev := Event{ID: e.ID(), At: e.Time(), Op: a.Op.String(), Name: a.Name, Label: a.Label, Undoes: a.Number, Lookalike: a.Lookalike}
	if a.Contact != nil {
		ev.Contact, _ = pointer.FromBytes(a.Contact) // checked when it was decoded
	}
	if a.Op == opKeep && a.Keep == keepOff {
		ev.Op = "unkeep"
	}
	for _, w := range a.Previous {
		if w.Name != "" {
			ev.Was = append(ev.Was, name.Recorded(w.Name).String())
		}
	}
	copy(ev.Item[:], a.Item)
	if a.Fact != nil {
		next, _ := a.Fact.next() // likewise
		ev.Fact = &Fact{Kind: a.Fact.Kind, By: a.Fact.By, Channel: a.Fact.Channel, At: ev.At,
			Nickname: a.Fact.Nickname, Next: next, Entry: ev.ID}
	}
	if a.Published != nil {
		ev.Value, ev.Sequence = a.Published.Value, a.Published.Sequence
	}
	return ev
}
