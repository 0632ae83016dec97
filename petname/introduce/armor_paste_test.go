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
