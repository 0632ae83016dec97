package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) shareVerb() *cobra.Command {
	var request engine.ShareArgs
	cmd := &cobra.Command{
		Use:   "share NAME… --to NAME|--public [--as LABEL]",
		Short: "Let others reach somebody by way of your name",
		Long: `Make contacts reachable by way of you: who calls you alice can then resolve
alice/LABEL. Without --as the label is what the contact calls itself; your own
petname for it stays private.

--to NAME tells one contact alone: it travels sealed, and nobody else can
resolve it. --public means everybody, from your next publication on: whoever
looks you up sees the label, the pointer, and so that you know its owner.`,
		Example: `  petname share bob --as bob --to carol
  petname share bob --as bob --public
  petname publish`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeMoreNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			request.Names = args
			var before, out engine.Edges
			if request.To != "" && !request.Public {
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
				err = a.ask("share", request, &out)
				return a.show(out, err, out.Sent != "", func(w *bufio.Writer) {
					fmt.Fprintln(w, sentText(out.Sent), "them")
					edges(w, a.style(), out)
				})
			}
			err = a.ask("public", engine.NoArgs{}, &before)
			if err == nil {
				if request.Public && len(before.Edges) == 0 {
					a.warn("%s", engine.Visible)
				}
				err = a.ask("share", request, &out)
			}
			if err == nil && len(before.Edges) == 0 {
				a.hint("take it back before then with\n  petname unshare %s", engine.ShellWord(out.Added[0]))
			}
			if err = a.show(out, err, err == nil, func(w *bufio.Writer) { edges(w, a.style(), out) }); err == nil {
				a.hint("now publish it:\n  petname publish")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&request.Label, "as", "", "the `label` that others use (default: the contact's nickname)")
	cmd.Flags().BoolVar(&request.Public, "public", false, "for everybody")
	cmd.Flags().StringVar(&request.To, "to", "", "for one contact alone: a `name`")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}

func edges(w *bufio.Writer, s name.Style, out engine.Edges) {
	switch {
	case len(out.Edges) == 0 && out.To != "":
		fmt.Fprintln(w, "nothing is shared with it alone any more")
	case len(out.Edges) == 0:
		fmt.Fprintln(w, "nothing is public")
	}
	for _, e := range out.Edges {
		fmt.Fprintf(w, "%s → %s  (your %s)", ownEdge(s, e.Label), e.Pointer, shownName(s, e.Name))
		if e.Conflict {
			fmt.Fprint(w, "  IN CONFLICT: not published")
		}
		fmt.Fprintln(w)
	}
}
