package pointer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Attack: the link in a text is replaced, and the words beside it are not, or the other way
// round. The text is refused, however the words are written.
func TestWordsOfAnotherKeyBesideALinkAreRefused(t *testing.T) {
	l := testLink()
	link, key, right, wrong := l.String(), l.Pointer.String(), l.Pointer.Words().String(), testKey(3).Pointer().Words().String()
	fields := strings.Fields(wrong)
	numbered, cut := "", make([]string, len(fields))
	for i, word := range fields {
		numbered += strings.Repeat(" ", i%2) + word + "\n"
		cut[i] = word[:min(len(word), wordsUnique)]
	}
	for _, shown := range []string{
		wrong, strings.ToUpper(wrong), strings.ReplaceAll(wrong, " ", "-"), strings.ReplaceAll(wrong, " ", ", "),
		strings.ReplaceAll(wrong, " ", "\n> "), "1. " + strings.Join(fields, " 2) "), "<td>" + strings.Join(fields, "</td><td>") + "</td>",
		strings.Join(cut, " "), numbered, "able " + wrong + " baby", right + " " + wrong, wrong + " " + right, "\u200b" + strings.ReplaceAll(wrong, " ", "\u00a0"),
	} {
		for _, text := range []string{link + "\n" + shown, "words: " + shown + "\nlink: " + link, key + "\n" + shown, "words: " + shown + ".\npointer: " + key + "\n-- \nAna"} {
			_, err := ParseLink(text)
			if !strings.ContainsAny(shown, " \u00a0") && !strings.Contains(text, link) {
				require.Error(t, err, "words in one can be a damaged key")
				continue
			}
			var differ *WordsError
			require.ErrorAs(t, err, &differ, "%q", text)
			require.Equal(t, l.Pointer, differ.Pointer)
			require.ErrorContains(t, err, key)
			require.ErrorContains(t, err, differ.Words.String())
		}
	}
	_, err := FindLink(link + " " + wrong)
	require.ErrorContains(t, err, wrong)
	require.ErrorContains(t, err, right)
}

// The right words beside a link are fine, and prose is not taken for words: neither fewer than
// twelve words of the list, nor twelve of which the checksum is wrong.
func TestProseBesideALinkIsNotTakenForWords(t *testing.T) {
	l := testLink()
	right := l.Pointer.Words().String()
	prose := "any man can afford music and art with your open mind"
	wrongSum := strings.Fields(testKey(3).Pointer().Words().String())
	for w, n := (Words{}), 0; ; n++ {
		wrongSum[11] = Word(n)
		for i, field := range wrongSum {
			index, _ := FindWord(field)
			w[i] = uint16(index)
		}
		if !w.isValid() {
			break
		}
	}
	for _, text := range []string{
		right, "able " + right + " baby", right + " " + right, strings.ReplaceAll(right, " ", "-"), prose,
		strings.Join(strings.Fields(testKey(3).Pointer().Words().String())[:11], " "),
		strings.Join(wrongSum, " "),
	} {
		got, err := ParseLink("my link: " + l.String() + " words: " + text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, l, got)
		if !strings.Contains(text, " ") {
			continue // words in one can be a damaged key
		}
		got, err = ParseLink("my pointer: " + l.Pointer.String() + " words: " + text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, Link{Pointer: l.Pointer}, got)
	}
}
