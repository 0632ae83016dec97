package main

import (
	"bufio"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) unshareVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "unshare LABEL",
		Short: "Take back a label that you shared",
		Long: `Take back a public label. Your next publication leaves it out; copies of earlier
records keep it until they expire.`,
		Example: `  petname unshare bob
  petname publish`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var out engine.Edges
			err := a.ask("unshare", engine.UnshareArgs{Label: args[0]}, &out)
			if err = a.show(out, err, err == nil, func(w *bufio.Writer) { edges(w, a.style(), out) }); err == nil {
				a.hint("now publish it:\n  petname publish")
			}
			return err
		},
	}
}
