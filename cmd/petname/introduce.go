package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/peer"
)

func (a *app) introduceVerb() *cobra.Command {
	var request engine.IntroduceArgs
	var file string
	cmd := &cobra.Command{
		Use:   "introduce NAME --to NAME",
		Short: "Tell somebody who somebody else is",
		Long: `Sign, for one of your contacts, what another one's pointer is. They see it in
their inbox, and decide; the name in their book is theirs to choose. What you
call people stays with you: suggested is what the contact calls itself, or --as.

With --both they are introduced to each other, and both are asked first: neither
gets the other's pointer before both have agreed.

It travels sealed, over the network that you joined, also while they are away;
or as a file, with -o, by mail or on a memory stick: whoever reads that file
sees who introduces whom to whom.`,
		Example: `  petname introduce bob --to alice --note "from the choir"
  petname introduce bob --to alice --both
  petname introduce bob --to alice --as "Bob W" -o for-alice.txt`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if request.To == "" {
				return engine.Usage("introduce %q to whom?", args[0]).With("petname introduce " + engine.ShellWord(args[0]) + " --to NAME")
			}
			request.Name, request.File = args[0], file != ""
			if err := freeFile(file); err != nil {
				return err
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out engine.Introducing
			err = a.ask("introduce", request, &out)
			if err == nil && file != "" {
				if done, err := a.carried(file, &out.Armored, &out.File); done || err != nil {
					return err
				}
			}
			return a.show(out, err, out.Sent != "", func(w *bufio.Writer) {
				st := a.style()
				fmt.Fprintf(w, "%s %s\n", sentText(out.Sent), shownName(st, out.ToName))
				if out.Both {
					fmt.Fprintln(w, "  and the other: both are asked")
				}
				field(w, "suggested", nickname(st, out.Suggested, out.Pointer))
				field(w, "pointer", out.Pointer)
				field(w, "good until", out.Expires.Local().Format(time.DateTime))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.To, "to", "", "the contact who is to know: a `name`")
	f.StringVar(&request.As, "as", "", "the `name` to suggest (default: what the contact calls itself)")
	f.StringVar(&request.Note, "note", "", "a `text` to go with it")
	f.BoolVar(&request.Both, "both", false, "introduce them to each other, if both agree")
	f.DurationVar(&request.Expires, "expires", peer.Life, "how `long` it can be taken up")
	f.StringVarP(&file, "output", "o", "", "write it to a `file` instead of sending it; - for standard output")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}

// sentText says how far a message came.
func sentText(sent string) string {
	switch sent {
	case string(peer.Stored):
		return "sent: waits in the network for"
	case "file":
		return "written for"
	}
	return "NOT SENT YET, for"
}

func (a *app) retractVerb() *cobra.Command {
	var request engine.RetractArgs
	cmd := &cobra.Command{
		Use:   "retract NAME --to NAME",
		Short: "Take an introduction back",
		Long: `Tell the contact whom you introduced somebody to that you take it back. If it
was not taken up yet, it goes out of their inbox; if it was, their petname why
shows that you did.`,
		Example:           `  petname retract bob --to alice`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if request.To == "" {
				return engine.Usage("whom did you introduce %q to?", args[0]).With("petname retract " + engine.ShellWord(args[0]) + " --to NAME")
			}
			request.Name = args[0]
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out engine.Introducing
			err = a.ask("retract", request, &out)
			return a.show(out, err, out.Sent != "", func(w *bufio.Writer) {
				st := a.style()
				fmt.Fprintf(w, "taken back: %s  (%s)\n", nickname(st, out.Suggested, out.Pointer), name.Clean(sentText(out.Sent))+" "+shownName(st, out.ToName))
			})
		},
	}
	cmd.Flags().StringVar(&request.To, "to", "", "who was told: a `name`")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}
