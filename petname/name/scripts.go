package name

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A scriptSet is what UTS #39, §5.1, calls the augmented script set of a
// character: the scripts that it is used in (Script_Extensions), and for those
// of East Asia the writing systems that mix them. nil is every script.
type scriptSet []string

// extended has the characters of the scripts Common and Inherited that are used
// in some scripts only (ScriptExtensions.txt, Unicode 14.0.0). Characters that
// are not listed count as used in all.
var extended = []struct {
	from, to rune
	in       scriptSet
}{
	{0x0342, 0x0342, scriptSet{"Greek"}}, {0x0345, 0x0345, scriptSet{"Greek"}}, {0x0363, 0x036f, scriptSet{"Latin"}},
	{0x0485, 0x0486, scriptSet{"Cyrillic", "Latin"}},
	{0x060c, 0x060c, scriptSet{"Arabic", "Nko", "Hanifi_Rohingya", "Syriac", "Thaana", "Yezidi"}},
	{0x061b, 0x061b, scriptSet{"Arabic", "Nko", "Hanifi_Rohingya", "Syriac", "Thaana", "Yezidi"}},
	{0x061f, 0x061f, scriptSet{"Adlam", "Arabic", "Nko", "Hanifi_Rohingya", "Syriac", "Thaana", "Yezidi"}},
	{0x0640, 0x0640, scriptSet{"Adlam", "Arabic", "Mandaic", "Manichaean", "Psalter_Pahlavi", "Hanifi_Rohingya", "Sogdian", "Syriac"}},
	{0x064b, 0x0655, scriptSet{"Arabic", "Syriac"}}, {0x0670, 0x0670, scriptSet{"Arabic", "Syriac"}},
	{0x0951, 0x0952, scriptSet{"Bengali", "Devanagari", "Grantha", "Gujarati", "Gurmukhi", "Kannada", "Latin", "Malayalam", "Oriya", "Tamil", "Telugu", "Tirhuta"}},
	{0x0964, 0x0965, scriptSet{"Bengali", "Devanagari", "Dogra", "Grantha", "Gujarati", "Gurmukhi", "Kannada", "Limbu", "Malayalam", "Oriya", "Sinhala", "Syloti_Nagri", "Takri", "Tamil", "Telugu", "Tirhuta"}},
	{0x10fb, 0x10fb, scriptSet{"Georgian", "Latin"}}, {0x1802, 0x1803, scriptSet{"Mongolian", "Phags_Pa"}}, {0x202f, 0x202f, scriptSet{"Latin", "Mongolian"}},
	{0x3001, 0x3003, scriptSet{"Bopomofo", "Hangul", "Han", "Hiragana", "Katakana"}}, {0x3008, 0x3011, scriptSet{"Bopomofo", "Hangul", "Han", "Hiragana", "Katakana"}},
	{0x3013, 0x301f, scriptSet{"Bopomofo", "Hangul", "Han", "Hiragana", "Katakana"}}, {0x302a, 0x302d, scriptSet{"Bopomofo", "Han"}},
	{0x3030, 0x3030, scriptSet{"Bopomofo", "Hangul", "Han", "Hiragana", "Katakana"}}, {0x3031, 0x3035, scriptSet{"Hiragana", "Katakana"}},
	{0x3037, 0x3037, scriptSet{"Bopomofo", "Hangul", "Han", "Hiragana", "Katakana"}}, {0x303c, 0x303d, scriptSet{"Han", "Hiragana", "Katakana"}},
	{0x303e, 0x303f, scriptSet{"Han"}}, {0x3099, 0x309c, scriptSet{"Hiragana", "Katakana"}}, {0x30a0, 0x30a0, scriptSet{"Hiragana", "Katakana"}},
	{0x30fb, 0x30fb, scriptSet{"Bopomofo", "Hangul", "Han", "Hiragana", "Katakana"}}, {0x30fc, 0x30fc, scriptSet{"Hiragana", "Katakana"}},
	{0x3190, 0x319f, scriptSet{"Han"}}, {0x31c0, 0x31e3, scriptSet{"Han"}}, {0xa700, 0xa707, scriptSet{"Han", "Latin"}},
	{0xfd3e, 0xfd3f, scriptSet{"Arabic", "Nko"}}, {0xff61, 0xff65, scriptSet{"Bopomofo", "Hangul", "Han", "Hiragana", "Katakana"}},
	{0xff70, 0xff70, scriptSet{"Hiragana", "Katakana"}}, {0xff9e, 0xff9f, scriptSet{"Hiragana", "Katakana"}},
}

// augmented returns the writing systems that a script is part of.
func augmented(script string) scriptSet {
	switch script {
	case "Han":
		return scriptSet{"Hanb", "Jpan", "Kore"}
	case "Hiragana", "Katakana":
		return scriptSet{"Jpan"}
	case "Hangul":
		return scriptSet{"Kore"}
	case "Bopomofo":
		return scriptSet{"Hanb"}
	}
	return nil
}

// commonScripts are the scripts of most names. script looks at them first.
var commonScripts = []string{"Latin", "Cyrillic", "Han", "Arabic", "Hangul", "Hiragana", "Katakana", "Devanagari", "Thai", "Hebrew", "Greek", "Bengali", "Tamil"}

// script returns the script of a character; "" for Common, Inherited and none.
func script(r rune) string {
	switch {
	case r < 0x80 && unicode.IsLetter(r):
		return "Latin"
	case r < 0x80 || unicode.In(r, unicode.Common, unicode.Inherited):
		return ""
	}
	for _, name := range commonScripts {
		if unicode.Is(unicode.Scripts[name], r) {
			return name
		}
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return ""
}

// scriptsOf returns the script set of a character.
func scriptsOf(r rune) scriptSet {
	for _, e := range extended {
		if r < e.from {
			break
		}
		if r <= e.to {
			var set scriptSet
			for _, name := range e.in {
				set = append(append(set, name), augmented(name)...)
			}
			return set
		}
	}
	if name := script(r); name != "" {
		return append(scriptSet{name}, augmented(name)...)
	}
	return nil
}

// MixedScripts returns the scripts of a text that mixes scripts (UTS #39,
// §5.1): no script or writing system has all of its characters. It returns nil
// for a text of a single script.
func MixedScripts(s string) []string {
	var common scriptSet // of all characters so far
	var seen []string
	everyScript, last := true, "Latin"
	for _, r := range s {
		if r < 0x80 && (!unicode.IsLetter(r) || last == "Latin" && len(seen) > 0) {
			continue
		}
		if r >= 0x1d400 && r < 0x1d800 || r >= 0x1ee00 && r < 0x1ef00 { // mathematical letters are of no script
			r = firstRune(norm.NFKC.String(string(r)))
		}
		set := scriptsOf(r)
		if set == nil {
			continue
		}
		if last = script(r); last != "" && !slices.Contains(seen, last) {
			seen = append(seen, last)
		}
		if everyScript {
			common, everyScript = set, false
			continue
		}
		common = slices.DeleteFunc(slices.Clone(common), func(name string) bool { return !slices.Contains(set, name) })
	}
	if everyScript || len(common) > 0 {
		return nil
	}
	for i, name := range seen {
		seen[i] = strings.ReplaceAll(name, "_", " ")
	}
	return seen
}
