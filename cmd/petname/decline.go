package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) declineVerb() *cobra.Command {
	var request declineArgs
	var all bool
	cmd := &cobra.Command{
		Use:   "decline N|FILE|--all --from CONTACT",
		Short: "Turn a suggestion down",
		Long: `Remove a suggestion from the inbox; N and FILE are as for accept. With --never,
all later suggestions of the pointer are refused, unless you add it yourself or
pair with its owner. A decline is final: petname undo does not revert it, but
you can add the contact yourself. The sender is not notified, except of the
answer to an offer to be introduced to each other.

--all declines everything that waits from one contact, also from one that you
removed: by its name or its pointer.`,
		Example: `  petname decline 482133
  petname decline 482133 --never
  petname decline --all --from bob`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeSuggestions,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case all != (request.From != "") || all && len(args) > 0:
				return usage("--all and --from CONTACT stand together, without a number").With("petname decline --all --from CONTACT")
			case all:
				return a.declineAll(request)
			case len(args) == 0:
				return wrongArguments(cmd, args)
			}
			if err := a.suggestionOrFile(args[0], &request.ID, &request.Text); err != nil {
				return err
			}
			return a.decline(request)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&request.Never, "never", false, "also refuse all later suggestions of that pointer")
	f.BoolVar(&all, "all", false, "decline all that waits from one sender")
	f.StringVar(&request.From, "from", "", "the sender: a `contact`, by its name or pointer")
	completeFlag(cmd, "from", a.completeMoreNames)
	return cmd
}

// declineAll declines all suggestions of one sender, and prints them.
func (a *app) declineAll(request declineArgs) error {
	var out inbox
	err := a.call("decline_all", request, &out)
	return a.printResult(out, err, err == nil || len(out.Suggestions) > 0, func(w *bufio.Writer) {
		for _, s := range out.Suggestions {
			fmt.Fprintf(w, "declined: %s %s\n", headline(a.style(), s), a.subject(s))
		}
		if len(out.Suggestions) == 0 {
			fmt.Fprintln(w, "nothing of this sender waits")
			return
		}
		fmt.Fprintln(w, declineIsFinal)
	})
}

// subject formats what a suggestion is about.
func (a *app) subject(s suggestion) string {
	if s.Suggested == "" {
		return nickname(a.style(), s.Nickname, s.Pointer)
	}
	return suggestedName(a.style(), s)
}

// decline declines a suggestion, and prints it.
func (a *app) decline(request declineArgs) error {
	var s suggestion
	err := a.call("decline", request, &s)
	return a.printResult(s, err, err == nil, func(w *bufio.Writer) {
		fmt.Fprintf(w, "declined: %s %s\n", headline(a.style(), s), a.subject(s))
		fmt.Fprintln(w, declineIsFinal)
		if s.Pointer != "" {
			a.hint("to add the contact all the same:\n  petname add NAME %s", s.Pointer)
		}
	})
}

// declineIsFinal states that a decline is recorded for good: the verdicts on a suggestion are
// a set that only grows, on every device.
const declineIsFinal = "this is final: petname undo does not revert it"

// declineArgs are the arguments of decline.
type declineArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"`
	Never      bool   `json:"never"`          // refuse further suggestions of the pointer
	From       string `json:"from,omitempty"` // of decline_all: the sender, a name or a pointer
	Passphrase string `json:"passphrase,omitempty"`
}

func (v *verbs) decline(ctx context.Context, a declineArgs) (*suggestion, error) {
	s, err := v.findSuggestion(a.ID, a.Text)
	if err != nil {
		return nil, err
	}
	if s, err = v.agentWith(a.Passphrase).Decline(ctx, s.ID, a.Never); err != nil {
		return nil, err
	}
	return v.asSuggestion(s)
}

// declineAll declines all pending suggestions of a sender.
func (v *verbs) declineAll(ctx context.Context, a declineArgs) (*inbox, error) {
	from, err := v.agent.PointerOf(a.From)
	if err != nil {
		return nil, err
	}
	waiting, err := v.waitingFrom(from)
	if err != nil {
		return nil, err
	}
	out := &inbox{Suggestions: []suggestion{}}
	for _, s := range waiting {
		s, err := v.agentWith(a.Passphrase).Decline(ctx, s.ID, a.Never && !s.Pointer.IsZero())
		if err != nil {
			return out, err
		}
		one, err := v.asSuggestion(s)
		if err != nil {
			return out, err
		}
		out.Suggestions = append(out.Suggestions, *one)
	}
	return out, nil
}

// waitingFrom returns the pending suggestions whose sender has or had a pointer, or is the
// same contact, also one that was removed, under any of its keys.
func (v *verbs) waitingFrom(from pointer.Pointer) (waiting []petname.Suggestion, err error) {
	contact, err := v.agent.SenderID(from)
	if err != nil {
		return nil, err
	}
	for s, err := range v.agent.Inbox() {
		if err != nil {
			return nil, err
		}
		sender := s.By
		if sender.IsZero() {
			sender = s.Pointer
		}
		id, err := v.agent.SenderID(sender)
		if err != nil {
			return nil, err
		}
		if sender == from || id == contact {
			waiting = append(waiting, s)
		}
	}
	return waiting, nil
}
