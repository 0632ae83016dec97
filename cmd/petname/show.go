package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/petnames-go/petnames/pointer"
	"github.com/spf13/cobra"
)

func (a *app) showVerb() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a contact, and its newest record in this home",
		Long: `Show a contact with its pointer, its twelve words for comparing, and its newest
record in this home. No peer is asked: see petname resolve.

With --as the key is printed in the form of another system alone: did:key, peer
(of libp2p), ssh or pkarr.`,
		Example: `  petname show bob
  petname show bob --as did:key`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			if form == "" {
				return a.printContactOf("show", nameArgs{Name: args[0]})
			}
			var c contact
			err := a.call("show", nameArgs{Name: args[0]}, &c)
			if err == nil {
				c.As, err = keyAs(c.Pointer, form)
			}
			return a.printResult(c, err, err == nil, func(w *bufio.Writer) { fmt.Fprintln(w, c.As) })
		},
	}
	addAsFlag(cmd, &form)
	return cmd
}

// printContactOf runs a verb that returns a contact, and prints its details.
func (a *app) printContactOf(verb string, args any) error {
	var c contact
	err := a.call(verb, args, &c)
	err = a.printResult(c, err, c.Pointer != "", func(w *bufio.Writer) {
		if a.quiet && verb == "show" {
			fmt.Fprintln(w, c.Pointer)
			return
		}
		a.printContact(w, c)
	})
	if err == nil && c.Conflict != nil && len(c.Conflict.Names) > 0 {
		next := "to settle the conflict, one of"
		for _, n := range c.Conflict.Names[:min(len(c.Conflict.Names), 4)] {
			next += "\n  petname choose " + shellWord(n) + " " + c.Pointer
		}
		a.warn("%s", next)
	}
	return err
}

func (v *verbs) show(_ context.Context, a nameArgs) (*contact, error) {
	c, err := v.agent.Lookup(a.Name)
	if err != nil {
		return v.conflictingContact(err, pointer.Pointer{}), err
	}
	return v.contactDetails(c), nil
}
