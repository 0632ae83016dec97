package name

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	for _, test := range []struct{ in, out string }{
		{"", ""},
		{"Bob W", "Bob W"},
		{"\x1b[31mred\x1b[0m", "[31mred[0m"},
		{"two\r\nlines\u2028or\u2029three\u0085\v", "two  lines or three"},
		{"evil\u202egnp.exe\u2066\u2069", "evilgnp.exe"},
		{"\u2067\u2067unbalanced\u2069", "unbalanced"},
		{"a\u200b\u200d\u2060\ufeff\u00adb", "ab"},
		{"❤\ufe0f\U000e0061\u3164\u2800\u115f\uffa0", "❤\ufe0f"},
		{"a\xffb\xc3", "a\ufffdb\ufffd"},
		{"\ue000\U0010ffff\u0378", ""},
		{"\u00a0nbsp\u3000", "nbsp"},
		{"a\u20e3 1\u20dd\u0488b", "a 1b"},           // enclosing marks
		{"\u0301\u0338a \u0301b\u0301", "a b\u0301"}, // marks with nothing to stand on
		{"z" + strings.Repeat("\u0335", 5000) + "o", "z" + strings.Repeat("\u0335", 4) + "o"},
		{"ကျွှော့်", "ကျွှော့်"}, {"Nguyễn", "Nguyễn"}, {"Nguye\u0302\u0303n", "Nguye\u0302\u0303n"}, {"བསྒྲུབས", "བསྒྲུབས"}, {"בְּרֵאשִׁ֖ית", "בְּרֵאשִׁ֖ית"},
		{"می\u200cخواهم", "می\u200cخواهم"},                                 // RFC 5892, A.1: between letters that would join
		{"क\u094d\u200dष क\u094d\u200cष", "क\u094d\u200dष क\u094d\u200cष"}, // A.1, A.2: behind a virama
		{"क\u200dष م\u200dي a\u200cb 👩\u200d🐙", "कष مي ab 👩🐙"},
		{"می\u200c\u200c\u200dخواهم\u200c", "می\u200cخواهم"},
		{strings.Repeat("x", 512), strings.Repeat("x", 512)},
		{strings.Repeat("x", 513), strings.Repeat("x", 511) + "…"},
		{strings.Repeat("é", 600), strings.Repeat("é", 511) + "…"},
		{strings.Repeat("\U0001f1e9\U0001f1ea", 300), strings.Repeat("\U0001f1e9\U0001f1ea", 255) + "…"}, // by bytes: no flag is cut in two
	} {
		require.Equal(t, test.out, Clean(test.in), "%q", test.in)
	}
}

func TestNickname(t *testing.T) {
	p := pointerOf("a")
	for in, out := range map[string]string{
		"Bob W":                         `"~Bob W" ` + p.Short(),
		"":                              p.Short(),
		"\u202e\x1b \n":                 p.Short(),
		"\u0338\u20d2Bob":               `"~Bob" ` + p.Short(),
		`Bob" k51…abcdef "~Eve`:         `"~Bob' k51…abcdef '-Eve" ` + p.Short(),
		"Bob” k51…abcdef “～Eve":         `"~Bob' k51…abcdef '-Eve" ` + p.Short(),
		"\" ~":                          `"~' -" ` + p.Short(),
		"alice ⇒ bob → eve":             `"~alice > bob > eve" ` + p.Short(),
		"alice/bob／eve":                 `"~alice|bob|eve" ` + p.Short(),
		"(no name)":                     `"~[no name]" ` + p.Short(),
		"Bob.2":                         `"~Bob·2" ` + p.Short(),
		"Bob     k51":                   `"~Bob k51" ` + p.Short(),
		"Ñandú N\u0303":                 `"~Ñandú Ñ" ` + p.Short(),
		"a\nPassword: ":                 `"~a Password:" ` + p.Short(),
		strings.Repeat("\u0301", 10240): p.Short(),
		strings.Repeat("ab", 40):        `"~` + strings.Repeat("ab", 31) + `a…" ` + p.Short(),
		"«Bob»\uff02〝〞„ ″\u02ba\u05f4":  `"~'Bob''''' '''" ` + p.Short(),
	} {
		require.Equal(t, out, Nickname{in, p}.String(), "%q", in)
	}
}

// A letter that normal form C takes apart brings no more marks than may stay,
// and leaves no joiner where none is needed.
func TestNormalFormBringsNoMarksBack(t *testing.T) {
	for _, s := range []string{
		"\ufb2c\u0301\u0302\u0303\u0304\u0301", // a letter and two marks
		"\u0958\u0301\u0302\u0338\u0335\u0304",
		"\u05e9\u0f71\u094d\u200d\u05bc\u0344\u0344\u0338",
		"\u0e01(\u0344)\u0628b\u0f71\u0c4d\u0340\u0344\u200d\u0338",
	} {
		u := foreignName(s)
		require.Equal(t, u, Clean(u), "%+q", s)
		require.Equal(t, u, foreignName(u), "%+q", s)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"Bob", "\x1b]0;title\x07", "\u202e", strings.Repeat("é ", 300), "\" ~", "a\xff", "\u0301\u0338", strings.Repeat(" ", 600), strings.Repeat("\U0001f419", 600), "می\u200cخواهم", "क\u094d\u200d\u200cष", "\u200c\u094d\u200d", strings.Repeat("क\u094d\u200d", 700), "x.1.2", strings.Repeat("(\u0301", 70) + ".9", strings.Repeat("\U0001f1e9", 700)} {
		f.Add(s)
	}
	p := pointerOf("a")
	f.Fuzz(func(t *testing.T, s string) {
		c := Clean(s)
		require.True(t, utf8.ValidString(c))
		require.LessOrEqual(t, len(c), maxClean)
		require.Equal(t, c, Clean(c))
		n := Nickname{s, p}.String()
		require.LessOrEqual(t, uniseg.GraphemeClusterCount(c), maxCleanGraphemes)
		require.LessOrEqual(t, len(n), maxClean+len(`"~" `)+len(p.Short()))
		nonspacing := 0
		for _, r := range mapEmoji(c+n, func(rune) rune { return 'x' }) { // which stay whole
			if r == '\u200c' || r == '\u200d' {
				continue // where a script needs them
			}
			require.Falsef(t, unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Me) || isBlank(r) || r == '\n', "%U in %q", r, c)
			if nonspacing++; !unicode.Is(unicode.Mn, r) {
				nonspacing = 0
			}
			require.LessOrEqual(t, nonspacing, maxMarks)
		}
		if n == p.Short() {
			return
		}
		// One pair of quotes, one mark, and behind them the true pointer.
		inner, ok := strings.CutSuffix(n, `" `+p.Short())
		require.True(t, ok)
		inner, ok = strings.CutPrefix(inner, `"~`)
		require.True(t, ok)
		require.NotEmpty(t, inner)
		require.False(t, strings.ContainsFunc(inner, func(r rune) bool { return r == '~' || r != '\'' && unicode.Is(unicode.Quotation_Mark, r) }), n)
		require.False(t, unicode.In(firstRune(inner), unicode.M))
		require.False(t, strings.ContainsAny(inner, "⇒→()/"), n)
		require.Equal(t, inner, foreignName(inner))
	})
}
