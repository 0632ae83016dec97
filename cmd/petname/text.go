package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// nickname shows what somebody calls itself, never to be taken for a petname.
func nickname(nick, text string) string {
	p, err := pointer.Parse(text)
	if err != nil {
		return petname.Clean(text)
	}
	return petname.Nickname(nick, p)
}

// line is a contact on one line: the petname, what it calls itself, and how I
// know.
func line(c engine.Contact) string {
	name := c.Name
	if name == "" {
		name = "(no name)"
	}
	s := name + "  " + nickname(c.Nickname, c.Pointer)
	if how := provenance(c); how != "" {
		s += "  " + how
	}
	if c.Conflict != nil {
		s += "  IN CONFLICT"
	}
	if c.Duplicity {
		s += "  DUPLICITY"
	}
	return s
}

// provenance is how I know a contact, in a few words.
func provenance(c engine.Contact) string {
	if len(c.Provenance) == 0 {
		return ""
	}
	f := c.Provenance[0]
	for _, later := range c.Provenance { // how I last came to know it; cards come by themselves
		if later.Kind != "card" {
			f = later
		}
	}
	return fmt.Sprintf("%s, %s", f.Kind, f.At.Local().Format("2 Jan 2006"))
}

// details is a contact in full.
func details(w io.Writer, c engine.Contact) {
	name := c.Name
	switch {
	case c.Me:
		name = "(this is you)"
	case name == "":
		name = "(no name)"
	}
	fmt.Fprintf(w, "%s\n", name)
	field(w, "pointer", c.Pointer)
	if c.Nickname != "" {
		field(w, "calls itself", nickname(c.Nickname, c.Pointer))
	}
	if c.Words != "" {
		words(w, c.Words)
	}
	if c.Next != "" {
		field(w, "next key", c.Next)
	}
	if c.Removed != nil {
		field(w, "removed", c.Removed.Local().Format(time.DateTime))
	}
	if c.Duplicity {
		field(w, "DUPLICITY", "two commitments to its next key were seen: somebody else may hold the key")
	}
	if c.Conflict != nil {
		conflict(w, c)
	}
	if len(c.Shared) > 0 {
		field(w, "public as", strings.Join(c.Shared, ", "))
	}
	if c.Card != nil {
		cardLines(w, *c.Card)
	}
}

func conflict(w io.Writer, c engine.Contact) {
	if len(c.Conflict.Names) > 1 || c.Conflict.Removed {
		what := strings.Join(c.Conflict.Names, ", ")
		if c.Conflict.Removed {
			what += ", and removed"
		}
		field(w, "IN CONFLICT", "named "+what+" on different devices")
	}
	if len(c.Conflict.Pointers) > 0 {
		field(w, "IN CONFLICT", strings.Join(c.Conflict.Names, ", ")+" is also the name of "+strings.Join(c.Conflict.Pointers, ", "))
	}
}

func cardLines(w io.Writer, c engine.Card) {
	state := "until " + c.Expires.Local().Format(time.DateTime)
	if c.Expired {
		state = "EXPIRED " + c.Expires.Local().Format(time.DateTime)
	}
	field(w, "points to", contentPath(c.Value))
	field(w, "record", fmt.Sprintf("sequence %d, %s", c.Sequence, state))
	for _, label := range slices.Sorted(maps.Keys(c.Edges)) {
		field(w, "public edge", fmt.Sprintf("%q → %s", label, c.Edges[label]))
	}
	for _, l := range c.Links {
		field(w, "link", l)
	}
}

// field is one labelled line; on a narrow terminal the value wraps by itself.
func field(w io.Writer, label, value string) { fmt.Fprintf(w, "  %-12s  %s\n", label, value) }

// words are set in lines of four, which a narrow terminal doesn't break: they
// are for reading aloud.
func words(w io.Writer, text string) {
	fmt.Fprintln(w, "  words")
	for four := range slices.Chunk(strings.Fields(text), 4) {
		fmt.Fprintf(w, "    %s\n", strings.Join(four, " "))
	}
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}

func peers(n int) string {
	if n == 1 {
		return "1 peer"
	}
	return fmt.Sprintf("%d peers", n)
}

// contentPath shows a path that somebody published: as it is, or, where that
// could mislead, quoted with everything in it visible.
func contentPath(value string) string {
	if petname.Clean(value) == value {
		return value
	}
	return strconv.QuoteToASCII(value)
}

// size is a number of bytes, for people.
func size(bytes int) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
