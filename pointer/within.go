package pointer

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/ipfs/go-cid"

	"github.com/petnames-go/petnames/pointer/paste"
)

// linksWithin returns the parts of a text that begin with a link, whether or not it is
// damaged, without its scheme.
func linksWithin(s string) (places []string) {
	for _, rest := range paste.AfterAnyCase(s, linkScheme) {
		head := strings.TrimLeftFunc(paste.Unescape(paste.Unescape(rest)), func(r rune) bool { return unicode.IsSpace(r) || r == '/' })
		if likePointer().MatchString(head) {
			places = append(places, rest)
		}
	}
	return places
}

// likePointer matches what begins as a canonical pointer does, whole or cut off, and no name.
var likePointer = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[kK](?:[0-9]|[A-Za-z][0-9]|[A-Za-z]{2}[0-9]|[0-9A-Za-z]{20})`)
})

// oneLink returns the link at all places of a text. They must not differ.
func oneLink(places []string) (Link, error) {
	var first Link
	for i, place := range places {
		l, err := linkAt(place)
		switch {
		case err != nil && len(places) > 1:
			return Link{}, fmt.Errorf("link %d of %d in it: %w", i+1, len(places), err)
		case err != nil:
			return Link{}, err
		case i > 0 && l != first:
			return Link{}, errSecondKey
		}
		first = l
	}
	return first, nil
}

// linkAt parses the link, without its scheme, at the start of a text: as it is, and as
// percent-encoded once or twice; in its case, and in lower case if it was in upper case.
func linkAt(rest string) (Link, error) {
	l, err := linkEncoded(rest)
	if parameter := cutParameter(rest); err != nil && parameter != rest {
		if l, err := linkEncoded(parameter); err == nil {
			return l, nil
		}
	}
	return l, err
}

// linkEncoded is linkAt for a link that is not followed by parameters of another URL.
func linkEncoded(rest string) (Link, error) {
	var first error
	for range 3 {
		body, found := cutLink(rest)
		for _, form := range []string{body, lowerLink(body)} {
			l, err := parseLink(linkScheme + form)
			if err == nil && found {
				return l, nil
			}
			if first == nil || errors.Is(first, errLinkSum) && err != nil {
				first = err
			}
		}
		rest = paste.Unescape(rest)
	}
	if first == nil {
		first = errLinkSum
	}
	return Link{}, first
}

// cutParameter returns a link that is percent-encoded without the further parameters of the
// URL that it is a parameter of, such as that of a redirector. The signs of such a link are
// encoded too, so a sign that is not encoded is none of its own.
func cutParameter(rest string) string {
	sign := strings.IndexAny(rest, "?&=#%")
	if sign < 0 || rest[sign] != '%' {
		return rest
	}
	if end := strings.IndexAny(rest, "?&=#"); end >= 0 {
		return rest[:end]
	}
	return rest
}

// cutLink returns a link, up to its checksum, without white space and without slashes as
// in URLs. It reports false if there is no checksum, or the text continues behind it as if
// it were a part of it.
func cutLink(rest string) (body string, found bool) {
	rest, isURL := strings.CutPrefix(strings.TrimSpace(rest), "//")
	var b strings.Builder
	for i, r := range rest {
		if unicode.IsSpace(r) {
			continue
		}
		if b.WriteRune(r); b.Len() > maxLink {
			break
		}
		if n := b.Len() - 2*linkChecksum; n > 3 && isChecksum(b.String()[n-3:]) {
			body = b.String()
			if isURL {
				body = strings.Replace(body, "/?", "?", 1)
			}
			rest = rest[i+1:]
			return body, paste.CanEnd(rest) || tracking().MatchString(rest)
		}
	}
	return b.String(), false
}

// tracking matches what mail programs, social networks and browsers append to the address of a
// link. Other parameters can be those of a URL that a link is a parameter of.
var tracking = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:&(?:utm_[a-z]+|fbclid|gclid|gclsrc|dclid|gbraid|wbraid|msclkid|yclid|twclid|ttclid|igshid|igsh|mc_cid|mc_eid|mkt_tok|_hsenc|_hsmi)=|#:~:)`)
})

// isChecksum reports whether a text is the last parameter of a link.
func isChecksum(s string) bool {
	return (s[0] == '?' || s[0] == '&') && (s[1] == 's' || s[1] == 'S') && s[2] == '=' &&
		strings.Trim(s[3:], "0123456789abcdefABCDEF") == ""
}

// lowerLink returns a link that is in upper case in lower case, in which percent-encoded
// bytes stay in upper case, as [Link.String] writes them. The capital letters of a nickname
// are lost, which the checksum shows.
func lowerLink(s string) string {
	if s != strings.ToUpper(s) {
		return s
	}
	s = strings.ToLower(s)
	if !strings.Contains(s, "%") {
		return s
	}
	return regexp.MustCompile(`%[0-9a-f]{2}`).ReplaceAllStringFunc(s, strings.ToUpper)
}

// parseWithin returns the only key within a text, in a form without white space. A bare
// key has no checksum, so another word as long as a key, which can be a damaged one, is
// refused.
func parseWithin(s string) (p Pointer, err error) {
	if paste.HasFullWidth(s) || len(s) > maxKeyText || strings.Contains(s, "\x1b") {
		return Pointer{}, errNoKeyWithin
	}
	for _, field := range paste.Fields(s) {
		if len(field) < shortestKey {
			continue
		}
		one, err := parse(field)
		if err != nil && isShownBeside(field) {
			continue
		}
		switch {
		case err != nil:
			return Pointer{}, errNoKeyWithin
		case !p.IsZero() && one != p:
			return Pointer{}, errSecondKey
		}
		p = one
	}
	switch {
	case p.IsZero():
		return Pointer{}, errNoKeyWithin
	case hasSecondKey(s, p):
		return Pointer{}, errSecondKey
	}
	return p, nil
}

// isShownBeside reports whether a word as long as a key is what is shown beside the pointer
// of a contact: a commitment or the path of content, which are no keys, and no damaged ones.
func isShownBeside(field string) bool {
	if _, err := ParseCommitment(field); err == nil {
		return true
	}
	id, ok := strings.CutPrefix(field, "/ipfs/")
	if !ok {
		return false
	}
	id, _, _ = strings.Cut(id, "/")
	c, err := cid.Decode(id)
	return err == nil && c.Type() != cid.Libp2pKey
}

// shortestKey is less than the length of each form of a key, in bytes.
const shortestKey = 40

var errNoKeyWithin = errors.New("has no key")
