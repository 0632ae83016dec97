package name

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// The bounds of foreign text for display.
const (
	maxClean          = 2048 // bytes
	maxCleanGraphemes = 512  // user-perceived characters
	// nonspacing marks on one character; no script needs more, zalgo text has more
	maxMarks    = 4
	maxAllMarks = 8 // marks on one character, including spacing vowel signs

	ellipsis = "…" // replaces what was cut
)

// Clean returns text of foreign origin (nicknames, labels, notes, values,
// errors that contain them) in a form that is safe for display, on a terminal
// or a page. Everything that prints such text calls it.
//
// Clean removes controls, terminal escapes, bidi controls, private and
// unassigned characters, all invisible characters (zero-width and other default
// ignorables, variation selectors, Hangul fillers, the blank Braille pattern),
// enclosing marks, marks without a base character, and all but four nonspacing
// marks on one character. Joiners stay where a script needs them (RFC 5892,
// appendix A.1 and A.2), and the sequences of [EmojiVersion] stay whole. Every
// kind of space and line end becomes a space; what is not UTF-8 becomes U+FFFD.
// Text over 2048 bytes or 512 graphemes is cut between two graphemes, with "…".
// Clean text is unchanged.
//
// The result is not trustworthy: use [Style] to display names inside other
// text.
func Clean(s string) string {
	return truncate(strings.TrimSpace(Scrub(s, false)), maxClean, maxCleanGraphemes)
}

// Scrub is [Clean] without its bounds on length. With lines, line feeds stay.
func Scrub(s string, lines bool) string {
	var out []rune
	marks, nonspacing := 0, 0
	joiners, emoji := false, 0 // emoji is the number of bytes left of a sequence
	for i, r := range s {
		if emoji == 0 && i+utf8.RuneLen(r) < len(s) {
			emoji = emojiSequence(s[i:])
		}
		if emoji > 0 {
			emoji -= utf8.RuneLen(r)
			out = append(out, r|kept)
			marks, nonspacing = 0, 0
			continue
		}
		switch {
		case r > ' ' && r < 0x7f, r == '\n' && lines:
		case unicode.IsSpace(r): // includes line ends and separators
			r = ' '
		case r == '\u200c' || r == '\u200d':
			if last := len(out) - 1; last >= 0 && out[last] != '\u200c' && out[last] != '\u200d' {
				out, joiners = append(out, r), true
			}
			continue
		case !unicode.IsGraphic(r) || isBlank(r) || unicode.Is(unicode.Me, r):
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
			if !hasBase(out) {
				continue
			}
			out = append(out, r)
			continue
		}
		out = append(out, r)
		marks, nonspacing = 0, 0
	}
	if joiners {
		out = dropJoiners(out)
	}
	for i := range out {
		out[i] &^= kept
	}
	return string(out)
}

// kept is set in characters of an emoji sequence while a text is cleaned, so that
// no rule for single characters applies to them.
const kept = 1 << 24

// hasBase reports whether a mark has a base character.
func hasBase(before []rune) bool {
	for i := len(before) - 1; i >= 0; i-- {
		if r := before[i]; r != '\u200c' && r != '\u200d' {
			return r != ' ' && r != '\n'
		}
	}
	return false
}

// dropJoiners removes the joiners that no script needs in their place.
func dropJoiners(in []rune) []rune {
	var out []rune
	for i, r := range in {
		if (r == '\u200c' || r == '\u200d') && !joinerAllowed(out, r, in[i+1:]) {
			continue
		}
		out = append(out, r)
	}
	return out
}

// joinerAllowed implements RFC 5892's rule for joiners: after a virama, and the
// non-joiner between letters that would join. Package precis has the joining
// types.
func joinerAllowed(before []rune, joiner rune, after []rune) bool {
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

// truncate cuts a text that is over a number of bytes or graphemes.
func truncate(s string, bytes, graphemes int) string {
	fits := 0 // bytes that fit beside the ellipsis
	rest, state, n := s, -1, 0
	for rest != "" {
		_, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		n++
		end := len(s) - len(rest)
		if n > graphemes || end > bytes {
			return strings.TrimRight(s[:fits], " \u200c\u200d") + ellipsis
		}
		if n < graphemes && end <= bytes-len(ellipsis) {
			fits = end
		}
	}
	return s
}

// firstRune returns the first character of a text.
func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}
