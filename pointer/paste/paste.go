// Package paste reads text that a person copied out of another program: a mail, a
// chat, a word processor. Such programs add invisible characters, quotation marks,
// brackets and full stops, fold long lines, begin lines of an answer with "> ", and
// encode characters for HTML, for JSON, for a shell or as quoted-printable.
//
// [Token], [Words] and [Lines] return what was most likely copied, and [After] and
// [Fields] what is within a text. They correct forms and no content: a parser tries the
// text as it is first, and its checksum, length or list of words decides about the result.
package paste

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Token returns a text that has no white space of its own, such as a link or a
// number, without what other programs add to it.
func Token(s string) string {
	return trim(strings.Join(strings.Fields(clean(s)), ""))
}

// Number returns the digits of a number that may be written in groups or after a
// number sign, in the digits of any script, and the token of any other text.
func Number(s string) string {
	token := Digits(strings.TrimLeft(Token(s), "#№"))
	if token != "" && numbers().ReplaceAllString(token, "") == "" && inGroups(token) {
		return onlyDigits(token)
	}
	return Token(s)
}

// NumberIn returns the number of [LabelledNumber] if it stands between spaces, quotation
// marks or brackets, and may have a number sign or a colon before it and the end of a
// sentence after it; "" for a number that is part of a word, a path, or a date.
func NumberIn(s string) string {
	number, text := LabelledNumber(s), Digits(clean(s))
	if number == "" {
		return ""
	}
	at := numbers().FindStringIndex(text)
	before, after := text[:at[0]], strings.TrimLeft(text[at[1]:], around+after)
	if !inGroups(text[at[0]:at[1]]) || !canBegin(strings.TrimRight(before, "#№")) || after != "" && !startsWithSpace(after) {
		return ""
	}
	return number
}

func startsWithSpace(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsSpace(r)
}

// inGroups reports whether the digits of a number are not separated, or in groups of one
// length: those of a date are not.
func inGroups(number string) bool {
	groups := strings.FieldsFunc(number, func(r rune) bool { return r < '0' || r > '9' })
	for _, group := range groups {
		if len(groups) > 1 && (len(group) < 3 || len(group) != len(groups[0])) {
			return false
		}
	}
	return true
}

// LabelledNumber returns the digits of the only number in a text of which the rest is
// words, such as "no. 496 555" or a whole command; "" if there is none or another one.
// A single digit is no number.
func LabelledNumber(s string) string {
	text := Digits(clean(s))
	found := numbers().FindString(text)
	if found == "" || strings.ContainsAny(strings.Replace(text, found, "", 1), "0123456789") {
		return ""
	}
	return onlyDigits(found)
}

// numbers matches numbers of several digits, which may be in groups.
var numbers = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[0-9](?:[-.,_'’ ]?[0-9])+`) })

// onlyDigits removes what separates the digits of a number.
func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// Words returns words, separated by single spaces, without what other programs
// add to them, such as the signature of a mail.
func Words(s string) string {
	fields := strings.Fields(Unsigned(clean(s)))
	for i, word := range fields {
		fields[i] = trim(word)
	}
	return strings.Join(strings.Fields(strings.Join(fields, " ")), " ")
}

// Unsigned returns a mail without its signature (RFC 3676 §4.3).
func Unsigned(s string) string {
	for at := 0; at >= 0 && at < len(s); {
		line, _, _ := strings.Cut(s[at:], "\n")
		if at > 0 && strings.TrimSpace(line) == "--" {
			return s[:at]
		}
		at += len(line) + 1
	}
	return s
}

// Lines returns the lines of a file or a mail in UTF-8, without the marks of an answer
// before them, in which invisible characters are removed and those of HTML and
// quoted-printable are decoded. The input may have a byte order mark, and be in
// UTF-16 with one.
func Lines(b []byte) []byte {
	return []byte(clean(Decode(b)))
}

// Foreign returns a description of the first character that is no ASCII character,
// such as 'а' (U+0430): a token has none. It returns "" if there is none.
func Foreign(s string) string {
	for _, r := range s {
		if r >= utf8.RuneSelf {
			return fmt.Sprintf("%q (U+%04X)", r, r)
		}
	}
	return ""
}

// Decode returns the text of a file or of standard input in UTF-8, without a byte order mark. A
// text with the mark of UTF-16, as some shells and editors write it, is converted.
func Decode(b []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return strings.TrimPrefix(string(b), "\ufeff")
	}
	var units []uint16
	for b = b[2:]; len(b) > 1; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return string(utf16.Decode(units))
}

// controlSequences matches the control sequences of terminals (ECMA-48 §5.4), such as colours
// and the marks around pasted text, of which a program can have shown the escape character or
// removed it, and their links (OSC 8).
var controlSequences = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|(?:\^\[)?\[20[01]~|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)`)
})

// clean removes what is not text, line by line.
func clean(s string) string {
	if strings.Contains(s, "[") || strings.Contains(s, "\x1b") {
		s = controlSequences().ReplaceAllString(s, "")
	}
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), "\n")
	for i, line := range lines {
		lines[i] = unquote(strings.Map(visible, line))
		if end := strings.TrimRight(lines[i], " "); strings.HasSuffix(end, "=") { // RFC 2045 §6.7, rule 3
			lines[i] = end
		}
	}
	s = strings.Join(lines, "\n")
	if isDeclared(s) {
		s = quotedPrintable.Replace(s)
	}
	for range maxNesting {
		if !isQuotedPrintable(s) {
			break
		}
		s = quotedPrintable.Replace(s)
	}
	for range maxNesting {
		if !strings.ContainsAny(s, `&\`) {
			break
		}
		again := entities.Replace(s)
		if again == s {
			break
		}
		s = again
	}
	return s
}

// visible maps characters that are not seen to nothing, spaces of all kinds to a
// space, and the forms of ASCII characters in East Asian text to these. Control
// characters outside of control sequences stay: no program adds them.
func visible(r rune) rune {
	switch {
	case r > ' ' && r < utf8.RuneSelf:
		return r
	case unicode.IsSpace(r):
		return ' '
	case isFullWidth(r):
		return r - 0xff01 + '!'
	case unicode.In(r, unicode.Cf, unicode.Variation_Selector), r == 0x034f, r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0:
		return -1
	}
	return r
}

// isFullWidth reports whether r is an ASCII character as East Asian text has it.
func isFullWidth(r rune) bool { return r >= 0xff01 && r <= 0xff5e }

// HasFullWidth reports whether a text has ASCII characters in the forms of East Asian
// text, which Token and Words replace.
func HasFullWidth(s string) bool { return strings.ContainsFunc(s, isFullWidth) }

// unquote removes the marks of an answer before a line.
func unquote(line string) string {
	for {
		rest, found := strings.CutPrefix(strings.TrimLeft(line, " "), ">")
		if !found {
			rest, found = strings.CutPrefix(strings.TrimLeft(line, " "), "| ")
		}
		if !found {
			return line
		}
		line = strings.TrimPrefix(rest, " ")
	}
}

// maxNesting bounds how often characters were encoded for HTML, or as quoted-printable.
const maxNesting = 3

var entities = strings.NewReplacer(
	"&amp;", "&", "&#38;", "&", "&#x26;", "&", "&lt;", "<", "&gt;", ">", "&#62;", ">", "&quot;", `"`, "&#34;", `"`, "&apos;", "'", "&#39;", "'", "&#x27;", "'",
	"&nbsp;", " ", "&#160;", " ", "&#xA0;", " ", "&#xa0;", " ",
	"&shy;", "", "&#173;", "", "&#xAD;", "", "&#xad;", "", "&zwnj;", "", "&#8203;", "", "&#x200B;", "", "&#x200b;", "", "&ZeroWidthSpace;", "",
	"&#61;", "=", "&#x3D;", "=", "&#x3d;", "=", "&equals;", "=", "&quest;", "?", "&#63;", "?", "&colon;", ":", "&#58;", ":",
	`\u0026`, "&", `\u003d`, "=", `\/`, "/", `\&`, "&", `\?`, "?", `\=`, "=", // of JSON, and of shells
	"&#x2F;", "/", "&#x2f;", "/", "&#47;", "/", "&sol;", "/")

// quotedPrintable decodes the characters that links, statements and words consist of,
// and the marks in them (RFC 2045 §6.7).
var quotedPrintable = strings.NewReplacer("=\n", "", "=3D", "=", "=3F", "?", "=26", "&", "=3A", ":", "=2E", ".", "=2D", "-", "=5F", "_", "=20", " ", "=3E", ">", "=3C", "<", "=22", `"`, "=27", "'")

// isDeclared reports whether a text has the header of a mail that is quoted-printable
// (RFC 2045 §6): its other headers are not.
func isDeclared(s string) bool {
	for line := range strings.Lines(s) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Content-Transfer-Encoding") && strings.EqualFold(strings.TrimSpace(value), "quoted-printable") {
			return true
		}
	}
	return false
}

// isQuotedPrintable reports whether a text is quoted-printable: an equals sign is
// either encoded or ends a line in it.
func isQuotedPrintable(s string) bool {
	if !strings.Contains(s, "=3D") && !strings.Contains(s, "=\n") {
		return false
	}
	for {
		at := strings.IndexByte(s, '=')
		if at < 0 || at == len(s)-1 {
			return true
		}
		s = s[at+1:]
		if s[0] != '\n' && (len(s) < 2 || !isHex(s[0]) || !isHex(s[1])) {
			return false
		}
	}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// around are the quotation marks, brackets and other marks that are written around a
// text, after are those that end a sentence, and beside are those at which no text is cut.
const (
	around = "\"'`´\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b«»‹›「」『』()[]{}<>*|"
	after  = ".,;:!?…。、"
	beside = "•‣◦▪●·→⇒➜►" // of lists; they can be within a name or a path
)

// trim removes marks around a text. Those of emphasis are in pairs.
func trim(s string) string {
	for {
		s = strings.TrimRight(strings.Trim(s, around), around+after)
		if len(s) < 3 || s[0] != s[len(s)-1] || s[0] != '_' && s[0] != '~' {
			return s
		}
		s = s[1 : len(s)-1]
	}
}
