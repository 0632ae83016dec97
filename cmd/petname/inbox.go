package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) inboxVerb() *cobra.Command {
	var request inboxArgs
	cmd := &cobra.Command{
		Use:   "inbox [FILE…]",
		Short: "List the suggestions that wait for your decision",
		Long: `Fetch your messages, and list the suggestions that wait for your decision: each
with its pointer, its sender, the suggested name, and what you know already. A
suggestion adds nothing to your book until you accept it: see accept and
decline.

Contact requests of unknown senders are listed after the others. They are
fetched with --strangers; or always, also by a running node, if config.toml in
the home has "strangers = true", which your card announces when you publish.
This is off by default: the peers that receive the queries learn your pointer
and your IP address. Each request needs a proof of work of some seconds;
"stranger_puzzles = N" requires more (default 8, at most 64).

If no peer and no router responds, what was received before is listed, and the
exit status is 7.

With a locked identity, messages are read, and acknowledged when it is
unlocked: by --passphrase-file, or by a node that has the passphrase.

With FILEs, or - for standard input, messages from files are received instead,
and nothing is fetched. If some statements in them are refused, the others are
received, the inbox is listed, and the error names those that were refused.

Messages of yours to a contact that you removed are not sent, and neither are
those that were made for a key which turned out not to be the contact's. They
are listed here until you add the same key again, or drop them with --drop.`,
		Example: `  petname inbox
  petname inbox --strangers
  petname inbox from-alice.txt
  petname accept 482133 --as bob`,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if request.Offline && request.ContactRequests {
				return usage("--offline fetches nothing, and --strangers fetches contact requests: choose one")
			}
			if request.Drop != "" && (request.ContactRequests || len(args) > 0) {
				return usage("--drop fetches and receives nothing: use it alone")
			}
			if a.passphraseFile != "" { // no prompt: messages can be read without it
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
			}
			for _, file := range args {
				text, err := a.readStatements(file)
				if err != nil {
					return err
				}
				request.Texts = append(request.Texts, text)
			}
			var out inbox
			err = a.call("inbox", request, &out)
			if err == nil && out.Fetched != nil && out.Fetched.Problem != "" {
				a.warn("not everything could be fetched: %s", out.Fetched.Problem)
			}
			if err == nil && out.Fetched != nil {
				warnFetched(a, *out.Fetched)
			}
			warnCopy(a, out.OtherCopy)
			a.warnHeld(out.Held)
			if err == nil && out.Dropped > 0 {
				a.hint("messages that were dropped: %d", out.Dropped)
			}
			if err == nil && len(out.Suggestions)+len(out.Denials) == 0 {
				a.hint("%s", nothingText(out, len(args) > 0))
			}
			err = a.printResult(out, err, out.Suggestions != nil, func(w *bufio.Writer) {
				printInbox(w, a.style(), out.Suggestions)
				for _, d := range out.Denials {
					a.printDenial(w, d)
				}
			})
			if err == nil && len(out.Suggestions) > 0 {
				s := out.Suggestions[0]
				a.hint("to decide about the first:\n  %s\n  petname decline %s", nextCommand(s), s.Digits)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&request.Offline, "offline", false, "fetch nothing: list what was received before")
	cmd.Flags().BoolVar(&request.ContactRequests, "strangers", false, "also fetch contact requests of unknown senders, this time")
	cmd.Flags().StringVar(&request.Drop, "drop", "", "drop the messages that are not sent to a contact: its `pointer` or name")
	return cmd
}

// nothingText describes an empty inbox, and whether messages were looked for.
func nothingText(out inbox, files bool) string {
	switch {
	case files:
		return "nothing to decide"
	case out.Fetched == nil:
		return "nothing to decide; no message was looked for"
	case out.Fetched.Network == "off":
		return "nothing to decide; no network is joined, so no message was looked for:\n  petname join --help"
	case out.Fetched.Problem != "":
		return "nothing to decide among what could be fetched"
	}
	return "nothing waits for you"
}

// printInbox prints all suggestions, those of unknown senders after the others.
func printInbox(w *bufio.Writer, st name.Style, all []suggestion) {
	known, strangers := all[:0:0], all[:0:0]
	for _, s := range all {
		if petname.SuggestionKind(s.Kind) == petname.ContactRequest {
			strangers = append(strangers, s)
		} else {
			known = append(known, s)
		}
	}
	for _, s := range known {
		printSuggestion(w, st, s)
	}
	if len(strangers) > 0 {
		fmt.Fprintf(w, "unknown senders: no contact of yours introduces them\n")
	}
	for _, s := range strangers {
		printSuggestion(w, st, s)
	}
}

// warnFetched warns of lost and refused messages, which are not in the inbox.
func warnFetched(a *app, f fetched) {
	if f.Lost > 0 {
		a.warn("messages that can't come any more, as this home or the sender's was restored from an old copy, or another copy of this home is in use: %d", f.Lost)
	}
	if f.Refused > 0 {
		a.warn("messages that were not taken: %d: %s", f.Refused, strings.Join(f.Reasons, "; "))
	}
	for _, contact := range f.InDoubt {
		a.warn("to settle the next key of %s, whose messages wait:\n  %s", name.Quote(contact), "petname show "+shellWord(contact))
	}
	if f.Waiting > 0 {
		a.hint("messages of yours that are not fetched yet: %d", f.Waiting)
	}
}

// inboxArgs are the arguments of inbox.
type inboxArgs struct {
	Offline         bool     `json:"offline"`        // fetch nothing
	Texts           [][]byte `json:"texts"`          // contents of files, to be received first
	ContactRequests bool     `json:"strangers"`      // also fetch contact requests
	Drop            string   `json:"drop,omitempty"` // drop the messages that are not sent to this contact
	Passphrase      string   `json:"passphrase,omitempty"`
}

// inbox is the result of inbox.
type inbox struct {
	Suggestions []suggestion   `json:"suggestions"`
	Fetched     *fetched       `json:"fetched"`           // null: nothing was fetched
	Denials     []denial       `json:"denials,omitempty"` // answers to dispute that were received since the last call
	Held        []heldMessages `json:"held,omitempty"`    // messages of this home that are not sent
	Dropped     int            `json:"dropped,omitempty"` // messages that --drop dropped

	OtherCopy *otherCopy `json:"other_copy,omitempty"` // evidence that another copy of the home is in use; null: none
}

// denial is a contact's statement that a key, which the owner asked about, is not its
// own.
type denial struct {
	By      string `json:"by"`      // pointer of the contact
	ByName  string `json:"by_name"` // its petname
	Pointer string `json:"pointer"` // the key
}

// printDenial prints a denial, and how to write the proof that it is a part of.
func (a *app) printDenial(w *bufio.Writer, d denial) {
	by := recipientText(a.style(), d.ByName, d.By)
	fmt.Fprintf(w, "%s answered: the key is not theirs\n", by)
	printField(w, "  DENIED KEY", d.Pointer)
	name := d.ByName
	if name == "" {
		name = d.By
	}
	fmt.Fprintf(w, "to write the proof to a file:\n  %s\n", a.withHomeFlag("petname why "+shellWord(name)+" -o FILE"))
}

// denials returns the denials in a text that was received.
func denials(text []byte) (all []agent.Denial) {
	statements, _ := introduce.Dearmor(text)
	for _, b := range statements {
		if s, err := introduce.Open(b, introduce.KindDenial); err == nil {
			d, _ := s.Denial()
			all = append(all, agent.Denial{By: d.By, About: d.About})
		}
	}
	return all
}

// proves reports whether a denial contradicts an introduction in the book: others answer
// no question of the owner.
func (v *verbs) proves(d agent.Denial) bool {
	all, err := v.agent.Contradictions(d.By)
	return err == nil && slices.ContainsFunc(all, func(c introduce.Contradiction) bool { return c.Denial().About == d.About })
}

// fetched is the result of fetching messages.
type fetched struct {
	Network  string   `json:"network"`            // "ok", "off" or "unreachable"
	Polled   int      `json:"polled"`             // contacts whose messages were fetched
	Fresh    int      `json:"fresh"`              // new suggestions
	Refused  int      `json:"refused"`            // messages that were not accepted
	Reasons  []string `json:"reasons,omitempty"`  // why they were not, each once
	InDoubt  []string `json:"in_doubt,omitempty"` // contacts whose messages wait until the user settles what is known of their next keys
	Waiting  int      `json:"waiting"`            // messages of this home that were not fetched yet
	Knocking int      `json:"knocking"`           // pending contact requests of this home
	Lost     uint64   `json:"lost"`               // messages to this home that can no longer be received
	Problem  string   `json:"problem"`            // why fetching was incomplete; empty: it was complete
}

// inbox receives the messages in the arguments, or fetches messages, and returns the
// pending suggestions.
func (v *verbs) inbox(ctx context.Context, a inboxArgs) (*inbox, error) {
	out := &inbox{Suggestions: []suggestion{}}
	denied, some, refused := v.receiveTexts(a.Texts)
	if refused != nil && !some {
		return nil, refused
	}
	if a.Drop != "" {
		n, err := v.dropHeld(a.Drop)
		if err != nil {
			return nil, err
		}
		out.Dropped = n
	}
	if !a.Offline && a.Drop == "" && len(a.Texts) == 0 {
		f, err := v.agentWith(a.Passphrase).Fetch(ctx, a.ContactRequests)
		if err != nil {
			return nil, err
		}
		out.Fetched = &fetched{Network: f.Network, Polled: f.Polled, Fresh: f.Fresh, Refused: f.Refused, Waiting: f.Waiting, Knocking: f.Requests, Lost: f.Lost}
		for _, p := range f.InDoubt {
			contact := p.String()
			if c, err := v.agent.ByPointer(p); err == nil && !c.Name.IsZero() {
				contact = c.Name.String()
			}
			out.Fetched.InDoubt = append(out.Fetched.InDoubt, contact)
		}
		for _, reason := range f.Reasons {
			out.Fetched.Reasons = append(out.Fetched.Reasons, name.Clean(reason))
		}
		if f.Problem != nil {
			out.Fetched.Problem = v.withShortPointers(name.Clean(classify(f.Problem).Message))
		}
		if f.Network == "unreachable" {
			out.Fetched.Problem = name.Clean(shortNetworkError(f.Problem).Error())
		}
	}
	out.OtherCopy = v.otherCopy(ctx, out.Fetched != nil && out.Fetched.Network == "ok")
	sent, err := v.agent.TakeDenials()
	if err != nil {
		return nil, err
	}
	for _, d := range append(denied, sent...) {
		if !v.proves(d) {
			continue
		}
		one := denial{By: d.By.String(), Pointer: d.About.String()}
		if c, err := v.agent.ByPointer(d.By); err == nil {
			one.ByName = c.Name.String()
		}
		out.Denials = append(out.Denials, one)
	}
	if out.Held, err = v.heldMessages(); err != nil {
		return nil, err
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
	equalLength(out.Suggestions)
	if out.Fetched != nil && out.Fetched.Network == "unreachable" {
		c := *classify(dht.ErrUnreachable)
		c.Message = "no message could be looked for: " + out.Fetched.Problem
		return out, &c
	}
	return out, refused
}

// receiveTexts receives the statements in the contents of files. It returns the denials among
// them, whether any statement was received, and the error of those that were refused, with the
// number of the file if there are several.
func (v *verbs) receiveTexts(texts [][]byte) (denied []agent.Denial, some bool, refused error) {
	for i, text := range texts {
		_, err := v.agent.Receive(text)
		var partly *agent.StatementsError
		some = some || err == nil || errors.As(err, &partly) && (partly.Received > 0 || partly.Refused[0].Waits)
		if err == nil || partly != nil {
			denied = append(denied, denials(text)...)
		}
		switch {
		case err == nil:
			continue
		case len(texts) > 1:
			err = fmt.Errorf("file %d of %d: %w", i+1, len(texts), err)
		}
		if refused == nil {
			refused = err
		} else {
			refused = fmt.Errorf("%w; %w", refused, err)
		}
	}
	return denied, some, refused
}

// equalLength makes the numbers of suggestions equally long: as long as the one that needs
// the most digits.
func equalLength(all []suggestion) {
	longest := 0
	for _, s := range all {
		longest = max(longest, len(s.Digits))
	}
	for i := range all {
		all[i].Digits = all[i].ID[:longest]
	}
}

// wholePointer matches what can be a pointer in a message.
var wholePointer = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\bk[0-9a-z]{55,64}\b`) })

// withShortPointers returns a message with the petnames of contacts in place of their
// pointers, and with the other pointers in their short form.
func (v *verbs) withShortPointers(message string) string {
	return wholePointer().ReplaceAllStringFunc(message, func(text string) string {
		p, err := pointer.Parse(text)
		if err != nil {
			return text
		}
		if c, err := v.agent.ByPointer(p); err == nil && !c.Name.IsZero() {
			return name.Quote(c.Name.String())
		}
		return p.Short()
	})
}
