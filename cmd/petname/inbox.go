package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) inboxVerb() *cobra.Command {
	var request inboxArgs
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
			var out inbox
			err = a.ask("inbox", request, &out)
			if err == nil && out.Fetched != nil && out.Fetched.Problem != "" {
				a.warn("not everything could be fetched: %s", out.Fetched.Problem)
			}
			if err == nil && out.Fetched != nil {
				warnFetched(a, *out.Fetched)
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
func waiting(w *bufio.Writer, st name.Style, all []suggestion) {
	known, strangers := all[:0:0], all[:0:0]
	for _, s := range all {
		if petname.SuggestionKind(s.Kind) == petname.ContactRequest {
			strangers = append(strangers, s)
		} else {
			known = append(known, s)
		}
	}
	for _, s := range known {
		suggestionLines(w, st, s)
	}
	if len(strangers) > 0 {
		fmt.Fprintf(w, "strangers: nobody you know says who they are\n")
	}
	for _, s := range strangers {
		suggestionLines(w, st, s)
	}
}

// answer is the command that takes up a suggestion.
func answer(s suggestion) string {
	switch petname.SuggestionKind(s.Kind) {
	case petname.Mutual:
		return "petname accept " + s.Digits
	case petname.Question:
		return "petname deny " + s.Digits
	}
	return "petname accept " + s.Digits + " --as NAME"
}

// warnFetched says what would else be lost without a word.
func warnFetched(a *app, f fetched) {
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

// suggestionLines shows one of the inbox, with all that there is to decide by.
func suggestionLines(w *bufio.Writer, st name.Style, s suggestion) {
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
func suggestedName(st name.Style, s suggestion) string {
	if s.Pointer == "" {
		return `"~` + st.Text(s.Suggested) + `"`
	}
	return nickname(st, s.Suggested, s.Pointer)
}

// headline says what is suggested, and by whom.
func headline(st name.Style, s suggestion) string {
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
	case petname.Invited:
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
	var request acceptArgs
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
				return a.decline(declineArgs{ID: request.ID, Text: request.Text, Never: true})
			}
			var c accepted
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
				fmt.Fprintln(w, line(a.style(), c.contact))
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
	var request declineArgs
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
func (a *app) decline(request declineArgs) error {
	var s suggestion
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
		return usage("%q is no number of the inbox, and no file", arg).With("petname inbox")
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

// suggestion is one of the inbox, as the verbs print it.
type suggestion struct {
	ID         string     `json:"id"`
	Digits     string     `json:"digits"` // the first of ID, as many as tell it from all others
	Kind       string     `json:"kind"`
	Pointer    string     `json:"pointer"`    // empty: not known before both agree
	By         string     `json:"by"`         // pointer of the contact that suggests it; empty: the pointer itself
	ByName     string     `json:"by_name"`    // its petname
	Suggested  string     `json:"suggested"`  // cleaned
	Nickname   string     `json:"nickname"`   // what the pointer calls itself, cleaned
	Note       string     `json:"note"`       // cleaned
	Channel    string     `json:"channel"`    // how it came
	At         time.Time  `json:"at"`         // when this home received it
	Expires    *time.Time `json:"expires"`    // null: never
	Lookalikes []string   `json:"lookalikes"` // petnames that the suggested name, or the nickname, looks like
	Name       string     `json:"name"`       // the petname for the pointer; empty: none
	Removed    *time.Time `json:"removed"`    // when the contact was removed; null: not removed
	Duplicity  bool       `json:"duplicity"`  // another next key was pinned for the pointer
	State      string     `json:"state"`
}

// inboxArgs are the arguments of inbox.
type inboxArgs struct {
	Offline    bool     `json:"offline"`   // what is here already
	Texts      [][]byte `json:"texts"`     // of files, to be taken in first
	Strangers  bool     `json:"strangers"` // look for contact requests, too
	Passphrase string   `json:"passphrase,omitempty"`
}

// inbox is the result of inbox.
type inbox struct {
	Suggestions []suggestion `json:"suggestions"`
	Fetched     *fetched     `json:"fetched"` // null: nothing was fetched
}

// fetched is what fetching came to.
type fetched struct {
	Network  string `json:"network"`  // "ok", "off" or "unreachable"
	Polled   int    `json:"polled"`   // contacts whose messages were looked for
	Fresh    int    `json:"fresh"`    // suggestions that are new
	Refused  int    `json:"refused"`  // messages that were not accepted
	Waiting  int    `json:"waiting"`  // messages of this home that were not fetched yet
	Knocking int    `json:"knocking"` // contact requests of this home that are kept up
	Lost     uint64 `json:"lost"`     // messages to this home that can no longer come
	Problem  string `json:"problem"`  // why not everything could be looked at; empty: everything was
}

// inbox returns the suggestions that wait, those that others have just left for
// this home among them.
func (v *verbs) inbox(ctx context.Context, a inboxArgs) (*inbox, error) {
	out := &inbox{Suggestions: []suggestion{}}
	for _, text := range a.Texts {
		if _, err := v.agent.Receive(text); err != nil {
			return nil, err
		}
	}
	if !a.Offline && len(a.Texts) == 0 {
		f, err := v.with(a.Passphrase).Fetch(ctx, a.Strangers)
		if err != nil {
			return nil, err
		}
		out.Fetched = &fetched{Network: f.Network, Polled: f.Polled, Fresh: f.Fresh, Refused: f.Refused, Waiting: f.Waiting, Knocking: f.Requests, Lost: f.Lost}
		if f.Problem != nil {
			out.Fetched.Problem = name.Clean(classify(f.Problem).Message)
		}
	}
	for s, err := range v.agent.Inbox() {
		if err != nil {
			return nil, err
		}
		one, err := v.asSuggestion(s)
		if err != nil {
			return nil, err
		}
		out.Suggestions = append(out.Suggestions, *one)
	}
	return out, nil
}

// leastDigits is how many of a suggestion's twelve digits are shown at least.
const leastDigits = 6

// asSuggestion returns a suggestion with all that this home knows of what it is
// about.
func (v *verbs) asSuggestion(s petname.Suggestion) (*suggestion, error) {
	out := &suggestion{ID: s.ID.String(), Kind: string(s.Kind), Suggested: name.Clean(s.Suggested), Note: name.Clean(s.Note),
		Channel: name.Clean(s.Channel), At: s.At, Lookalikes: []string{}, State: string(s.State)}
	var err error
	if out.Digits, err = v.agent.Digits(s.ID, leastDigits); err != nil {
		return nil, err
	}
	if !s.Expires.IsZero() {
		out.Expires = &s.Expires
	}
	if !s.By.IsZero() {
		out.By = s.By.String()
		by, err := v.agent.ByPointer(s.By)
		if err != nil && !errors.Is(err, petname.ErrNotFound) {
			return nil, err
		}
		out.ByName = by.Name.String()
	}
	nick := s.Nickname
	if !s.Pointer.IsZero() {
		out.Pointer = s.Pointer.String()
		if r, _, err := v.agent.Held(s.Pointer); err == nil {
			if card, _ := r.Card(); card.Nickname != "" {
				nick = card.Nickname
			}
		}
		c, err := v.agent.ByPointer(s.Pointer)
		switch {
		case errors.Is(err, petname.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			out.Name, out.Duplicity = c.Name.String(), !s.Next.IsZero() && c.Pinned(s.Pointer, s.Next) != nil
			if !c.Removed.IsZero() {
				out.Removed = &c.Removed
			}
		}
	}
	out.Nickname = name.Clean(nick)
	for i, text := range []string{s.Suggested, nick} {
		if i > 0 && text == s.Suggested {
			break
		}
		like, err := v.agent.NamesLike(text, s.Pointer)
		if err != nil {
			return nil, err
		}
		out.Lookalikes = append(out.Lookalikes, like...)
	}
	return out, nil
}

// acceptArgs are the arguments of accept: a suggestion by its digits, or what
// stands in a file.
type acceptArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"` // of a file; nil: ID counts
	As         string `json:"as"`
	Lookalike  bool   `json:"lookalike"`
	Instead    string `json:"instead"` // a contact that gives way, by name or pointer
	Passphrase string `json:"passphrase,omitempty"`
}

// accepted is the result of accept: a contact, or, of an offer of a mutual
// introduction, one that isn't known yet.
type accepted struct {
	contact
	Sent string `json:"sent,omitempty"` // how far the consent came: as in introduce
}

// accept names what a suggestion is about, or consents to an offer.
func (v *verbs) accept(ctx context.Context, a acceptArgs) (*accepted, error) {
	s, err := v.meant(a.ID, a.Text)
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
		return nil, usage("--as %q: who it is shows when both of you have agreed; name them then", a.As).With("petname accept " + s.ID.String())
	}
	sent, err := v.with(a.Passphrase).AcceptMutual(ctx, s.ID)
	if sent == "" {
		return nil, err
	}
	return &accepted{contact: contact{Provenance: []fact{{Kind: string(s.Kind), By: s.By.String(), Channel: s.Channel, At: s.At}}}, Sent: string(sent)}, delivery(sent, err)
}

func (v *verbs) acceptAs(s petname.Suggestion, a acceptArgs) (*contact, error) {
	if a.As == "" {
		return nil, usage("what shall %s be called? The name is yours to choose", s.Pointer.Short()).
			With("petname accept " + s.ID.String() + " --as NAME")
	}
	if _, err := name.Parse(a.As); err != nil {
		return nil, err
	}
	how := petname.Acceptance{Lookalike: a.Lookalike}
	if a.Instead != "" {
		gives, err := v.agent.Lookup(a.Instead)
		if err != nil {
			return nil, err
		}
		how.Replaces = gives.ID
	}
	c, err := v.agent.Accept(s.ID, a.As, how)
	var taken *petname.TakenError
	if errors.As(err, &taken) && how.Replaces.IsZero() {
		return v.inTheWay(err, s.Pointer), classify(err).With("choose another name, or, if it is the same person and the other key was never theirs:\npetname accept " +
			s.ID.String() + " --as " + shellWord(a.As) + " --instead " + shellWord(taken.Name.String()))
	}
	if err != nil {
		return v.inTheWay(err, s.Pointer), err
	}
	return v.flagged(c)
}

// meant returns the suggestion that digits, or a file, mean. What stands in the
// file goes into the inbox first.
func (v *verbs) meant(digits string, text []byte) (petname.Suggestion, error) {
	if text == nil {
		s, err := v.agent.Suggestion(digits)
		if errors.Is(err, agent.ErrNoSuggestion) {
			return s, &failure{Code: "not_found", Exit: exitNotFound, Message: fmt.Sprintf("no suggestion has the number %q", digits), Next: "petname inbox"}
		}
		return s, err
	}
	ids, err := v.agent.Receive(text)
	if err != nil {
		return petname.Suggestion{}, err
	}
	switch len(ids) {
	case 0:
		return petname.Suggestion{}, &failure{Code: "noted", Exit: exitChoose, Message: "what the file says was noted, and leaves nothing to decide", Next: "petname inbox"}
	case 1:
		return v.agent.Suggestion(ids[0].String())
	}
	return petname.Suggestion{}, &failure{Code: "choose", Exit: exitChoose, Message: "there are several suggestions in the file, and they wait in the inbox now", Next: "petname inbox"}
}

// declineArgs are the arguments of decline.
type declineArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"`
	Never      bool   `json:"never"` // and suggest the pointer no more
	Passphrase string `json:"passphrase,omitempty"`
}

func (v *verbs) decline(ctx context.Context, a declineArgs) (*suggestion, error) {
	s, err := v.meant(a.ID, a.Text)
	if err != nil {
		return nil, err
	}
	if s, err = v.with(a.Passphrase).Decline(ctx, s.ID, a.Never); err != nil {
		return nil, err
	}
	return v.asSuggestion(s)
}
