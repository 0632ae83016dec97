package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) knockVerb() *cobra.Command {
	var request knockArgs
	cmd := &cobra.Command{
		Use:   "knock POINTER|LINK|NAME",
		Short: "Send a contact request to the holder of a pointer",
		Long: `Send a contact request to a recipient that does not have you in its book: your
pointer, a name for you, and a note, encrypted to the keys of its card. It
needs a proof of work, which takes this computer some seconds; ^C stops it.

The recipient's card may announce that they read contact requests. You are not
notified when they read it. The network holds the request for some hours. Your
node, or petname inbox, stores it again until they answer, it expires, or you
--stop. Anyone can see that the recipient has a request, but not its sender, and
can block it. An invitation (petname invite) is more reliable.

To receive their answer, add them to your book, and publish.`,
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
			var out knocked
			err = a.call("knock", request, &out)
			err = a.printResult(out, err, out.Sent != "", func(w *bufio.Writer) {
				st := a.style()
				shown := nickname(st, "", out.To)
				if out.ToName != "" {
					shown = shownName(st, out.ToName)
				}
				if out.Sent == string(agent.Stored) {
					fmt.Fprintf(w, "request stored in the mailbox of %s\n", shown)
				} else {
					fmt.Fprintf(w, "NOT SENT YET, for %s\n", shown)
				}
				printField(w, "suggested", nickname(st, out.Suggested, out.Pointer))
				if out.Note != "" {
					printField(w, "note", st.Text(out.Note))
				}
				printField(w, "valid until", out.Expires.Local().Format(time.DateTime))
				printField(w, "work", fmt.Sprintf("%s, %s", puzzlesText(out.Puzzles), time.Duration(out.Took*float64(time.Second)).Round(100*time.Millisecond)))
			})
			if out.Sent != "" && !out.Open {
				a.warn("their card doesn't announce that they read contact requests: they may never see it")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.Note, "note", "", "a `text` for the recipient: your name, and your reason")
	f.StringVar(&request.As, "as", "", "the `name` to suggest for you (default: your nickname)")
	durationFlag(f, &request.Expires, "expires", agent.RequestLifetime, "how long it can be accepted")
	f.IntVar(&request.Puzzles, "puzzles", 0, fmt.Sprintf("the `number` of puzzles to solve, up to %d (default: what their card asks for, or %d)", agent.MaxSolutions, agent.DefaultSolutions))
	f.BoolVar(&request.Stop, "stop", false, "cancel the contact request")
	return cmd
}

func (a *app) stopKnocking(request knockArgs) error {
	var out unknocked
	err := a.call("unknock", request, &out)
	return a.printResult(out, err, err == nil, func(w *bufio.Writer) {
		shown := nickname(a.style(), "", out.To)
		if out.ToName != "" {
			shown = shownName(a.style(), out.ToName)
		}
		if !out.Was {
			fmt.Fprintf(w, "there was no contact request to %s\n", shown)
			return
		}
		fmt.Fprintf(w, "stopped: the request to %s is removed within four hours\n", shown)
	})
}

func puzzlesText(n int) string {
	if n == 1 {
		return "1 puzzle"
	}
	return fmt.Sprintf("%d puzzles", n)
}

// workProgress returns a function that shows the progress of the proof of work on one
// line of the terminal, which is cleared at the end. It is nil if nothing is shown.
func (a *app) workProgress() func(answered, of int) {
	if a.quiet || a.json || !isTerminal(a.stderr) {
		return nil
	}
	begun := false
	return func(answered, of int) {
		if !begun { // not before: the request can be refused without any work
			a.hint("computing the proof of work, some seconds")
			begun = true
		}
		if answered == of {
			fmt.Fprintf(a.stderr, "\r%*s\r", len("working: 64 of 64 puzzles"), "")
			return
		}
		fmt.Fprintf(a.stderr, "\rworking: %d of %d puzzles", answered, of)
	}
}

// knockArgs are the arguments of knock.
type knockArgs struct {
	To         string        `json:"to"` // a pointer, a link or a name
	As         string        `json:"as"` // the name to suggest; empty: the nickname
	Note       string        `json:"note"`
	Puzzles    int           `json:"puzzles"` // solutions; 0: the number in the recipient's card
	Expires    time.Duration `json:"expires"`
	Stop       bool          `json:"stop"` // end the request
	Passphrase string        `json:"passphrase,omitempty"`
}

// knocked is the result of knock.
type knocked struct {
	To        string    `json:"to"`
	ToName    string    `json:"to_name"` // the petname for them; empty: none
	Pointer   string    `json:"pointer"` // the owner's
	Suggested string    `json:"suggested"`
	Note      string    `json:"note"`
	Expires   time.Time `json:"expires"`
	ID        string    `json:"id"`
	Sent      string    `json:"sent"`    // "stored" in the recipient's request mailbox, or "queued" in this home
	Open      bool      `json:"open"`    // the recipient's card announces that it reads contact requests
	Puzzles   int       `json:"puzzles"` // solutions found
	Took      float64   `json:"took"`    // seconds
}

// unknocked is the result of knock --stop.
type unknocked struct {
	To     string `json:"to"`
	ToName string `json:"to_name"`
	Was    bool   `json:"was"` // a request existed
}

func (v *verbs) knock(ctx context.Context, a knockArgs) (*knocked, error) {
	began := time.Now()
	if len(a.Note) > introduce.MaxNote {
		return nil, usage("--note of %d bytes: at most %d", len(a.Note), introduce.MaxNote)
	}
	if a.Puzzles < 0 || a.Puzzles > agent.MaxSolutions {
		return nil, usage("--puzzles %d: at most %d", a.Puzzles, agent.MaxSolutions)
	}
	if a.Expires < time.Hour || a.Expires > agent.MaxRequestLifetime {
		return nil, usage("--expires %s: must be at least an hour and at most %d days", a.Expires, agent.MaxRequestLifetime/(24*time.Hour))
	}
	to, toName, err := v.recipient(a.To)
	if err != nil {
		return nil, err
	}
	r, err := v.agentWith(a.Passphrase).RequestContact(ctx, agent.Request{To: to.String(), As: a.As, Note: a.Note, Lifetime: a.Expires, Solutions: a.Puzzles, Progress: v.progress})
	if r.Sent == "" {
		return nil, err
	}
	i := r.Introduction
	return &knocked{To: to.String(), ToName: toName, Pointer: i.About.String(), Suggested: name.Clean(i.Suggested), Note: name.Clean(i.Note),
		Expires: i.Expires, ID: hex.EncodeToString(i.ID[:]), Sent: string(r.Sent), Open: r.Open, Puzzles: r.Solutions, Took: time.Since(began).Seconds()}, delivery(r.Sent, err)
}

func (v *verbs) unknock(_ context.Context, a knockArgs) (*unknocked, error) {
	to, toName, err := v.recipient(a.To)
	if err != nil {
		return nil, err
	}
	was, err := v.agent.CancelRequest(to)
	if err != nil {
		return nil, err
	}
	return &unknocked{To: to.String(), ToName: toName, Was: was}, nil
}

// recipient returns the pointer for a pointer, a link or a name, and its petname, if
// it has one.
func (v *verbs) recipient(text string) (pointer.Pointer, string, error) {
	to, err := v.agent.PointerOf(text)
	if err != nil {
		return pointer.Pointer{}, "", err
	}
	c, err := v.agent.ByPointer(to)
	if err != nil && !errors.Is(err, petname.ErrNotFound) {
		return pointer.Pointer{}, "", err
	}
	return to, c.Name.String(), nil
}
