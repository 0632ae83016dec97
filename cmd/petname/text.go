package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// The verbs print names only with these functions, in one of the three styles of
// package name. "(…)" is a remark: no petname starts with a parenthesis.

// nickname formats the nickname of a pointer, so that it cannot be mistaken for a
// petname.
func nickname(s name.Style, nick, text string) string {
	p, err := pointer.Parse(text)
	if err != nil {
		return s.Text(text)
	}
	return s.Show(name.Nickname{Text: nick, Pointer: p}) + remark(nick)
}

// shownName formats a petname.
func shownName(s name.Style, text string) string {
	n, err := name.Parse(text)
	if err != nil { // from a device with other Unicode tables; it must not look like a remark
		return strings.NewReplacer("(", "[", ")", "]").Replace(s.Text(text))
	}
	return s.Show(n) + remark(text)
}

// remark returns a remark about a name that looks like a pointer, a path, a domain, a code
// or a fingerprint.
func remark(text string) string {
	if reads := name.ReadsAs(text); reads != "" {
		return " (reads as a " + reads + ")"
	}
	return ""
}

// edgeName formats a path of labels that starts at a petname or a pointer.
func edgeName(s name.Style, from, text string, labels ...string) string {
	if n, err := name.Parse(from); err == nil {
		return s.Show(n.Edge(labels...))
	}
	p, _ := pointer.Parse(text) // from is empty, or from a device with other Unicode tables
	return s.Show(name.Nickname{Pointer: p}.Edge(labels...))
}

// ownEdge formats a label of the owner as a path that starts at "me".
func ownEdge(s name.Style, label string) string { return edgeName(s, "me", "", label) }

func ownEdges(s name.Style, labels []string) string {
	shown := make([]string, len(labels))
	for i, label := range labels {
		shown[i] = ownEdge(s, label)
	}
	return strings.Join(shown, ", ")
}

// nameList formats several names, separated by slashes: no name contains a slash, but
// a name can contain a comma or "and".
func nameList(s name.Style, texts []string) string {
	shown := make([]string, len(texts))
	for i, text := range texts {
		shown[i] = shownName(s, text)
	}
	return strings.Join(shown, " / ")
}

// contactLine formats a contact on one line: petname, nickname, provenance and
// warnings.
func contactLine(st name.Style, c contact) string {
	s := "(no name)"
	switch {
	case c.Name != "":
		s = shownName(st, c.Name)
	case c.Conflict != nil && len(c.Conflict.Names) > 0:
		s = nameList(st, c.Conflict.Names)
	}
	s += "  " + nickname(st, c.Nickname, c.Pointer)
	if how := provenance(st, c); how != "" {
		s += "  " + how
	}
	if c.Conflict != nil {
		s += "  IN CONFLICT"
	}
	switch {
	case c.Duplicity:
		s += "  DUPLICITY"
	case len(c.Contradictions) > 0:
		s += "  CONTRADICTION"
	}
	if c.Unproven != "" {
		s += "  SUCCESSOR NOT PROVEN"
	}
	if len(c.NamedLike) > 0 {
		s += "  LOOKS LIKE YOUR " + nameList(st, c.NamedLike)
	}
	if len(c.Lookalikes) > 0 {
		s += "  ITS NICKNAME LOOKS LIKE YOUR " + nameList(st, c.Lookalikes)
	}
	return s
}

// provenance returns the kind and the date of the newest fact about a contact.
func provenance(s name.Style, c contact) string {
	if len(c.Provenance) == 0 {
		return ""
	}
	f := c.Provenance[0]
	// Not counted are cards, which are fetched automatically, and steps to another key.
	for _, later := range c.Provenance {
		if later.Kind != "card" && (later.Kind != "succession" || later.By == c.Pointer) {
			f = later
		}
	}
	return fmt.Sprintf("%s, %s", s.Text(f.Kind), f.At.Local().Format("2 Jan 2006"))
}

// printContact prints a contact with its details.
func (a *app) printContact(w io.Writer, c contact) {
	s := a.style()
	switch {
	case c.Me:
		fmt.Fprintln(w, "(this is you)")
	case c.Name == "":
		fmt.Fprintln(w, "(no name)")
	default:
		fmt.Fprintln(w, shownName(s, c.Name))
	}
	printField(w, "pointer", c.Pointer)
	if c.MovedFrom != "" {
		printCopied(w, "MOVED from", c.MovedFrom)
	}
	if c.Nickname != "" {
		printField(w, "calls itself", nickname(s, c.Nickname, c.Pointer))
	}
	if len(c.NamedLike) > 0 {
		printField(w, "LOOKS LIKE", "your "+nameList(s, c.NamedLike))
	}
	if len(c.Lookalikes) > 0 {
		printField(w, "LOOKS LIKE", "your "+nameList(s, c.Lookalikes)+", by what it calls itself")
	}
	if c.Words != "" {
		printWords(w, c.Words)
	}
	if c.Next != "" {
		printField(w, "next key", c.Next)
		if c.Pin != "" {
			printField(w, "pin", c.Pin)
		}
	}
	if c.Removed != nil {
		printField(w, "removed", c.Removed.Local().Format(time.DateTime))
	}
	a.printPins(w, c)
	if c.Conflict != nil {
		printConflict(w, s, c)
	}
	if len(c.Shared) > 0 {
		printField(w, "public as", ownEdges(s, c.Shared))
	}
	if c.Card != nil {
		printCard(w, s, c)
	}
}

func printConflict(w io.Writer, s name.Style, c contact) {
	if len(c.Conflict.Names) > 1 || c.Conflict.Removed {
		what := "named " + nameList(s, c.Conflict.Names)
		if c.Conflict.Removed {
			what = "removed, and " + what
		}
		printField(w, "IN CONFLICT", what+" on different devices")
	}
	if len(c.Conflict.Pointers) > 0 {
		printField(w, "IN CONFLICT", nameList(s, c.Conflict.Names)+": the same name or the same key as")
		for _, p := range c.Conflict.Pointers {
			printField(w, "", p)
		}
	}
}

func printCard(w io.Writer, s name.Style, of contact) {
	c := of.Card
	state := "until " + c.Expires.Local().Format(time.DateTime)
	if c.Expired {
		state = "EXPIRED " + c.Expires.Local().Format(time.DateTime)
	}
	printCopied(w, "points to", contentPath(c.Value))
	printField(w, "record", fmt.Sprintf("sequence %d, %s", c.Sequence, state))
	for _, label := range slices.Sorted(maps.Keys(c.Edges)) {
		printField(w, "public label", edgeName(s, of.Name, of.Pointer, label)+" →")
		printField(w, "", c.Edges[label])
	}
	for _, l := range c.Links {
		printField(w, "link", s.Text(l))
	}
}

// printField prints a label and a value on one line.
func printField(w io.Writer, label, value string) { fmt.Fprintf(w, "  %-12s  %s\n", label, value) }

// printCopied prints a label, and below it, on a line of its own, a value that is to be
// copied: see [isCopied].
func printCopied(w io.Writer, label, value string) { fmt.Fprintf(w, "  %s\n    %s\n", label, value) }

// printWords prints the words in lines of four, which are short enough for a narrow
// terminal: they are for reading aloud.
func printWords(w io.Writer, text string) {
	fmt.Fprintln(w, "  words")
	for four := range slices.Chunk(strings.Fields(text), 4) {
		fmt.Fprintf(w, "    %s\n", strings.Join(four, " "))
	}
}

func secondsText(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}

// countText formats a number of things, such as "1 peer" and "2 peers".
func countText(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func peersText(n int) string { return countText(n, "peer") }

// maxPath is the maximum size of a path in text for people, in bytes.
const maxPath = 2048

// contentPath formats the value of a record. A path that could mislead, and a value that
// is no path, such as a link, are quoted, with invisible characters and repeated spaces
// escaped. A quoted value is truncated to about maxPath bytes.
func contentPath(value string) string {
	// With a slash appended, because the end of a path is not the end of a name.
	isPath := value == "" || value[0] == '/'
	if isPath && name.Clean(value) == value && name.Plain.Text(value+"/") == value+"/" && !strings.Contains(value, "  ") {
		return value
	}
	var b strings.Builder
	for i, r := range value {
		one := strconv.QuoteToASCII(string(r))
		if r == utf8.RuneError && !strings.HasPrefix(value[i:], "\ufffd") {
			one = fmt.Sprintf(`"\x%02x"`, value[i])
		}
		b.WriteString(one[1 : len(one)-1])
		if b.Len() > maxPath {
			return fmt.Sprintf(`"%s…" (%d bytes: --json prints them)`, visible(b.String()), len(value))
		}
	}
	return `"` + visible(b.String()) + `"`
}

// visible escapes repeated spaces, which could pad a line to its end.
func visible(s string) string { return strings.ReplaceAll(s, "  ", `\x20\x20`) }

// sizeText formats a number of bytes.
func sizeText(bytes int) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
