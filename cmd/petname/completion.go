package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) completionVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a shell script that completes verbs and names",
		Long: `Print a script for your shell. Names are completed from your book, each with its
provenance. In bash, the package bash-completion has to be loaded before.`,
		Example: `  source <(petname completion bash)
  petname completion zsh > "${fpath[1]}/_petname"
  petname completion fish > ~/.config/fish/completions/petname.fish`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && !slices.Contains(cmd.ValidArgs, args[0]) {
				next := "the shells are"
				for _, shell := range cmd.ValidArgs {
					next += "\npetname completion " + shell
				}
				return usage("there is no completion for the shell %q", args[0]).With(next)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			script, err := completionScript(cmd.Root(), args[0])
			if err == nil {
				_, err = io.WriteString(a.stdout, script)
			}
			if err != nil {
				return classify(err)
			}
			return nil
		},
	}
}

// completeNames offers petnames for the first argument.
func (a *app) completeNames(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeMoreNames(cmd, args, typed)
}

// completeMoreNames offers petnames, each with a few words of provenance, that
// are not among the arguments yet.
func (a *app) completeMoreNames(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	if strings.Contains(typed, "/") {
		return nil, directive
	}
	var out contactList
	if err := a.call("suggest", findArgs{Text: typed}, &out); err != nil {
		return nil, directive
	}
	var names []string
	for _, c := range out.Contacts {
		if c.Name == "" || slices.Contains(args, c.Name) || strings.HasPrefix(c.Name, "_activeHelp_") { // a mark of cobra's scripts
			continue
		}
		if os.Getenv(completionShell) == "powershell" && !plainWord(c.Name) {
			continue
		}
		names = append(names, c.Name+"\t"+nickname(name.Plain, c.Nickname, c.Pointer)+" "+provenance(name.Plain, c))
	}
	return names, directive
}

// completeSuggestions offers the numbers of the suggestions in the inbox. Without
// suggestions, the shell completes file names.
func (a *app) completeSuggestions(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out inbox
	if err := a.call("inbox", inboxArgs{Offline: true}, &out); err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var numbers []string
	for _, s := range out.Suggestions {
		if digits := s.Digits; strings.HasPrefix(digits, typed) {
			numbers = append(numbers, digits+"\t"+headline(name.Plain, s)+" "+suggestedName(name.Plain, s))
		}
	}
	return numbers, cobra.ShellCompDirectiveDefault
}

// completeFlag sets the completion function of the value of a flag.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the flag does not exist: a bug in this program
	}
}

// maxSuggestions is the maximum number of completions.
const maxSuggestions = 100

// suggest returns the contacts that have a name with the given prefix.
func (v *verbs) suggest(_ context.Context, a findArgs) (*contactList, error) {
	return v.collectContacts(func(yield func(petname.Contact, error) bool) {
		n := 0
		for c, err := range v.agent.Prefix(a.Text) {
			if n++; n > maxSuggestions || !yield(c, err) {
				return
			}
		}
	})
}

// completeConflicts offers the names that are in conflict, and then the pointers that the
// name is in conflict about.
func (a *app) completeConflicts(_ *cobra.Command, args []string, typed string) (out []string, _ cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	var list contactList
	if len(args) > 1 || a.call("list", noArgs{}, &list) != nil {
		return nil, directive
	}
	for _, c := range list.Contacts {
		if c.Conflict == nil {
			continue
		}
		for _, n := range c.Conflict.Names {
			switch {
			case len(args) == 1 && n == args[0]:
				out = append(out, c.Pointer)
			case len(args) == 0 && strings.HasPrefix(n, typed) && name.Scrub(n, false) == n:
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), directive
}
