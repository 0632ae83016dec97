package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/name"
)

// maxStdin bounds what add reads of a link, in bytes.
const maxStdin = 64 << 10

func (a *app) addVerb() *cobra.Command {
	var request engine.AddArgs
	cmd := &cobra.Command{
		Use:   "add NAME POINTER|LINK|-",
		Short: "Give somebody a name",
		Long: `Give the owner of a pointer a name of your own. A link (petname id prints one)
is better than a bare pointer: mistyping shows, and the next key is pinned.
With - the link is read from standard input. Adding the same again is fine. A
name that you could take for another one is asked about, or refused with exit
status 5 where nobody can be asked.`,
		Example: `  petname add bob 'petname:k51…?c=…&s=…'
  petname add "Aunt Mary" k51qzi5uqu5d…
  petname add bob - < bobs-link.txt`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			request.Name, request.Target, request.Channel = args[0], args[1], "argument"
			if args[1] == "-" {
				b, err := io.ReadAll(io.LimitReader(a.stdin, maxStdin+1))
				if err != nil {
					return engine.Classify(err)
				}
				if len(b) > maxStdin {
					return engine.Usage("standard input: over %d bytes, and no link is", maxStdin)
				}
				request.Target, request.Channel = strings.TrimSpace(string(b)), "stdin"
			}
			var c engine.Contact
			err := a.ask("add", request, &c)
			if a.wanted(err) {
				request.Lookalike = true
				err = a.ask("add", request, &c)
			}
			err = a.show(c, err, err == nil, func(w *bufio.Writer) { fmt.Fprintln(w, line(a.style(), c)) })
			if err == nil && c.Next == "" && len(c.Provenance) > 0 && c.Provenance[0].Kind == "typed" {
				a.hint("a bare pointer has no checksum: compare its words with\n  petname show %s", engine.ShellWord(args[0]))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&request.Lookalike, "allow-lookalike", false, "give the name though it looks like another; the log will say so")
	return cmd
}

// wanted asks whether a name that looks like another is meant. Nothing but a yes
// is one: not silence, not the end of input, not Enter.
func (a *app) wanted(err error) bool {
	var e *engine.Error
	if !errors.As(err, &e) || e.Code != "lookalike" || a.json || a.noInput || !isTerminal(a.stdin) || !isTerminal(a.stderr) {
		return false
	}
	_ = rows(a.stderr, name.Clean(e.Message)+".\nGive it all the same? Type yes: ", columns(a.stderr))
	return yes(a.stdin)
}

// yes reads a line that says yes, and ends: what was read by the end of input is
// no yes.
func yes(r io.Reader) bool {
	answer, err := bufio.NewReader(io.LimitReader(r, 100)).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == "yes"
}
