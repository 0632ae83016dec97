package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/petnames-go/petnames/petname/name"
)

// Rules of printing: the result of a verb goes to stdout, as one JSON object with
// --json, and as text for people otherwise. Errors, hints and progress go to stderr;
// hints only to a terminal. A value to copy is on a line of its own, whole at any
// width of the terminal: see isCopied. Text from other
// parties is cleaned before it is printed. In lines for people it also loses the
// marks of names (name.Style). JSON needs no such marks, because the field names
// define the meaning, and neither do errors, which quote their input and begin with
// "petname:".

// printResult prints the result of a verb as one JSON object, or with the function
// text. It returns err, the error of the verb, or else its own error. After a
// failure it prints text only if tell is set, and the object only if tell is set, or
// if the verb returned a result and the exit status is one with which the caller needs
// it: see [needsResult].
func (a *app) printResult(result any, err error, tell bool, text func(w *bufio.Writer)) error {
	if err != nil && !tell && !(a.json && needsResult(err) && !reflect.ValueOf(result).IsZero()) {
		return err
	}
	if a.json {
		return a.printJSON(result, err)
	}
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	text(w)
	werr := w.Flush()
	if werr == nil {
		wide := terminalWidth(a.stdout)
		werr = writeRows(a.stdout, pointersBelow(out.String(), wide), wide)
	}
	if werr != nil && err == nil {
		return classify(werr)
	}
	return err
}

// needsResult reports whether the exit status of err is one with which a verb prints
// the JSON object that it returned: the caller needs it to choose, to judge or to retry.
func needsResult(err error) bool {
	exit := classify(err).Exit
	return exit >= exitChoose && exit <= exitConflict
}

func (a *app) printJSON(result any, err error) error {
	b, merr := marshal(result)
	if merr != nil {
		return classify(merr)
	}
	// Every object starts with the version of its form, and the notice of the home.
	head, merr := marshal(struct {
		V      int    `json:"v"`
		Notice string `json:"notice,omitempty"`
	}{1, a.notice})
	if merr != nil {
		return classify(merr)
	}
	if rest := bytes.TrimPrefix(b, []byte("{")); len(rest) > 1 {
		b = append(append(bytes.TrimSuffix(head, []byte("}")), ','), rest...)
	} else {
		b = head
	}
	if _, werr := a.stdout.Write(append(b, '\n')); werr != nil && err == nil {
		return classify(werr)
	}
	return err
}

// marshal encodes v as JSON without escaping & < and >, so that a link can be copied
// from the output. It escapes characters that are not printable, so that a terminal
// neither interprets nor hides them.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	var out []byte
	for _, r := range string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))) {
		if unicode.IsPrint(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, "\\u%04x", unit)
		}
	}
	return out, nil
}

// printError prints an error and its next step.
func (a *app) printError(failed *failure) {
	e := *failed
	e.Next = a.withHomeFlag(e.Next)
	if a.json {
		b, err := marshal(struct {
			V     int      `json:"v"`
			Error *failure `json:"error"`
		}{1, &e})
		if err == nil {
			fmt.Fprintf(a.stderr, "%s\n", b)
		}
		return
	}
	wide := terminalWidth(a.stderr)
	a.writeSentence(fmt.Sprintf("petname: %s", cleanLines(e.Message)), wide)
	a.writeNext(e.Next, wide)
}

// writeNext writes a next step to stderr, as it is. A sentence with a word that does not fit
// is not wrapped, so that the word can be copied.
func (a *app) writeNext(next string, wide int) {
	sentences, copied := "", ""
	for line := range strings.SplitSeq(next, "\n") {
		switch {
		case line == "":
		case isCommand(strings.TrimLeft(line, " ")), strings.HasPrefix(line, "# "): // to be copied; the latter is a line of a file
			copied += fmt.Sprintf("  %s\n", name.Scrub(strings.TrimLeft(line, " "), false)) // whole at any length
		case copied != "": // a further step
			copied += name.Clean(line) + "\n"
		default:
			sentences += " " + name.Clean(line)
		}
	}
	if slices.ContainsFunc(strings.Fields(sentences), func(word string) bool { return width(word) > wide }) {
		wide = 0
	}
	if sentences+copied != "" {
		_ = writeRows(a.stderr, "try:"+sentences+"\n", wide)
		fmt.Fprint(a.stderr, copied)
	}
}

// writeSentence writes a message to stderr, and below it the values in it that are to be
// copied: see [copiedBelow].
func (a *app) writeSentence(message string, wide int) {
	message, values := copiedBelow(message, wide)
	_ = writeRows(a.stderr, message+"\n", wide)
	for _, value := range values {
		fmt.Fprintf(a.stderr, "    %s\n", value) // whole at any length
	}
}

// isCommand reports whether a line of a next step is a command, and not a sentence.
func isCommand(line string) bool { return strings.HasPrefix(line, "petname ") }

// withHomeFlag adds --home to the commands in a next step, if this invocation has it.
// Each command is a line.
func (a *app) withHomeFlag(next string) string {
	if a.home == "" {
		return next
	}
	lines := strings.Split(next, "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, "petname "); ok && !strings.HasSuffix(line, " --help") {
			lines[i] = "petname --home " + shellPath(a.home) + " " + rest
		}
	}
	return strings.Join(lines, "\n")
}

// cleanLines cleans each line of a message, and indents all lines but the first.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = name.Clean(line)
	}
	return strings.Join(lines, "\n  ")
}

// hint prints the next step, only to a terminal. Indented lines are commands to copy.
func (a *app) hint(format string, args ...any) {
	if isTerminal(a.stderr) {
		a.warn(format, args...)
	}
}

// warn prints a warning, unless --quiet or --json is set.
func (a *app) warn(format string, args ...any) {
	if a.quiet || a.json {
		return
	}
	wide := terminalWidth(a.stderr)
	var sentences []string
	flush := func() {
		between := "\n"
		if wide > 0 && slices.ContainsFunc(sentences, func(line string) bool { return width(line) > wide }) {
			between = " "
		}
		if sentences != nil {
			a.writeSentence(strings.Join(sentences, between), wide)
		}
		sentences = nil
	}
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		if command, ok := strings.CutPrefix(line, "  "); ok {
			flush()
			fmt.Fprintf(a.stderr, "  %s\n", a.withHomeFlag(name.Scrub(command, false))) // whole at any length
		} else {
			sentences = append(sentences, name.Clean(line))
		}
	}
	flush()
}

// style returns the style of names on stdout.
func (a *app) style() name.Style {
	switch {
	case !isTerminal(a.stdout):
		return name.Plain
	case os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "":
		return name.Terminal
	}
	return name.Colour
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
