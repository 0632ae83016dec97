package name

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each group of twins is one look and no other's, alone and in a word: in the
// tables, no entry hides another, and the data doesn't lead away from any.
func TestConfusableGroupsHaveOneLook(t *testing.T) {
	in := make(map[rune]string)
	groups := make(map[string]string)
	for _, group := range slices.Concat(confusableGroups, strings.Fields(hanGroups)) {
		first := firstRune(group)
		for _, r := range group {
			require.Empty(t, in[r], "%c is in two groups", r)
			in[r] = group
			require.True(t, Alike(LooksOf("x"+string(first)+"x"), LooksOf("x"+string(r)+"x")), "%c %c", first, r)
		}
		skeleton := LooksOf("x" + string(first) + "x")[0].skeleton
		require.Empty(t, groups[skeleton], "%s looks as another group", group)
		groups[skeleton] = group
	}
	for r, letter := range signLetters() {
		require.Empty(t, in[r], "%c is a twin", r)
		require.True(t, Alike(LooksOf("x"+string(r)+"x"), LooksOf("x"+string(letter)+"x")), "%c %c", r, letter)
	}
	for _, pair := range [][2]string{{"Bob ❤", "Bob ☀"}, {"大", "太"}, {"王", "玉"}, {"冯", "马"}, {"Groß", "Grob"}, {"10€", "10"}, {"Bob+", "Bob"}, {"a$b", "a@b"}} {
		require.False(t, Alike(LooksOf(pair[0]), LooksOf(pair[1])), "%q", pair)
	}
}
