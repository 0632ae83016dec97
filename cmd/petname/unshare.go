package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) unshareVerb() *cobra.Command {
	var request engine.UnshareArgs
	cmd := &cobra.Command{
		Use:   "unshare LABEL",
		Short: "Take back a label that you shared",
		Long: `Take back a public label. Your next publication leaves it out; copies of earlier
records keep it until they expire. With --to NAME one that you shared with that
contact alone.`,
		Example: `  petname unshare bob
  petname publish
  petname unshare bob --to carol`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			request.Label = args[0]
			var out engine.Edges
			if request.To != "" {
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
				err = a.ask("unshare", request, &out)
				return a.show(out, err, out.Sent != "", func(w *bufio.Writer) {
					fmt.Fprintln(w, sentText(out.Sent), "them")
					edges(w, a.style(), out)
				})
			}
			err = a.ask("unshare", request, &out)
			if err = a.show(out, err, err == nil, func(w *bufio.Writer) { edges(w, a.style(), out) }); err == nil {
				a.hint("now publish it:\n  petname publish")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&request.To, "to", "", "one that you shared with a contact alone: a `name`")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}
