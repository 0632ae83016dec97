package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
)

func (a *app) unshareVerb() *cobra.Command {
	var request unshareArgs
	cmd := &cobra.Command{
		Use:   "unshare LABEL",
		Short: "Withdraw a label that you shared",
		Long: `Withdraw a public label. Your next publication leaves it out; copies of earlier
records have it until they expire. With --to NAME, withdraw a label that you
shared with that contact only.`,
		Example: `  petname unshare bob
  petname publish
  petname unshare bob --to carol`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			request.Label = args[0]
			var out edgeList
			if request.To != "" {
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
				err = a.call("unshare", request, &out)
				return a.printResult(out, err, out.Sent != "", func(w *bufio.Writer) {
					fmt.Fprintln(w, sentText(out.Sent), "the recipient")
					printEdges(w, a.style(), out)
				})
			}
			err = a.call("unshare", request, &out)
			if err = a.printResult(out, err, err == nil, func(w *bufio.Writer) { printEdges(w, a.style(), out) }); err == nil {
				a.hint("now publish it:\n  petname publish")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&request.To, "to", "", "the contact that the label was shared with: a `name`")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}

// unshareArgs are the arguments of unshare.
type unshareArgs struct {
	Label string `json:"label"`
	To    string `json:"to"` // a contact; empty: the label is public

	Passphrase string `json:"passphrase,omitempty"`
}

func (v *verbs) unshare(ctx context.Context, a unshareArgs) (*edgeList, error) {
	if a.To != "" {
		sent, err := v.agentWith(a.Passphrase).UnshareWith(ctx, a.To, a.Label)
		return v.sharedWith(a.To, nil, sent, err)
	}
	if err := v.agent.Unshare(a.Label); err != nil {
		return nil, v.notPublic(a.Label, err)
	}
	return v.publicEdges()
}

// maxSteps is the maximum number of commands in a next step.
const maxSteps = 3

// notPublic adds the next step to the error of a label that is not public: how to
// withdraw it from the contacts that it is shared with.
func (v *verbs) notPublic(label string, err error) error {
	if !errors.Is(err, petname.ErrNotFound) {
		return err
	}
	f := classify(err)
	all, serr := v.agent.SharedWith(label)
	if serr != nil || len(all) == 0 {
		f.Message = fmt.Sprintf("no label %q is public, or shared with one contact", label)
		return f.With("to see the labels of a contact:\npetname show NAME")
	}
	f.Message = fmt.Sprintf("the label %q is not public: it is shared with %s alone", label, countText(len(all), "contact"))
	var steps []string
	for _, c := range all[:min(len(all), maxSteps)] {
		steps = append(steps, "petname unshare "+shellWord(label)+" --to "+shellWord(c.Name.String()))
	}
	return f.With(strings.Join(steps, "\n"))
}
