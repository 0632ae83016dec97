package name

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// SearchForm returns the form of a text in which names are searched: the
// comparison key without the marks of letters, and with the letters for which
// people type others (ł, ø, ß, æ). "José" and "jose" have one form. The marks of
// scripts whose words consist of them, and the voicing marks of kana, stay.
func SearchForm(text string) string {
	if isASCII(text) {
		return strings.ToLower(strings.Join(strings.Fields(text), " "))
	}
	key, err := Key(text)
	if err != nil {
		key = strings.ToLower(text)
	}
	bare := strings.Map(func(r rune) rune {
		if r == tatweel || unicode.In(r, unicode.Mn, unicode.Me) && r != '\u3099' && r != '\u309a' && unicode.In(r, unicode.Inherited, unicode.Common, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Cyrillic, unicode.Greek) {
			return -1
		}
		return r
	}, norm.NFKD.String(typedLetters().Replace(key)))
	if bare == "" {
		return key
	}
	return norm.NFC.String(bare)
}

// typedLetters replaces letters that do not decompose by the letters that people
// type for them.
var typedLetters = sync.OnceValue(func() *strings.Replacer {
	return strings.NewReplacer(strings.Fields("ß ss æ ae œ oe ø o ł l đ d ð d þ th ħ h ŧ t ı i ŋ ng \u2018 ' \u2019 ' \u02bc ' \u2010 - \u2011 - \u2013 - ς σ")...)
})

const tatweel = '\u0640' // makes an Arabic word wider

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
