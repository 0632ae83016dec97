package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) whyVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "why NAME",
		Short: "Show where what you know of somebody came from",
		Long: `Show each fact about a contact: how it came, from whom, when, and which entry of
your ledger has it. Facts, not verdicts.`,
		Example:           `  petname why bob`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			var c engine.Contact
			err := a.ask("why", engine.NameArgs{Name: args[0]}, &c)
			return a.show(c, err, err == nil, func(w *bufio.Writer) {
				s := a.style()
				fmt.Fprintln(w, line(s, c))
				for _, e := range c.Evidence {
					fmt.Fprintf(w, "  %s  %s, by %s (%s), entry %s\n", e.At.Local().Format(time.DateTime), s.Text(e.Kind), s.Text(e.By), s.Text(e.Channel), e.Entry)
					if e.Nickname != "" {
						field(w, "  it said", nickname(s, e.Nickname, e.Pointer))
					}
					if e.Next != "" {
						field(w, "  next key", e.Next)
					}
				}
			})
		},
	}
}
