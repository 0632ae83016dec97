package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/spf13/cobra"
)

func (a *app) renameVerb() *cobra.Command {
	var request renameArgs
	cmd := &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Rename a contact",
		Long: `Change the name of a contact. Its pointer, history and provenance stay. OLD can
be a pointer, which resolves a conflict between two of your devices.`,
		Example: `  petname rename bob "Bob from work"
  petname rename k51qzi5uqu5d… bob`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			var c contact
			request.Old, request.New = args[0], args[1]
			err := a.call("rename", request, &c)
			if a.confirmLookalike(err) {
				request.Lookalike = true
				err = a.call("rename", request, &c)
			}
			return a.printResult(c, err, err == nil, func(w *bufio.Writer) { fmt.Fprintln(w, contactLine(a.style(), c)) })
		},
	}
	cmd.Flags().BoolVar(&request.Lookalike, "allow-lookalike", false, "use the name although it looks like another; the log records that")
	return cmd
}

// renameArgs are the arguments of rename.
type renameArgs struct {
	Old       string `json:"old"`
	New       string `json:"new"`
	Lookalike bool   `json:"lookalike"`
}

func (v *verbs) rename(_ context.Context, a renameArgs) (*contact, error) {
	if _, err := name.Parse(a.New); err != nil {
		return nil, err
	}
	old, err := v.agent.Lookup(a.Old)
	if err != nil {
		return v.conflictingContact(err, pointer.Pointer{}), err
	}
	c, err := v.agent.Rename(old.ID.String(), a.New, petname.Source{Lookalike: a.Lookalike})
	if err != nil {
		return v.conflictingContact(err, old.ID), err
	}
	return v.withLookalikes(c)
}
