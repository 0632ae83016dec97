package name

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	_ "github.com/petnames-go/petnames/pointer/lawtest" // a fixed seed
)

// A note says what it says, and starts no look of a name.
func TestFreeTextStartsNoLook(t *testing.T) {
	for in, out := range map[string]string{
		"":                                    "",
		"see you at 3 (or 4)":                 "see you at 3 (or 4)",
		"alice ⇒ bob → eve ⟹ x ➜ y":           "alice > bob > eve > x > y",
		`"~Bob W" k51…sxel2r`:                 `'-Bob W' k51…sxel2r`,
		"“～Bob” «x» ＂y＂ 〝z〞":                  "'-Bob' 'x' 'y' 'z'",
		"bob.2":                               "bob·2",
		"paid 3.14":                           "paid 3·14",
		"v1.2 is out.":                        "v1.2 is out.",
		"https://bob.example/~bob/v1.2":       "https://bob.example/~bob/v1.2",
		"site https://192.0.2.7":              "site https://192.0.2.7",
		"/ipfs/bafkqaaa/a~b.1":                "/ipfs/bafkqaaa/a~b.1",
		`/ipfs/x"~Bob" ~Eve`:                  `/ipfs/x'~Bob' -Eve`,
		"~/x a~b/~c":                          "-/x a-b/~c",
		"ag̃a ñandu":                          "ag̃a ñandu",
		"〰\ufe0f ❤\ufe0f 👩\u200d💻":            "- ❤\ufe0f 👩\u200d💻",
		"two\nlines \x1b[2J\u202e":            "two lines [2J",
		strings.Repeat("x", 2046) + ".1":      strings.Repeat("x", 511) + "…",
		strings.Repeat("\u0301", 10240):       "",
		"z" + strings.Repeat("\u0335", 10240): "z" + strings.Repeat("\u0335", 4),
	} {
		require.Equal(t, out, Plain.Text(in), "%q", in)
	}
	require.Equal(t, "\u2068שלום > 12\u2069", Terminal.Text("שלום ⇒ 12"))
}

// Whatever the text: it is clean and bounded, stays as it is the second time, and
// has no mark that names of another kind have, wherever it is put.
func FuzzFreeText(f *testing.F) {
	for _, s := range []string{"a ⇒ b", `"~Bob" k51…abcdef`, "https://a.example/~b.1", "x.1.2", "\x1b[2J\u202e", strings.Repeat("a\u0301\"", 300) + ".9", strings.Repeat("\U0001f1e9", 700) + ".1", "～\u0338 ⇒\u0338", strings.Repeat("é", 1021) + "/~.12345", "a\u200c\u200d.1", "〰\ufe0f.1 ➡\ufe0f👩\u200d💻 🚶\u200d➡\ufe0f 1\ufe0f\u20e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := Plain.Text(s)
		require.True(t, utf8.ValidString(text))
		require.Equal(t, text, Clean(text))
		require.Equal(t, text, Plain.Text(text))
		require.LessOrEqual(t, len(text), maxClean)
		require.LessOrEqual(t, uniseg.GraphemeClusterCount(text), maxCleanGraphemes)
		require.NotContains(t, text, `"`)
		require.False(t, strings.ContainsFunc(text, func(r rune) bool { return isArrow(r) || r != '\'' && unicode.Is(unicode.Quotation_Mark, r) }), text)
		for _, word := range strings.Fields(text) {
			before, _, _ := strings.Cut(word, "~")
			require.True(t, before == word || strings.ContainsAny(before, slashes), word)
		}
		if words := strings.Fields(text); len(words) > 0 && !strings.ContainsAny(words[len(words)-1], slashes) {
			require.False(t, trailingNumber.MatchString(text), text)
		}
	})
}

var trailingNumber = regexp.MustCompile(`\.([0-9]+)$`)

func TestTheFullStopBeforeATrailingNumberIsMarked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("a.0 9\u0665\u00b7\n"))).Draw(t, "text")
		require.Equal(t, trailingNumber.ReplaceAllString(text, "\u00b7$1"), markTrailingNumber(text))
	})
}
