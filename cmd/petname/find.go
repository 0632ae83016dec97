package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) findVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "find TEXT",
		Short: "Find names and nicknames that contain a text",
		Long: `Find the contacts whose name, or whose nickname, contains a text. Case doesn't
matter.`,
		Example: `  petname find ali
  petname find "bob w"`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.printContacts("find", findArgs{Text: args[0]}, "nobody like that")
		},
	}
}

// findArgs are the arguments of find and of completion.
type findArgs struct {
	Text string `json:"text"`
}

func (v *verbs) find(_ context.Context, a findArgs) (*contactList, error) {
	return v.collectContacts(v.agent.Search(a.Text))
}
