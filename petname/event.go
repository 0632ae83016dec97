package petname

import (
	"iter"
	"slices"
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
//   - devices: "genesis", "admit", "retire", "device";
//   - messages of mutual introductions, for other devices of the owner: "relay";
//   - an entry that this version cannot read, or one without its body: "unknown".
type Event struct {
	ID      ledger.ID
	At      time.Time
	Op      string
	Contact pointer.Pointer // name, remove, learn, share, undo, advance, keep, unkeep
	LedTo   pointer.Pointer // unshare, and its undo: the contact to which the label led
	// the new name; the nickname of a profile; undo: the name of the undone change
	Name string
	Was  []string // the names before the change; several if the contact was in conflict
	// name: the contact had the name already, and no conflict: the change is that of its facts
	Again bool
	// name: the contact was removed before; with Was, devices differed on whether it was
	WasRemoved bool
	Labels     int    // remove: the labels that led to the contact or were for it, and ended
	KeepEnded  bool   // remove: its records are not republished any more
	Label      string // share, unshare
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
	Item     SuggestionID
	Received SuggestionID    // suggest
	Kind     SuggestionKind  // suggest
	By       pointer.Pointer // suggest, hear: the signer; zero: no statement was signed; relay: the sender
	// suggest: the subject, zero if it is not known yet; hear: the key that a denial is about
	About    pointer.Pointer
	Decision Decision // decide
	// hear: the kind of the statement: "edges", "retraction" or "denial"
	Statement string
	Dropped   bool // the body was dropped: no other field is set but ID, At and Op
}

// Decision is a decision on a suggestion other than its acceptance under a name.
type Decision string

const (
	DecisionDecline  Decision = "declined"
	DecisionNever    Decision = "never"     // declined, and later suggestions of its pointer are refused
	DecisionWithdraw Decision = "withdrawn" // by its sender
	DecisionConsent  Decision = "agreed"    // to a mutual introduction
)

var decisions = map[verdict]Decision{verdictDecline: DecisionDecline, verdictNever: DecisionNever, verdictWithdraw: DecisionWithdraw, verdictConsent: DecisionConsent}

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

// ChainLog yields the history of one branch of a device, after a number: see
// [ledger.Ledger.Chain].
func (b *Book) ChainLog(last ledger.Head, after uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for e, err := range b.ledger.Chain(last, after) {
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
		return Event{ID: e.ID(), At: e.Time(), Op: OpAdmit}
	case ledger.KindRemove:
		return Event{ID: e.ID(), At: e.Time(), Op: OpRetire}
	}
	a, _, err := openAct(body, open)
	if err != nil {
		return Event{ID: e.ID(), At: e.Time(), Op: "unknown", Dropped: body == nil}
	}
	return event(e, a)
}

// event returns the event of an entry with a body that decodeAct has read.
func event(e ledger.Entry, a act) Event {
	ev := Event{ID: e.ID(), At: e.Time(), Op: a.Op.String(), Name: a.Name, Label: a.Label, Undoes: a.Number, Lookalike: a.Lookalike}
	ev.Contact, ev.Audience = optionalPointer(a.Contact), optionalPointer(a.Audience) // decodeAct checked them
	if a.Op == opUnshare || a.Op == opUndo && a.Contact == nil {
		ev.LedTo = a.ledTo()
	}
	if a.Op == opPin && a.Of != nil {
		ev.Contact = optionalPointer(a.Of) // the pointer that the decision is about
	}
	if a.Op == opKeep && a.Keep == keepOff {
		ev.Op = "unkeep"
	}
	for _, w := range a.Previous {
		if w.Name != "" {
			ev.Was = append(ev.Was, name.Recorded(w.Name).String())
		}
	}
	if a.Op == opName {
		ev.Again = len(a.Previous) == 1 && a.Previous[0].Name == a.Name && !a.Previous[0].Contested
		ev.WasRemoved = slices.ContainsFunc(a.Previous, func(w wirePrevious) bool { return w.Removed })
	}
	if a.Op == opRemove {
		ev.KeepEnded = a.Keep == keepOn
		for _, edges := range byLabel(a.shares()) {
			if slices.ContainsFunc(edges, func(s wireShare) bool { return s.Contact != nil }) {
				ev.Labels++
			}
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
	ev.Decision = decisions[a.Verdict]
	if a.Relay != nil {
		ev.By = optionalPointer(a.Relay.By)
	}
	if s := a.Suggestion; s != nil {
		ev.Kind, ev.Received = SuggestionKind(s.Kind), s.id()
		ev.By, ev.About = optionalPointer(s.By), optionalPointer(s.About)
	}
	if a.Statement != nil {
		if s, err := introduce.Restore(a.Statement); err == nil { // openAct verified it
			ev.setStatement(s)
		}
	}
	return ev
}

// setStatement sets what an event states of a signed statement.
func (ev *Event) setStatement(s introduce.Statement) {
	if edges, is := s.Edges(); is {
		ev.Statement, ev.By = "edges", edges.By
	}
	if r, is := s.Retraction(); is {
		ev.Statement, ev.By = "retraction", r.By
	}
	if d, is := s.Denial(); is {
		ev.Statement, ev.By, ev.About = "denial", d.By, d.About
	}
}

// optionalPointer returns the pointer of bytes that were checked, or zero for nil.
func optionalPointer(b []byte) pointer.Pointer {
	if b == nil {
		return pointer.Pointer{}
	}
	p, _ := pointer.FromBytes(b)
	return p
}

// The Op of the admission and of the removal of a device.
const (
	OpAdmit  = "admit"
	OpRetire = "retire"
)
