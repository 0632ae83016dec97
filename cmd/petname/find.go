package main

import (
	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
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
			return a.contacts("find", engine.FindArgs{Text: args[0]}, "nobody like that")
		},
	}
}
