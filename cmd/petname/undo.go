package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) undoVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "undo",
		Short: "Take back the last change to the book",
		Long: `Take back the newest change that was made on this device: an add, rename, rm,
share or unshare. Again goes further back.`,
		Example: `  petname rm bob
  petname undo`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var c engine.Contact
			err := a.ask("undo", engine.NoArgs{}, &c)
			return a.show(c, err, err == nil, func(w *bufio.Writer) {
				if c.Undone != nil {
					fmt.Fprintf(w, "took back: %s\n", happened(a.style(), *c.Undone))
				}
				if c.Pointer != "" {
					fmt.Fprintln(w, line(a.style(), c))
				}
			})
		},
	}
}
