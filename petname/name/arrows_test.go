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

// A sign that points to the right between words reads as the arrow of a path, unless it is one of a
// pair around a word. It is allowed in a name, and readable as one.
func TestASignBetweenWordsReadsAsAPath(t *testing.T) {
	for _, sign := range []string{">", "»", "›", "≫", "⟩", "⟫", "〉", "》", "≻", "⋙", "⊳", "＞", "﹥"} {
		for _, text := range []string{"ana " + sign + " bob", "ana" + sign + "bob", "ana " + sign + sign + " bob", "李明 " + sign + " 山田", "🐙 " + sign + " 🐙", "ana <3 " + sign + " bob"} {
			require.NotEmpty(t, PathSign(text), "%q", text)
			_, err := Parse(text)
			require.NoError(t, err, "%q", text)
		}
	}
	for _, text := range []string{"ana", "ana <3", "> ana", "ana >", "ana >>", "Ann «Mary» Lee", "Ann »Mary« Lee", "Ann ‹Mary› Lee", "Ann <Mary> Lee", "小明《队长》王", "Ann ⟨M⟩ Lee", "»Mary« Lee", "ana ≪ bob", ""} {
		require.Empty(t, PathSign(text), "%q", text)
	}
	require.Equal(t, "»", PathSign("Ann «Mary» Lee » bob"))
	require.Equal(t, ">", PathSign("a > b » c"))
}
