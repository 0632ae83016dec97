package name

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A name is found by what people type for it: without marks, in any case and
// width, and with the letters of a plain keyboard.
func TestSearchFormHasNoMarks(t *testing.T) {
	for _, same := range [][]string{
		{"jose", "José", "JOSÉ", "Jose\u0301", "ｊｏｓｅ", "jösê"},
		{"lukasz", "Łukasz"}, {"soren", "Søren"}, {"strasse", "Straße", "STRASSE"}, {"aegir", "Ægir"}, {"thor", "Þór"}, {"isil", "Işıl"}, {"istanbul", "İstanbul"},
		{"nguyen van anh", "Nguyễn  Văn Ánh", "nguyễn văn anh"}, {"o'brien", "O’Brien"}, {"елена", "Елёна"}, {"ελενη", "Ελένη"}, {"שלום", "שָׁלוֹם"}, {"محمد", "مُحَمَّد"}, {"احمد", "أحمد"},
		{"mum ❤", "Mum ❤\ufe0f"}, {"👩💻", "👩\u200d💻"}, {"カナ", "ｶﾅ"}, {"한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"}, {"a b", " A\tB "},
	} {
		for _, text := range same {
			require.Equal(t, same[0], SearchForm(text), "%q", text)
			require.Equal(t, same[0], SearchForm(SearchForm(text)), "%q", text)
		}
	}
	for _, other := range [][2]string{{"か", "が"}, {"क", "कि"}, {"สม", "สิม"}, {"하", "한"}} {
		require.NotEqual(t, SearchForm(other[0]), SearchForm(other[1]), "%q", other)
	}
	require.NotEmpty(t, SearchForm("\u0301"), "a mark alone finds not everything")
	require.Equal(t, "a\x1b", SearchForm("A\x1b"))
	require.True(t, strings.Contains(SearchForm("Zoë K"), SearchForm("oe k")))
}
