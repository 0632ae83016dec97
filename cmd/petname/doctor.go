package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) doctorVerb() *cobra.Command {
	var request doctorArgs
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the home and the network",
		Long: `Check everything in the home: the files and their permissions, the keys, every
entry of the book, every record; whether the joined network answers, and whether
another copy of the home is in use. With --passphrase-file also the keys that
are locked.

--new-key sealing.key and --new-key peer.key make a key anew that is damaged or
missing, and of which there is no copy. The damaged file is renamed and stays.
Messages that were sealed to the former keys cannot be read any more; publish
afterwards, so that contacts receive the new ones. After a new peer.key the node
has another address. No other file can be made anew: put back a copy.`,
		Example: `  petname doctor
  petname doctor --new-key sealing.key
  petname doctor --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var out checks
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
				if out.NewKey != "" {
					printNewKey(w, out)
				}
				for _, c := range out.Checks {
					mark := "ok "
					if !c.OK {
						mark = "BAD"
					}
					detail := name.Clean(c.Detail)
					if p, rest, found := strings.Cut(detail, ", "); found && c.Name == "identity" && isTerminal(a.stdout) {
						detail = rest + "\n    " + p // which is copied
					}
					fmt.Fprintf(w, "%s  %-9s %s\n", mark, c.Name, detail)
				}
			})
		},
	}
	cmd.Flags().StringVar(&request.NewKey, "new-key", "", "make this damaged or missing `file` anew: sealing.key or peer.key")
	return cmd
}

// printNewKey prints that a key file was made anew, and what follows from it.
func printNewKey(w *bufio.Writer, out checks) {
	fmt.Fprintf(w, "made anew: %s\n", name.Clean(out.NewKey))
	if out.Aside != "" {
		printCopied(w, "the former file is now", out.Aside)
	}
	if out.NewKey == "sealing.key" {
		printCopied(w, "messages to its former keys cannot be read; contacts receive the new keys by", "petname publish")
	} else {
		fmt.Fprintln(w, "  the node has another address when it is started again")
	}
}

// doctorArgs are the arguments of doctor.
type doctorArgs struct {
	NewKey     string `json:"new_key,omitempty"` // the file to make anew; empty: check
	Passphrase string `json:"passphrase,omitempty"`
}

// checks is the result of doctor.
type checks struct {
	Checks []check `json:"checks"`
	NewKey string  `json:"new_key,omitempty"` // the file that was made anew: nothing was checked
	Aside  string  `json:"aside,omitempty"`   // the new path of the damaged file; empty: it was missing
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
	opened := v.agentWith(a.Passphrase)
	if a.NewKey != "" {
		aside, err := opened.NewKey(a.NewKey)
		if err != nil {
			return nil, err
		}
		return &checks{Checks: []check{}, NewKey: a.NewKey, Aside: aside}, nil
	}
	out := asChecks(opened.Check(ctx))
	if err := ctx.Err(); err != nil { // what was not checked is not bad
		return nil, err
	}
	for _, c := range out.Checks {
		if c.OK {
			continue
		}
		e := &failure{Code: "unhealthy", Exit: exitFailure, Message: c.Name + ": " + c.Detail}
		if lost := opened.LostKeys(); c.Name == "files" && len(lost) > 0 {
			e.Next = newKeyNext("put back a copy", lost[0])
		}
		if found, err := opened.Uncounted(); c.Name == "book" && err == nil && len(found) > 0 {
			e.Next = strings.Join(repairNext(found[0]), "\n")
		}
		return out, e
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
	return asChecks(all), &failure{Code: "unhealthy", Exit: exitFailure, Message: part + ": " + closed.Error(), Next: cmp.Or(next, "put back a copy of "+shellPath(filepath.Join(dir, "ledger.db"))+", and delete nothing else")}
}
