package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) whoisVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "whois POINTER|LINK|WORDS",
		Short: "Say who a pointer, a link or twelve words are in your book",
		Long: `Say what you call the owner of a pointer. A link is checked against the next key
that you pinned. Twelve words, read out by somebody, are compared with those of
everybody in the book.`,
		Example: `  petname whois k51qzi5uqu5d…
  petname whois 'petname:k51…?c=…&s=…'
  petname whois canyon tube loop rocket stone jar visit exile rib chief melt van`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.about("whois", engine.WhoisArgs{Target: strings.Join(args, " ")})
		},
	}
}
