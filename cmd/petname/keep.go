package main

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) keepVerb() *cobra.Command {
	var request engine.KeepArgs
	cmd := &cobra.Command{
		Use:   "keep [NAME…]",
		Short: "Keep somebody's name alive while their machine is off",
		Long: `Have your node put the records of contacts again before the network forgets
them, for as long as they are valid: so a name survives its owner's closed
laptop. It looks first, and puts nothing while enough others hold the newest
record. No key of theirs is needed. Without NAME, say who is kept, and how it
goes.

It is off unless you ask for it, as it shows whom you know: whoever stores such
a record sees the IP address that it came from. Each contact's record travels
under a peer key of its own, so that peer keys alone link none of them to your
node, nor to each other. It ends when you remove the contact, or with petname
unkeep.`,
		Example: `  petname keep bob
  petname keep --all
  petname keep --json`,
		ValidArgsFunction: a.completeMoreNames,
		RunE: func(_ *cobra.Command, args []string) error {
			request.Names = args
			var out engine.Kept
			if len(args) == 0 && !request.All {
				err := a.ask("kept", engine.NoArgs{}, &out)
				return a.show(out, err, err == nil, func(w *bufio.Writer) { kept(w, a.style(), out) })
			}
			var before engine.Kept
			err := a.ask("kept", engine.NoArgs{}, &before)
			if err == nil {
				if len(before.Kept) == 0 && (!request.All || request.Yes) {
					a.warn("%s", engine.KeepVisible)
				}
				err = a.ask("keep", request, &out)
			}
			if a.keepAll(err) {
				request.Yes = true
				err = a.ask("keep", request, &out)
			}
			return a.show(out, err, err == nil, func(w *bufio.Writer) { kept(w, a.style(), out) })
		},
	}
	cmd.Flags().BoolVar(&request.All, "all", false, "everybody in the book, now; those who are added later are not")
	cmd.Flags().BoolVar(&request.Yes, "yes", false, "with --all: you know that it shows whom you know")
	return cmd
}

// keepAll asks whether to show whom I know. Nothing but a yes is one.
func (a *app) keepAll(err error) bool {
	var e *engine.Error
	if !errors.As(err, &e) || e.Code != "keep_all" || a.json || a.noInput || !isTerminal(a.stdin) || !isTerminal(a.stderr) {
		return false
	}
	fmt.Fprintf(a.stderr, "%s\nKeep them all? Type yes: ", cleanLines(e.Message))
	return yes(a.stdin)
}

func (a *app) unkeepVerb() *cobra.Command {
	var request engine.KeepArgs
	cmd := &cobra.Command{
		Use:   "unkeep NAME… | --all",
		Short: "No longer keep somebody's name alive",
		Long: `Take back petname keep. Copies of records that peers have already stay with them
for two days at the most.`,
		Example: `  petname unkeep bob
  petname unkeep --all`,
		ValidArgsFunction: a.completeMoreNames,
		RunE: func(_ *cobra.Command, args []string) error {
			request.Names = args
			var out engine.Kept
			err := a.ask("unkeep", request, &out)
			return a.show(out, err, err == nil, func(w *bufio.Writer) { kept(w, a.style(), out) })
		},
	}
	cmd.Flags().BoolVar(&request.All, "all", false, "everybody who is kept")
	return cmd
}

func kept(w *bufio.Writer, s name.Style, out engine.Kept) {
	if len(out.Kept) == 0 {
		fmt.Fprintln(w, "nobody is kept")
	}
	for _, k := range out.Kept {
		who := "(in conflict)"
		if k.Name != "" {
			who = shownName(s, k.Name)
		}
		fmt.Fprintf(w, "%s  %s", who, nickname(s, "", k.Pointer))
		switch {
		case k.Next == nil:
			fmt.Fprint(w, "  when a node runs")
		case k.Looked == nil:
			fmt.Fprintf(w, "  first look %s", at(*k.Next))
		case k.Problem != "":
			fmt.Fprintf(w, "  %s; again %s", name.Clean(k.Problem), at(*k.Next))
		default:
			fmt.Fprintf(w, "  %d of %s hold it; next look %s", k.Holders, peers(k.Asked), at(*k.Next))
		}
		fmt.Fprintln(w)
	}
}

func at(t time.Time) string { return t.Local().Format(time.DateTime) }

// keeping is what the node's status says of it.
func keeping(w *bufio.Writer, k engine.KeepStatus) {
	text := fmt.Sprintf("%d contacts", k.Kept)
	if k.Kept == 1 {
		text = "1 contact"
	}
	if k.Next != nil {
		text += ", next look " + at(*k.Next)
	}
	if k.Last != nil {
		text += fmt.Sprintf("; last %s: %s", at(*k.Last), name.Clean(k.Result))
	}
	field(w, "keeps alive", text)
	if k.Own == nil {
		return
	}
	own := "until " + at(k.Own.Expires)
	if k.Own.Next != nil {
		own += ", put again " + at(*k.Own.Next)
	}
	if k.Own.Problem != "" {
		own += "; " + name.Clean(k.Own.Problem)
	}
	field(w, "my record", own)
	if k.Own.Warning != "" {
		field(w, "WARNING", "my record "+k.Own.Warning)
	}
}
