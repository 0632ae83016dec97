package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/peer"
	"github.com/petnames-go/petnames/petname/postage"
)

func (a *app) knockVerb() *cobra.Command {
	var request engine.KnockArgs
	cmd := &cobra.Command{
		Use:   "knock POINTER|LINK|NAME",
		Short: "Write to somebody who doesn't know you",
		Long: `Leave a letter for somebody in whose book you are not: your pointer, a name for
you, and a note. It is sealed to the keys of their card. A stranger has to show
that the letter cost some seconds of work; this computer does it, and ^C stops
it.

Whether they look for letters of strangers, their card may say; whether they
read it, nobody does. It lies there for some hours, and your node, or petname
inbox, leaves it again until they answer, it expires, or you --stop. Anybody
can see that somebody knocks at their door, though not who; and can block it.
An invitation (petname invite) is the surer way.

To hear their answer, have them in your book, and publish.`,
		Example: `  petname knock k51qzi5uqu5d… --note "we met at the market on Sunday"
  petname knock bob --stop`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			request.To = args[0]
			if request.Stop {
				return a.stopKnocking(request)
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			a.hint("working for it, some seconds")
			var out engine.Knocking
			err = a.ask("knock", request, &out)
			err = a.show(out, err, out.Sent != "", func(w *bufio.Writer) {
				st := a.style()
				who := nickname(st, "", out.To)
				if out.ToName != "" {
					who = shownName(st, out.ToName)
				}
				if out.Sent == string(peer.Stored) {
					fmt.Fprintf(w, "knocked: lies on the doorstep of %s\n", who)
				} else {
					fmt.Fprintf(w, "NOT SENT YET, for %s\n", who)
				}
				field(w, "suggested", nickname(st, out.Suggested, out.Pointer))
				if out.Note != "" {
					field(w, "note", st.Text(out.Note))
				}
				field(w, "good until", out.Expires.Local().Format(time.DateTime))
				field(w, "work", fmt.Sprintf("%s, %s", puzzles(out.Puzzles), time.Duration(out.Took*float64(time.Second)).Round(100*time.Millisecond)))
			})
			if out.Sent != "" && !out.Open {
				a.warn("their card doesn't say that they look for letters of strangers: they may never see it")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.Note, "note", "", "a `text`: who you are, and why you write")
	f.StringVar(&request.As, "as", "", "the `name` to suggest for you (default: your nickname)")
	f.DurationVar(&request.Expires, "expires", peer.KnockLife, "how `long` it can be taken up")
	f.IntVar(&request.Puzzles, "puzzles", 0, fmt.Sprintf("how much work to do, up to %d (default: what their card asks for, or %d)", postage.MaxPuzzles, postage.DefaultPuzzles))
	f.BoolVar(&request.Stop, "stop", false, "don't knock there any more")
	return cmd
}

func (a *app) stopKnocking(request engine.KnockArgs) error {
	var out engine.Stopped
	err := a.ask("unknock", request, &out)
	return a.show(out, err, err == nil, func(w *bufio.Writer) {
		who := nickname(a.style(), "", out.To)
		if out.ToName != "" {
			who = shownName(a.style(), out.ToName)
		}
		if !out.Was {
			fmt.Fprintf(w, "you were not knocking at the door of %s\n", who)
			return
		}
		fmt.Fprintf(w, "stopped: what lies on the doorstep of %s is gone within four hours\n", who)
	})
}

func puzzles(n int) string {
	if n == 1 {
		return "1 puzzle"
	}
	return fmt.Sprintf("%d puzzles", n)
}

// working shows on a terminal how far the work is, on one line that is wiped in
// the end. Nil: nobody looks.
func (a *app) working() func(answered, of int) {
	if a.quiet || a.json || !isTerminal(a.stderr) {
		return nil
	}
	return func(answered, of int) {
		if answered == of {
			fmt.Fprintf(a.stderr, "\r%*s\r", len("working: 64 of 64 puzzles"), "")
			return
		}
		fmt.Fprintf(a.stderr, "\rworking: %d of %d puzzles", answered, of)
	}
}
