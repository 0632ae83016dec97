package name

import (
	"strings"

	"github.com/petnames-go/petnames/pointer"
)

// LinkIn returns the link in a text that has one: see [pointer.ParseLink]. No name is such
// a text. It reports false for all other texts, also for bare pointers and damaged links.
func LinkIn(text string) (pointer.Link, bool) {
	if len(text) < len("petname:")+62 || !strings.Contains(strings.ToLower(text), "petname") { // less than each link
		return pointer.Link{}, false
	}
	if _, err := pointer.Parse(text); err == nil {
		return pointer.Link{}, false
	}
	link, err := pointer.ParseLink(text)
	return link, err == nil
}
