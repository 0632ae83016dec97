package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

// pathForms matches a text up to the end of a pointer in the form of a content path, a URI or
// the URL of a gateway.
func pathForms() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:\bipns(?::/{0,2}|/)([0-9a-z]+)|\b(?:pk:|did:dht:|did:key:)([0-9a-z]+)|\b([0-9a-z]+)\.ipns\.[^/?#\s"'<>()]+)`)
}

// remainderOf returns the path behind a pointer in one of these forms, with its slash and its
// escapes decoded: a part of it is read from the content that the pointer's record names (IPNS
// specification, "Resolution"). It returns "" for other texts. One that is no path of content
// is refused, and so is one of which the end is in doubt.
func remainderOf(text string) (string, error) {
	clean := string(paste.Lines([]byte(text)))
	var p pointer.Pointer
	for _, at := range pathForms().FindAllStringSubmatchIndex(clean, -1) {
		for group := range slices.Chunk(at[2:], 2) { // of the three forms
			if group[0] < 0 || !isPlainPointer(clean[group[0]:group[1]]) || endsPointer(clean[at[1]:], at[4] >= 0 || strings.Contains(strings.ToLower(clean[:at[1]]), "http")) {
				continue
			}
			p, _ = pointer.Parse(clean[group[0]:group[1]])
		}
	}
	if p.IsZero() {
		return "", nil
	}
	bare := strings.TrimPrefix(trimUnseen(text), "dnslink=")
	got, err := parsePath(bare)
	if err != nil {
		return "", err
	}
	parts := strings.SplitN(got, "/", 4) // "", "ipns", the pointer, the rest
	if len(parts) < 4 || parts[3] == "" {
		return "", usage("%q: what follows the pointer may be a path", text).With("copy the path whole, in one line, or the pointer alone:\npetname resolve " + p.String())
	}
	rest := strings.TrimSuffix(parts[3], "/")
	refuse := func(format string, args ...any) (string, error) {
		return "", usage("path %q behind the pointer: %s", "/"+rest, fmt.Sprintf(format, args...)).With("leave the path out, or correct it")
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" {
			return refuse("it has an empty part")
		}
	}
	if !strings.Contains(bare, "://") && strings.ContainsAny(rest, "?#") { // not escaped
		return refuse("a content path has no part after ? or #")
	}
	return "/" + rest, nil
}

// endsPointer reports whether a text ends with a pointer before the rest of it: no path can
// begin there.
func endsPointer(rest string, isURL bool) bool {
	const closing, sentence = "\"'`´\u201c\u201d\u2018\u2019«»‹›」』)]}>*|", ".,;:!?…。、"
	if isURL {
		rest = regexp.MustCompile(`^/?[?#][^\s"'<>()]*`).ReplaceAllString(rest, "") // its query and its fragment
	}
	behind, slash := strings.CutPrefix(rest, "/")
	marked := strings.TrimLeft(behind, closing)
	if !slash {
		marked = strings.TrimLeft(behind, closing+sentence)
	}
	next := strings.TrimLeft(strings.TrimLeftFunc(marked, unicode.IsSpace), closing)
	switch last, _ := utf8.DecodeLastRuneInString(behind[:len(behind)-len(marked)]); {
	case next == "":
		return true
	case marked == behind || strings.HasPrefix(next, "/"):
		return false
	case slash || strings.ContainsRune(sentence, last):
		return strings.TrimLeftFunc(marked, unicode.IsSpace) != marked
	}
	return true
}

// withRemainder returns the value of a record with the path that was behind its pointer. The
// value is of another party: one that is no content path, or has a part that leaves it, leads
// to no such path.
func withRemainder(value, rest string) (string, error) {
	refuse := func(reason string) (string, error) {
		return "", fmt.Errorf("the value %s %s, so that %s is not behind it", name.Quote(value), reason, name.Quote(rest))
	}
	if !strings.HasPrefix(value, "/ipfs/") && !strings.HasPrefix(value, "/ipns/") {
		return refuse("is no content path")
	}
	if part := agent.DotPart(value); part != "" {
		return refuse("has the part " + part)
	}
	return strings.TrimSuffix(value, "/") + rest, nil
}
