package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) resolveVerb() *cobra.Command {
	var request engine.ResolveArgs
	cmd := &cobra.Command{
		Use:   "resolve NAME[/LABEL…]|POINTER",
		Short: "Find out what a name points to",
		Long: `Walk a path of names and print what the last one points to, verified against its
pointer. alice/bob is the one whom your alice calls bob.

An answer from the last few minutes (the record's TTL) is taken from this home.
--fresh asks the network until 5 peers agree, or all that were found have been
asked; --fresh=agreed is content with 3, --fresh=strict asks every one of the
closest peers; what falls short of these two ends with status 7. --offline asks
nobody.`,
		Example: `  petname resolve alice
  petname resolve alice/bob --fresh
  petname resolve alice --fresh=strict
  petname resolve k51qzi5uqu5d… --json
  petname resolve alice --offline`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			request.Path = args[0]
			var out engine.Resolved
			err := a.ask("resolve", request, &out)
			return a.show(out, err, len(out.Hops) > 0, func(w *bufio.Writer) { resolution(w, a.style(), out) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.Fresh, "fresh", "", "ask the network, whatever the home holds, up to a `level`: agreed, fresh, strict")
	f.Lookup("fresh").NoOptDefVal = string(dht.LevelFresh)
	completeFlag(cmd, "fresh", cobra.FixedCompletions([]string{"agreed", "fresh", "strict"}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&request.Offline, "offline", false, "ask nobody")
	f.DurationVar(&request.Timeout, "timeout", 30*time.Second, "give up after")
	return cmd
}

func resolution(w *bufio.Writer, s name.Style, out engine.Resolved) {
	if !out.Verified {
		fmt.Fprintln(w, "NOT VERIFIED; it got as far as")
	}
	fmt.Fprintf(w, "%s\n", contentPath(out.Value))
	if len(out.Hops) > 1 {
		var labels []string
		for _, h := range out.Hops[1:] {
			labels = append(labels, h.Name)
		}
		field(w, "path", edgeName(s, out.Hops[0].Name, out.Hops[0].Pointer, labels...))
	}
	field(w, "pointer", out.Pointer)
	for _, p := range out.Former {
		field(w, "succeeds", p+", by the key that it had committed to")
	}
	if out.Unproven != "" {
		field(w, "UNPROVEN", "it names a successor, and you hold no commitment that proves it: "+out.Unproven)
		field(w, "", "compare its words with its owner before you name it")
	}
	if out.Nickname != "" {
		field(w, "calls itself", nickname(s, out.Nickname, out.Pointer))
	}
	if out.Expires != nil {
		field(w, "record", fmt.Sprintf("sequence %d, until %s", out.Sequence, out.Expires.Local().Format(time.DateTime)))
	}
	field(w, "source", source(out))
	for _, r := range out.Rejected {
		field(w, "rejected", s.Text(r))
	}
}

// source says where an answer came from and how far that can be relied on.
func source(out engine.Resolved) string {
	s := out.Source
	switch out.Source {
	case "network", "router":
		s += fmt.Sprintf(", %s: %s answered, %d agree", out.Freshness, peers(out.Answered), out.Agreed)
	case "cache":
		s = "cache: asked nobody"
	case "home":
		s = "home, " + out.Freshness + ": asked nobody"
	}
	if out.Stale {
		s += "; past its time to look again"
	}
	return s
}
