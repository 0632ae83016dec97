package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) declineVerb() *cobra.Command {
	var request declineArgs
	cmd := &cobra.Command{
		Use:   "decline N|FILE",
		Short: "Turn a suggestion down",
		Long: `Remove a suggestion from the inbox; N and FILE are as for accept. With --never,
all later suggestions of the pointer are refused, unless you add it yourself or
pair with its owner. The sender is not notified, except of the answer to an
offer to be introduced to each other.`,
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
	cmd.Flags().BoolVar(&request.Never, "never", false, "also refuse all later suggestions of that pointer")
	return cmd
}

// decline declines a suggestion, and prints it.
func (a *app) decline(request declineArgs) error {
	var s suggestion
	err := a.call("decline", request, &s)
	return a.printResult(s, err, err == nil, func(w *bufio.Writer) {
		subject := suggestedName(a.style(), s)
		if s.Suggested == "" {
			subject = nickname(a.style(), s.Nickname, s.Pointer)
		}
		fmt.Fprintf(w, "declined: %s %s\n", headline(a.style(), s), subject)
	})
}

// declineArgs are the arguments of decline.
type declineArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"`
	Never      bool   `json:"never"` // refuse further suggestions of the pointer
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
