package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/petnames-go/petnames/petname/name"
)

// What is printed where: a verb's result goes to stdout, as one JSON object
// with --json and as text for people without; errors, hints and progress go to
// stderr, hints only to a terminal. A command to copy stands on a line of its
// own. Text of foreign origin is cleaned on its way, and inside our lines loses
// the marks of names (name.Style); not so in JSON, where a field says what it
// is, nor in an error, which quotes its input and begins with "petname:".

// show prints a result: as one JSON object, or by text. err is what the verb
// ended with, and is returned. After a failure, text is printed only if there
// is something to tell, and the object where the exit status promises one.
func (a *app) printResult(result any, err error, tell bool, text func(w *bufio.Writer)) error {
	if err != nil && !tell && !(a.json && alwaysPrintsObject(err)) {
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
		werr = writeRows(a.stdout, out.String(), terminalWidth(a.stdout))
	}
	if werr != nil && err == nil {
		return classify(werr)
	}
	return err
}

// promised reports whether a verb that failed so prints its object all the
// same: whoever asked can see what there is to choose, distrust or retry.
func alwaysPrintsObject(err error) bool {
	exit := classify(err).Exit
	return exit >= exitChoose && exit <= exitConflict
}

func (a *app) printJSON(result any, err error) error {
	b, merr := marshal(result)
	if merr != nil {
		return classify(merr)
	}
	// Every object starts with the version of its form.
	b = append([]byte(`{"v":1,`), bytes.TrimPrefix(b, []byte("{"))...)
	b = bytes.Replace(b, []byte(`{"v":1,}`), []byte(`{"v":1}`), 1)
	if _, werr := a.stdout.Write(append(b, '\n')); werr != nil && err == nil {
		return classify(werr)
	}
	return err
}

// marshal leaves & < > as they are: a link is to be copied from the output. What
// a terminal would obey or hide is escaped: a program gets it as it is, and who
// looks on sees it.
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

// fail prints an error.
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
	_ = writeRows(a.stderr, fmt.Sprintf("petname: %s\n", cleanLines(e.Message)), terminalWidth(a.stderr))
	if e.Next == "" {
		return
	}
	if isCommand(e.Next) {
		fmt.Fprintf(a.stderr, "try:\n  %s\n", name.Clean(e.Next))
	} else {
		fmt.Fprintf(a.stderr, "try: %s\n", name.Clean(e.Next))
	}
}

// isCommand tells a next step that can be pasted from a sentence.
func isCommand(next string) bool {
	return strings.HasPrefix(next, "petname ") && !strings.Contains(next, ", ")
}

// sameHome makes a command to paste be about the home that this one is about.
func (a *app) withHomeFlag(next string) string {
	if a.home == "" || strings.HasSuffix(next, " --help") {
		return next
	}
	home := "petname --home " + shellWord(a.home) + " "
	if rest, ok := strings.CutPrefix(next, "petname "); ok {
		next = home + rest
	}
	if !isCommand(next) { // a sentence with commands in it
		next = strings.NewReplacer(", petname ", ", "+home, " or petname ", " or "+home).Replace(next)
	}
	return next
}

// cleanLines cleans a message and keeps its line ends.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = name.Clean(line)
	}
	return strings.Join(lines, "\n  ")
}

// hint tells a person at a terminal what to do next. Lines that are indented
// are commands to copy.
func (a *app) hint(format string, args ...any) {
	if isTerminal(a.stderr) {
		a.warn(format, args...)
	}
}

// warn tells what a person has to know; only --quiet and --json stop it.
func (a *app) warn(format string, args ...any) {
	if a.quiet || a.json {
		return
	}
	lines := strings.Split(fmt.Sprintf(format, args...), "\n")
	for i, line := range lines {
		if command, ok := strings.CutPrefix(line, "  "); ok {
			lines[i] = "  " + a.withHomeFlag(name.Clean(command))
		} else {
			lines[i] = name.Clean(line)
		}
	}
	fmt.Fprintln(a.stderr, strings.Join(lines, "\n"))
}

// style is how names are shown on stdout.
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
