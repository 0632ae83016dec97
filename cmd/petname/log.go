package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) logVerb() *cobra.Command {
	var verify, hash bool
	cmd := &cobra.Command{
		Use:   "log [NAME]",
		Short: "Show the history of the book, or of one contact",
		Long: `Show the changes to the book, oldest first. With --verify, every signature, hash
and row of the book is verified.`,
		Example: `  petname log
  petname log bob
  petname log --verify --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			if hash {
				if verify || len(args) > 0 {
					return usage("--hash is of the whole book: without a name, and without --verify")
				}
				var out bookHash
				err := a.call("hash", noArgs{}, &out)
				return a.printResult(out, err, out.Hash != "", func(w *bufio.Writer) { fmt.Fprintln(w, out.Hash) })
			}
			request := logArgs{Verify: verify}
			if len(args) == 1 {
				request.Name = args[0]
			}
			var out entries
			err := a.call("log", request, &out)
			return a.printResult(out, err, out.Entries != nil, func(w *bufio.Writer) {
				for _, e := range out.Entries {
					fmt.Fprintf(w, "%s  %s  %s\n", e.At.Local().Format(time.DateTime), e.ID, entryText(a.style(), e))
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
	cmd.Flags().BoolVar(&verify, "verify", false, "verify the whole book")
	cmd.Flags().BoolVar(&hash, "hash", false, "print a hash of the book: devices with equal ones have the same book")
	return cmd
}

// bookHash is the result of log --hash.
type bookHash struct {
	Hash string `json:"hash"` // hexadecimal
}

func (v *verbs) hash(context.Context, noArgs) (*bookHash, error) {
	h, err := v.agent.Digest()
	if err != nil {
		return nil, err
	}
	return &bookHash{h.String()}, nil
}

// entryText describes an entry of the log for people.
func entryText(s name.Style, e entry) string {
	subject := ""
	if e.Pointer != "" {
		subject = nickname(s, "", e.Pointer)
	}
	switch e.Op {
	case "name":
		return namedText(s, e, subject) + lookalikeRemark(e)
	case "remove":
		return fmt.Sprintf("removed %s (%s)", nameList(s, e.Was), subject) + endedText(e)
	case "learn":
		return learntText(s, e, subject)
	case "pin":
		return fmt.Sprintf("decided on the next key of %s (%s)", subject, s.Text(e.Kind))
	case "advance":
		return fmt.Sprintf("followed %s to its next key (%s)", subject, s.Text(e.Kind))
	case "share":
		if e.To != "" {
			return fmt.Sprintf("shared %s with %s as %s", subject, recipientText(s, e.ToName, e.To), ownEdge(s, e.Label))
		}
		return fmt.Sprintf("made %s public as %s", subject, ownEdge(s, e.Label))
	case "unshare":
		if e.To != "" {
			return fmt.Sprintf("withdrew %s, shared with %s", ownEdge(s, e.Label), recipientText(s, e.ToName, e.To))
		}
		return fmt.Sprintf("withdrew the public label %s", ownEdge(s, e.Label))
	case "keep":
		return fmt.Sprintf("began to republish the records of %s", subject)
	case "unkeep":
		return fmt.Sprintf("stopped republishing the records of %s", subject)
	case "undo":
		return fmt.Sprintf("reverted entry %d", e.Undoes)
	case "suggest":
		return suggestedText(s, e)
	case "decide":
		return decidedText(e)
	case "hear":
		return statedText(s, e)
	case "profile":
		if e.Name == "" {
			return "removed your nickname"
		}
		return fmt.Sprintf("set your nickname to \"%s\"", s.Text(e.Name))
	case "publish":
		if e.Value == "" {
			return fmt.Sprintf("signed sequence %d to publish, without a content path", e.Sequence)
		}
		return fmt.Sprintf("signed sequence %d to publish\n    %s", e.Sequence, contentPath(e.Value))
	case "genesis":
		return "created the book"
	case "device":
		return "recorded the name of a device, or where the identity key is"
	case "relay":
		return "received a message of a mutual introduction, for your other devices"
	case "admit":
		return "admitted a device"
	case "retire":
		return "removed a device"
	}
	if e.Dropped {
		return "(its content was dropped)"
	}
	return "(of a kind that this version does not know)"
}

// namedText describes the naming of a contact, or what else the naming changed if the contact
// has its name already.
func namedText(s name.Style, e entry, subject string) string {
	is := shownName(s, e.Name)
	switch {
	case e.Again && e.Next != "":
		return fmt.Sprintf("added %s again, with its next key (%s, %s)", is, subject, s.Text(e.Kind))
	case e.Again:
		return fmt.Sprintf("added %s again (%s, %s)", is, subject, s.Text(e.Kind))
	case e.Was != nil && e.WasRemoved:
		return fmt.Sprintf("settled that %s is %s and not removed, after different changes on several devices", subject, is)
	case len(e.Was) > 1 && slices.Contains(e.Was, e.Name):
		return fmt.Sprintf("settled that %s is %s, of the names %s", subject, is, nameList(s, e.Was))
	case e.Was != nil:
		return fmt.Sprintf("renamed %s to %s (%s)", nameList(s, e.Was), is, subject)
	}
	return fmt.Sprintf("named %s %s (%s)", subject, is, s.Text(e.Kind))
}

// endedText describes what ends with the name of a contact that is removed.
func endedText(e entry) (text string) {
	switch {
	case e.Labels == 1:
		text = ", with 1 label to it or for it"
	case e.Labels > 1:
		text = fmt.Sprintf(", with %d labels to it or for it", e.Labels)
	}
	if e.KeepEnded {
		text += ", and stopped republishing its records"
	}
	return text
}

// learntText describes a fact that was recorded about a contact that keeps its name. What the
// owner entered, or accepted, can contradict what is on record.
func learntText(s name.Style, e entry, subject string) string {
	what := "recorded the next key of"
	switch {
	case e.Next == "":
		what = "recorded one more source of"
	case e.Kind != "card":
		what = "recorded a statement about the next key of"
	}
	text := fmt.Sprintf("%s %s (%s)", what, subject, s.Text(e.Kind))
	if e.Suggestion != "" {
		text = fmt.Sprintf("accepted suggestion %s under the same name: %s", e.Suggestion, text)
	}
	return text
}

// suggestedText describes a suggestion that was received.
func suggestedText(s name.Style, e entry) string {
	by, about := recipientText(s, e.ByName, e.By), recipientText(s, e.AboutName, e.About)
	switch petname.SuggestionKind(e.Kind) {
	case petname.Introduced:
		return fmt.Sprintf("%s introduced %s (suggestion %s)", by, about, e.Suggestion)
	case petname.Paired:
		return fmt.Sprintf("paired with %s (suggestion %s)", about, e.Suggestion)
	case petname.Invited:
		return fmt.Sprintf("your invitation was used by %s (suggestion %s)", about, e.Suggestion)
	case petname.Mutual:
		return fmt.Sprintf("%s offered to introduce you to each other (suggestion %s)", by, e.Suggestion)
	case petname.Acquainted:
		return fmt.Sprintf("%s introduced you and %s to each other (suggestion %s)", by, about, e.Suggestion)
	case petname.Question:
		return fmt.Sprintf("%s asked whether the key %s is yours (suggestion %s)", by, about, e.Suggestion)
	case petname.ContactRequest:
		return fmt.Sprintf("%s requested contact (suggestion %s)", about, e.Suggestion)
	}
	return "received a suggestion"
}

// decidedText describes a decision on a suggestion.
func decidedText(e entry) string {
	switch petname.Decision(e.Decision) {
	case petname.DecisionDecline:
		return "declined suggestion " + e.Suggestion
	case petname.DecisionNever:
		return "declined suggestion " + e.Suggestion + ", and all later ones of its pointer"
	case petname.DecisionWithdraw:
		return "suggestion " + e.Suggestion + " was withdrawn by its sender"
	case petname.DecisionConsent:
		return "agreed to the introduction of suggestion " + e.Suggestion
	}
	return "decided on a suggestion"
}

// statedText describes a signed statement that was received.
func statedText(s name.Style, e entry) string {
	by := recipientText(s, e.ByName, e.By)
	switch e.Statement {
	case "edges":
		return by + " changed the labels that are shared with you alone"
	case "retraction":
		return by + " withdrew an introduction"
	case "denial":
		return fmt.Sprintf("%s stated that the key %s is not theirs", by, nickname(s, "", e.About))
	}
	return "received a statement of a contact"
}

// recipientText returns the petname of a recipient, or without one its pointer.
func recipientText(s name.Style, petname, pointer string) string {
	if petname == "" {
		return nickname(s, "", pointer)
	}
	return shownName(s, petname)
}

func lookalikeRemark(e entry) string {
	if e.Lookalike {
		return ", though it could mislead"
	}
	return ""
}

// entry is the JSON form of an entry of the log.
type entry struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Op        string    `json:"op"`
	Pointer   string    `json:"pointer,omitempty"`
	Name      string    `json:"name,omitempty"`
	Was       []string  `json:"was,omitempty"` // previous names; several: it was in conflict
	Label     string    `json:"label,omitempty"`
	To        string    `json:"to,omitempty"`      // pointer of the contact that the label is for; empty: it is public
	ToName    string    `json:"to_name,omitempty"` // its petname
	Kind      string    `json:"kind,omitempty"`    // of the fact in the entry, or of the suggestion
	Next      string    `json:"next,omitempty"`    // commitment to the next key in that fact
	Undoes    uint64    `json:"undoes,omitempty"`
	Value     string    `json:"value,omitempty"`
	Sequence  uint64    `json:"sequence,omitempty"`
	Lookalike bool      `json:"lookalike,omitempty"` // named though it looks like another
	Dropped   bool      `json:"dropped,omitempty"`

	Again      bool `json:"again,omitempty"`       // named as before: the change is that of its facts
	WasRemoved bool `json:"was_removed,omitempty"` // named after a removal; with was, after a conflict over one
	Labels     int  `json:"labels,omitempty"`      // that ended with a removed contact
	KeepEnded  bool `json:"keep_ended,omitempty"`  // the records of the removed contact were republished

	Suggestion string `json:"suggestion,omitempty"` // number of the suggestion that was received or decided on
	By         string `json:"by,omitempty"`         // pointer of the contact that signed what was received
	ByName     string `json:"by_name,omitempty"`    // its petname
	About      string `json:"about,omitempty"`      // pointer of the subject of a suggestion, or of a denial
	AboutName  string `json:"about_name,omitempty"` // its petname
	Decision   string `json:"decision,omitempty"`   // "declined", "never", "withdrawn" or "agreed"
	Statement  string `json:"statement,omitempty"`  // kind of the statement: "edges", "retraction" or "denial"
}

// entries is the result of log.
type entries struct {
	Entries  []entry  `json:"entries"`
	Verified bool     `json:"verified,omitempty"` // every entry, body and row was verified
	Problems []string `json:"problems,omitempty"`
}

// asEntry returns an event, with the current pointer and name of the recipient of a
// label.
func (v *verbs) asEntry(ev petname.Event) entry {
	out := entry{ID: ev.ID.String(), At: ev.At, Op: ev.Op, Name: name.Clean(ev.Name), Label: name.Clean(ev.Label),
		Undoes: ev.Undoes, Value: ev.Value, Sequence: ev.Sequence, Dropped: ev.Dropped, Lookalike: ev.Lookalike,
		Kind: string(ev.Kind), Decision: string(ev.Decision), Statement: ev.Statement,
		Again: ev.Again, WasRemoved: ev.WasRemoved, Labels: ev.Labels, KeepEnded: ev.KeepEnded}
	for _, id := range []petname.SuggestionID{ev.Item, ev.Received} {
		if id != (petname.SuggestionID{}) {
			out.Suggestion = id.String()
		}
	}
	out.By, out.ByName = v.nameOf(ev.By)
	out.About, out.AboutName = v.nameOf(ev.About)
	for _, was := range ev.Was {
		out.Was = append(out.Was, name.Clean(was))
	}
	if !ev.Contact.IsZero() {
		out.Pointer = ev.Contact.String()
	}
	if !ev.Audience.IsZero() {
		to, err := v.agent.ByPointer(ev.Audience)
		if err != nil { // not found, as its adding was undone; or the book is damaged
			to = petname.Contact{Pointer: ev.Audience}
		}
		out.To, out.ToName = to.Pointer.String(), to.Name.String()
	}
	if ev.Fact != nil {
		out.Kind, out.Next = ev.Fact.Kind, ev.Fact.Next.String()
	}
	return out
}

// nameOf returns the text of a pointer, and the petname of the contact that has or had
// it; "" for the zero pointer.
func (v *verbs) nameOf(p pointer.Pointer) (text, petname string) {
	if p.IsZero() {
		return "", ""
	}
	if c, err := v.agent.ByPointer(p); err == nil {
		petname = c.Name.String()
	}
	return p.String(), petname
}

// logArgs are the arguments of log.
type logArgs struct {
	Name   string `json:"name"` // empty: everything
	Verify bool   `json:"verify"`
}

func (v *verbs) log(ctx context.Context, a logArgs) (*entries, error) {
	var only pointer.Pointer
	if a.Name != "" {
		c, err := v.agent.Lookup(a.Name)
		if err != nil {
			return nil, err
		}
		only = c.ID
	}
	out := &entries{Entries: []entry{}}
	if a.Verify {
		for _, err := range v.agent.Verify(ctx) {
			out.Problems = append(out.Problems, err.Error())
		}
		out.Verified = len(out.Problems) == 0
	}
	var events []petname.Event
	for ev, err := range v.agent.Log() {
		if err != nil {
			return out, err
		}
		events = append(events, ev)
	}
	if !only.IsZero() {
		events = concerning(events, func(p pointer.Pointer) bool { return v.isOf(p, only) })
	}
	for _, ev := range events {
		out.Entries = append(out.Entries, v.asEntry(ev))
	}
	if len(out.Problems) > 0 {
		return out, &failure{Code: "damaged", Exit: exitUnverified, Message: out.Problems[0], Next: "petname doctor"}
	}
	return out, nil
}

// isOf reports whether a pointer is or was that of the contact with an id.
func (v *verbs) isOf(p, id pointer.Pointer) bool {
	if p.IsZero() {
		return false
	}
	c, err := v.agent.ByPointer(p)
	return p == id || err == nil && c.ID == id
}

// concerning returns the events that concern a contact, of which isIt reports whether a pointer
// is or was its own: those that name one, the decisions on suggestions that do, and the undo
// of an event that does.
func concerning(all []petname.Event, isIt func(pointer.Pointer) bool) (out []petname.Event) {
	names := func(ev petname.Event) bool {
		return slices.ContainsFunc([]pointer.Pointer{ev.Contact, ev.LedTo, ev.Audience, ev.By, ev.About}, isIt)
	}
	suggested, changed := map[petname.SuggestionID]bool{}, map[ledger.ID]bool{}
	for _, ev := range all {
		if names(ev) {
			suggested[ev.Received] = ev.Received != petname.SuggestionID{}
		}
	}
	for _, ev := range all {
		changed[ev.ID] = names(ev) || suggested[ev.Item]
	}
	for _, ev := range all {
		undone := ledger.ID{Device: ev.ID.Device, Number: ev.Undoes}
		if changed[ev.ID] || ev.Op == "undo" && changed[undone] {
			out = append(out, ev)
		}
	}
	return out
}
