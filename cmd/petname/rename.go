package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) renameVerb() *cobra.Command {
	var request engine.RenameArgs
	cmd := &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Give somebody another name",
		Long: `Give a contact another name. Its pointer, history and provenance stay. OLD may
be a pointer, which settles a conflict between two of your devices.`,
		Example: `  petname rename bob "Bob from work"
  petname rename k51qzi5uqu5d… bob`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			var c engine.Contact
			request.Old, request.New = args[0], args[1]
			err := a.ask("rename", request, &c)
			if a.wanted(err) {
				request.Lookalike = true
				err = a.ask("rename", request, &c)
			}
			return a.show(c, err, err == nil, func(w *bufio.Writer) { fmt.Fprintln(w, line(a.style(), c)) })
		},
	}
	cmd.Flags().BoolVar(&request.Lookalike, "allow-lookalike", false, "give the name though it looks like another; the log will say so")
	return cmd
}
