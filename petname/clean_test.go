package petname

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	for _, test := range []struct{ in, out string }{
		{"", ""},
		{"Bob W", "Bob W"},
		{"\x1b[31mred\x1b[0m", "[31mred[0m"},
		{"two\r\nlines\u2028or\u2029three\u0085\v", "two  lines or three"},
		{"evil\u202egnp.exe\u2066\u2069", "evilgnp.exe"},
		{"a\u200b\u200d\u2060\ufeff\u00adb", "ab"},
		{"❤\ufe0f\U000e0061\u3164\u2800", "❤"},
		{"a\xffb\xc3", "a\ufffdb\ufffd"},
		{"\ue000\U0010ffff\u0378", ""},
		{"\u00a0nbsp\u3000", "nbsp"},
		{strings.Repeat("x", 509), strings.Repeat("x", 509)},
		{strings.Repeat("x", 600), strings.Repeat("x", 509) + "…"},
		{strings.Repeat("é", 300), strings.Repeat("é", 254) + "…"},
	} {
		require.Equal(t, test.out, Clean(test.in), "%q", test.in)
	}
}

func TestNickname(t *testing.T) {
	p := pointerOf("a")
	for in, out := range map[string]string{
		"Bob W":                        `"~Bob W" ` + p.Short(),
		"":                             p.Short(),
		"\u202e\x1b \n":                p.Short(),
		"\u0338\u20d2Bob":              `"~Bob" ` + p.Short(),
		`Bob" k51…abcdef "~Eve`:        `"~Bob' k51…abcdef '-Eve" ` + p.Short(),
		"Bob” k51…abcdef “～Eve":        `"~Bob' k51…abcdef '-Eve" ` + p.Short(),
		"«Bob»\uff02〝〞„ ″\u02ba\u05f4": `"~'Bob''''' ''' ` + "\" " + p.Short(),
		"\" ~":                         `"~' -" ` + p.Short(),
	} {
		if strings.HasPrefix(in, "«") {
			out = `"~'Bob'''''` + ` '''" ` + p.Short()
		}
		require.Equal(t, out, Nickname(in, p), "%q", in)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"Bob", "\x1b]0;title\x07", "\u202e", strings.Repeat("é ", 300), "\" ~", "a\xff", "\u0301\u0338", strings.Repeat(" ", 600), strings.Repeat("\U0001f419", 200)} {
		f.Add(s)
	}
	p := pointerOf("a")
	f.Fuzz(func(t *testing.T, s string) {
		c := Clean(s)
		require.True(t, utf8.ValidString(c))
		require.LessOrEqual(t, len(c), maxClean)
		require.Equal(t, c, Clean(c))
		n := Nickname(s, p)
		require.LessOrEqual(t, len(n), maxClean+len(`"~" `)+len(p.Short()))
		for _, r := range c + n {
			require.Falsef(t, unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == '\n', "%U in %q", r, c)
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
	})
}
