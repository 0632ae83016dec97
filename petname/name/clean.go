package name

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// The bounds of foreign text on display.
const (
	maxClean          = 2048 // bytes
	maxCleanGraphemes = 512  // what people see as characters
	maxMarks          = 4    // nonspacing marks on one character: zalgo has more, no script
	maxAllMarks       = 8    // marks on one character, vowel signs that take space among them

	more = "…" // stands for what was cut
)

// Clean makes text of foreign origin (nicknames, labels, notes, values, errors
// that repeat them) fit to be shown, on a terminal or a page: everything that
// prints such text passes it through here.
//
// Dropped are controls, terminal escapes, bidi controls, private and unassigned
// characters, all that shows as nothing (zero-width and other default
// ignorables, variation selectors, Hangul fillers, the blank Braille pattern),
// enclosing marks, marks with nothing to stand on, and all but four nonspacing
// marks on one character. Joiners stay where a script needs them (RFC 5892,
// appendix A.1 and A.2). Every kind of space and line end becomes a space; what
// isn't UTF-8 becomes U+FFFD. What is over 2048 bytes or 512 graphemes is cut
// between two of them, with "…". Clean text stays as it is.
//
// It makes nothing trustworthy. Inside other text, names have looks of their
// own: see [Style].
func Clean(s string) string {
	return bound(strings.TrimSpace(Scrub(s, false)), maxClean, maxCleanGraphemes)
}

// Scrub is [Clean] without its bounds on length. With lines, line feeds stay.
func Scrub(s string, lines bool) string {
	var out []rune
	marks, nonspacing := 0, 0
	joiners := false
	for _, r := range s {
		switch {
		case r > ' ' && r < 0x7f, r == '\n' && lines:
		case unicode.IsSpace(r): // the line ends and the separators, too
			r = ' '
		case r == '\u200c' || r == '\u200d':
			if last := len(out) - 1; last >= 0 && out[last] != '\u200c' && out[last] != '\u200d' {
				out, joiners = append(out, r), true
			}
			continue
		case !unicode.IsGraphic(r) || blank(r) || unicode.Is(unicode.Me, r):
			continue
		case unicode.Is(unicode.M, r):
			if marks++; marks > maxAllMarks {
				continue
			}
			if unicode.Is(unicode.Mn, r) {
				if nonspacing++; nonspacing > maxMarks {
					continue
				}
			}
			if !stands(out) {
				continue
			}
			out = append(out, r)
			continue
		}
		out = append(out, r)
		marks, nonspacing = 0, 0
	}
	if joiners {
		out = joined(out)
	}
	return string(out)
}

// stands reports whether a mark has something to stand on.
func stands(before []rune) bool {
	for i := len(before) - 1; i >= 0; i-- {
		if r := before[i]; r != '\u200c' && r != '\u200d' {
			return r != ' ' && r != '\n'
		}
	}
	return false
}

// joined drops the joiners that no script needs where they are.
func joined(in []rune) []rune {
	var out []rune
	for i, r := range in {
		if (r == '\u200c' || r == '\u200d') && !joins(out, r, in[i+1:]) {
			continue
		}
		out = append(out, r)
	}
	return out
}

// joins is RFC 5892's rule for joiners: behind a virama, and the non-joiner
// between letters that would join. precis knows the joining types.
func joins(before []rune, joiner rune, after []rune) bool {
	if len(before) == 0 {
		return false
	}
	const virama = 9
	if last := string(before[len(before)-1]); norm.NFC.PropertiesString(last).CCC() == virama {
		return true
	}
	if joiner != '\u200c' {
		return false
	}
	inWord := func(r rune) bool { return unicode.In(r, unicode.L, unicode.M) }
	start := len(before)
	for start > 0 && len(before)-start < 2*maxAllMarks && inWord(before[start-1]) {
		start--
	}
	word := append([]rune{}, before[start:]...)
	word = append(word, joiner)
	for _, r := range after {
		if r == '\u200c' || r == '\u200d' {
			continue
		}
		if !inWord(r) || len(word) == 6*maxAllMarks {
			break
		}
		word = append(word, r)
	}
	_, err := precis.OpaqueString.String(string(word))
	return err == nil
}

// bound cuts a text that is over so many bytes or graphemes.
func bound(s string, bytes, graphemes int) string {
	fits := 0 // the length of what fits beside the mark
	rest, state, n := s, -1, 0
	for rest != "" {
		_, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		n++
		end := len(s) - len(rest)
		if n > graphemes || end > bytes {
			return strings.TrimRight(s[:fits], " \u200c\u200d") + more
		}
		if n < graphemes && end <= bytes-len(more) {
			fits = end
		}
	}
	return s
}

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}
