package main

import (
	"bufio"
	"cmp"
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
another copy of the home is in use. With --passphrase-file also the keys that
are locked.`,
		Example: `  petname doctor
  petname doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var out checks
			var request doctorArgs
			var err error
			if a.passphraseFile != "" { // no prompt: most can be checked without it
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
			}
			err = a.call("doctor", request, &out)
			if c := classify(err); err != nil && out.Checks == nil && (c.Exit == exitFailure || c.Code == "no_home") {
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

// doctorArgs are the arguments of doctor.
type doctorArgs struct {
	Passphrase string `json:"passphrase,omitempty"`
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

func (v *verbs) doctor(ctx context.Context, a doctorArgs) (*checks, error) {
	out := asChecks(v.agentWith(a.Passphrase).Check(ctx))
	for _, c := range out.Checks {
		if !c.OK {
			return out, &failure{Code: "unhealthy", Exit: exitFailure, Message: c.Name + ": " + c.Detail}
		}
	}
	return out, nil
}

// doctorClosedHome checks a home that cannot be opened; closed is the error of
// opening it. The result is nil when there is no home.
func doctorClosedHome(dir string, closed *failure) (*checks, error) {
	next, part := "", "book"
	if closed.Code == "no_home" {
		part = "identity"
	}
	if closed.Next != "petname doctor" {
		next = closed.Next // it names the file, or what is wrong is not in the home
	}
	all, err := agent.CheckClosed(dir, closed)
	if err != nil {
		return nil, err
	}
	if full, err := filepath.Abs(dir); err == nil {
		dir = full
	}
	return asChecks(all), &failure{Code: "unhealthy", Exit: exitFailure, Message: part + ": " + closed.Error(), Next: cmp.Or(next, "put back a copy of "+shellPath(dir))}
}
