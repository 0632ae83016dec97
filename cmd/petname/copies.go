package main

import (
	"context"
	"time"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

// otherCopy is evidence that another copy of the home is in use: a record that the
// owner's key signed, and not in this home.
type otherCopy struct {
	Sequence  uint64    `json:"sequence"`            // of the record
	Signed    uint64    `json:"signed"`              // the highest that this home had signed; 0: none
	Successor string    `json:"successor,omitempty"` // the next key's pointer, if the other copy has rotated
	Next      string    `json:"next,omitempty"`      // its commitment to the next key, if it is not that of this home
	Seen      time.Time `json:"seen"`
	Times     int       `json:"times"` // how often
	Text      string    `json:"text"`
}

// otherCopy returns the evidence that has to be shown; nil if there is none. With look,
// it asks the network for it.
func (v *verbs) otherCopy(ctx context.Context, look bool) *otherCopy {
	c, err := v.agent.OtherCopy(ctx, look)
	if err != nil {
		return nil // doctor reports the error
	}
	return asOtherCopy(c)
}

func asOtherCopy(c *agent.OtherCopy) *otherCopy {
	if c == nil {
		return nil
	}
	out := &otherCopy{Sequence: c.Sequence, Signed: c.Signed, Seen: c.Seen, Times: c.Times, Text: c.String()}
	if !c.Successor.IsZero() {
		out.Successor = c.Successor.String()
	}
	if !c.Next.IsZero() {
		out.Next = c.Next.String()
	}
	return out
}

// warnCopy warns of another copy of the home, and states what to do.
func warnCopy(a *app, c *otherCopy) {
	if c == nil {
		return
	}
	a.warn("%s", name.Clean(c.Text))
	a.warn("use one home alone for one identity; if the other copy is not yours, rotate to a key that it does not have:\n  petname key rotate --help")
}
