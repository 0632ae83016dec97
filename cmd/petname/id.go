package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) idVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Show your pointer, your link and its twelve words",
		Long: `Show who you are. Hand people the link: it has a checksum, and the commitment
that lets them follow you to your next key. The words are for comparing aloud.`,
		Example: `  petname id
  petname id --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var id engine.Identity
			err := a.ask("id", engine.NoArgs{}, &id)
			return a.show(id, err, err == nil, func(w *bufio.Writer) {
				fmt.Fprintf(w, "%s\n\n", id.Link)
				field(w, "pointer", id.Pointer)
				if id.Nickname != "" {
					field(w, "nickname", a.style().Text(id.Nickname))
				}
				words(w, id.Words)
				field(w, "recovery", id.Recovery)
				if id.Sequence > 0 {
					field(w, "published", fmt.Sprintf("sequence %d", id.Sequence))
				} else {
					field(w, "published", "nothing yet")
				}
				if id.Locked {
					field(w, "key", "locked by a passphrase")
				}
			})
		},
	}
}
