package main

import (
	"bufio"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/name"
	qrcode "github.com/petnames-go/petnames/petname/pair/qr"
)

func (a *app) inviteVerb() *cobra.Command {
	var request engine.InviteArgs
	var qr, noWait bool
	var file string
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Pair with somebody you meet, speak or write to",
		Long: `Make an invitation, and wait until somebody takes it: they end in your inbox,
and you in theirs, each with the other's proven key. There are three ways to
hand it over:

  speak     the code, four words long: over the telephone, say. Whoever guesses
            has one try, and you see that it failed
  show      the QR code (--qr, or as a picture with -o)
  send      the link. Whoever has it can take it, so look who took it before you
            accept them; --for refuses all others

A code lives while this command waits, or for ten minutes while a node runs, and
is made only then. A link lives as long as it says: while nobody waits, a
running node answers, or petname inbox.`,
		Example: `  petname invite
  petname invite --qr
  petname invite --expires 48h --for k51qzi5uqu5d…`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			if err := freeFile(file); err != nil {
				return err
			}
			if file == "-" {
				return engine.Usage("-o %q: a picture goes to a file", file)
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			request.Code, request.Wait = true, !noWait
			return a.together(func(do func(verb string, args, result any) error) error {
				return a.invite(do, request, qr, noWait, file)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&qr, "qr", false, "show a QR code")
	f.StringVarP(&file, "output", "o", "", "write the QR code as a PNG to a `file`")
	f.IntVar(&request.Uses, "uses", 1, "how many people may take the link")
	f.DurationVar(&request.Expires, "expires", 10*time.Minute, "how `long` the link is good")
	f.StringVar(&request.Purpose, "purpose", "", "a `text` that who takes the link sees")
	f.StringVar(&request.For, "for", "", "who alone may take the link: a `pointer` or a name")
	f.BoolVar(&noWait, "no-wait", false, "don't wait until somebody takes it")
	completeFlag(cmd, "for", a.completeMoreNames)
	return cmd
}

func (a *app) invite(do func(verb string, args, result any) error, request engine.InviteArgs, qr, noWait bool, file string) error {
	var out engine.Invited
	if err := do("invite", request, &out); err != nil {
		return a.show(out, err, false, nil)
	}
	if file != "" {
		picture, err := qrcode.PNG(out.Link)
		if err != nil {
			return engine.Classify(err)
		}
		if err := writeFile(file, picture); err != nil {
			return engine.Classify(err)
		}
		out.File = file
	}
	err := a.show(out, nil, true, func(w *bufio.Writer) { invitation(w, out) })
	if err == nil && !noWait {
		a.hint("waiting until %s for somebody to take it; ^C ends the code, not the link", out.Expires.Local().Format(time.TimeOnly))
	}
	if err == nil && qr {
		err = a.drawQR(out.Compact)
	}
	if err != nil || noWait {
		return err
	}
	var s engine.Suggestion
	for {
		err := do("await", engine.AwaitArgs{ID: out.ID}, &s)
		if e := (*engine.Error)(nil); errors.As(err, &e) && e.Code == "timeout" && time.Now().Before(out.Expires) {
			continue // the code's time is over, and not yet the link's
		}
		if err != nil {
			return err
		}
		break
	}
	if a.json {
		return nil // it is in the inbox; there is one object on stdout
	}
	return a.show(s, nil, true, func(w *bufio.Writer) {
		suggestion(w, a.style(), s)
		fmt.Fprintf(w, "if that is whom you meant:\n  %s\n", a.sameHome("petname accept "+s.Digits+" --as NAME"))
	})
}

// invitation is the ways to hand it over, but for the QR code.
func invitation(w *bufio.Writer, out engine.Invited) {
	if out.Code != "" {
		fmt.Fprintf(w, "say\n  petname pair %s\nor ", out.Code)
	}
	fmt.Fprintf(w, "send\n  petname pair %s\n", engine.ShellWord(out.Link))
	field(w, "good until", out.Expires.Local().Format(time.DateTime))
	if out.Uses > 1 {
		field(w, "uses", fmt.Sprint(out.Uses))
	}
	if out.File != "" {
		field(w, "QR code", filepath.Clean(out.File))
	}
}

// drawQR shows a QR code at the end of what is on the terminal: the last rows
// are those that are in view. It has rows of its own, which nothing may break.
func (a *app) drawQR(text string) error {
	if a.json || text == "" {
		return nil
	}
	drawn, err := qrcode.Terminal(text, a.style() == name.Colour)
	if err != nil {
		return nil // the link is there
	}
	if wide := columns(a.stdout); wide > 0 && wide < qrColumns(drawn) {
		a.warn("the terminal is too narrow for the QR code; a picture has no such bounds:\n  petname invite -o qr.png")
		return nil
	}
	if _, err := fmt.Fprintf(a.stdout, "\n%s", drawn); err != nil {
		return engine.Classify(err)
	}
	return nil
}

// qrColumns is how wide a QR code is: its blocks take one column each.
func qrColumns(drawn string) (n int) {
	line, _, _ := strings.Cut(drawn, "\n")
	for i := 0; i < len(line); i += unit(line[i:]) {
		if line[i] != '\x1b' {
			n++
		}
	}
	return n
}

func (a *app) pairVerb() *cobra.Command {
	var request engine.PairArgs
	var qr string
	cmd := &cobra.Command{
		Use:   "pair CODE|LINK|--qr FILE",
		Short: "Take somebody's invitation",
		Long: `Take a code that somebody speaks, a link that they sent, or the picture of a QR
code, and wait for them. Their key is proven to you, and yours to them; who they
are, you know by how you got the code.

With --as you name them at once; else they wait in your inbox. With - the code
or link is read from standard input.`,
		Example: `  petname pair 742-tunnel-orbit-candy --as alice
  petname pair petname-invite:…
  petname pair --qr photo.png`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if request.Text, err = a.invitationText(args, qr); err != nil {
				return err
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			a.hint("waiting for the other side")
			var c engine.PairedContact
			err = a.ask("pair", request, &c)
			err = a.show(c, err, c.Pointer != "", func(w *bufio.Writer) {
				if c.Suggestion == "" || c.Name != "" {
					fmt.Fprintln(w, line(a.style(), c.Contact))
				} else {
					fmt.Fprintf(w, "paired with %s\n", nickname(a.style(), c.Nickname, c.Pointer))
				}
				if c.Purpose != "" {
					field(w, "for", a.style().Text(c.Purpose))
				}
			})
			if err == nil && c.Suggestion != "" && c.Name == "" {
				a.hint("give them a name:\n  petname accept %s --as NAME", c.Suggestion)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&qr, "qr", "", "read the QR code in a picture, PNG or JPEG: a `file`")
	f.StringVar(&request.As, "as", "", "the `name` that you give them")
	f.BoolVar(&request.Lookalike, "allow-lookalike", false, "give the name though it looks like another; the log will say so")
	return cmd
}

// maxPicture bounds a picture that a QR code is read from, in bytes.
const maxPicture = 32 << 20

// invitationText is the code or link that pair is to take.
func (a *app) invitationText(args []string, qr string) (string, error) {
	switch {
	case qr != "" && len(args) > 0, qr == "" && len(args) == 0:
		return "", engine.Usage("give one: a code, a link, or --qr FILE").With("petname pair CODE")
	case qr != "":
		b, err := a.readUpTo(qr, maxPicture+1)
		if err != nil {
			return "", err
		}
		text, err := qrcode.Read(b)
		if err != nil {
			return "", engine.Usage("--qr %q: %v", qr, err)
		}
		return text, nil
	case len(args) == 1 && args[0] == "-":
		b, err := a.readUpTo("-", maxStdin+1)
		return string(b), err
	}
	text := args[0]
	for _, word := range args[1:] { // a code in words of its own
		text += " " + word
	}
	return text, nil
}
