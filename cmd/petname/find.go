package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) findVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "find TEXT",
		Short: "Find contacts by a part of their name or nickname",
		Long: `List the contacts with a text in their name or nickname. Case and accents are
ignored: jose finds José.`,
		Example: `  petname find ali
  petname find "bob w"`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.printContacts("find", findArgs{Text: args[0]}, "no contact has this text in its name or nickname")
		},
	}
}

// findArgs are the arguments of find and of completion.
type findArgs struct {
	Text string `json:"text"`
}

func (v *verbs) find(_ context.Context, a findArgs) (*contactList, error) {
	return v.collectSorted(v.agent.Search(a.Text))
}
