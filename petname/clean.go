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
// repeat them) fit to be shown: controls, terminal escapes, line ends, bidi
// overrides and invisible characters are dropped, what isn't UTF-8 becomes
// U+FFFD, and what is over 512 bytes is cut, with "…". It makes nothing
// trustworthy.
func Clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || unicode.Is(unicode.Zs, r):
			r = ' '
		case !unicode.IsGraphic(r) || unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			continue
		}
		if b.Len()+utf8.RuneLen(r) > maxClean-len("…") {
			b.WriteString("…")
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
// Without a nickname it is the short form alone.
func Nickname(nickname string, p pointer.Pointer) string {
	nickname = Clean(strings.NewReplacer(`"`, "'", "~", "-").Replace(nickname))
	if nickname == "" {
		return p.Short()
	}
	return `"~` + nickname + `" ` + p.Short()
}
