package name

import (
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// A name with an arrow between words reads as a path of names, whatever the arrow:
// it is refused as a new name, and stays readable in a ledger. A label or nickname
// is shown without the arrow.
func TestAnArrowBetweenWordsIsNoName(t *testing.T) {
	all := []string{"->", "=>", "-->", "==>", "~>", "—>", "－＞", "->>", "─➤", "➡\ufe0f", "▶\ufe0f", "▶", "►", "👉", "👉🏽", "❯"}
	for _, r := range arrows.R16 {
		for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
			if unicode.IsGraphic(c) {
				all = append(all, string(c))
			}
		}
	}
	require.Greater(t, len(all), 480)
	for _, arrow := range all {
		for _, text := range []string{"alice " + arrow + " bob", "alice" + arrow + "bob", "alice " + arrow + arrow + " bob", "(x) " + arrow + " דנה", "🐙 " + arrow + " 🐙"} {
			_, err := Parse(text)
			require.Error(t, err, "%q", text)
			require.Equal(t, "path", ReadsAs(text), "%q", text)
			shown := Plain.Show(mustName("carol").Edge(text))
			require.Empty(t, arrowBetweenWords(foreignName(text)), shown)
		}
	}
	for _, text := range []string{"alice → bob", "a -> b", "alice ➤ bob"} {
		require.True(t, IsName(text), text)
		require.Equal(t, text, Recorded(text).String())
	}
	for _, text := range []string{"Bob ↑", "→ work", "Bob ➡\ufe0f", "👉 Bob", "Anna-Maria", "a > b", "x-y>z", "Ann <3", "Bob 🚶\u200d➡\ufe0f 2", "🔙 Bob", "Ann ↔"} {
		_, err := Parse(text)
		require.NoError(t, err, "%q", text)
		require.Empty(t, ReadsAs(text), "%q", text)
	}
	require.Equal(t, "carol ⇒ alice > bob > dave", Plain.Show(mustName("carol").Edge("alice ➤ bob ==> dave")))
}
