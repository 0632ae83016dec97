package main

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) doctorVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check the home and the network",
		Long: `Check everything in the home: the files and their permissions, the keys, every
entry of the book, every record; whether the joined network answers, and whether
another copy of the home is in use.`,
		Example: `  petname doctor
  petname doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var out checks
			err := a.call("doctor", noArgs{}, &out)
			if c := classify(err); err != nil && out.Checks == nil && c.Exit == exitFailure {
				// The home cannot be opened: check its parts.
				dir, derr := a.dir()
				if derr != nil {
					return derr
				}
				if alone, aerr := doctorClosedHome(dir, c); alone != nil {
					out, err = *alone, aerr
				}
			}
			return a.printResult(out, err, out.Checks != nil, func(w *bufio.Writer) {
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

// checks is the result of doctor.
type checks struct {
	Checks []check `json:"checks"`
}

// check is the result of one check of doctor.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func asChecks(all []agent.Check) *checks {
	out := &checks{}
	for _, c := range all {
		out.Checks = append(out.Checks, check(c))
	}
	return out
}

func (v *verbs) doctor(ctx context.Context, _ noArgs) (*checks, error) {
	out := asChecks(v.agent.Check(ctx))
	for _, c := range out.Checks {
		if !c.OK {
			return out, &failure{Code: "unhealthy", Exit: exitFailure, Message: c.Name + ": " + c.Detail}
		}
	}
	return out, nil
}

// doctorClosedHome checks a home that cannot be opened; closed is the error of
// opening it. The result is nil when there is no home.
func doctorClosedHome(dir string, closed error) (*checks, error) {
	all, err := agent.CheckClosed(dir, closed)
	if err != nil {
		return nil, err
	}
	if full, err := filepath.Abs(dir); err == nil {
		dir = full
	}
	return asChecks(all), &failure{Code: "unhealthy", Exit: exitFailure, Message: "book: " + closed.Error(), Next: "put back a copy of " + shellWord(dir)}
}
