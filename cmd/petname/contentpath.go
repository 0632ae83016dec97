package main

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

// parsePath returns the content path that a text names: a content path, the URI of one
// (ipfs://CID/…, ipns://NAME/…) with its escapes decoded, the URL of one at a gateway, a
// CID with or without a path behind it, or a peer ID; as it is between spaces, or else in
// marks around it, or the only one within a text. What is behind /ipns/ must be a pointer
// or a domain. A path is signed, so that none is changed: its spaces stay, and one whose
// end is in doubt is refused.
func parsePath(text string) (string, error) {
	if text == "" {
		return "", usage("PATH is empty; leave it out to publish the last one again")
	}
	text = trimUnseen(text)
	got, err := pathOf(text)
	if err == nil {
		return got, nil
	}
	for i, form := range []string{text, string(paste.Lines([]byte(text)))} {
		got := inMarks(form)
		if got == "" {
			got = joinedPath(form)
		}
		if got != "" && (i == 0 || isRoot(got)) {
			return got, nil
		}
	}
	if got := pathWithin(text); got != "" {
		return got, nil
	}
	if f := secretFor(text, "content path", ""); f != nil {
		return "", f
	}
	return "", err
}

// isRoot reports whether a path has no part behind its root, which cleaning could change.
func isRoot(path string) bool { return strings.Count(path, "/") == 2 }

// inMarks returns the path that a text is, with or without marks around it; "" if it is none.
func inMarks(text string) string {
	for range maxMarks {
		if got, err := pathOf(text); err == nil {
			return got
		}
		inner, ok := withoutMarks(text)
		if !ok {
			break
		}
		text = inner
	}
	return ""
}

// maxMarks bounds the pairs of marks around a path.
const maxMarks = 8

// marks are the pairs of marks that are written around a path, each the opening before the
// closing one.
const marks = "\"\"''``\u201c\u201d\u201e\u201c\u201e\u201d\u201f\u201d\u2018\u2019\u201a\u2018\u201a\u2019«»»«‹››‹「」『』()[]{}<>**||"

// isPair reports whether two marks are a pair around a path.
func isPair(open, closing rune) bool {
	all := []rune(marks)
	for i := 0; i < len(all); i += 2 {
		if all[i] == open && all[i+1] == closing {
			return true
		}
	}
	return false
}

// withoutMarks returns a text without a pair of marks around it, and the signs that end a
// sentence after them.
func withoutMarks(text string) (string, bool) {
	open, n := utf8.DecodeRuneInString(text)
	text = strings.TrimRight(text, ".,;:!?…。、")
	closing, m := utf8.DecodeLastRuneInString(text)
	if len(text) < n+m || !isPair(open, closing) {
		return "", false
	}
	return trimUnseen(text[n : len(text)-m]), true
}

// trimUnseen removes spaces, marks of direction and other characters that are not seen from
// both ends of a text.
func trimUnseen(text string) string {
	return strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Bidi_Control, r) || strings.ContainsRune("\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff", r)
	})
}

// joinedPath returns the path of a text with line breaks; "" if there is none, or the root
// of it ends before the last one: what was at a break within its path is not known.
func joinedPath(text string) string {
	for inner, ok := withoutMarks(text); ok; inner, ok = withoutMarks(text) {
		text = inner
	}
	at := strings.LastIndexByte(text, '\n')
	if at < 0 {
		return ""
	}
	join := func(s string) string {
		lines := strings.Split(s, "\n")
		for i, line := range lines {
			lines[i] = trimUnseen(line)
		}
		return strings.Join(lines, "")
	}
	if _, err := pathOf(join(text[:at])); err == nil {
		return ""
	}
	got, err := pathOf(join(text))
	if err != nil {
		return ""
	}
	return got
}

// pathWithin returns the only content path within a text, as a link, a URI, a URL, a CID or
// a path of its own; "" if there is none, or several that differ, or one with an end that is
// in doubt.
func pathWithin(text string) (found string) {
	defer func() {
		if found != "" && hasOtherRoot(text, found) {
			found = ""
		}
	}()
	if link, err := pointer.FindLink(text); err == nil {
		found = "/ipns/" + link.Pointer.String()
		for _, field := range paste.Fields(text) {
			if got, err := pathOf(field); err == nil && got != found || err != nil && (continuesPath(text, field) || contentRoot().MatchString(field)) {
				return ""
			}
		}
		return found
	}
	all, end := true, 0 // all fields are paths
	for i, field := range paste.Fields(text) {
		got, err := pathOf(field)
		before, rest := "", "changed by cleaning"
		if n := strings.Index(text[end:], field); n >= 0 {
			before, rest = text[:end+n], text[end+n+len(field):]
			end = len(text) - len(rest)
		}
		switch {
		case err != nil && (i > 0 && all || contentForm().MatchString(field) || continuesPath(text, field)):
			return "" // the text begins with the path, which can have a space; or one is damaged, or goes on
		case err != nil:
			all = false
		case found != "" && got != found || !isRoot(got) && !endsPath(before, rest):
			return ""
		default:
			found = got
		}
	}
	return found
}

// continuesPath reports whether a field of a text begins with a slash, which can be that of a
// path before it. The slash of a tag of HTML is none.
func continuesPath(text, field string) bool {
	return strings.HasPrefix(field, "/") && !strings.Contains(text, "<"+field)
}

// endsPath reports whether a path with a part behind its root ends within a text: before the
// end of the text, or before the mark that belongs to the one before the path and other
// marks.
func endsPath(before, rest string) bool {
	open, _ := utf8.DecodeLastRuneInString(before)
	closing, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || isPair(open, closing) && len(paste.Fields(rest)) == 0
}

func pathOf(text string) (string, error) {
	got, err := readPath(text)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(got) {
		return "", notUTF8(text)
	}
	if part := agent.DotPart(got); part != "" { // gateways and shells follow it
		return "", usage("PATH %q: it has the part %q", text, part).With("write the path that it leads to")
	}
	if strings.ContainsFunc(got, unicode.IsControl) {
		return "", usage("PATH %q has a line break or another control character", text).With("paste it in one line")
	}
	if _, err := path.NewPath(got); err != nil && !strings.HasPrefix(got, "/") {
		return "", usage("%q is no content path", text).With(noPathNext)
	} else if err != nil {
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

// notUTF8 returns the failure for a path that JSON, and so most of what reads it, cannot hold.
func notUTF8(text string) *failure {
	return usage("PATH %q is not in UTF-8", text).With("write it in UTF-8: of escapes, ü is %C3%BC")
}

// contentForm matches what is meant as a content path or a URI of content, or has one within it.
func contentForm() *regexp.Regexp { return regexp.MustCompile(`(?i)^https?:|ip[fn]s[:/]`) }

// contentRoot matches a text with the start of a content path or of a URI of content.
func contentRoot() *regexp.Regexp { return regexp.MustCompile(`(?i)ip[fn]s[:/]`) }

// rootForm matches what can be the CID of content, or a pointer, wherever it stands in a text.
func rootForm() *regexp.Regexp {
	return regexp.MustCompile(`\bQm[1-9A-HJ-NP-Za-km-z]{44}|\bb[a-z2-7]{12,}|\bB[A-Z2-7]{12,}|\bz[1-9A-HJ-NP-Za-km-z]{40,}|(?i:k51qzi5uqu5d|k2k4r8)[0-9A-Za-z]{48,}|12D3KooW[1-9A-HJ-NP-Za-km-z]{44}`)
}

// hasOtherRoot reports whether a text has a CID of content or a pointer that is not the root of a
// path: a second path in a form that is not read.
func hasOtherRoot(text, path string) bool {
	root := strings.Split(path, "/")[2]
	own, err := pointer.Parse(root)
	for _, token := range rootForm().FindAllString(norm.NFKC.String(text), -1) {
		p, perr := pointer.Parse(token)
		if (isContent(token) || perr == nil) && token != root && !(err == nil && perr == nil && p == own) {
			return true
		}
	}
	return false
}

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
		if err != nil || u.Fragment != "" || !isOfGateway(u.RawQuery) {
			break
		}
		// A gateway with the root in its host serves /ipfs/CID/ipfs/… for the path /ipfs/….
		if labels := strings.SplitN(u.Hostname(), ".", 3); len(labels) == 3 && (labels[1] == "ipfs" && isContent(labels[0]) || labels[1] == "ipns" && isPlainPointer(labels[0])) {
			return "/" + labels[1] + "/" + labels[0] + u.Path, nil
		}
		if strings.HasPrefix(u.Path, "/ipfs/") || strings.HasPrefix(u.Path, "/ipns/") {
			return u.Path, nil
		}
	case "did", "pk":
		if p, err := pointer.Parse(text); err == nil && strings.Contains(rest, "/") {
			return "", usage("PATH %q has a path behind a pointer in a form without one", text).With("write it as /ipns/" + p.String() + "/PATH")
		} else if err == nil {
			return "/ipns/" + p.String(), nil
		}
	case "magnet":
		return "", usage("PATH is a link of BitTorrent, and no content path").With(pathNext)
	}
	root, _, _ := strings.Cut(text, "/")
	if isContent(root) {
		return "/ipfs/" + text, nil
	}
	if root != "" && isPlainPointer(root) {
		return "/ipns/" + text, nil
	}
	return text, nil
}

// isOfGateway reports whether a query has no more than what a gateway reads about the form of
// its answer.
func isOfGateway(query string) bool {
	q, err := url.ParseQuery(query)
	for key := range q {
		if key != "filename" && key != "download" {
			return false
		}
	}
	return err == nil
}

// isContent reports whether a text is the CID of content.
func isContent(s string) bool {
	c, err := cid.Decode(s)
	return err == nil && c.Type() != cid.Libp2pKey
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

// noPathNext is the next step for a text that has no form of a content path.
const noPathNext = "it is one of /ipfs/CID, /ipns/NAME, ipfs://CID, ipns://NAME, the URL of one of them at a gateway, a bare CID, a pointer and a link"
