package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) logVerb() *cobra.Command {
	var verify bool
	cmd := &cobra.Command{
		Use:   "log [NAME]",
		Short: "Show the history of the book, or of one contact",
		Long: `Show what was done to the book, oldest first. With --verify everything in it is
checked: every signature, hash and row.`,
		Example: `  petname log
  petname log bob
  petname log --verify --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			request := engine.LogArgs{Verify: verify}
			if len(args) == 1 {
				request.Name = args[0]
			}
			var out engine.Entries
			err := a.ask("log", request, &out)
			return a.show(out, err, out.Entries != nil, func(w *bufio.Writer) {
				for _, e := range out.Entries {
					fmt.Fprintf(w, "%s  %s  %s\n", e.At.Local().Format(time.DateTime), e.ID, happened(a.style(), e))
				}
				for _, p := range out.Problems {
					fmt.Fprintf(w, "PROBLEM: %s\n", name.Clean(p))
				}
				if out.Verified {
					fmt.Fprintln(w, "every entry verified")
				}
			})
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "check everything")
	return cmd
}

// happened is an entry in words.
func happened(s name.Style, e engine.Entry) string {
	who := ""
	if e.Pointer != "" {
		who = nickname(s, "", e.Pointer)
	}
	switch e.Op {
	case "name":
		if e.Was != nil {
			return fmt.Sprintf("renamed %s to %s (%s)", nameList(s, e.Was), shownName(s, e.Name), who) + although(e)
		}
		return fmt.Sprintf("named %s %s (%s)", who, shownName(s, e.Name), s.Text(e.Kind)) + although(e)
	case "remove":
		return fmt.Sprintf("removed %s (%s)", nameList(s, e.Was), who)
	case "learn":
		return fmt.Sprintf("learnt the next key of %s (%s)", who, s.Text(e.Kind))
	case "advance":
		return fmt.Sprintf("followed %s to its next key (%s)", who, s.Text(e.Kind))
	case "share":
		return fmt.Sprintf("made %s public as %s", who, ownEdge(s, e.Label))
	case "unshare":
		return fmt.Sprintf("took back the public name %s", ownEdge(s, e.Label))
	case "keep":
		return fmt.Sprintf("keep the records of %s alive", who)
	case "unkeep":
		return fmt.Sprintf("no longer keep the records of %s alive", who)
	case "undo":
		return fmt.Sprintf("took back entry %d", e.Undoes)
	case "profile":
		return fmt.Sprintf("set my nickname to %q", e.Name)
	case "publish":
		return fmt.Sprintf("signed sequence %d to publish, %s", e.Sequence, contentPath(e.Value))
	case "genesis":
		return "began the book"
	case "admit":
		return "admitted a device"
	case "retire":
		return "removed a device"
	}
	if e.Dropped {
		return "(its body was dropped)"
	}
	return "(written by a newer petname)"
}

func although(e engine.Entry) string {
	if e.Lookalike {
		return ", though it could mislead"
	}
	return ""
}
