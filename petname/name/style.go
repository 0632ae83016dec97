package name

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/pointer"
)

// Style is the way in which names are displayed. There are three kinds of name
// with three types and three forms. The forms differ without colour and when
// read aloud:
//
//	petname    Name       alice
//	edge name  EdgeName   alice ⇒ bob                the whole path, from a petname of the owner
//	nickname   Nickname   "~Bob W" k51…sxel2r        quoted, marked, and with its pointer
//
// Foreign text can take no other form than the third: the marks of the forms
// are replaced in it.
type Style int

const (
	Plain Style = iota // for files, pipes and pages: the forms alone
	// for terminals: right-to-left text is also isolated, so that it does not
	// reorder the text around it
	Terminal
	Colour // Terminal, with a colour for each kind
)

// Shown is a name of any of the three kinds.
type Shown interface{ shown(Style) string }

// Show returns the form of a name.
func (s Style) Show(n Shown) string { return n.shown(s) }

// Text returns other foreign text, such as a note, a message or a link, cleaned
// as by [Clean] and without the marks that start the form of a name, in any
// script's variant:
//
//	⇒ and arrows like it → >    " of all kinds → '    ~ → -    .2 at the end → ·2
//
// Slashes and parentheses stay: such text is displayed on a line or in a field
// of its own, where no remark and no path of names is, and has to be copied
// without changes. For the same reason a word with a slash, a URL or a path,
// keeps the tildes after the slash, and its end: a tilde without a quotation
// mark before it does not mark a nickname. Do not use Text for what must not
// change in any character, such as the value of a record.
func (s Style) Text(text string) string { return s.isolate(foreignText(text)) }

const (
	firstStrongIsolate = "\u2068"
	popIsolate         = "\u2069"
)

// isolate keeps right-to-left text from reordering the text around it. It adds
// the controls only where there is such text, because many terminals show them
// as boxes.
func (s Style) isolate(text string) string {
	if s == Plain || !hasRTL(text) {
		return text
	}
	return firstStrongIsolate + text + popIsolate
}

// colour returns the text in a colour of the terminal, or unchanged if the style has none.
func (s Style) colour(code, text string) string {
	if s != Colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (n Name) shown(s Style) string { return s.colour("1", s.isolate(n.text)) }

// EdgeName is the name of a contact through other contacts: the whole path from
// a petname of the owner, or from a pointer without a petname.
type EdgeName struct {
	from   Shown
	labels []string
}

// Edge returns the path from a petname along labels of contacts.
func (n Name) Edge(labels ...string) EdgeName { return EdgeName{n, labels} }

// Edge returns the path from a pointer without a petname.
func (n Nickname) Edge(labels ...string) EdgeName { return EdgeName{n, labels} }

func (e EdgeName) shown(s Style) string {
	parts := []string{min(s, Terminal).Show(e.from)}
	for _, label := range e.labels {
		parts = append(parts, s.isolate(foreignName(label)))
	}
	return s.colour("36", strings.Join(parts, " "+pathArrow+" "))
}

// Nickname is the name that the holder of a key chose for itself. Its form is
//
//	"~Bob W" k51…sxel2r
//
// so that it cannot be mistaken for a petname; without a text it is the
// pointer's short form alone.
type Nickname struct {
	Text    string // hostile text
	Pointer pointer.Pointer
}

// String returns the form in style [Plain].
func (n Nickname) String() string { return n.shown(Plain) }

func (n Nickname) shown(s Style) string {
	text := foreignName(n.Text)
	if text == "" {
		return s.colour("33", n.Pointer.Short())
	}
	return s.colour("33", `"~`+s.isolate(text)+`" `+n.Pointer.Short())
}

// Unparenthesized returns a text with brackets in place of parentheses, in any script's variant, for
// a place before a remark in parentheses.
func Unparenthesized(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(openParens, r):
			return '['
		case strings.ContainsRune(shutParens, r):
			return ']'
		}
		return r
	}, text)
}

// maxNickname bounds a nickname or a label for display, in graphemes.
const maxNickname = 64

// foreignName returns foreign text for the place of a name: cleaned, short, and
// without the marks of other kinds of name, in any script's variant, so that it
// cannot close its own quotes and continue with another pointer:
//
//	" of all kinds → '    ~ → -    ⇒ → >    ( ) → [ ]    / → |    .2 at the end → ·2
func foreignName(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case isQuote(r):
			return '\''
		case strings.ContainsRune(tildes+"\u0303\u0330\u0334\u1dec", r):
			return '-'
		case isArrow(r):
			return '>'
		case strings.ContainsRune(slashes, r):
			return '|'
		}
		return r
	}, Unparenthesized(cleanNFC(text)))
	for arrow := arrowBetweenWords(text); arrow != ""; arrow = arrowBetweenWords(text) {
		text = strings.ReplaceAll(text, arrow, ">")
	}
	text = cleanNFC(text)
	text = strings.Join(strings.Fields(text), " ")
	text = markTrailingNumber(text)
	return truncate(text, maxClean, maxNickname)
}

// foreignText returns foreign text for a line or field of its own: see
// [Style.Text]. Marks on letters stay, such as the tilde of Guarani's g̃.
func foreignText(text string) string {
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
	return Clean(text) // without the selector of an emoji that was replaced
}

// isQuote reports whether r is a quotation mark of any kind. Single ones are
// replaced by ' too.
func isQuote(r rune) bool {
	return unicode.Is(unicode.Quotation_Mark, r) || strings.ContainsRune(doubleQuotes+"\u275b\u275c\u05f4", r)
}

// cleanNFC returns a clean text in normal form C, which can separate a letter
// from its marks and reorder marks, so the text is cleaned again.
func cleanNFC(text string) string {
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

// markTrailingNumber replaces the full stop before a number at the end of a
// text by a middle dot.
func markTrailingNumber(text string) string {
	before := strings.TrimRight(text, "0123456789")
	if stem, ok := strings.CutSuffix(before, "."); ok && before != text {
		return stem + "\u00b7" + text[len(before):]
	}
	return text
}

// The marks of remarks and nicknames, with their variants in other scripts.
const (
	openParens   = "(\uff08\u207d\u208d\u2768\u276a\ufe59\u2e28\u2985\uff5f\u27ee"
	shutParens   = ")\uff09\u207e\u208e\u2769\u276b\ufe5a\u2e29\u2986\uff60\u27ef"
	tildes       = "~\u02dc\u223c\u223d\u223f\u2053\u301c\u3030\uff5e"
	doubleQuotes = "\u02ba\u02dd\u02ee\u02f6\u2033\u2036\u275d\u275e\u3003"
)

// slashes are the slash, and characters that read as one.
const slashes = "/\u2044\u2215\u29f8\uff0f\u2571\u27cb"
