package introduce

import (
	"bytes"
	"mime/quotedprintable"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A statement of each length, and so with each padding, is read after other programs; damage
// is refused.
func TestArmorOfEachPaddingIsReadInAMail(t *testing.T) {
	for n := 120; n < 220; n++ {
		want := bytes.Repeat([]byte{byte(n), 7, 250}, n)[:n]
		text := string(Armor(want))
		var printable strings.Builder
		w := quotedprintable.NewWriter(&printable)
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		quoted := "> " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n> ")
		for form, text := range map[string]string{
			"as it is": text, "answer": quoted, "CRLF": strings.ReplaceAll(quoted, "\n", "\r\n"), "indented": "  " + strings.ReplaceAll(text, "\n", "\n  "),
			"HTML": "<pre>" + text + "</pre>", "escaped": "<pre>" + strings.ReplaceAll(text, "=", "&#61;") + "</pre>", "quoted-printable": printable.String(),
			"quoted-printable, in an answer": "> " + strings.ReplaceAll(printable.String(), "\r\n", "\r\n> "), "one line": strings.ReplaceAll(text, "\n", " "),
		} {
			got, err := Dearmor([]byte(text))
			require.NoError(t, err, "%d bytes, %s: %s", n, form, text)
			require.Equal(t, [][]byte{want}, got, form)
		}
		for form, text := range map[string]string{
			"a character less": strings.Replace(quoted, "\n> -----END", "", 1), "padding within": quoted[:60] + "=" + quoted[60:], "another character": quoted[:60] + "*" + quoted[60:],
			"no end": quoted[:len(quoted)-20],
		} {
			_, err := Dearmor([]byte(text))
			require.Error(t, err, form)
		}
	}
}

// No block of a text is left out: one that was copied beside one that was not is read as well, and
// a damaged one beside a whole one is an error.
func TestNoBlockOfATextIsLeftOut(t *testing.T) {
	one, two := bytes.Repeat([]byte{1, 2, 3}, 50), bytes.Repeat([]byte{4, 5}, 80)
	first, second := string(Armor(one)), string(Armor(two))
	quoted := func(s string) string { return "> " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n> ") + "\n" }
	for form, text := range map[string]string{
		"both as they are": first + second, "the second copied": first + quoted(second), "the first copied": quoted(first) + second, "both copied": quoted(first) + "and\n" + quoted(second),
	} {
		got, err := Dearmor([]byte(text))
		require.NoError(t, err, form)
		require.Equal(t, [][]byte{one, two}, got, form)
	}
	for form, damaged := range map[string]string{
		"cut off": second[:len(second)-30], "another character": strings.Replace(second, "BAUE", "BA*E", 1), "cut off in an answer": quoted(second[:len(second)-30]),
	} {
		for _, text := range []string{first + damaged, damaged + first} {
			_, err := Dearmor([]byte(text))
			require.ErrorIs(t, err, ErrInvalid, form)
			require.Contains(t, err.Error(), "damaged", form)
		}
	}
}
