package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// behindPointer matches the path behind a pointer in the form of a content path, a URI or the
// URL of a gateway.
func behindPointer() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:\bipns(?:://|/)[^/?#\s]+|\.ipns\.[^/?#\s]+)(/[^?#\s]*)`)
}

// remainderOf returns the path behind a pointer in one of these forms, with its slash and its
// escapes decoded: a part of it is read from the content that the pointer's record names (IPNS
// specification, "Resolution"). It returns "" for other texts. One that is no path of content
// is refused.
func remainderOf(text string) (string, error) {
	found := behindPointer().FindStringSubmatch(text)
	if _, err := pointer.Parse(text); err != nil || found == nil || strings.Trim(found[1], "/") == "" {
		return "", nil
	}
	bare := strings.TrimPrefix(trimUnseen(text), "dnslink=")
	got, err := parsePath(bare)
	if err != nil {
		return "", err
	}
	parts := strings.SplitN(got, "/", 4) // "", "ipns", the pointer, the rest
	if len(parts) < 4 {
		return "", nil
	}
	rest := strings.TrimSuffix(parts[3], "/")
	refuse := func(format string, args ...any) (string, error) {
		return "", usage("path %q behind the pointer: %s", "/"+rest, fmt.Sprintf(format, args...)).With("leave the path out, or correct it")
	}
	for part := range strings.SplitSeq(rest, "/") {
		switch part {
		case "":
			return refuse("it has an empty part")
		case ".", "..":
			return refuse("it has the part %q", part)
		}
	}
	if !strings.Contains(bare, "://") && strings.ContainsAny(rest, "?#") { // not escaped
		return refuse("a content path has no part after ? or #")
	}
	return "/" + rest, nil
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
	for part := range strings.SplitSeq(value, "/") {
		if part == "." || part == ".." {
			return refuse("has the part " + part)
		}
	}
	return strings.TrimSuffix(value, "/") + rest, nil
}
