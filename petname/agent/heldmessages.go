package agent

import (
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/pointer"
)

// HeldMessages are messages of this home that are not sent while their contact is as it is. It
// is a plain value.
type HeldMessages = exchange.Held

// The reasons of [HeldMessages].
const (
	HeldRemoved  = exchange.HeldRemoved
	HeldUnknown  = exchange.HeldUnknown
	HeldMistaken = exchange.HeldMistaken
	HeldFormer   = exchange.HeldFormer
)

// HeldMessages returns the messages of this home that are not sent: those to contacts that were
// removed, or that an undo took out of the book, those that were signed for a key which is none of
// the contact's, and those that were under way when the owner's key was rotated. They are stored
// until the contact is added again, or until [Agent.DropHeldMessages].
func (a *Agent) HeldMessages() ([]HeldMessages, error) {
	ex, err := a.exchange()
	if err != nil {
		return nil, err
	}
	return ex.Held()
}

// DropHeldMessages deletes the messages that [Agent.HeldMessages] returns for the contact with a
// pointer, and returns their number. It fails with [petname.ErrNotFound] if there are none.
func (a *Agent) DropHeldMessages(p pointer.Pointer) (int, error) {
	ex, err := a.exchange()
	if err != nil {
		return 0, err
	}
	return ex.DropHeld(p)
}
