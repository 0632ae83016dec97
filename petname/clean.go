package petname

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
)

// maxClean bounds foreign text on display, in bytes.
const maxClean = 512

// Clean makes text of foreign origin (nicknames, labels, values, errors that
// repeat them) fit to be shown: controls, terminal escapes, bidi overrides,
// joiners and invisible characters are dropped, every kind of space and line
// end becomes a space, what isn't UTF-8 becomes U+FFFD, and what is over 512
// bytes is cut, with "…". It makes nothing trustworthy.
func Clean(s string) string {
	const more = "…"
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsSpace(r): // the line ends and the separators, too
			r = ' '
		case !unicode.IsGraphic(r) || blank(r):
			continue
		}
		if b.Len()+utf8.RuneLen(r) > maxClean-len(more) {
			b.WriteString(more)
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// Nickname shows what somebody calls itself: quoted, marked, and with its
// pointer's short form, so that it is never taken for a petname:
//
//	"~Bob W" k51…sxel2r
//
// Quotation marks and tildes of any script that are inside become ' and -, so
// that it can't end its own quotes and go on with another pointer. Without a
// nickname it is the short form alone.
func Nickname(nickname string, p pointer.Pointer) string {
	nickname = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Quotation_Mark, r), strings.ContainsRune("\u02ba\u02ee\u02dd\u2033\u2036\u275b\u275c\u275d\u275e\u3003\u05f4", r):
			return '\''
		case strings.ContainsRune("~\u02dc\u223c\u223d\u223f\u2053\u301c\u3030\uff5e\u0303\u0330\u0334\u1dec", r):
			return '-'
		}
		return r
	}, Clean(nickname))
	nickname = strings.TrimLeftFunc(nickname, func(r rune) bool { return unicode.In(r, unicode.M) || r == ' ' })
	if nickname == "" {
		return p.Short()
	}
	return `"~` + nickname + `" ` + p.Short()
}
