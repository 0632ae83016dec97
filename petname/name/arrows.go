package name

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// PathMarks are the arrow between the names of a path, and similar arrows.
const PathMarks = "\u21d2\u27f9\u21e8\u21db\u2907\u27be\u2970"

// arrows are the arrows of all directions (the characters with ARROW or HARPOON
// in their names that are no picture of something else), and triangles, hands
// and brackets that point to the right.
var arrows = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x02c2, 0x02c5, 1}, {0x02ef, 0x02f2, 1}, {0x02ff, 0x02ff, 1}, {0x2190, 0x21ff, 1}, {0x22b8, 0x22b8, 1}, {0x2303, 0x2304, 1}, {0x23e9, 0x23e9, 1}, {0x23ed, 0x23ed, 1}, {0x23f5, 0x23f5, 1},
		{0x25b6, 0x25bb, 1}, {0x261b, 0x261b, 1}, {0x261e, 0x261e, 1}, {0x276d, 0x2771, 2}, {0x2794, 0x2794, 1}, {0x2798, 0x27af, 1}, {0x27b1, 0x27be, 1},
		{0x27f0, 0x27ff, 1}, {0x2900, 0x297f, 1}, {0x2b00, 0x2b11, 1}, {0x2b30, 0x2b4f, 1}, {0x2b5a, 0x2bb9, 1}, {0x2bc8, 0x2bc8, 1}, {0x2bec, 0x2bef, 1},
		{0xffe9, 0xffec, 1},
	},
	R32: []unicode.Range32{{0x1f449, 0x1f449, 1}, {0x1f599, 0x1f59d, 2}, {0x1f780, 0x1f783, 1}, {0x1f800, 0x1f8ff, 1}, {0x1fbb0, 0x1fbb8, 1}},
}

// isArrow reports whether r reads as the mark between the names of a path,
// wherever it is.
func isArrow(r rune) bool {
	switch {
	case r >= '\u2795' && r <= '\u2797', r == '\u27b0':
		return false
	}
	return strings.ContainsRune(PathMarks+"\u2192\u27f6\u2b95\uffeb", r) || r >= '\u2794' && r <= '\u27be'
}

// arrowBetweenWords returns the first arrow of a text with other text before and
// after it, such as "alice → bob" or "alice -> bob": it reads as a path. "" is
// returned for none. An arrow at an end, and one in an emoji sequence, is none.
func arrowBetweenWords(text string) string {
	before := false // text before the arrow
	found := ""
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		arrow := ""
		if n := emojiSequence(text[i:]); n > 0 && strings.ContainsRune(text[i:i+n], joiner) {
			size = n
		} else if unicode.Is(arrows, r) {
			arrow = text[i : i+size]
		} else if n := drawnArrow(text[i:]); n > 0 {
			size, arrow = n, text[i:i+n]
		}
		switch {
		case arrow != "" && before && found == "":
			found = arrow
		case arrow != "", unicode.IsSpace(r), isBlank(r), skinTone(r):
		case found != "":
			return found
		default:
			before = true
		}
		i += size
	}
	return ""
}

// drawnArrow returns the length of an arrow of several characters at the start of
// a text, such as -> and ==>; 0 for none.
func drawnArrow(text string) int {
	n := 0
	for i, r := range text {
		switch form := firstRune(norm.NFKC.String(string(r))); {
		case strings.ContainsRune("-=~\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2500\u2501\u2550\u30fc\u4e00", form):
			n++
		case n > 0 && strings.ContainsRune(">\u203a\u00bb\u02c3\u227b\u232a\u27e9\u3009\u276d\u276f\u2771", form):
			return i + utf8.RuneLen(r)
		default:
			return 0
		}
	}
	return 0
}

// pointRight are signs that are no arrows and point to the right: comparison signs, and
// brackets and quotation marks that close. Those of closers have a sign that opens at the
// same place of openers.
const (
	pointRight = ">\u226b\u22d9\u227b\u22b3\u2aa2\u2abc\u2a20\u2af8\u22d7\u29d0\u00bb\u203a\u27e9\u27eb\u3009\u300b\u2329\u232a\u2992\u29fd\ufe65\uff1e\u276d\u276f\u2771"
	openers    = "<\u00ab\u2039\u27e8\u27ea\u3008\u300a\u2991\u29fc"
	closers    = ">\u00bb\u203a\u27e9\u27eb\u3009\u300b\u2992\u29fd"
)

// PathSign returns the first sign of a text, with other text before and after it,
// that readers can take for the arrow between the names of a path, as in "alice > bob"
// and "alice » bob". Unlike an arrow it is allowed in a name: the owner is asked.
// "" is returned for none. A sign of a pair around a word, as in "Ann «Mary» Lee", is none.
func PathSign(text string) string {
	runes := []rune(norm.NFC.String(text))
	for i, r := range runes {
		if !strings.ContainsRune(pointRight, r) || !hasText(runes[:i]) || !hasText(runes[i+1:]) || inPair(runes, i) {
			continue
		}
		return string(r)
	}
	return ""
}

// hasText reports whether there is other text than such signs and spaces.
func hasText(runes []rune) bool {
	return slices.ContainsFunc(runes, func(r rune) bool {
		return !unicode.IsSpace(r) && !strings.ContainsRune(pointRight+openers, r) && !isBlank(r)
	})
}

// inPair reports whether a sign is one of a pair around text: it closes directly behind
// a word, after its opening one, or, as in German, it opens directly before a word and
// the other one closes later.
func inPair(runes []rune, i int) bool {
	kind := strings.IndexRune(closers, firstRune(norm.NFKC.String(string(runes[i]))))
	if kind < 0 {
		return false
	}
	closer := firstRune(closers[kind:])
	opener := []rune(openers)[utf8.RuneCountInString(closers[:kind])]
	open := 0
	for _, r := range runes[:i] {
		switch firstRune(norm.NFKC.String(string(r))) {
		case opener:
			open++
		case closer:
			open = max(0, open-1)
		}
	}
	if open > 0 && !unicode.IsSpace(runes[i-1]) {
		return true
	}
	quotes := closer == '\u00bb' || closer == '\u203a'
	return quotes && (i == 0 || unicode.IsSpace(runes[i-1])) && !unicode.IsSpace(runes[i+1]) && slices.Contains(runes[i+1:], opener)
}
