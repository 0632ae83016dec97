package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/introduce"
)

func (a *app) disputeVerb() *cobra.Command {
	var request disputeArgs
	var file string
	cmd := &cobra.Command{
		Use:   "dispute NAME",
		Short: "Ask a contact about a false key that was introduced as theirs",
		Long: `Ask a contact about a key that it replaced in your book (petname accept
--instead). The contact receives the signed introduction of that key, and can
deny the key with petname deny. The introduction and the denial together prove
what the introducer signed: petname why NAME -o FILE.

The question is sealed and sent like an introduction, or with -o written to a
file.`,
		Example: `  petname dispute bob
  petname dispute bob -o for-bob.txt`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if err := checkNewFile(file); err != nil {
				return err
			}
			request.Name, request.File = args[0], file != ""
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out disputed
			err = a.call("dispute", request, &out)
			return a.printDisputed(out, err, file)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write it to a `file` instead of sending it; - for standard output")
	return cmd
}

// printDisputed prints the result of dispute or deny, and writes the statement to the
// file, if there is one.
func (a *app) printDisputed(out disputed, err error, file string) error {
	if err == nil && file != "" {
		done, werr := a.writeStatement(file, &out.Armored, &out.File)
		if done {
			return werr
		}
		err = werr
	}
	return a.printResult(out, err, out.Sent != "", func(w *bufio.Writer) {
		st := a.style()
		fmt.Fprintf(w, "%s %s\n", sentText(out.Sent), recipientText(st, out.ToName, out.To))
		for _, p := range out.Pointers {
			printField(w, "about", p)
		}
	})
}

// disputeArgs are the arguments of dispute.
type disputeArgs struct {
	Name       string `json:"name"`
	File       bool   `json:"file"`
	Passphrase string `json:"passphrase,omitempty"`
}

// disputed is the result of dispute and of deny.
type disputed struct {
	To       string   `json:"to"`
	ToName   string   `json:"to_name"`
	Pointers []string `json:"pointers"` // the keys that are asked about, or denied
	Sent     string   `json:"sent"`     // as in introduce
	File     string   `json:"file"`
	Armored  []byte   `json:"armored,omitempty"`
}

func asDisputed(s agent.Statements, file bool) *disputed {
	out := &disputed{To: s.To.Pointer.String(), ToName: s.To.Name.String(), Pointers: append([]string{}, pointerTexts(s.Pointers)...), Sent: string(s.Sent)}
	if file {
		out.Sent = "file"
		for _, signed := range s.Signed {
			out.Armored = append(out.Armored, introduce.Armor(signed.Bytes())...)
		}
	}
	return out
}

func (v *verbs) dispute(ctx context.Context, a disputeArgs) (*disputed, error) {
	s, err := v.agentWith(a.Passphrase).Dispute(ctx, a.Name, a.File)
	if errors.Is(err, agent.ErrNothingToDispute) {
		return nil, nothingToDispute(s.To.Pointer)
	}
	if errors.Is(err, agent.ErrFormerIntroduction) {
		return nil, &failure{Code: "former_key", Exit: exitConflict, Message: err.Error(), Next: "ask the contact in another way. To replace a false key by the true one, see --instead in\npetname accept --help"}
	}
	if len(s.Signed) == 0 {
		return nil, err
	}
	return asDisputed(s, a.File), delivery(s.Sent, err)
}
