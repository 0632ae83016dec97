package main

import (
	"regexp"
	"strings"
	"sync"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// shownPointer matches the pointer in the details of a contact that were printed, beside
// its label or below it.
var shownPointer = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^ *pointer\s+(k[0-9a-z]{50,70})\s*$`)
})

// shortPointer matches a pointer in its short form.
var shortPointer = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`k[0-9a-z]{2}…[0-9a-z]{6}`) })

// shownNext returns the next step for a text that is no name and no pointer, and that this
// command prints: a path with its arrows, a nickname before a pointer, or the details of a
// contact; "" for other texts.
func shownNext(text string) string {
	if strings.Contains(text, "⇒") && !strings.Contains(text, "/") {
		parts := name.SplitPath(text)
		for _, part := range parts {
			if _, err := name.Parse(part); err != nil {
				return ""
			}
		}
		return "to follow the path:\npetname resolve " + shellWord(strings.Join(parts, "/"))
	}
	if link, err := pointer.ParseLink(text); err == nil {
		return "with the pointer in it alone:\npetname whois " + link.Pointer.String()
	}
	if found := shownPointer().FindAllStringSubmatch(text, 2); len(found) == 1 {
		if p, err := pointer.Parse(found[0][1]); err == nil {
			return "with the line of the pointer alone:\npetname whois " + p.String()
		}
	}
	if shortPointer().MatchString(text) {
		return "a pointer that is cut short stands for no key; its contact is in\n" + noContactNext
	}
	return ""
}
