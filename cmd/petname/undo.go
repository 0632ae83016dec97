package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/petname"
	"github.com/spf13/cobra"
)

func (a *app) undoVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "undo",
		Short: "Revert the last change to the book",
		Long: `Revert the newest change that was made on this device: of a name (add, accept,
rename, rm), of a label (share, unshare), of republishing (keep, unkeep), or a
decision about a next key (confirm, add --replace-pin). Labels that ended with a
contact come back with it. Run it again to revert the change before.

An accepted suggestion is in the inbox again, and accept --instead is reverted
together with the removal of the replaced contact. What was sent to others, what
was published, and what was declined stays.`,
		Example: `  petname rm bob
  petname undo`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var c contact
			err := a.call("undo", noArgs{}, &c)
			return a.printResult(c, err, err == nil, func(w *bufio.Writer) {
				if c.Undone != nil {
					fmt.Fprintf(w, "reverted: %s\n", entryText(a.style(), *c.Undone))
				}
				if c.Pointer != "" {
					fmt.Fprintln(w, contactLine(a.style(), c))
				}
				if c.MovedFrom != "" {
					printCopied(w, "MOVED from", c.MovedFrom)
				}
			})
		},
	}
}

func (v *verbs) undo(context.Context, noArgs) (*contact, error) {
	ev, err := v.agent.Undo()
	if err != nil {
		return v.conflictingContact(err, ev.Contact), err
	}
	undone := v.asEntry(ev)
	if ev.Contact.IsZero() { // of a label
		return &contact{Provenance: []fact{}, Undone: &undone}, nil
	}
	c, err := v.agent.ByPointer(ev.Contact)
	if errors.Is(err, petname.ErrNotFound) { // its adding was undone
		c = petname.Contact{ID: ev.Contact, Pointer: ev.Contact}
	} else if err != nil {
		return nil, err
	}
	out := asContact(c)
	out.Undone = &undone
	if !ev.MovedFrom.IsZero() && c.Pointer != ev.MovedFrom {
		out.MovedFrom = ev.MovedFrom.String()
	}
	return &out, nil
}
