package main

import (
	"bufio"
	"context"

	"github.com/petnames-go/petnames/pointer"
	"github.com/spf13/cobra"
)

func (a *app) showVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a contact, and its newest record in this home",
		Long: `Show a contact with its pointer, its twelve words for comparing, and its newest
record in this home. No peer is asked: see petname resolve.`,
		Example: `  petname show bob
  petname show bob --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.printContactOf("show", nameArgs{Name: args[0]})
		},
	}
}

// printContactOf runs a verb that returns a contact, and prints its details.
func (a *app) printContactOf(verb string, args any) error {
	var c contact
	err := a.call(verb, args, &c)
	return a.printResult(c, err, c.Pointer != "", func(w *bufio.Writer) { a.printContact(w, c) })
}

func (v *verbs) show(_ context.Context, a nameArgs) (*contact, error) {
	c, err := v.agent.Lookup(a.Name)
	if err != nil {
		return v.conflictingContact(err, pointer.Pointer{}), err
	}
	return v.contactDetails(c), nil
}
