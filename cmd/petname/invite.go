package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	qrcode "github.com/petnames-go/petnames/petname/pair/qr"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

func (a *app) inviteVerb() *cobra.Command {
	var request inviteArgs
	var qr, noWait bool
	var file string
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Invite another person to pair with you",
		Long: `Make an invitation, and wait for the recipient. Both sides then have the other
in their inbox, with a proven key. There are three ways to pass it on:

  speak     the code, a number and three words: by telephone, for example. An
            attacker has one guess, and a wrong guess is reported to you
  show      the QR code: --qr, or a picture with -o
  send      the link. Each reader of the link can use it: compare the key with
            the recipient before you accept it, or name the recipient with --for

A code is valid for ten minutes; it is made while this command waits, or if a
node runs. A link is valid for the time of --expires. When this command has
ended, a running node, or petname inbox, answers both.`,
		Example: `  petname invite
  petname invite --qr
  petname invite --expires 48h --for k51qzi5uqu5d…`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			if err := checkNewFile(file); err != nil {
				return err
			}
			if file == "-" {
				return usage("-o %q: a picture goes to a file", file)
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			request.Code, request.Wait = true, !noWait
			return a.withOpenHome(func(do func(verb string, args, result any) error) error {
				return a.invite(do, request, qr, noWait, file)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&qr, "qr", false, "show a QR code")
	f.StringVarP(&file, "output", "o", "", "write the QR code as a PNG to a `file`")
	f.IntVar(&request.Uses, "uses", 1, "the `number` of times that the link can be used")
	durationFlag(f, &request.Expires, "expires", 10*time.Minute, "how long the link is valid")
	f.StringVar(&request.Purpose, "purpose", "", "a `text` for the recipient of the link")
	f.StringVar(&request.For, "for", "", "the only recipient that can use the link: a `pointer` or a name")
	f.BoolVar(&noWait, "no-wait", false, "do not wait for the recipient")
	completeFlag(cmd, "for", a.completeMoreNames)
	return cmd
}

func (a *app) invite(do func(verb string, args, result any) error, request inviteArgs, qr, noWait bool, file string) error {
	var out invited
	if err := do("invite", request, &out); err != nil {
		return a.printResult(out, err, false, nil)
	}
	unwritten := writePicture(&out.File, file, out.Link)
	err := a.printResult(out, unwritten, true, func(w *bufio.Writer) { printInvitation(w, out) })
	if err == nil && !noWait {
		a.hint("waiting for the recipient until %s; after ^C, petname inbox answers", out.Expires.Local().Format(time.TimeOnly))
	}
	if err == nil && qr {
		err = a.drawQR(out.Compact)
	}
	if err != nil || noWait {
		return err
	}
	var s suggestion
	for {
		err := do("await", awaitArgs{ID: out.ID}, &s)
		if e := (*failure)(nil); errors.As(err, &e) && e.Code == "timeout" && time.Now().Before(out.Expires) {
			continue // the code has expired, but not the link
		}
		if err != nil {
			return err
		}
		break
	}
	if a.json {
		return nil // stdout has its one object; the suggestion is in the inbox
	}
	return a.printResult(s, nil, true, func(w *bufio.Writer) {
		printSuggestion(w, a.style(), s)
		fmt.Fprintf(w, "if this is the person that you invited:\n  %s\n", a.withHomeFlag(nextCommand(s)))
	})
}

// writePicture writes the QR code of a link to a file, if there is one, and sets written to
// its name.
func writePicture(written *string, file, link string) error {
	if file == "" {
		return nil
	}
	picture, err := qrcode.PNG(link)
	if err == nil {
		err = createFile(file, picture)
	}
	if err == nil {
		*written = file
		return nil
	}
	c := *classify(err)
	c.Message = "the invitation is made, but its QR code is not written: " + c.Message
	c.Next = ""
	return &c
}

// printInvitation prints the code and the link of an invitation.
func printInvitation(w *bufio.Writer, out invited) {
	if out.Code != "" {
		fmt.Fprintf(w, "speak\n  petname pair %s\nor ", out.Code)
	}
	fmt.Fprintf(w, "send\n  petname pair %s\n", shellWord(out.Link))
	printField(w, "valid until", out.Expires.Local().Format(time.DateTime))
	if out.Uses > 1 {
		printField(w, "uses", fmt.Sprint(out.Uses))
	}
	if out.File != "" {
		printField(w, "QR code", filepath.Clean(out.File))
	}
}

// drawQR draws a QR code as the last output, so that it is visible on the terminal.
// Its lines must not be wrapped.
func (a *app) drawQR(text string) error {
	if a.json || text == "" {
		return nil
	}
	drawn, err := qrcode.Terminal(text, a.style() == name.Colour)
	if err != nil {
		return nil // the link is printed
	}
	if wide := terminalWidth(a.stdout); wide > 0 && wide < qrColumns(drawn) {
		a.warn("too narrow for the QR code; a picture can be written instead:\n  %s", a.asPicture())
		return nil
	}
	if isTerminal(a.stdout) && a.style() != name.Colour {
		a.hint("without colours, the QR code is inverted on a light ground; a picture is not:\n  %s", a.asPicture())
	}
	if _, err := fmt.Fprintf(a.stdout, "\n%s", drawn); err != nil {
		return classify(err)
	}
	return nil
}

// asPicture returns the command line of this invocation, with the QR code as a picture.
func (a *app) asPicture() string {
	line := "petname"
	for i := 0; i < len(a.args); i++ {
		switch arg := a.args[i]; {
		case arg == "--home":
			i++ // it is added to each command line that is printed
		case arg != "--qr" && !strings.HasPrefix(arg, "--home="):
			line += " " + shellWord(arg)
		}
	}
	return line + " -o qr.png"
}

// qrColumns returns the width of a QR code: each block takes one column.
func qrColumns(drawn string) (n int) {
	line, _, _ := strings.Cut(drawn, "\n")
	for i := 0; i < len(line); i += unbreakable(line[i:]) {
		if line[i] != '\x1b' {
			n++
		}
	}
	return n
}

func (a *app) pairVerb() *cobra.Command {
	var request pairArgs
	var qr string
	cmd := &cobra.Command{
		Use:   "pair CODE|LINK|--qr FILE",
		Short: "Accept an invitation: a code, a link or a QR code",
		Long: `Pair with the inviter: by the code that was spoken, the link that was sent, or a
picture of the QR code. Each side proves its key to the other. The key is that
of the inviter; which person that is, you know from how you received the code.

--as adds the inviter to your book at once; without --as it is in your inbox.
With - the code or link is read from standard input.

The inviter answers while petname invite waits there, or a node runs. If it has
not answered after the time of --timeout, pair ends with status 7; the same
command continues, and counts as one use of the invitation.`,
		Example: `  petname pair 742-tunnel-orbit-candy --as alice
  petname pair petname-invite:…
  petname pair petname-invite:… --timeout 1h
  petname pair --qr photo.png`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if request.Timeout <= 0 {
				return usage("timeout %s: must be over 0", request.Timeout)
			}
			if request.Text, err = a.invitationText(args, qr, "petname pair"); err != nil {
				return err
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			if isInvitation(request.Text) {
				a.warn("waiting for the inviter, for at most %s", request.Timeout)
			}
			var c paired
			err = a.call("pair", request, &c)
			err = a.printResult(c, err, c.Pointer != "", func(w *bufio.Writer) {
				switch {
				case c.Suggestion == "":
					fmt.Fprintln(w, contactLine(a.style(), c.contact))
				case c.Name != "":
					fmt.Fprintf(w, "paired with %s, which is in your book:\n%s\n", shownName(a.style(), c.Name), contactLine(a.style(), c.contact))
				default:
					fmt.Fprintf(w, "paired with %s\n", nickname(a.style(), c.Nickname, c.Pointer))
				}
				if c.Purpose != "" {
					printField(w, "for", a.style().Text(c.Purpose))
				}
			})
			switch {
			case err != nil || c.Suggestion == "":
			case c.Name == "":
				a.hint("choose a name:\n  petname accept %s --as NAME", c.Suggestion)
			default:
				a.hint("to record in your book that you paired:\n  petname accept %s --as %s", c.Suggestion, shellWord(c.Name))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&qr, "qr", "", "read the QR code from a picture `file`, PNG or JPEG")
	f.StringVar(&request.As, "as", "", "your `name` for the inviter")
	f.BoolVar(&request.Lookalike, "allow-lookalike", false, "use the name although it looks like another; the log records that")
	durationFlag(f, &request.Timeout, "timeout", pairTimeout, "how long to wait for the inviter")
	return cmd
}

// pairTimeout is how long pair waits for the inviter by default.
const pairTimeout = 2 * time.Minute

// isInvitation reports whether a text has the form of a code or of a link: for another one,
// nothing is awaited.
func isInvitation(text string) bool {
	_, err := pair.ParseCode(text)
	_, terr := pair.ParseTicket(text, time.Time{})
	return err == nil || terr == nil
}

// maxPicture is the maximum size of a picture with a QR code, in bytes.
const maxPicture = 32 << 20

// invitationText returns the code or the link from the arguments of pair.
func (a *app) invitationText(args []string, qr, verb string) (string, error) {
	switch {
	case qr != "" && len(args) > 0, qr == "" && len(args) == 0:
		return "", usage("one of a code, a link and --qr FILE is needed").With(verb + " CODE")
	case qr != "":
		b, err := a.readUpTo(qr, maxPicture+1)
		if err != nil {
			return "", err
		}
		text, err := qrcode.Read(b)
		if err != nil {
			return "", usage("--qr %q: %v", qr, err)
		}
		return text, nil
	case len(args) == 1 && args[0] == "-":
		return a.readStdinText("a code or a link")
	}
	text := args[0]
	for _, word := range args[1:] { // a code with spaces
		text += " " + word
	}
	return text, nil
}

// inviteArgs are the arguments of invite.
type inviteArgs struct {
	Uses       int           `json:"uses"`
	Expires    time.Duration `json:"expires"`
	Purpose    string        `json:"purpose"`
	For        string        `json:"for"`  // a pointer or a name; empty: any key
	Code       bool          `json:"code"` // also create a code
	Wait       bool          `json:"wait"` // await follows; otherwise only a node creates a code, because it can answer
	Passphrase string        `json:"passphrase,omitempty"`
}

// invited is the result of invite.
type invited struct {
	Link    string    `json:"link"`
	Code    string    `json:"code"` // empty: none
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"`
	ID      string    `json:"id"`
	Compact string    `json:"compact,omitempty"` // content of a QR code on a terminal
	File    string    `json:"file,omitempty"`    // path of the picture of the QR code
}

func (v *verbs) invite(ctx context.Context, a inviteArgs) (*invited, error) {
	if a.Expires < time.Minute || a.Expires > agent.MaxLifetime {
		return nil, usage("--expires %s: must be at least a minute and at most %d days", a.Expires, agent.MaxLifetime/(24*time.Hour))
	}
	if a.Uses < 1 || a.Uses > pair.MaxUses {
		return nil, usage("--uses %d: must be from 1 to %d", a.Uses, pair.MaxUses)
	}
	if len(a.Purpose) > pair.MaxPurpose {
		return nil, usage("--purpose of %d bytes: at most %d", len(a.Purpose), pair.MaxPurpose)
	}
	i, err := v.agentWith(a.Passphrase).Invite(ctx, agent.InvitationTerms{Uses: a.Uses, Lifetime: a.Expires, Purpose: a.Purpose, For: a.For, Code: a.Code, Awaited: a.Wait})
	if err != nil {
		return nil, err
	}
	return &invited{Link: i.Link, Code: i.Code, Expires: i.Expires, Uses: i.Uses, ID: i.ID, Compact: i.Compact}, nil
}

// awaitArgs are the arguments of await.
type awaitArgs struct {
	ID string `json:"id"`
}

// await waits until an invitation is accepted.
func (v *verbs) await(ctx context.Context, a awaitArgs) (*suggestion, error) {
	s, err := v.agent.AwaitPairing(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	return v.asSuggestion(s)
}

// pairArgs are the arguments of pair.
type pairArgs struct {
	Text       string `json:"text"` // a code, a link, or the content of a QR code
	As         string `json:"as"`
	Lookalike  bool   `json:"lookalike"`
	Passphrase string `json:"passphrase,omitempty"`

	Timeout time.Duration `json:"timeout"` // 0: pairTimeout
}

// checkInvitation returns an error for a text that is for another verb: the link of a
// contact, or a number.
func checkInvitation(text string, now time.Time) error {
	_, err := pair.ParseCode(text)
	if err == nil {
		return nil
	}
	if _, terr := pair.ParseTicket(text, now); terr == nil || errors.Is(terr, pair.ErrExpired) {
		return nil
	}
	if link, lerr := pointer.ParseLink(text); lerr == nil {
		return usage("this is the link of a contact, and no invitation").With("petname add NAME " + shellWord(link.String()))
	}
	number := paste.LabelledNumber(text)
	if number == "" && !errors.Is(err, pair.ErrCut) {
		return nil // any other error is returned when the network is there
	}
	next := "ask for all of the code, or for a new invitation"
	if of := paste.NumberIn(text); len(of) >= leastDigits && isDigits(of) {
		next = "a number of the inbox is for another verb:\npetname accept " + of + " --as NAME"
	}
	return usage("%v", err).With(next)
}

// paired is the result of pair: a contact, and its suggestion in the inbox if it has
// no name yet.
type paired struct {
	contact
	Suggestion string `json:"suggestion,omitempty"`
	Purpose    string `json:"purpose,omitempty"` // of the invitation, cleaned
}

func (v *verbs) pair(ctx context.Context, a pairArgs) (*paired, error) {
	if a.As != "" {
		if _, err := name.Parse(a.As); err != nil {
			return nil, err
		}
	}
	if err := checkInvitation(a.Text, v.agent.Clock()); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, cmp.Or(a.Timeout, pairTimeout))
	defer cancel()
	s, err := v.agentWith(a.Passphrase).Pair(waiting, a.Text)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && !errors.Is(err, dht.ErrUnreachable) {
		if _, cerr := pair.ParseCode(a.Text); cerr == nil { // whether there is such a code is not known
			return nil, &failure{Code: "timeout", Exit: exitNetwork, Message: "no answer to this code: check its number and first word; a code that was never made is not answered",
				Next: "ask whether petname invite still waits at the inviter, or a node runs there, and for a new code after ten minutes; --timeout waits longer"}
		}
		return nil, &failure{Code: "timeout", Exit: exitNetwork, Message: "the inviter has not answered yet; the invitation stays valid",
			Next: "let petname invite wait at the inviter, or a node run there, then repeat this command; --timeout waits longer"}
	}
	if f := classify(err); f != nil && f.Next == "petname invite" { // of the inviter
		err = f.With("ask the inviter for a new invitation")
	}
	if err != nil {
		return nil, err
	}
	out := &paired{Suggestion: s.ID.String(), Purpose: name.Clean(s.Note), contact: contact{Pointer: s.Pointer.String(), Nickname: name.Clean(s.Nickname), Next: s.Next.String(),
		Provenance: []fact{{Kind: string(s.Kind), By: "me", Channel: s.Channel, At: s.At}}}}
	if c, err := v.agent.ByPointer(s.Pointer); err == nil && !c.Name.IsZero() {
		out.Name, out.Provenance = c.Name.String(), asContact(c).Provenance
	}
	if err := v.addLookalikes(&out.contact, s.Pointer); err != nil {
		return nil, err
	}
	if a.As == "" {
		return out, nil
	}
	c, err := v.agent.Accept(s.ID, a.As, petname.Acceptance{Lookalike: a.Lookalike})
	if err != nil {
		// The pairing succeeded, although the naming failed.
		failed := *classify(err)
		failed.Message = "paired, and in the inbox, but " + failed.Message
		failed.Next = v.acceptNext(s, acceptArgs{})
		if errors.As(err, new(*petname.TakenError)) {
			failed.Next = classify(v.withAcceptNext(err, s, acceptArgs{})).Next
		}
		return out, &failed
	}
	named, err := v.withLookalikes(c)
	if err != nil {
		return nil, err
	}
	return &paired{contact: *named, Purpose: out.Purpose}, nil
}
