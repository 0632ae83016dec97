package name

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/bidi"
)

// skeleton is UTS #39's, of a text as typed in a paragraph of that direction.
func skeleton(s string, rtl bool) string {
	return lookOf(publishedData{}, visualOrder(cellsOf(s), rtl)).skeleton
}

// The examples that UTS #39 (revision 30, for Unicode 16) prints in §4: of
// single-script, mixed-script and whole-script confusables, and of a pair that
// is confusable in left-to-right paragraphs.
func TestUTS39Confusables(t *testing.T) {
	for _, pair := range [][2]string{
		{"ljeto", "ǉeto"},
		{"paypal", "pаypаl"},
		{"scope", "ѕсоре"},
	} {
		require.Equal(t, skeleton(pair[0], false), skeleton(pair[1], false), "%q", pair)
		require.True(t, Alike(LooksOf(pair[0]), LooksOf(pair[1])))
	}
	const x, y = "A1<ש", "Aש>1"
	require.Equal(t, skeleton(x, false), skeleton(y, false))
	require.NotEqual(t, skeleton(x, true), skeleton(y, true))
	require.True(t, Alike(LooksOf(x), LooksOf(y)))
}

// Lines of confusables.txt, version 16.0.0: the data in use is that one.
func TestConfusablesData(t *testing.T) {
	require.Equal(t, "16.0.0", publishedData{}.Version())
	for from, to := range map[rune]string{
		'0': "O", '1': "l", 'I': "l", '|': "l", 'm': "rn", 'а': "a", 'с': "c", 'е': "e", 'ѕ': "s", 'Ѕ': "S", 'Α': "A", 'ο': "o", 'ա': "w",
		'Ꭺ': "A", 'ﬁ': "fi", '𝐚': "a", 'Ⅷ': "Vlll", '\u05c0': "l", '\u0627': "l", 'ł': "l\u0338", 'α': "a", '\u3007': "O", '᜵': "/", 'ƽ': "s",
		'\u09e6': "O", // version 17.0.0 has "o"
	} {
		require.Equal(t, to, publishedData{}.Prototype(from), "%U", from)
	}
	require.Equal(t, ConfusablesVersion, publishedData{}.Version())
}

// UTS #39, §5.1, table "Mixed-Script Examples".
func TestUTS39MixedScripts(t *testing.T) {
	for text, mixed := range map[string]bool{
		"Circle": false, "СігсӀе": false, "Сirсlе": true, "Circ1e": false, "C𝗂𝗋𝖼𝗅𝖾": false, "𝖢𝗂𝗋𝖼𝗅𝖾": false, "〆切": false, "ねガ": false,
		// and more of its kind: writing systems, marks and signs of one script
		"東京タワー": false, "ひらがな漢字カタカナ": false, "김민준": false, "金민준": false, "ㄅ漢": false, "가ね": true, "ㄅね": true,
		"Ванечка": false, "Vanя": true, "Ελένη1": false, "O'Neil & Söhne": false, "🐙 Ann": false, "محمّد": false, "aـb": true, "aー": true,
		"अनु।": false, "Anुu": true, "שרה!": false, "Sarahש": true, "สมชาย 2": false,
	} {
		require.Equal(t, mixed, MixedScripts(text) != nil, "%q %v", text, MixedScripts(text))
	}
}

// UAX #9, N0: its examples, in a right-to-left paragraph; capitals stand for
// Hebrew letters there.
func TestBracketsGoTogether(t *testing.T) {
	for text, want := range map[string]string{
		"AB(CD[&ef]!)gh":                 "11111112211122",
		"smith (fabrikam ARABIC) HEBREW": "222221122222222111111111111111",
		"ARABIC book(s)":                 "11111112222222",
	} {
		var cells []cell
		for _, r := range text {
			if r >= 'A' && r <= 'Z' {
				r += 'א' - 'A'
			}
			cells = append(cells, cell{base: r})
		}
		got := bidiLevels(cells, true)
		for i := range got {
			got[i] += '0'
		}
		require.Equal(t, want, string(got), text)
	}
}

func written(cells []cell) string {
	var b strings.Builder
	for _, c := range cells {
		b.WriteString(string(c.base) + c.marks)
	}
	return b.String()
}

// What stands where on the screen agrees with x/text's bidi, as far as that
// tells: the direction of each character.
func FuzzBidiLevels(f *testing.F) {
	for _, s := range []string{"abc", "שלום 12", "12 שלום", "12%ש", "ש+1-2,3", "علي 1,2", "a1<ש", "ש$1€", "א a א", "a1ש2-3", "1 2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cells := cellsOf(s)
		if len(cells) == 0 || len(cells) > 60 || slices.ContainsFunc(cells, func(c cell) bool {
			switch class(c.base) {
			case bidi.L, bidi.R, bidi.AL, bidi.EN, bidi.ES, bidi.ET, bidi.AN, bidi.CS, bidi.WS, bidi.ON:
				p, _ := bidi.LookupRune(c.base)
				return p.IsBracket() || c.marks != "" // x/text's Paragraph pairs no brackets
			}
			return true
		}) {
			t.Skip()
		}
		var p bidi.Paragraph
		_, err := p.SetString(written(cells), bidi.DefaultDirection(bidi.RightToLeft))
		require.NoError(t, err)
		order, err := p.Order()
		require.NoError(t, err)
		var want []bool
		for i := range order.NumRuns() {
			run := order.Run(i)
			for range []rune(run.String()) {
				want = append(want, run.Direction() == bidi.RightToLeft)
			}
		}
		levels := bidiLevels(cells, true)
		for len(levels) > 0 && class(cells[len(levels)-1].base) == bidi.WS {
			levels = levels[:len(levels)-1] // L1 resets these; names have none
		}
		for i, level := range levels {
			require.Equal(t, want[i], level%2 == 1, "%q at %d: %v", s, i, levels)
		}
		// Two passes are as good as none in a paragraph of one direction.
		require.Len(t, visualOrder(cells, false), len(cells))
		require.Equal(t, mirror(mirror(cells[0].base)), cells[0].base)
	})
}
