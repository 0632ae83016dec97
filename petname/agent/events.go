package agent

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// EventKind is the part of the home that changed.
type EventKind string

const (
	BookChanged    EventKind = "book"    // contacts, edges, what is shared
	InboxChanged   EventKind = "inbox"   // suggestions, and decisions about them
	NetworkChanged EventKind = "network" // a network was joined or left
	RecordChanged  EventKind = "record"  // the owner's own record
)

// Event is one change of the home. It is a plain value.
type Event struct {
	Kind    EventKind
	Pointer pointer.Pointer // the contact that it is about; zero: none, or several
}

// Changes yields the changes of the home after the call, until ctx ends or the agent
// is closed, so that a user interface need not poll. It omits an event that equals a
// pending one. While 256 events are pending, further ones have no Pointer; no Kind is
// lost. The sequence can be iterated once; a caller that does not iterate it ends ctx.
func (a *Agent) Changes(ctx context.Context) iter.Seq[Event] {
	s := a.events.subscribe()
	unused := context.AfterFunc(ctx, func() { a.events.unsubscribe(s) })
	return func(yield func(Event) bool) {
		defer unused()
		defer a.events.unsubscribe(s)
		for {
			for _, e := range s.take() {
				if !yield(e) {
					return
				}
			}
			select {
			case <-s.ready:
			case <-s.closed:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// maxPending bounds the events that wait for one subscriber.
const maxPending = 256

// broker passes events to subscribers. The zero value is ready.
type broker struct {
	mu          sync.Mutex
	subscribers []*subscriber
	ended       bool
}

type subscriber struct {
	ready  chan struct{} // has a value while events are pending
	closed chan struct{}

	mu      sync.Mutex
	pending []Event
}

func (b *broker) subscribe() *subscriber {
	s := &subscriber{ready: make(chan struct{}, 1), closed: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		close(s.closed)
	} else {
		b.subscribers = append(b.subscribers, s)
	}
	return s
}

func (b *broker) unsubscribe(s *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = slices.DeleteFunc(b.subscribers, func(o *subscriber) bool { return o == s })
}

func (b *broker) publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subscribers {
		s.add(e)
	}
}

func (b *broker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subscribers {
		close(s.closed)
	}
	b.subscribers, b.ended = nil, true
}

func (s *subscriber) add(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) >= maxPending {
		e.Pointer = pointer.Pointer{}
	}
	if !slices.Contains(s.pending, e) {
		s.pending = append(s.pending, e)
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *subscriber) take() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending := s.pending
	s.pending = nil
	return pending
}

// changed reacts to a change of the book.
func (s *state) changed(e petname.Event) {
	event := Event{BookChanged, e.Contact}
	switch e.Op {
	case "suggest", "decide", "hear", "relay":
		event.Kind = InboxChanged
	case "publish":
		event.Kind = RecordChanged
	}
	s.events.publish(event)
	if event.Kind == BookChanged && e.Item != (petname.SuggestionID{}) { // it decided a suggestion, or reverted the decision
		s.events.publish(Event{InboxChanged, e.Contact})
	}
	if e.Op == "name" && !e.Contact.IsZero() {
		select {
		case s.named <- e.Contact:
		default: // its card is fetched with those of the other contacts
		}
	}
	switch e.Op {
	case "name", "remove", "undo": // these change the set of republished records, and private edges
		s.wakeRepublisher()
		s.syncSoon()
	case "keep", "unkeep":
		s.wakeRepublisher()
	}
}
