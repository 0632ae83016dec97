package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) rmVerb() *cobra.Command {
	return &cobra.Command{
		Use:        "rm NAME",
		SuggestFor: []string{"remove", "delete"},
		Short:      "Remove a contact",
		Long: `Remove a contact from the book. The removal is recorded: no message of another
contact adds it again. petname undo reverts the removal.

Messages to the contact that it has not fetched are not sent any more. They
wait until you add the same key again; petname inbox lists them, and drops them
with --drop. The network can have stored some before: the contact can fetch
these for some days.`,
		Example: `  petname rm bob
  petname undo`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			var c contact
			err := a.call("rm", nameArgs{Name: args[0]}, &c)
			err = a.printResult(c, err, err == nil, func(w *bufio.Writer) {
				fmt.Fprintf(w, "removed %s  %s\n", shownName(a.style(), c.Name), nickname(a.style(), c.Nickname, c.Pointer))
			})
			if err == nil && len(c.Shared) > 0 {
				a.warn("it was public as %s: your next publication leaves that out", ownEdges(name.Plain, c.Shared))
			}
			if err == nil && c.Unsent > 0 {
				a.warnHeld([]heldMessages{{Pointer: c.Pointer, Messages: c.Unsent, Reason: string(agent.HeldRemoved)}})
			}
			if err == nil && c.Waiting > 0 {
				a.warn("%s of it in your inbox; to decline all:\n  petname decline --all --from %s", countText(c.Waiting, "suggestion"), c.Pointer)
			}
			return err
		},
	}
}

func (v *verbs) rm(_ context.Context, a nameArgs) (*contact, error) {
	c, err := v.agent.Lookup(a.Name)
	if err != nil {
		return v.conflictingContact(err, pointer.Pointer{}), err
	}
	was, shared := c.Name, v.labels(c.ID)
	if was.IsZero() && c.Conflict != nil && len(c.Conflict.Names) > 0 {
		was = c.Conflict.Names[0]
	}
	if c, err = v.agent.Remove(c.ID.String()); err != nil {
		return nil, err
	}
	out := asContact(c)
	out.Name, out.Shared = was.String(), shared
	if all, err := v.agent.HeldMessages(); err == nil { // else petname inbox returns the error
		for _, h := range all {
			if h.ID == c.ID {
				out.Unsent += h.Messages
			}
		}
	}
	waiting, err := v.waitingFrom(c.Pointer)
	out.Waiting = len(waiting)
	return &out, err
}
