package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) doctorVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check the home and the network",
		Long: `Check everything in the home: files and who can read them, keys, every entry of
the book, every record; and whether the network that was joined answers.`,
		Example: `  petname doctor
  petname doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var out engine.Checks
			err := a.ask("doctor", engine.NoArgs{}, &out)
			if c := engine.Classify(err); err != nil && out.Checks == nil && c.Exit == engine.ExitFailure {
				// The home doesn't open: say what of it is well, and what not.
				dir, derr := a.dir()
				if derr != nil {
					return derr
				}
				if alone, aerr := engine.DoctorAlone(dir, c); alone != nil {
					out, err = *alone, aerr
				}
			}
			return a.show(out, err, out.Checks != nil, func(w *bufio.Writer) {
				for _, c := range out.Checks {
					mark := "ok "
					if !c.OK {
						mark = "BAD"
					}
					fmt.Fprintf(w, "%s  %-9s %s\n", mark, c.Name, name.Clean(c.Detail))
				}
			})
		},
	}
}
