package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

func (a *app) acceptVerb() *cobra.Command {
	var request acceptArgs
	var never bool
	cmd := &cobra.Command{
		Use:   "accept N|FILE --as NAME",
		Short: "Accept a suggestion, under a name that you choose",
		Long: `Add the pointer of a suggestion to your book. N is the number that the inbox
shows, or its first six digits or more. An introduction in a file is read from
FILE, or with - from standard input. You choose the name; the suggested one is
not binding. If a statement in the file is refused, nothing of the file is
received; petname inbox FILE receives the others.

An offer of a mutual introduction is accepted without --as: the other contact is
in your inbox when both of you have agreed.

--instead NAME replaces that contact in one step, for a key that was never this
person's. petname why still shows the source of the replaced key.`,
		Example: `  petname accept 482133 --as bob
  petname accept from-alice.txt --as bob`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSuggestions,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if err := a.suggestionOrFile(args[0], &request.ID, &request.Text); err != nil {
				return err
			}
			if request.As == "" { // possibly an offer: consent to it is signed
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
			}
			if never {
				if request.Replaces != "" || request.ReplacePin {
					return usage("--never declines the suggestion, and --instead and --replace-pin accept it: choose one")
				}
				return a.decline(declineArgs{ID: request.ID, Text: request.Text, Never: true})
			}
			var c accepted
			err = a.call("accept", request, &c)
			if a.confirmLookalike(err) {
				request.Lookalike = true
				err = a.call("accept", request, &c)
			}
			return a.printResult(c, err, err == nil || c.Sent != "", func(w *bufio.Writer) {
				if c.Sent != "" {
					fmt.Fprintln(w, "agreed: the contact is in your inbox when the other side has agreed, too")
					return
				}
				fmt.Fprintln(w, contactLine(a.style(), c.contact))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.As, "as", "", "your `name` for the contact")
	f.BoolVar(&request.Lookalike, "allow-lookalike", false, "use the name although it looks like another; the log records that")
	f.BoolVar(&never, "never", false, "as decline --never: refuse this and all later suggestions of that pointer")
	f.BoolVar(&request.ReplacePin, "replace-pin", false, "the next key in the suggestion is right, whatever is on record")
	f.StringVar(&request.Replaces, "instead", "", "the contact to replace: a `name`")
	completeFlag(cmd, "instead", a.completeMoreNames)
	return cmd
}

// suggestionOrFile sets *id if arg is the number of a suggestion, or a text with one and
// without a file of that name. Otherwise it reads the file arg into *text.
func (a *app) suggestionOrFile(arg string, id *string, text *[]byte) error {
	if isDigits(arg) {
		*id = arg
		return nil
	}
	_, err := os.Stat(arg)
	if err != nil && arg != "-" {
		if f := pastedFor(arg, "number of the inbox"); f != nil {
			return f
		}
	}
	if errors.Is(err, fs.ErrNotExist) && arg != "-" {
		number := paste.Number(arg)
		if within := paste.NumberIn(arg); !isDigits(number) && len(within) >= leastDigits {
			number = within
		}
		if isDigits(number) {
			*id = number
			return nil
		}
		return usage("%q is no number of the inbox, and no file", arg).With("petname inbox")
	}
	b, err := a.readStatements(arg)
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

// acceptArgs are the arguments of accept: the digits of a suggestion, or the content of
// a file.
type acceptArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"` // content of a file; nil: ID is used
	As         string `json:"as"`
	Lookalike  bool   `json:"lookalike"`
	Replaces   string `json:"instead"` // a contact to replace, by name or pointer
	ReplacePin bool   `json:"replace_pin"`
	Passphrase string `json:"passphrase,omitempty"`
}

// accepted is the result of accept: a contact. After consent to a mutual introduction,
// its pointer is not known yet.
type accepted struct {
	contact
	Sent string `json:"sent,omitempty"` // delivery of the consent, as in introduced
}

// accept names the pointer of a suggestion, or consents to a mutual introduction.
func (v *verbs) accept(ctx context.Context, a acceptArgs) (*accepted, error) {
	s, err := v.findSuggestion(a.ID, a.Text)
	if err != nil {
		return nil, err
	}
	if s.Kind == petname.Mutual {
		return v.consent(ctx, s, a)
	}
	c, err := v.acceptAs(s, a)
	if c == nil {
		return nil, err
	}
	return &accepted{contact: *c}, err
}

func (v *verbs) consent(ctx context.Context, s petname.Suggestion, a acceptArgs) (*accepted, error) {
	if a.As != "" {
		return nil, usage("--as %q: an offer has no pointer before both of you have agreed; name the contact then", a.As).With("petname accept " + s.ID.String())
	}
	if a.Replaces != "" || a.ReplacePin {
		return nil, usage("--instead and --replace-pin: an offer has no pointer before both of you have agreed; decide then").With("petname accept " + s.ID.String())
	}
	sent, err := v.agentWith(a.Passphrase).AcceptMutual(ctx, s.ID)
	if sent == "" {
		return nil, err
	}
	return &accepted{contact: contact{Provenance: []fact{{Kind: string(s.Kind), By: s.By.String(), Channel: s.Channel, At: s.At}}}, Sent: string(sent)}, delivery(sent, err)
}

// acceptNext is acceptCommand for a suggestion of the book, with the other decisions of the
// arguments.
func (v *verbs) acceptNext(s petname.Suggestion, a acceptArgs) string {
	c, _ := v.agent.ByLink(pointer.Link{Pointer: s.Pointer, Next: s.Next}) // without a contact, it has no name
	next := acceptCommand(s.ID.String(), c.Name.String())
	if a.Replaces != "" {
		next += " --instead " + shellWord(a.Replaces)
	}
	if a.ReplacePin {
		next += " --replace-pin"
	}
	return next
}

func (v *verbs) acceptAs(s petname.Suggestion, a acceptArgs) (*contact, error) {
	if a.As == "" {
		return nil, usage("--as is missing: your name for %s", s.Pointer.Short()).With(v.acceptNext(s, a))
	}
	if _, err := name.Parse(a.As); err != nil {
		return nil, err
	}
	how := petname.Acceptance{Lookalike: a.Lookalike, ReplacePin: a.ReplacePin}
	if a.Replaces != "" {
		replaced, err := v.agent.Lookup(a.Replaces)
		if err != nil {
			return nil, err
		}
		how.Replaces = replaced.ID
	}
	c, err := v.agent.Accept(s.ID, a.As, how)
	if err = v.withAcceptNext(err, s, a); err != nil {
		return v.conflictingContact(err, s.Pointer), err
	}
	return v.withLookalikes(c)
}

// withAcceptNext returns an error of an acceptance with its next step. A name in use can be that of
// the same person at an earlier key: what moves the contact comes before its replacement.
func (v *verbs) withAcceptNext(err error, s petname.Suggestion, a acceptArgs) error {
	var taken *petname.TakenError
	switch {
	case errors.As(err, &taken) && a.Replaces == "":
		word, again := shellWord(taken.Name.String()), acceptCommand(s.ID.String(), taken.Name.String())
		if a.ReplacePin {
			again += " --replace-pin"
		}
		confirm := "petname confirm " + word + " --successor " + s.Pointer.String()
		moves := "if its owner says that this is the newer key of the contact, the first of these or else the second moves it there, before the third:\npetname resolve " +
			s.Pointer.String() + "\n" + confirm
		if c, cerr := v.agent.ByPointer(taken.Contact); cerr == nil && v.contactDetails(c).Unproven == s.Pointer.String() {
			moves = "if its owner says that this is the newer key of the contact, one after the other:\n" + confirm
		}
		return classify(err).With("for another person, under another name:\n" + acceptCommand(s.ID.String(), "NAME") + "\n" + moves + "\n" + again +
			"\n# only if the key that the contact has was never this person's:\n" + again + " --instead " + word)
	case errors.As(err, new(*petname.NamedError)):
		return classify(err).With("to accept it under that name, or else to rename the contact first:\n" + v.acceptNext(s, a) + "\n" + classify(err).Next)
	}
	return err
}

// findSuggestion returns the suggestion with the given digits. If text is not nil, it
// receives the messages in text, or none of them if one is refused, and returns their only
// suggestion.
func (v *verbs) findSuggestion(digits string, text []byte) (petname.Suggestion, error) {
	if text == nil {
		if len(digits) < leastDigits {
			return petname.Suggestion{}, v.shortNumber(digits)
		}
		s, err := v.agent.Suggestion(digits)
		if errors.Is(err, agent.ErrNoSuggestion) {
			return s, noSuggestion(digits)
		}
		return s, err
	}
	ids, err := v.agent.ReceiveAll(text)
	if err != nil {
		return petname.Suggestion{}, err
	}
	switch len(ids) {
	case 0:
		return petname.Suggestion{}, &failure{Code: "noted", Exit: exitChoose, Message: "the statements of the file are recorded, and there is nothing to decide", Next: "petname inbox"}
	case 1:
		return v.agent.Suggestion(ids[0].String())
	}
	return petname.Suggestion{}, &failure{Code: "choose", Exit: exitChoose, Message: "the file has several suggestions, and they are in the inbox now", Next: "petname inbox"}
}

func noSuggestion(digits string) *failure {
	return &failure{Code: "not_found", Exit: exitNotFound, Message: fmt.Sprintf("no suggestion has the number %q", digits), Next: "petname inbox"}
}

// shortNumber returns the failure of a number with fewer than leastDigits digits: the
// sender of a suggestion has some choice of its first ones, so they select none.
func (v *verbs) shortNumber(digits string) error {
	var numbers []string
	for s, err := range v.agent.Inbox() {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(s.ID.String(), digits) {
			continue
		}
		number, err := v.agent.Digits(s.ID, leastDigits)
		if err != nil {
			return err
		}
		numbers = append(numbers, number)
	}
	if len(numbers) == 0 {
		return noSuggestion(digits)
	}
	more := ""
	if len(numbers) > 8 {
		numbers, more = numbers[:8], " and more"
	}
	return &failure{Code: "choose", Exit: exitChoose, Next: "petname inbox",
		Message: fmt.Sprintf("%q is part of a number: at least %d digits are needed, such as of %s%s", digits, leastDigits, strings.Join(numbers, ", "), more)}
}
