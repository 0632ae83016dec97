package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) introduceVerb() *cobra.Command {
	var request introduceArgs
	var file string
	cmd := &cobra.Command{
		Use:   "introduce NAME --to NAME",
		Short: "Introduce one contact to another",
		Long: `Sign, for the contact --to, the pointer of another contact. The recipient finds
the introduction in the inbox, and decides. Your own name for the introduced
contact stays private: you suggest its nickname, or the name of --as.

With --both, the two contacts are introduced to each other. Both are asked
first: neither receives the pointer of the other before both have agreed.

The introduction is sealed and stored in the joined network, also while the
recipient is offline. With -o it is written to a file instead: a reader of the
file learns the introducer, the recipient and the introduced contact.`,
		Example: `  petname introduce bob --to alice --note "from the choir"
  petname introduce bob --to alice --both
  petname introduce bob --to alice --as "Bob W" -o for-alice.txt`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if request.To == "" {
				if f := secretFor(args[0], "contact", ""); f != nil {
					return f
				}
				return usage("--to is missing: the contact to introduce %q to", args[0]).With("petname introduce " + shellWord(args[0]) + " --to NAME")
			}
			request.Name, request.File = args[0], file != ""
			if err := checkNewFile(file); err != nil {
				return err
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out introduced
			err = a.call("introduce", request, &out)
			if err == nil && file != "" {
				done, werr := a.writeStatement(file, &out.Armored, &out.File)
				if done {
					return werr
				}
				err = werr
			}
			a.warnUnpublished(out.Unpublished)
			return a.printResult(out, err, out.Sent != "", func(w *bufio.Writer) {
				st := a.style()
				for _, offer := range out.Recipients {
					fmt.Fprintf(w, "%s\n", offerText(st, offer))
				}
				if out.Recipients == nil {
					fmt.Fprintf(w, "%s %s\n", sentText(out.Sent), shownName(st, out.ToName))
				}
				if out.Both && out.Recipients == nil {
					fmt.Fprintln(w, "  and in the same way for the other contact: both are asked")
				}
				printField(w, "suggested", nickname(st, out.Suggested, out.Pointer))
				printField(w, "pointer", out.Pointer)
				printField(w, "valid until", out.Expires.Local().Format(time.DateTime))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.To, "to", "", "the recipient: the `name` of a contact")
	f.StringVar(&request.As, "as", "", "the `name` to suggest (default: the contact's nickname)")
	f.StringVar(&request.Note, "note", "", "a `text` for the recipient")
	f.BoolVar(&request.Both, "both", false, "introduce them to each other, if both agree")
	durationFlag(f, &request.Expires, "expires", agent.IntroductionLifetime, "how long it can be accepted")
	f.StringVarP(&file, "output", "o", "", "write it to a `file` instead of sending it; - for standard output")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}

// unpublishedFor returns the names of the contacts that find a message after the owner publishes.
func (v *verbs) unpublishedFor(contacts ...petname.Contact) (names []string) {
	for _, c := range contacts {
		if awaits, err := v.agent.AwaitsCard(c); err == nil && awaits {
			names = append(names, c.Name.String())
		}
	}
	return names
}

// warnUnpublished warns that a message is not found before the owner publishes.
func (a *app) warnUnpublished(names []string) {
	for _, n := range names {
		a.warn("%s finds it after you publish:\n  petname publish", name.Quote(n))
	}
}

// sentText returns the delivery state of a message as text for people.
func sentText(sent string) string {
	switch sent {
	case string(agent.Stored):
		return "stored in the network for"
	case "file":
		return "written for"
	}
	return "NOT SENT YET, for"
}

func (a *app) retractVerb() *cobra.Command {
	var request retractArgs
	cmd := &cobra.Command{
		Use:   "retract NAME --to NAME",
		Short: "Withdraw an introduction",
		Long: `Withdraw an introduction. If the recipient has not accepted it yet, it is
removed from the recipient's inbox. If it was accepted, petname why shows the
recipient that you withdrew it.`,
		Example:           `  petname retract bob --to alice`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if request.To == "" {
				if f := secretFor(args[0], "contact", ""); f != nil {
					return f
				}
				return usage("--to is missing: the contact that you introduced %q to", args[0]).With("petname retract " + shellWord(args[0]) + " --to NAME")
			}
			request.Name = args[0]
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out introduced
			err = a.call("retract", request, &out)
			return a.printResult(out, err, out.Sent != "", func(w *bufio.Writer) {
				st := a.style()
				fmt.Fprintf(w, "withdrawn: %s  (%s)\n", nickname(st, out.Suggested, out.Pointer), name.Clean(sentText(out.Sent))+" "+shownName(st, out.ToName))
			})
		},
	}
	cmd.Flags().StringVar(&request.To, "to", "", "the recipient of the introduction: a `name`")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}

// introduceArgs are the arguments of introduce.
type introduceArgs struct {
	Name       string        `json:"name"`
	To         string        `json:"to"`
	As         string        `json:"as"` // empty: the nickname of the contact
	Note       string        `json:"note"`
	Both       bool          `json:"both"`
	Expires    time.Duration `json:"expires"`
	File       bool          `json:"file"` // return it instead of sending it
	Passphrase string        `json:"passphrase,omitempty"`
}

// introduced is the result of introduce and of retract.
type introduced struct {
	ID        string    `json:"id"`
	To        string    `json:"to"`
	ToName    string    `json:"to_name"`
	Pointer   string    `json:"pointer"`
	Suggested string    `json:"suggested"`
	Expires   time.Time `json:"expires"`
	Sent      string    `json:"sent"`           // "stored" in the network, "queued" in this home, or "file"
	File      string    `json:"file"`           // where it was written
	Both      bool      `json:"both,omitempty"` // both are asked first
	Armored   []byte    `json:"armored,omitempty"`

	// recipients that find it after the owner publishes
	Unpublished []string `json:"unpublished,omitempty"`

	Recipients []sentOffer `json:"recipients,omitempty"` // with Both: each of the two
}

// sentOffer is the delivery of a mutual introduction to one of the two contacts.
type sentOffer struct {
	To     string `json:"to"`
	ToName string `json:"to_name"`
	Sent   string `json:"sent"`             // "stored" in the network, or "queued" in this home
	Reason string `json:"reason,omitempty"` // "no_card": the contact has published nothing yet
}

// offerText describes the delivery of a mutual introduction to one contact for people.
func offerText(s name.Style, o sentOffer) string {
	to := recipientText(s, o.ToName, o.To)
	switch {
	case o.Sent == string(agent.Stored):
		return "stored in the network for " + to + ", which is asked"
	case o.Reason != "":
		return "waits for " + to + ", which has published nothing yet"
	}
	return "NOT SENT YET, for " + to
}

func asIntroduced(i agent.Introduced) *introduced {
	out := &introduced{ID: i.ID, To: i.To.Pointer.String(), ToName: i.To.Name.String(), Pointer: i.About.String(), Suggested: name.Clean(i.Suggested),
		Expires: i.Expires, Sent: string(i.Sent), Both: i.Both}
	for _, o := range i.Offers {
		r := sentOffer{To: o.To.Pointer.String(), ToName: o.To.Name.String(), Sent: string(o.Sent)}
		if o.NoCard {
			r.Reason = "no_card"
		}
		out.Recipients = append(out.Recipients, r)
	}
	return out
}

func (v *verbs) introduce(ctx context.Context, a introduceArgs) (*introduced, error) {
	if a.Both && a.File {
		return nil, usage("--both needs an answer from each of the two: it can't be written to a file")
	}
	if len(a.Note) > introduce.MaxNote {
		return nil, usage("--note of %d bytes: at most %d", len(a.Note), introduce.MaxNote)
	}
	i, err := v.agentWith(a.Passphrase).Introduce(ctx, agent.Introduction{About: a.Name, To: a.To, As: a.As, Note: a.Note, Lifetime: a.Expires, Both: a.Both, SignOnly: a.File})
	var nameless *agent.NoNicknameError
	if errors.As(err, &nameless) {
		return nil, classify(err).With("petname introduce " + shellWord(a.Name) + " --to " + shellWord(a.To) + " --as NAME")
	}
	if i.ID == "" || a.Both && i.Sent == "" { // a signed introduction is printed even if it was not sent
		return nil, err
	}
	out := asIntroduced(i)
	if a.File {
		out.Sent, out.Armored = "file", introduce.Armor(i.Signed.Bytes())
	} else {
		recipients := []petname.Contact{i.To}
		for _, o := range i.Offers {
			if o.To.ID != i.To.ID {
				recipients = append(recipients, o.To)
			}
		}
		out.Unpublished = v.unpublishedFor(recipients...)
	}
	if err = delivery(i.Sent, err); i.Sent == agent.Queued && slices.ContainsFunc(i.Offers, func(o agent.Offer) bool { return o.Sent == agent.Stored }) {
		c := *classify(err)
		c.Message = "saved, and sent to one of the two; the other offer waits: do not introduce them again"
		return out, &c
	}
	return out, err
}

// retractArgs are the arguments of retract.
type retractArgs struct {
	Name       string `json:"name"`
	To         string `json:"to"`
	Passphrase string `json:"passphrase,omitempty"`
}

func (v *verbs) retract(ctx context.Context, a retractArgs) (*introduced, error) {
	i, err := v.agentWith(a.Passphrase).Retract(ctx, a.Name, a.To)
	if errors.Is(err, agent.ErrNotIntroduced) {
		return nil, &failure{Code: "not_found", Exit: exitNotFound, Message: fmt.Sprintf("you did not introduce %q to %q, or it has expired", a.Name, a.To)}
	}
	if i.Sent == "" {
		return nil, err
	}
	return asIntroduced(i), delivery(i.Sent, err)
}

// delivery returns err, or, for a message that is queued in the home, a failure with
// the code queued.
func delivery(sent agent.Delivery, err error) error {
	if sent != agent.Queued {
		return err
	}
	c := *classify(err)
	c.Code, c.Exit = "queued", exitNetwork
	c.Message = "saved, and not sent yet: " + c.Message
	c.Next = "a running node sends it later, and so does\npetname inbox"
	return &c
}
