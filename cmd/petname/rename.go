package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) renameVerb() *cobra.Command {
	return &cobra.Command{
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
			err := a.ask("rename", engine.RenameArgs{Old: args[0], New: args[1]}, &c)
			return a.show(c, err, err == nil, func(w *bufio.Writer) { fmt.Fprintln(w, line(c)) })
		},
	}
}
