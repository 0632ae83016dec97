package main

import (
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// heldMessages are messages of this home that are not sent.
type heldMessages struct {
	Pointer  string `json:"pointer"` // of the contact
	Name     string `json:"name"`    // its petname; empty: it has none
	Nickname string `json:"nickname"`
	Messages int    `json:"messages"`
	Reason   string `json:"reason"` // "removed", "unknown", "mistaken" or "former"
}

// heldMessages returns the messages of this home that are not sent.
func (v *verbs) heldMessages() (all []heldMessages, err error) {
	found, err := v.agent.HeldMessages()
	if err != nil {
		return nil, err
	}
	for _, h := range found {
		one := heldMessages{Pointer: h.Pointer.String(), Messages: h.Messages, Reason: string(h.Reason)}
		if c, err := v.agent.ByPointer(h.ID); err == nil && c.ID == h.ID {
			one.Name, one.Nickname = c.Name.String(), name.Clean(c.Nickname)
		}
		all = append(all, one)
	}
	return all, nil
}

// dropHeld drops the messages that are not sent to a contact, and returns their number.
func (v *verbs) dropHeld(text string) (int, error) {
	p, err := pointer.Parse(text)
	if err != nil {
		c, err := v.agent.Lookup(text)
		if err != nil {
			return 0, err
		}
		p = c.ID
	}
	n, err := v.agent.DropHeldMessages(p)
	if errors.Is(err, petname.ErrNotFound) {
		return 0, &failure{Code: "not_found", Exit: exitNotFound, Message: fmt.Sprintf("no message to %q is held back", text)}
	}
	return n, err
}

// warnHeld warns of messages that are not sent.
func (a *app) warnHeld(all []heldMessages) {
	for _, h := range all {
		contact := name.Quote(h.Name)
		if h.Name == "" {
			contact = h.Pointer
		}
		reason := "it is no contact of yours any more; they are sent when you add the same key again"
		switch h.Reason {
		case string(agent.HeldRemoved):
			reason = "you removed it; they are sent when you add the same key again"
		case string(agent.HeldMistaken):
			reason = "they were made for a key that is not this contact's, and can't be sent; make them again"
		case string(agent.HeldFormer):
			reason = "they were made before you rotated your key, and are put no more; make again what was not received"
		}
		a.warn("messages of yours that are NOT SENT: %d, to\n  %s\n%s. To drop them:\n  %s", h.Messages, contact, reason, "petname inbox --drop "+h.Pointer)
	}
}
