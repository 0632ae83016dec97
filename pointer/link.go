package pointer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/petnames-go/petnames/pointer/paste"
)

// Link is the form in which people exchange pointers. Beside the pointer it has
// the commitment to the owner's next key, a suggested name, and a checksum that
// detects mistyped and truncated links. It is not signed: its content is as
// reliable as its source.
//
//	petname:k51…?c=<commitment>&n=<nickname>&s=<checksum>
//
// Parameters are percent-encoded as in URL queries. Unknown parameters are
// ignored, but the checksum covers them. No parameter may occur twice, and s is
// last. The checksum is the first 4 bytes, in lower-case hexadecimal, of the
// sha2-256 of "petnames/link/v1\0" and all of the link before "&s=" or "?s=".
type Link struct {
	Pointer  Pointer
	Next     Commitment // zero: none
	Nickname string     // the owner's name for itself, a suggestion: hostile text
}

const (
	linkScheme   = "petname:"
	linkDomain   = "petnames/link/v1\x00"
	linkChecksum = 4
	maxLink      = 2048 // bytes; a QR code holds little more
)

// String returns the text of the link. It omits a nickname that no card may have:
// ParseLink would refuse the link with it.
func (l Link) String() string {
	var b strings.Builder
	b.WriteString(linkScheme)
	b.WriteString(l.Pointer.String())
	add := func(key, value string) {
		b.WriteByte(linkSeparator(b.String()))
		b.WriteString(key + "=" + url.QueryEscape(value))
	}
	if !l.Next.IsZero() {
		add("c", l.Next.String())
	}
	if l.Nickname != "" && checkNickname(l.Nickname) == nil {
		add("n", l.Nickname)
	}
	add("s", linkSum(b.String()))
	return b.String()
}

// linkSeparator returns the separator between the text so far and the next
// parameter. The checksum does not cover the separator before itself: ParseLink
// accepts only the one that this function returns.
func linkSeparator(before string) byte {
	if strings.Contains(before, "?") {
		return '&'
	}
	return '?'
}

// linkSum returns the checksum of the part of a link before it.
func linkSum(covered string) string {
	sum := digest(linkDomain, []byte(covered))
	return hex.EncodeToString(sum[:linkChecksum])
}

// ParseLink reads a link, without what other programs added to it: see package
// paste. The link may be within another text, such as a mail or a page, and more than
// once. A text with another link or another key, or with a link whose checksum is wrong,
// is refused, and with a [*WordsError] one with the words of another key beside it. ParseLink also
// reads a bare pointer, in any form that [Parse] accepts or within a text, as a Link with the
// pointer alone.
func ParseLink(s string) (Link, error) {
	if text, found := unscanned(s); found {
		l, err := parseLinkIn(text)
		if err != nil && !errors.As(err, new(*WordsError)) && !errors.Is(err, errSecondKey) {
			err = scanError(s)
		}
		return l, err
	}
	return parseLinkIn(s)
}

// parseLinkIn is ParseLink for a text without addresses of mail scanners.
func parseLinkIn(s string) (Link, error) {
	l, err := FindLink(s)
	if !errors.Is(err, errNoLink) {
		return l, err
	}
	p, err := Parse(s)
	if within, werr := parseWithin(s); err != nil && werr == nil {
		p, err = within, nil
	}
	if err == nil {
		err = checkWordsBeside(s, p)
	}
	if err != nil {
		return Link{}, err
	}
	return Link{Pointer: p}, nil
}

// FindLink is ParseLink without bare pointers: a text in which no link begins is refused.
func FindLink(s string) (Link, error) {
	l, err := findLink(s)
	if err == nil {
		err = checkWordsBeside(s, l.Pointer)
	}
	if err != nil {
		return Link{}, err
	}
	return l, nil
}

// findLink is FindLink without the words beside the link.
func findLink(s string) (Link, error) {
	s, _ = unscanned(s)
	trimmed := strings.TrimSpace(s)
	if isSecret(s) {
		return Link{}, fmt.Errorf("link: %w", errSecret)
	}
	l, err := parseLink(trimmed)
	if err == nil {
		return l, nil
	}
	token := paste.Token(s)
	places := linksWithin(s)
	switch meant := hasPrefixFold(trimmed, linkScheme) || hasPrefixFold(token, linkScheme); {
	case len(places) > 0:
		if l, err = oneLink(places); err == nil && hasSecondKey(s, l.Pointer) {
			err = errSecondKey
		}
	case !meant:
		return Link{}, errNoLink
	case token != trimmed:
		if l, err := parseLink(token); err == nil {
			return l, nil
		}
	}
	if err == nil {
		return l, nil
	}
	if errors.Is(err, errLinkSum) && token == strings.ToUpper(token) && strings.Contains(token, "&N=") {
		err = errors.New("is in capital letters, and its nickname was not in all of them: ask for it as it was")
	}
	if foreign := paste.Foreign(token); foreign != "" && errors.Is(err, errLinkSum) {
		err = fmt.Errorf("has the character %s, which no link has: it was mistyped, or is a forgery; ask for it again", foreign)
	}
	return Link{}, fmt.Errorf("link %s: %w", quote(trimmed), err)
}

// errNoLink is returned for a text in which no link begins.
var errNoLink = fmt.Errorf("no link: it has no %q", linkScheme)

// errLinkSum is returned for a link whose checksum is missing or wrong.
var errLinkSum = errors.New("the checksum is missing or wrong: it was mistyped or cut short; ask for it again")

// parseLink parses a link with the scheme. Its errors do not name the link.
func parseLink(s string) (Link, error) {
	if len(s) > maxLink {
		return Link{}, fmt.Errorf("is %d bytes long, over %d", len(s), maxLink)
	}
	// 1. The checksum, before anything else: it distinguishes a mistyped link
	// from one of a kind that this version does not know.
	equalsAt := strings.LastIndexByte(s, '=')
	if equalsAt < 2 || s[equalsAt-1] != 's' {
		return Link{}, errLinkSum
	}
	covered, sep, sum := s[:equalsAt-2], s[equalsAt-2], s[equalsAt+1:]
	if linkSum(covered) != sum || sep != linkSeparator(covered) || !strings.HasPrefix(covered, linkScheme) {
		return Link{}, errLinkSum
	}
	// 2. The pointer, in its canonical form alone.
	text, query, _ := strings.Cut(strings.TrimPrefix(covered, linkScheme), "?")
	p, err := parse(text)
	if err != nil {
		return Link{}, err
	}
	if p.String() != text {
		return Link{}, fmt.Errorf("its pointer is not in the canonical form %s", p)
	}
	// 3. The parameters, each once.
	values, err := url.ParseQuery(query)
	if err != nil {
		return Link{}, errors.New("its parameters are malformed") // the cause contains the parameters
	}
	for key, occurrences := range values {
		if len(occurrences) > 1 || key == "s" {
			return Link{}, fmt.Errorf("its parameter %s comes twice", quote(key))
		}
	}
	l := Link{Pointer: p}
	if values.Has("c") {
		if l.Next, err = ParseCommitment(values.Get("c")); err != nil {
			return Link{}, err
		}
	}
	l.Nickname = values.Get("n")
	if err := checkNickname(l.Nickname); err != nil {
		return Link{}, err
	}
	return l, nil
}
