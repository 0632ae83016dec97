package name

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/pointer"
)

// Name is a petname: text that the owner of a book chose, with a comparison key
// by the PRECIS Nickname profile (RFC 8266). Two names are equal if their keys
// are: case, width, the number of spaces, and the variation selectors and joiners
// of emoji are ignored. The typed spelling is stored for display, without
// variation selectors. The zero value is no name.
type Name struct {
	text, key string
}

// MaxLen bounds a name, in bytes of UTF-8 in normal form C.
const MaxLen = 128

// UnicodeVersion is the version of the tables for comparison keys. A book with
// keys of other tables derives them again when it is opened.
const UnicodeVersion = precis.UnicodeVersion

// Error is returned for a text that is not a name. Text is the input.
type Error struct {
	Text   string
	Reason string
}

func (e *Error) Error() string {
	if e.Text == "" {
		return "the name " + e.Reason
	}
	return fmt.Sprintf("name %s %s", Quote(e.Text), e.Reason)
}

// Parse reads a name. It returns an [*Error] for an empty name, a name over
// [MaxLen], a name with a slash (which reads as a path), one that reads as a
// pointer, a link, a flag or a nickname, one with an arrow between words, and
// what RFC 8266 refuses: controls, invisible and unassigned code points. It
// also refuses blank characters that count as letters or symbols, combining
// marks without a base character, and what [Clean] would change.
func Parse(s string) (Name, error) {
	n, refused := normalise(s)
	if refused == nil {
		refused = checkNew(n)
	}
	if refused != nil {
		return Name{}, &Error{s, refused.reason}
	}
	return n, nil
}

// ParseKnown reads the text of a name that a book or a card may have already. Unlike
// [Parse] it accepts names that older versions, or versions with other Unicode
// tables, accepted.
func ParseKnown(s string) (Name, error) {
	n, refused := normalise(s)
	if refused == nil {
		return n, nil
	}
	if refused.byTables {
		return Recorded(s), nil
	}
	return Name{}, &Error{s, refused.reason}
}

// checkNew returns why a text cannot be a new name, although the ledger accepts
// it.
func checkNew(n Name) *refusal {
	_, noKey := pointer.ParseLink(n.text)
	switch {
	case (noKey == nil || errors.As(noKey, new(*pointer.WordsError))) && hasPetname(n.text): // it would be read as a link, or as the command before a pointer
		return &refusal{reason: "has a link"}
	case Clean(n.text) != n.text:
		return &refusal{reason: "has an enclosing mark, or more marks on one character than can be shown"}
	case arrowBetweenWords(n.text) != "":
		return &refusal{reason: fmt.Sprintf("has the arrow %q between words: it reads as a path", arrowBetweenWords(n.text))}
	case strings.ContainsRune(openParens, firstRune(n.text)):
		return &refusal{reason: "starts with a parenthesis, as remarks do"}
	case strings.ContainsRune(tildes+doubleQuotes, firstRune(n.text)), leadingApostrophes(n.text) > 1:
		return &refusal{reason: "starts as a nickname is shown, with a quotation mark or a tilde"}
	}
	return nil
}

// leadingApostrophes counts the apostrophes at the start: two read as a
// quotation mark.
func leadingApostrophes(text string) (n int) {
	for _, r := range text {
		if !strings.ContainsRune("'\u2018\u2019\u201a\u201b\u02bb\u02bc\u02bd\u2032\u2035\u00b4`\uff07", r) {
			break
		}
		n++
	}
	return n
}

// nicknameMarks are tildes and quotation marks. A nickname is shown with them in
// front, and a name must not start with one.
const nicknameMarks = "~\u223c\u02dc\uff5e\"\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02\u301d\u301e"

// refusal is the reason why a text is not a name.
type refusal struct {
	reason string
	// byTables is set if other Unicode tables may accept the text. The text is
	// safe for display.
	byTables bool
}

// normalise returns the Name of a text, or the reason why it is none.
func normalise(s string) (Name, *refusal) {
	refuse := func(format string, args ...any) (Name, *refusal) {
		return Name{}, &refusal{reason: fmt.Sprintf(format, args...)}
	}
	if !utf8.ValidString(s) {
		return refuse("is not valid UTF-8")
	}
	s = cutSelectors(s)
	plain := plainEmoji(s)
	if len(plain) > MaxLen {
		return refuse("is %d bytes long, over %d", len(plain), MaxLen)
	}
	s, unknownEmoji := cutUnknownEmoji(s)
	hasJoiner, unassigned, emoji := false, rune(-1), 0
	for i, r := range s {
		if i >= emoji {
			emoji = i + emojiSequence(s[i:]) // the end of the sequence
		}
		switch {
		case i < emoji:
		case r == '\u200c' || r == '\u200d':
			hasJoiner = true // PRECIS checks them: it allows joiners where a script needs them
		case isBlank(r):
			return refuse("has the invisible character %U", r)
		case unicode.Is(unicode.Cn, r):
			unassigned = r
		case !unicode.IsGraphic(r):
			return refuse("has the control or unassigned character %U", r)
		}
	}
	text := norm.NFC.String(strings.Join(strings.FieldsFunc(plainEmoji(s), unicode.IsSpace), " "))
	key, err := Key(text)
	switch {
	case text == "":
		return refuse("is empty")
	case len(text) > MaxLen:
		return refuse("is %d bytes long in normal form, over %d", len(text), MaxLen)
	case strings.ContainsAny(text, slashes):
		return refuse("has a slash: it reads as a path, not as one name")
	case strings.ContainsAny(text, PathMarks+"\ufffd"):
		return refuse("has a character that shows paths or broken text")
	case strings.ContainsRune(nicknameMarks, firstRune(text)):
		return refuse("starts as a nickname is shown, with a quotation mark or a tilde")
	case strings.HasPrefix(text, "-"):
		return refuse("starts with a hyphen: it reads as a flag")
	case unicode.In(firstRune(text), unicode.M):
		return refuse("starts with a combining mark")
	}
	// The compatibility form too: readers take ｋ５１… for k51….
	for _, form := range []string{text, norm.NFKC.String(text)} {
		if len(form) >= len("petname:") && strings.EqualFold(form[:len("petname:")], "petname:") {
			return refuse("reads as a link")
		}
		if _, err := pointer.Parse(strings.TrimRight(form, ".,;:!?")); err == nil {
			return refuse("reads as a pointer")
		}
		if len(form) > 3 && strings.EqualFold(form[:1], "k") && strings.HasPrefix(form[3:], "…") {
			return refuse("reads as a pointer cut short")
		}
	}
	// Other tables may accept these texts. A text with a joiner counts as refused by all
	// tables: PRECIS does not report whether a misplaced joiner, which is invisible, or
	// another character is the reason.
	switch {
	case unknownEmoji:
		return Name{}, &refusal{"has an emoji that this version does not know", !hasJoiner}
	case unassigned >= 0:
		return Name{}, &refusal{fmt.Sprintf("has the unassigned character %U", unassigned), !hasJoiner}
	case err != nil:
		return Name{}, &refusal{err.Error(), !hasJoiner}
	}
	return Name{text, key}, nil
}

// isBlank reports whether r is invisible, whatever its category: the default
// ignorable code points (assigned or not), noncharacters, and characters that
// are drawn as an empty space: the Braille pattern without dots, the null
// notehead, the blank hieroglyphs, and the object replacement characters.
func isBlank(r rune) bool {
	switch r {
	case '\u2800', '\U0001d159', '\U00013441', '\U00013442', '\ufffc':
		return true
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Noncharacter_Code_Point)
}

// Key returns the comparison key of a text by RFC 8266, which allows no emoji
// sequences: they are compared by their parts. The rules are applied until the
// key is stable, as §2.4 asks, because one pass may not be enough.
func Key(text string) (string, error) {
	key := emojiKey(text)
	for range 4 {
		next, err := precis.Nickname.CompareKey(key)
		if err != nil {
			return "", errors.New("has a character that RFC 8266 doesn't allow in a nickname")
		}
		if next == key {
			return key, nil
		}
		key = next
	}
	return "", errors.New("has no stable form for comparison (RFC 8266, §2.4)")
}

// A name in the ledger was accepted by the Unicode tables of the device that
// wrote it. The tables of this version may be older or newer and refuse it.
// Such a name equals no other, and cannot be typed. A text that all tables
// refuse is not a name.

// IsName reports whether a text in a ledger is a name. It accepts a text that
// only this version's Unicode tables refuse: another device may have newer
// ones.
func IsName(s string) bool {
	_, refused := normalise(s)
	return refused == nil || refused.byTables
}

// IsLabel reports whether a text is a Name that is short enough to label an edge.
func IsLabel(s string) bool { return len(s) <= pointer.MaxLabel && IsName(s) }

// Recorded returns the Name of a text in the ledger that [IsName] accepts. A
// text that this version's Unicode tables refuse is shown escaped, and equals
// no other.
func Recorded(s string) Name {
	n, refused := normalise(s)
	if refused == nil {
		return n
	}
	var text strings.Builder
	for _, r := range s {
		if unicode.IsGraphic(r) {
			text.WriteRune(r)
		} else {
			fmt.Fprintf(&text, "\\u{%X}", r)
		}
	}
	return Name{text.String(), "\x00" + s}
}

// Restore returns the Name with this String and this Key. It checks neither.
func Restore(text, key string) Name { return Name{text, key} }

// String returns the name as it was typed, without white space around it.
func (n Name) String() string { return n.text }

// Key returns the comparison key, which is the same for equal names.
func (n Name) Key() string { return n.key }

// IsZero reports whether n is the zero value.
func (n Name) IsZero() bool { return n.text == "" }

// MarshalText returns the typed spelling.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.text), nil }

// Quote returns an input for an error: bounded, and escaped including invisible
// characters.
func Quote(s string) string {
	const maxBytes = 100
	ellipsis := ""
	if len(s) > maxBytes {
		s, ellipsis = s[:maxBytes], "…"
	}
	var b strings.Builder
	for _, r := range strconv.Quote(s) {
		if isBlank(r) || unicode.Is(unicode.Me, r) {
			fmt.Fprintf(&b, "\\u{%X}", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String() + ellipsis
}

// OfNickname returns a nickname as a Name, for comparison with others. It
// reports false for a nickname that is empty after cleaning.
func OfNickname(nickname string) (Name, bool) {
	text := Clean(nickname)
	key, err := Key(text)
	if err != nil {
		key = strings.ToLower(text)
	}
	return Name{text, key}, text != ""
}
