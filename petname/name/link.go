package name

import (
	"strings"

	"github.com/petnames-go/petnames/pointer"
)

// LinkIn returns the link in a text that has one: see [pointer.FindLink]. No name is such
// a text. It reports false for all other texts, also for bare pointers, with or without a
// path behind them, and damaged links.
func LinkIn(text string) (pointer.Link, bool) {
	if len(text) < len("petname:")+62 || !hasPetname(text) { // less than each link
		return pointer.Link{}, false
	}
	if _, err := pointer.Parse(text); err == nil {
		return pointer.Link{}, false
	}
	link, err := pointer.FindLink(text)
	return link, err == nil
}

// hasPetname reports whether a text has the scheme of links, or the name of the command.
func hasPetname(text string) bool { return strings.Contains(strings.ToLower(text), "petname") }
