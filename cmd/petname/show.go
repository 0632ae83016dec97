package main

import (
	"bufio"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) showVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show all that your home knows of somebody",
		Long: `Show a contact with its pointer, its words for comparing, and the newest record
of it that this home holds. The network is not asked: see petname resolve.`,
		Example: `  petname show bob
  petname show bob --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.about("show", engine.NameArgs{Name: args[0]})
		},
	}
}

// about asks for one contact and shows it in full.
func (a *app) about(verb string, args any) error {
	var c engine.Contact
	err := a.ask(verb, args, &c)
	return a.show(c, err, c.Pointer != "", func(w *bufio.Writer) { details(w, a.style(), c) })
}
