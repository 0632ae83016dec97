package main

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

// parsePath returns the content path that a text names: a content path, the URI of one
// (ipfs://CID/…, ipns://NAME/…) with its escapes decoded, the URL of one at a gateway, a
// CID with or without a path behind it, or a peer ID; as it is, or else without what other
// programs add to text: see package paste; or the only one within a text. What is behind /ipns/ must be a pointer or a
// domain: a damaged one would be signed.
func parsePath(text string) (string, error) {
	if text == "" {
		return "", usage("PATH is empty; leave it out to publish the last one again")
	}
	got, err := pathOf(text)
	if err == nil {
		return got, nil
	}
	if cleaned := paste.Token(text); cleaned != text {
		if got, cerr := pathOf(cleaned); cerr == nil {
			return got, nil
		}
	}
	if got := pathWithin(text); got != "" {
		return got, nil
	}
	return "", err
}

// pathWithin returns the only content path within a text, as a link, a URI, a URL, a CID or
// a path of its own; "" if there is none, or several that differ.
func pathWithin(text string) (found string) {
	if link, ok := name.LinkIn(text); ok {
		return "/ipns/" + link.Pointer.String()
	}
	fields := paste.Fields(text)
	all := true // fields are paths
	for i, field := range fields {
		got, err := pathOf(field)
		switch {
		case err != nil && (i > 0 && all || contentForm().MatchString(field)):
			return "" // the text begins with the path, which can have a space; or one is damaged
		case err != nil:
			all = false
		case found != "" && got != found:
			return ""
		default:
			found = got
		}
	}
	return found
}

func pathOf(text string) (string, error) {
	got, err := readPath(text)
	if err != nil {
		return "", err
	}
	if _, err := path.NewPath(got); err != nil {
		return "", usage("path %q: %v", got, cmp.Or(errors.Unwrap(err), err)).With(pathNext)
	}
	if rest, is := strings.CutPrefix(got, "/ipns/"); is {
		head, _, _ := strings.Cut(rest, "/")
		if !isDomain(head) && !isPlainPointer(head) {
			return "", usage("PATH %q: %q is no pointer and no domain", text, head).With("copy it whole: a pointer ends with its last sign")
		}
	}
	return got, nil
}

// contentForm matches what is meant as a content path or a URI of content.
var contentForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^(?:/?ip[fn]s[:/]|https?:)`) })

// readPath returns the path in the form of the text.
func readPath(text string) (string, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme = strings.ToLower(scheme); scheme {
	case "ipfs", "ipns":
		if strings.ContainsAny(rest, "?#") {
			return "", usage("PATH %q: a content path has no part after ? or #", text).With(pathNext)
		}
		named, err := url.PathUnescape(strings.TrimPrefix(rest, "//"))
		if err != nil {
			return "", usage("PATH %q: is no URI of content", text).With(pathNext)
		}
		return "/" + scheme + "/" + named, nil
	case "http", "https":
		u, err := url.Parse(text)
		if err == nil && u.RawQuery == "" && u.Fragment == "" && (strings.HasPrefix(u.Path, "/ipfs/") || strings.HasPrefix(u.Path, "/ipns/")) {
			return u.Path, nil
		}
	}
	root, _, _ := strings.Cut(text, "/")
	if c, err := cid.Decode(root); err == nil && c.Type() != cid.Libp2pKey {
		return "/ipfs/" + text, nil
	}
	if root != "" && isPlainPointer(root) {
		return "/ipns/" + text, nil
	}
	return text, nil
}

// isPlainPointer reports whether a text is a pointer as a CID or a peer ID, without what is
// read in pasted text only.
func isPlainPointer(s string) bool {
	if strings.ContainsFunc(s, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') }) {
		return false
	}
	_, err := pointer.Parse(s)
	return err == nil
}

// isDomain reports whether a text has the form of a domain of two labels or more.
func isDomain(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") ||
			strings.ContainsFunc(l, func(r rune) bool {
				return r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' || r >= 0x80 && !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
			}) {
			return false
		}
	}
	return len(labels) > 1
}

// pathNext is the next step for what is no content path.
const pathNext = "a content path starts with /ipfs/ or /ipns/"
