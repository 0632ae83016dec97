package main

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// Every verb has help with examples. Their verbs and flags exist, and their numbers of
// arguments are accepted.
func TestHelp(t *testing.T) {
	a := &app{ctx: context.Background(), stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}
	examples := 0
	for verb := range verbTree(a.root()) {
		require.NotEmpty(t, verb.Short, verb.CommandPath())
		require.NotEmpty(t, verb.Example, "%s has no example", verb.CommandPath())
		for line := range strings.Lines(verb.Long) {
			require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80, "%s: %s", verb.CommandPath(), line)
		}
		for _, line := range strings.Split(verb.Example, "\n") {
			words := shellWords(line)
			if at := index(words, "petname"); at >= 0 {
				words = words[at+1:]
			}
			require.NoError(t, parses(words), "%s: example %q", verb.CommandPath(), line)
			examples++
		}
		var help strings.Builder
		require.Zero(t, run(context.Background(), append(strings.Fields(verb.CommandPath())[1:], "--help"), strings.NewReader(""), &help, &help))
		require.Contains(t, help.String(), verb.Example)
		for _, line := range strings.Split(help.String(), "\n") {
			require.LessOrEqual(t, len([]rune(line)), 130, "%s --help", verb.CommandPath())
		}
		_, flags, found := strings.Cut(help.String(), "\nFlags:\n")
		require.True(t, found, verb.CommandPath())
		for _, line := range strings.Split(flags, "\n") {
			require.LessOrEqual(t, len([]rune(line)), helpColumns, "%s --help", verb.CommandPath())
		}
		verb.LocalFlags().VisitAll(func(f *pflag.Flag) { require.Contains(t, flags, "--"+f.Name) })
		verb.InheritedFlags().VisitAll(func(f *pflag.Flag) { require.Contains(t, flags, "--"+f.Name) })
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			require.NotEmpty(t, f.Usage, "%s --%s", verb.CommandPath(), f.Name)
		})
	}
	require.Greater(t, examples, 40)
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space") }

// Help that is not written is a failure, as any other result is.
func TestHelpThatIsNotWrittenFails(t *testing.T) {
	for _, line := range []string{"--help", "show --help", "help show", "help", ""} {
		var stderr strings.Builder
		require.Equal(t, exitFailure, run(context.Background(), strings.Fields(line), strings.NewReader(""), failingWriter{}, &stderr), line)
		require.Contains(t, stderr.String(), "no space")
	}
}

// On a narrow terminal help is wrapped to its width, except what is copied. No word is
// lost, and no row ends with a space.
func TestHelpIsWrappedToTheTerminal(t *testing.T) {
	root := (&app{ctx: context.Background(), stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}).root()
	root.InitDefaultHelpCmd()
	for verb := range verbTree(root) {
		verb.InitDefaultHelpFlag()
		text := verb.Long + "\n\n" + verb.UsageString()
		for wide := minColumns; wide < helpColumns; wide += 7 {
			narrow := reflow(text, wide)
			require.Equal(t, strings.Fields(text), strings.Fields(narrow), verb.CommandPath())
			section := ""
			for row := range strings.SplitSeq(strings.TrimSuffix(narrow, "\n"), "\n") {
				if strings.HasSuffix(row, ":") && !strings.HasPrefix(row, " ") {
					section = row
				}
				if section == "Usage:" || section == "Examples:" {
					continue
				}
				require.Equal(t, strings.TrimRight(row, " "), row, verb.CommandPath())
				if len([]rune(row)) > wide { // one long word
					require.LessOrEqual(t, len(strings.Fields(row)), 4, "%s at %d columns: %q", verb.CommandPath(), wide, row)
				}
			}
		}
	}
	require.Equal(t, "two words and\nmore\n\n  one   first\n        second\n  two   third\n", reflow("two words and more\n\n  one   first\n        second\n  two   third\n", 16))
}

// Each string in the source that is a command to copy has an existing verb, and parses
// unless the program appends to it.
func TestHintsAreCommands(t *testing.T) {
	known := map[string]bool{}
	for verb := range verbTree((&app{ctx: context.Background()}).root()) {
		known[verb.Name()] = true
	}
	hints := 0
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			l, is := n.(*ast.BasicLit)
			if !is || l.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(l.Value)
			require.NoError(t, err)
			words := strings.Fields(text)
			if !isCommand(text) || len(words) < 2 || strings.ContainsAny(text, "\n%") || words[1] == "--home" || words[1] == "--help" {
				return true
			}
			hints++
			require.True(t, known[words[1]], "%s: %q", file, text)
			if !strings.HasSuffix(text, " ") { // more of it is put behind
				require.NoError(t, parses(words[1:]), "%s: %q", file, text)
			}
			return true
		})
	}
	require.Greater(t, hints, 30)
}

// The check of the examples fails for wrong examples.
func TestHelpCatches(t *testing.T) {
	for _, bad := range []string{"bogus", "show", "show --bogus bob", "record bogus f", "list bob", "resolve bob --timeout soon"} {
		require.Error(t, parses(strings.Fields(bad)), bad)
	}
	require.NoError(t, parses([]string{"show", "bob"}))
}

// parses reports whether a command line is valid, without running it.
func parses(args []string) error {
	a := &app{ctx: context.Background(), stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}
	root := a.root()
	root.SetOut(a.stdout) // an example may be the help of a verb
	root.SetErr(a.stderr)
	for verb := range verbTree(root) {
		verb.RunE = func(*cobra.Command, []string) error { return nil }
	}
	root.SetArgs(args)
	return root.Execute()
}

func verbTree(root *cobra.Command) func(yield func(*cobra.Command) bool) {
	return func(yield func(*cobra.Command) bool) {
		var walk func(c *cobra.Command) bool
		walk = func(c *cobra.Command) bool {
			if c.Name() == "help" || c.Hidden {
				return true
			}
			if !yield(c) {
				return false
			}
			for _, sub := range c.Commands() {
				if !walk(sub) {
					return false
				}
			}
			return true
		}
		walk(root)
	}
}

func index(words []string, word string) int {
	for i, w := range words {
		if strings.TrimPrefix(w, "<(") == word {
			return i
		}
	}
	return -1
}

// shellWords splits a line as a shell does, up to what it redirects.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quote, any := rune(0), false
	flush := func() {
		if any {
			words = append(words, word.String())
		}
		word.Reset()
		any = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, any = r, true
		case quote == 0 && r == ' ':
			flush()
		case quote == 0 && (r == '>' || r == '<' && len(words) > 0 && words[len(words)-1] != "source"):
			flush()
			return words
		case quote == 0 && r == ')':
		default:
			word.WriteRune(r)
			any = true
		}
	}
	flush()
	return words
}
