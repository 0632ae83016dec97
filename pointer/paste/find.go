package paste

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// maxPlaces bounds the places of one text with a scheme. In a text with more, nothing is found.
const maxPlaces = 64

// After returns what follows a scheme, such as "petname:", at each place of a text, if at one
// of them it can begin a link: at the start, and after white space, quotation marks, brackets,
// the colon or equals sign of a label, a picture or another sign that is not of ASCII, and a
// letter of a script without spaces. So none of several links is overlooked. The scheme is in
// lower or upper case, and its colon may be percent-encoded. Each result ends before the next
// place. It has no characters that are not seen, but white space, and what is written behind the
// link.
func After(s, scheme string) []string {
	name := regexp.QuoteMeta(strings.TrimSuffix(scheme, ":"))
	return afterForm(s, strings.ToLower(name)+`|`+strings.ToUpper(name))
}

// AfterAnyCase is After for a scheme in which letters of both cases may be mixed.
func AfterAnyCase(s, scheme string) []string {
	return afterForm(s, `(?i)`+regexp.QuoteMeta(strings.TrimSuffix(scheme, ":")))
}

// afterForm is After for a scheme of the form of a regular expression, without its colon. A place
// where the scheme is in other letters, or a space or another sign of a colon follows, counts if
// there is one of that form.
func afterForm(s, name string) []string {
	s = clean(s)
	const colon = `%(?:25){0,2}3[aA]`
	form := regexp.MustCompile(`^(?:` + name + `)(?::|` + colon + `)`)
	places := regexp.MustCompile(`(?i:`+name+`)(?:\s*[:∶꞉]|`+colon+`)`).FindAllStringIndex(s, maxPlaces+1)
	if len(places) > maxPlaces || !slices.ContainsFunc(places, func(at []int) bool {
		return form.MatchString(s[at[0]:at[1]]) && (canBegin(s[:at[0]]) || endsApart(s[:at[0]]))
	}) {
		return nil
	}
	all := make([]string, 0, len(places))
	for i, at := range places {
		end := len(s)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		all = append(all, s[at[1]:end])
	}
	return all
}

// endsApart is isApart for the last character of a text.
func endsApart(before string) bool {
	r, _ := utf8.DecodeLastRuneInString(before)
	return isApart(r)
}

// isApart reports whether a character is a sign that is not of ASCII and no letter or digit, or a
// letter of a script that is written without spaces.
func isApart(r rune) bool {
	if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) {
		return true
	}
	return r >= utf8.RuneSelf && r != utf8.RuneError && !unicode.In(r, unicode.L, unicode.N)
}

// canBegin reports whether a link can begin after a text.
func canBegin(before string) bool {
	r, n := utf8.DecodeLastRuneInString(before)
	return n == 0 || unicode.IsSpace(r) || strings.ContainsRune(around+beside, r) || (r == ':' || r == '=') && n < len(before) ||
		r == '.' && listNumber().MatchString(before)
}

// listNumber matches a text that ends with the number of an item of a list.
var listNumber = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:^|\s)[0-9]{1,3}\.$`) })

// CanEnd reports whether a link can end before the rest of a text: at its end, and before white
// space, quotation marks, brackets, the signs that end a sentence, a picture or another sign that
// is not of ASCII, and a letter of a script without spaces.
func CanEnd(rest string) bool {
	r, n := utf8.DecodeRuneInString(rest)
	return n == 0 || unicode.IsSpace(r) || strings.ContainsRune(around+after+beside, r) || isApart(r)
}

var escape = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`%[0-9A-Fa-f]{2}`) })

// Unescape returns a text of which each percent-encoded byte is decoded once. What is not
// encoded so stays.
func Unescape(s string) string {
	return escape().ReplaceAllStringFunc(s, func(code string) string {
		b, _ := strconv.ParseUint(code[1:], 16, 8) // two hexadecimal digits
		return string([]byte{byte(b)})
	})
}

// Fields returns the parts of a text between white space, quotation marks and brackets,
// without the signs that end a sentence.
func Fields(s string) []string {
	fields := strings.FieldsFunc(clean(s), func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(around, r) })
	for i, field := range fields {
		fields[i] = strings.TrimRight(field, after)
	}
	return fields
}

// Digits returns a text in which the decimal digits of all scripts are those of ASCII.
func Digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf || !unicode.Is(unicode.Nd, r) {
			return r
		}
		zero := r // the ten digits of a script follow each other (Unicode §4.6), and so do those of five styles in mathematics
		for unicode.Is(unicode.Nd, zero-1) {
			zero--
		}
		return '0' + (r-zero)%10
	}, s)
}
