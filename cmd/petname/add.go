package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

// maxStdin bounds what add reads of a link, in bytes.
const maxStdin = 64 << 10

func (a *app) addVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME POINTER|LINK|-",
		Short: "Give somebody a name",
		Long: `Give the owner of a pointer a name of your own. A link (petname id prints one)
is better than a bare pointer: mistyping shows, and the next key is pinned.
With - the link is read from standard input. Adding the same again is fine.`,
		Example: `  petname add bob 'petname:k51…?c=…&s=…'
  petname add "Aunt Mary" k51qzi5uqu5d…
  petname add bob - < bobs-link.txt`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			request := engine.AddArgs{Name: args[0], Target: args[1], Channel: "argument"}
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
			err = a.show(c, err, err == nil, func(w *bufio.Writer) { fmt.Fprintln(w, line(c)) })
			if err == nil && c.Next == "" && len(c.Provenance) > 0 && c.Provenance[0].Kind == "typed" {
				a.hint("a bare pointer has no checksum: compare its words with\n  petname show %s", engine.ShellWord(args[0]))
			}
			return err
		},
	}
}
