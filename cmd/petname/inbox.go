package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) inboxVerb() *cobra.Command {
	var request engine.InboxArgs
	cmd := &cobra.Command{
		Use:   "inbox [FILE…]",
		Short: "See whom others introduce to you",
		Long: `Fetch what others left for you, and list what waits for your decision: who is
introduced, by whom, under which name, and what you know already. Nobody in it
has a name in your book, or gets one without you: see accept and decline.

Strangers, whom nobody introduces, stand apart, below the others. They are
looked for with --strangers; or always, also by a running node, when the home's
config.toml says "strangers = true", and your card says so when you publish. It
is off until you ask for it, as it shows: who is asked for letters of
strangers can see whose they are, and the IP address of who wants them. Each
letter has to have cost its writer some seconds of work; "stranger_puzzles = N"
asks for more (8 as a rule, at most 64).

With a locked identity letters are read, and acknowledged when it is unlocked:
by --passphrase-file, or by a node that has it.

What came by mail or on a memory stick is taken in from FILEs, or with - from
standard input; then nothing is fetched.`,
		Example: `  petname inbox
  petname inbox --strangers
  petname inbox from-alice.txt
  petname accept 482133 --as bob`,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if a.passphraseFile != "" { // nobody is asked for it: letters can be read without
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
			}
			for _, file := range args {
				text, err := a.readUpTo(file, maxStdin+1)
				if err != nil {
					return err
				}
				request.Texts = append(request.Texts, text)
			}
			var out engine.Inbox
			err = a.ask("inbox", request, &out)
			if err == nil && out.Fetched != nil && out.Fetched.Problem != "" {
				a.warn("not everything could be fetched: %s", out.Fetched.Problem)
			}
			if err == nil && out.Fetched != nil {
				fetched(a, *out.Fetched)
			}
			if err == nil && len(out.Suggestions) == 0 {
				a.hint("nothing waits for you")
			}
			err = a.show(out, err, err == nil, func(w *bufio.Writer) {
				waiting(w, a.style(), out.Suggestions)
			})
			if err == nil && len(out.Suggestions) > 0 {
				s := out.Suggestions[0]
				a.hint("decide, as here of the first:\n  %s\n  petname decline %s", answer(s), s.Digits)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&request.Offline, "offline", false, "what is here already: fetch nothing")
	cmd.Flags().BoolVar(&request.Strangers, "strangers", false, "look for letters of strangers, too, this time")
	cmd.MarkFlagsMutuallyExclusive("offline", "strangers")
	return cmd
}

// waiting are all suggestions, strangers' below the others.
func waiting(w *bufio.Writer, st name.Style, all []engine.Suggestion) {
	known, strangers := all[:0:0], all[:0:0]
	for _, s := range all {
		if petname.SuggestionKind(s.Kind) == petname.Stranger {
			strangers = append(strangers, s)
		} else {
			known = append(known, s)
		}
	}
	for _, s := range known {
		suggestion(w, st, s)
	}
	if len(strangers) > 0 {
		fmt.Fprintf(w, "strangers: nobody you know says who they are\n")
	}
	for _, s := range strangers {
		suggestion(w, st, s)
	}
}

// answer is the command that takes up a suggestion.
func answer(s engine.Suggestion) string {
	switch petname.SuggestionKind(s.Kind) {
	case petname.Mutual:
		return "petname accept " + s.Digits
	case petname.Question:
		return "petname deny " + s.Digits
	}
	return "petname accept " + s.Digits + " --as NAME"
}

// fetched says what would else be lost without a word.
func fetched(a *app, f engine.Fetch) {
	if f.Lost > 0 {
		a.warn("messages that can't come any more, as this home or the sender's was restored from an old copy: %d", f.Lost)
	}
	if f.Refused > 0 {
		a.warn("messages that were not taken, such as of who is not in your book, or expired: %d", f.Refused)
	}
	if f.Waiting > 0 {
		a.hint("messages of yours that are not fetched yet: %d", f.Waiting)
	}
}

// suggestion is one of the inbox, with all that there is to decide by.
func suggestion(w *bufio.Writer, st name.Style, s engine.Suggestion) {
	fmt.Fprintf(w, "%s  %s\n", s.Digits, headline(st, s))
	if s.Suggested != "" {
		field(w, "as", suggestedName(st, s))
	}
	if s.Nickname != "" {
		field(w, "calls itself", nickname(st, s.Nickname, s.Pointer))
	}
	if s.Pointer != "" {
		field(w, "pointer", s.Pointer)
	}
	if s.Note != "" {
		field(w, "note", st.Text(s.Note))
	}
	if s.Name != "" {
		field(w, "in your book", shownName(st, s.Name))
	}
	if s.Removed != nil {
		field(w, "REMOVED", "by you, "+s.Removed.Local().Format(time.DateTime))
	}
	if s.Duplicity {
		field(w, "DUPLICITY", "another next key was pinned for this pointer")
	}
	if len(s.Lookalikes) > 0 {
		field(w, "LOOKS LIKE", "your "+nameList(st, s.Lookalikes))
	}
	came := st.Text(s.Channel) + ", " + s.At.Local().Format(time.DateTime)
	if s.Expires != nil {
		came += ", good until " + s.Expires.Local().Format(time.DateTime)
	}
	field(w, "came by", came)
}

// suggestedName is a name that somebody suggests: quoted, as no name of mine is.
func suggestedName(st name.Style, s engine.Suggestion) string {
	if s.Pointer == "" {
		return `"~` + st.Text(s.Suggested) + `"`
	}
	return nickname(st, s.Suggested, s.Pointer)
}

// headline says what is suggested, and by whom.
func headline(st name.Style, s engine.Suggestion) string {
	by := "somebody"
	switch {
	case s.ByName != "":
		by = shownName(st, s.ByName)
	case s.By != "":
		by = nickname(st, "", s.By)
	}
	switch petname.SuggestionKind(s.Kind) {
	case petname.Introduced:
		return by + " introduces"
	case petname.Paired:
		return "you paired with"
	case petname.Taken:
		return "took your invitation: accept them if that is whom you meant"
	case petname.Mutual:
		return by + " offers to introduce you to each other"
	case petname.Acquainted:
		return by + " introduced you to each other"
	case petname.Question:
		return by + " asks whether this key is yours"
	}
	return "a stranger writes"
}

func (a *app) acceptVerb() *cobra.Command {
	var request engine.AcceptArgs
	var never bool
	cmd := &cobra.Command{
		Use:   "accept N|FILE --as NAME",
		Short: "Take up a suggestion, under a name of yours",
		Long: `Give a name to somebody who waits in the inbox: N is the number that the inbox
shows, or its first digits. An introduction that came by mail or on a memory
stick is read from FILE, or with - from standard input. The name is yours to
choose, whatever was suggested.

An offer to be introduced to each other is accepted without --as: who it is
shows in your inbox when both of you have agreed.

With --instead NAME that contact gives way, in one step: for when the key that
you were given was never theirs. petname why keeps who gave it to you.`,
		Example: `  petname accept 482133 --as bob
  petname accept from-alice.txt --as bob`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSuggestions,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if err := a.suggestionOrFile(args[0], &request.ID, &request.Text); err != nil {
				return err
			}
			if request.As == "" { // an offer: consenting to it takes the key
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
			}
			if never {
				return a.decline(engine.DeclineArgs{ID: request.ID, Text: request.Text, Never: true})
			}
			var c engine.AcceptedContact
			err = a.ask("accept", request, &c)
			if a.wanted(err) {
				request.Lookalike = true
				err = a.ask("accept", request, &c)
			}
			return a.show(c, err, err == nil || c.Sent != "", func(w *bufio.Writer) {
				if c.Sent != "" {
					fmt.Fprintln(w, "agreed: they are in your inbox when the other has agreed, too")
					return
				}
				fmt.Fprintln(w, line(a.style(), c.Contact))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.As, "as", "", "the `name` that you give")
	f.BoolVar(&request.Lookalike, "allow-lookalike", false, "give the name though it looks like another; the log will say so")
	f.BoolVar(&never, "never", false, "as decline --never: name nobody, and hear no more of that pointer")
	f.StringVar(&request.Instead, "instead", "", "a `name` of yours that gives way")
	completeFlag(cmd, "instead", a.completeMoreNames)
	return cmd
}

func (a *app) declineVerb() *cobra.Command {
	var request engine.DeclineArgs
	cmd := &cobra.Command{
		Use:   "decline N|FILE",
		Short: "Turn a suggestion down",
		Long: `Take a suggestion out of the inbox; N and FILE are as for accept. With --never,
nothing more is heard of the pointer, whoever introduces it, unless you add it
yourself or pair with its owner. Nobody is told, but for an offer to be
introduced to each other.`,
		Example: `  petname decline 482133
  petname decline 482133 --never`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSuggestions,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := a.suggestionOrFile(args[0], &request.ID, &request.Text); err != nil {
				return err
			}
			return a.decline(request)
		},
	}
	cmd.Flags().BoolVar(&request.Never, "never", false, "and hear no more of that pointer")
	return cmd
}

// decline turns a suggestion down, and says which.
func (a *app) decline(request engine.DeclineArgs) error {
	var s engine.Suggestion
	err := a.ask("decline", request, &s)
	return a.show(s, err, err == nil, func(w *bufio.Writer) {
		fmt.Fprintf(w, "declined: %s %s\n", headline(a.style(), s), suggestedName(a.style(), s))
	})
}

// suggestionOrFile tells the digits of a suggestion from the name of a file.
func (a *app) suggestionOrFile(arg string, id *string, text *[]byte) error {
	if isDigits(arg) {
		*id = arg
		return nil
	}
	if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) && arg != "-" {
		return engine.Usage("%q is no number of the inbox, and no file", arg).With("petname inbox")
	}
	b, err := a.readUpTo(arg, maxStdin+1)
	if err != nil {
		return err
	}
	*text = b
	return nil
}

func isDigits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 12
}
