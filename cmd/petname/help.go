package main

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpColumns is the maximum width of help, and its width without a terminal.
const helpColumns = 80

func (a *app) helpVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Show the help of a verb",
		Long: `Show what a verb does, its arguments and flags, with examples, as
petname VERB --help does. Without VERB, list all verbs in the order of use.`,
		Example: `  petname help
  petname help record export`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return wrongArguments(of, rest)
			}
			return of.Help()
		},
	}
}

// setHelp sets the help and the usage of all verbs, wrapped to the terminal. A template
// of cobra could do so as well, but would link text/template, which the command does
// without.
func (a *app) setHelp(root *cobra.Command) {
	usage := root.UsageFunc()
	columns := func() int {
		if wide := terminalWidth(a.stdout); wide > 0 && wide < helpColumns {
			return wide
		}
		return helpColumns
	}
	root.SetUsageFunc(func(c *cobra.Command) error {
		var text strings.Builder
		out := c.OutOrStderr()
		c.SetOut(&text)
		err := usage(c)
		c.SetOut(out)
		if err != nil {
			return err
		}
		narrow := text.String()
		if columns() == helpColumns { // otherwise reflow wraps them
			for _, flags := range []*pflag.FlagSet{c.LocalFlags(), c.InheritedFlags()} {
				narrow = strings.Replace(narrow, strings.TrimSpace(flags.FlagUsages()), strings.TrimSpace(flags.FlagUsagesWrapped(helpColumns)), 1)
			}
		}
		_, err = io.WriteString(out, narrow)
		return err
	})
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		text := c.Long
		if text == "" {
			text = c.Short
		}
		text += "\n\n" + c.UsageString()
		if wide := columns(); wide < helpColumns {
			text = reflow(text, wide)
		}
		_, a.helpErr = io.WriteString(c.OutOrStdout(), text)
	})
}

// reflow wraps help to a number of columns. Paragraphs and lists are filled again: a
// list has two columns, and the second one stays in its place. Usage and examples, which
// are copied, stay as they are.
func reflow(text string, wide int) string {
	var out strings.Builder
	var item []string // the words of a paragraph, or of an item of a list
	indent, hang := 0, 0
	flush := func() {
		if item != nil {
			fill(&out, item, indent, hang, wide)
		}
		item = nil
	}
	section := "" // the title of a list, from "Usage:" on; "": in the text before
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		content := strings.TrimLeft(line, " ")
		at := len(line) - len(content)
		if at == 0 && strings.HasSuffix(line, ":") && (section != "" || line == "Usage:") {
			section = line
		}
		if line == "" || line == section || section == "Usage:" || section == "Examples:" {
			flush()
			out.WriteString(line + "\n")
			continue
		}
		// Another item begins, unless the line continues a paragraph (neither is indented) or is
		// indented further than the term of the item. In a section each line is an item.
		if item == nil || at <= indent && at+indent > 0 || section != "" {
			flush()
			indent, hang = at, at
			if term, rest, is := strings.Cut(content, "  "); is && at > 0 { // two spaces end the term
				content = strings.TrimLeft(rest, " ")
				hang = utf8.RuneCountInString(line) - utf8.RuneCountInString(content)
				item = []string{term + strings.Repeat(" ", max(0, hang-at-utf8.RuneCountInString(term)-1))}
			}
		}
		item = append(item, strings.Fields(content)...)
	}
	flush()
	return out.String()
}

// fill writes words in rows of at most wide columns. The rows after the first are
// indented by hang columns. If that leaves little room, the first word, the term of an
// item, has a row of its own.
func fill(out *strings.Builder, words []string, indent, hang, wide int) {
	row := strings.Repeat(" ", indent) + words[0]
	below := hang > wide/2
	if below {
		hang = indent + 4
	}
	for i, word := range words[1:] {
		if below && i == 0 || utf8.RuneCountInString(row+" "+word) > wide {
			out.WriteString(strings.TrimRight(row, " ") + "\n")
			row = strings.Repeat(" ", hang) + word
			continue
		}
		row += " " + word
	}
	out.WriteString(strings.TrimRight(row, " ") + "\n")
}

// helpOnly prints the help of a command that only has verbs below it. With --json, where a
// result is expected, that is a failure.
func (a *app) helpOnly(cmd *cobra.Command, _ []string) error {
	if a.json {
		return usage("a verb of %s is missing", cmd.Name()).With(cmd.CommandPath() + " --help")
	}
	return cmd.Help()
}
