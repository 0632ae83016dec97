package petname

import (
	"iter"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Event is one entry of the book's history. Op determines which fields are set:
//
//   - changes of the owner: "name", "remove", "learn", "share", "unshare", "undo",
//     "profile", "publish", "keep", "unkeep", and "pin", a decision on the next key
//     of a contact;
//   - successions of contacts: "advance";
//   - received suggestions and statements, and decisions on them: "suggest", "hear", "decide";
//   - devices: "genesis", "admit", "retire";
//   - an entry that this version cannot read, or one without its body: "unknown".
type Event struct {
	ID      ledger.ID
	At      time.Time
	Op      string
	Contact pointer.Pointer // name, remove, learn, share, undo, advance, keep, unkeep
	// the new name; the nickname of a profile; undo: the name of the undone change
	Name  string
	Was   []string // the names before the change; several if the contact was in conflict
	Label string   // share, unshare
	// share, unshare, undo: the only contact that the label is for; zero: the label is public
	Audience  pointer.Pointer
	Fact      *Fact // the fact that the entry records; nil: none
	Lookalike bool  // name: the owner confirmed a name that looks like another
	// of [Book.Undo]: the pointer from which the undo moved the contact; zero: it did not
	MovedFrom pointer.Pointer
	Undoes    uint64 // undo: the number of the undone entry of the same device
	Value     string // publish
	Sequence  uint64 // publish
	// name, learn, decide: the suggestion that was decided; undo: the suggestion that is
	// pending again; zero: none
	Item    SuggestionID
	Dropped bool // the body was dropped: no other field is set but ID, At and Op
}

// Log yields the history, ordered by the clocks of the entries. Each entry is
// verified when it is read. After an error for a damaged entry the iteration
// continues.
func (b *Book) Log() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for e, err := range b.ledger.Entries() {
			var ev Event
			if err == nil {
				ev = logged(e.Entry, e.Body, introduce.Open)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// logged returns an entry as an event. Of a body that was verified before, the
// statement in it can be opened by introduce.Restore.
func logged(e ledger.Entry, body []byte, open opener) Event {
	switch e.Kind() {
	case ledger.KindGenesis:
		return Event{ID: e.ID(), At: e.Time(), Op: "genesis"}
	case ledger.KindAdmit:
		return Event{ID: e.ID(), At: e.Time(), Op: "admit"}
	case ledger.KindRemove:
		return Event{ID: e.ID(), At: e.Time(), Op: "retire"}
	}
	a, _, err := openAct(body, open)
	if err != nil {
		return Event{ID: e.ID(), At: e.Time(), Op: "unknown", Dropped: body == nil}
	}
	return event(e, a)
}

// event returns the event of an entry whose body decodeAct has read.
func event(e ledger.Entry, a act) Event {
	ev := Event{ID: e.ID(), At: e.Time(), Op: a.Op.String(), Name: a.Name, Label: a.Label, Undoes: a.Number, Lookalike: a.Lookalike}
	if a.Contact != nil {
		ev.Contact, _ = pointer.FromBytes(a.Contact) // decodeAct checked it
	}
	if a.Op == opPin && a.Of != nil {
		ev.Contact, _ = pointer.FromBytes(a.Of) // the pointer that the decision is about; likewise
	}
	if a.Audience != nil {
		ev.Audience, _ = pointer.FromBytes(a.Audience) // decodeAct checked it
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
		next, _ := a.Fact.next() // decodeAct checked it
		ev.Fact = &Fact{Kind: a.Fact.Kind, By: a.Fact.By, Channel: a.Fact.Channel, At: ev.At,
			Nickname: a.Fact.Nickname, Next: next, Entry: ev.ID}
	}
	if a.Published != nil {
		ev.Value, ev.Sequence = a.Published.Value, a.Published.Sequence
	}
	return ev
}
