package name

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/pointer"
)

// Style is how names are shown. There are three kinds of name, three types for
// them, and three looks, which differ without colour and when read aloud:
//
//	petname    Name       alice
//	edge name  EdgeName   alice ⇒ bob                always the whole path, from a petname of mine
//	nickname   Nickname   "~Bob W" k51…sxel2r        quoted, marked, and with its pointer
//
// No text that comes from others has any of these looks but the third: their
// marks in it are replaced.
type Style int

const (
	Plain Style = iota // for files, pipes and pages: the looks alone
	// and text from right to left is isolated, so that it moves nothing around it
	Terminal
	Colour // and each kind has a colour
)

// Shown is a name of any of the three kinds.
type Shown interface{ shown(Style) string }

// Show gives a name as people read it.
func (s Style) Show(n Shown) string { return n.shown(s) }

// Text gives other foreign text, a note, a message or a link, made fit by
// [Clean] and without what could start the look of a name in it, in any script's
// form of the marks:
//
//	⇒ and arrows like it → >    " of all kinds → '    ~ → -    .2 at the end → ·2
//
// Slashes and parentheses stay: such text has a line or a field of its own, which
// no remark and no path of names stands in, and would be no use to copy without
// them. For the same reason a word that has a slash, a URL or a path, keeps its
// tildes behind that, and its end: without a quotation mark before it a tilde
// marks no nickname. What must stay as it is to the last character, the value of
// a record, isn't for Text.
func (s Style) Text(text string) string { return s.isolate(markless(text)) }

const (
	firstStrongIsolate = "\u2068"
	popIsolate         = "\u2069"
)

// isolate keeps what goes from right to left from moving what is beside it. Only
// where there is such text: many terminals show the controls as boxes.
func (s Style) isolate(text string) string {
	if s == Plain || !turns(text) {
		return text
	}
	return firstStrongIsolate + text + popIsolate
}

func (s Style) colour(code, text string) string {
	if s != Colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (n Name) shown(s Style) string { return s.colour("1", s.isolate(n.text)) }

// EdgeName is what somebody calls somebody else: the whole path that leads there
// from a petname of mine, or from a pointer that I have no name for.
type EdgeName struct {
	from   Shown
	labels []string
}

// Edge is the path from a petname along labels that others gave.
func (n Name) Edge(labels ...string) EdgeName { return EdgeName{n, labels} }

// Edge is the path from somebody whom I have no petname for.
func (n Nickname) Edge(labels ...string) EdgeName { return EdgeName{n, labels} }

func (e EdgeName) shown(s Style) string {
	parts := []string{min(s, Terminal).Show(e.from)}
	for _, label := range e.labels {
		parts = append(parts, s.isolate(unmarked(label)))
	}
	return s.colour("36", strings.Join(parts, " ⇒ "))
}

// Nickname is what somebody calls itself. Its look is
//
//	"~Bob W" k51…sxel2r
//
// so that it is never taken for a petname, and, without a text, the pointer's
// short form alone.
type Nickname struct {
	Text    string // hostile
	Pointer pointer.Pointer
}

// String is the plain look.
func (n Nickname) String() string { return n.shown(Plain) }

func (n Nickname) shown(s Style) string {
	text := unmarked(n.Text)
	if text == "" {
		return s.colour("33", n.Pointer.Short())
	}
	return s.colour("33", `"~`+s.isolate(text)+`" `+n.Pointer.Short())
}

// maxNickname bounds a nickname or a label on display, in graphemes.
const maxNickname = 64

// unmarked is foreign text that stands for a name: clean, short, and without the
// marks that names of another kind have, in any script's form of them, so that
// it can't end its own quotes and go on with another pointer:
//
//	" of all kinds → '    ~ → -    ⇒ → >    ( ) → [ ]    / → |    .2 at the end → ·2
func unmarked(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case isQuote(r):
			return '\''
		case strings.ContainsRune(tildes+"\u0303\u0330\u0334\u1dec", r):
			return '-'
		case isArrow(r):
			return '>'
		case strings.ContainsRune(openParens, r):
			return '['
		case strings.ContainsRune(shutParens, r):
			return ']'
		case strings.ContainsRune(slashes, r):
			return '|'
		}
		return r
	}, settled(text))
	text = settled(text)
	text = strings.Join(strings.Fields(text), " ")
	text = markTrailingNumber(text)
	return bound(text, maxClean, maxNickname)
}

// markless is foreign text that stands for itself: see [Style.Text]. Marks on
// letters stay as they are, the tilde of Guarani's g̃ among them.
func markless(text string) string {
	path := false // the word has had a slash
	text = strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			path = false
		case strings.ContainsRune(slashes, r):
			path = true
		case isQuote(r):
			return '\''
		case isArrow(r):
			return '>'
		case !path && strings.ContainsRune(tildes, r):
			return '-'
		}
		return r
	}, Clean(text))
	if !path {
		text = markTrailingNumber(text)
	}
	return bound(text, maxClean, maxCleanGraphemes)
}

// isQuote: a quotation mark of any kind; the single ones end up as ' as well.
func isQuote(r rune) bool {
	return unicode.Is(unicode.Quotation_Mark, r) || strings.ContainsRune(doubleQuotes+"\u275b\u275c\u05f4", r)
}

// isArrow: what reads as the mark between the names of a path.
func isArrow(r rune) bool {
	return strings.ContainsRune(PathMarks+"\u2192\u27f6\u2794\u279c\u279d\u279e", r)
}

// settled is a clean text in normal form C, which can take a letter and its
// marks apart, and put marks in another order, so that it is to be cleaned again.
func settled(text string) string {
	text = Clean(text)
	for range 4 {
		next := Clean(norm.NFC.String(text))
		if next == text {
			break
		}
		text = next
	}
	return text
}

// markTrailingNumber returns a text with a middle dot in place of the full stop
// before a number at its end.
func markTrailingNumber(text string) string {
	before := strings.TrimRight(text, "0123456789")
	if stem, is := strings.CutSuffix(before, "."); is && before != text {
		return stem + "\u00b7" + text[len(before):]
	}
	return text
}

// The marks of remarks and nicknames, in any script's form of them.
const (
	openParens   = "(\uff08\u207d\u208d\u2768\u276a\ufe59\u2e28\u2985\uff5f\u27ee"
	shutParens   = ")\uff09\u207e\u208e\u2769\u276b\ufe5a\u2e29\u2986\uff60\u27ef"
	tildes       = "~\u02dc\u223c\u223d\u223f\u2053\u301c\u3030\uff5e"
	doubleQuotes = "\u02ba\u02dd\u02ee\u02f6\u2033\u2036\u275d\u275e\u3003"
)

// slashes are the slash, and what reads as one.
const slashes = "/\u2044\u2215\u29f8\uff0f\u2571\u27cb"
