package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
)

func (a *app) denyVerb() *cobra.Command {
	var request denyArgs
	var file string
	cmd := &cobra.Command{
		Use:   "deny N|FILE",
		Short: "Sign that a key that was introduced as yours is not yours",
		Long: `Answer a question in your inbox, which petname dispute sends: sign that the key
that was introduced as yours is not yours. N and FILE are as for accept. The
recipient can show your answer, with the introduction, to others.

Your own keys, former ones included, cannot be denied.`,
		Example:           `  petname deny 482133`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSuggestions,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if err := checkNewFile(file); err != nil {
				return err
			}
			if err := a.suggestionOrFile(args[0], &request.ID, &request.Text); err != nil {
				return err
			}
			request.File = file != ""
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out disputed
			err = a.call("deny", request, &out)
			if e := (*failure)(nil); errors.As(err, &e) && e.Code == "own_pointer" {
				return e.With("petname decline " + shellWord(args[0]))
			}
			return a.printDisputed(out, err, file)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write it to a `file` instead of sending it; - for standard output")
	return cmd
}

// denyArgs are the arguments of deny.
type denyArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"`
	File       bool   `json:"file"`
	Passphrase string `json:"passphrase,omitempty"`
}

func (v *verbs) deny(ctx context.Context, a denyArgs) (*disputed, error) {
	asked, err := v.findSuggestion(a.ID, a.Text)
	if err != nil {
		return nil, err
	}
	if asked.Kind != petname.Question {
		return nil, usage("%s is not a question", asked.ID).With("petname inbox")
	}
	s, err := v.agentWith(a.Passphrase).Deny(ctx, asked.ID, a.File)
	if len(s.Signed) == 0 {
		return nil, err
	}
	return asDisputed(s, a.File), delivery(s.Sent, err)
}
