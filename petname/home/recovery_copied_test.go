package home

import (
	"bytes"
	"errors"
	"fmt"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// A recovery file of each version is read out of a mail, and as other programs write its lines;
// what is within is verified as before.
func TestARecoveryFileIsReadInAMail(t *testing.T) {
	next := filepath.Join(t.TempDir(), "next.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: next})
	id, err := h.Identity()
	require.NoError(t, err)
	two := string(read(t, next))
	again := filepath.Join(t.TempDir(), "again.key")
	create(t, CreateOptions{Passphrase: "horse", Recovery: again})
	other := string(read(t, again))

	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	recipient, err := age.NewScryptRecipient("horse")
	require.NoError(t, err)
	recipient.SetWorkFactor(fast)
	var locked bytes.Buffer
	a := armor.NewWriter(&locked)
	w, err := age.Encrypt(a, recipient)
	require.NoError(t, err)
	_, err = w.Write([]byte(key.Secret() + "\n"))
	require.NoError(t, errors.Join(err, w.Close(), a.Close()))
	one := recoveryMagic1 + fmt.Sprintf(recoveryOf1, id.Pointer) + locked.String()

	for version, text := range map[string]string{"version 2": two, "version 1": one} {
		var printable strings.Builder
		q := quotedprintable.NewWriter(&printable)
		_, err := q.Write([]byte(text))
		require.NoError(t, errors.Join(err, q.Close()))
		quoted := "> " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n> ")
		mail := "Hello,\n\nkeep this:\n\n" + text + "\n-- \nBest, Ana\n"
		for form, copied := range map[string]string{
			"as it is": text, "an answer": quoted, "a mail": mail, "text behind it": text + "\nkeep it away from this computer\n",
			"an answer to a mail": "> " + strings.ReplaceAll(mail, "\n", "\n> "), "CRLF": strings.ReplaceAll(quoted, "\n", "\r\n"),
			"an answer twice": "> > " + strings.ReplaceAll(text, "\n", "\n> > "), "indented": "  " + strings.ReplaceAll(text, "\n", "\n  "),
			"one line": strings.ReplaceAll(text, "\n", " "), "folded": strings.ReplaceAll(text, ": ", ":\n"), "dashes": strings.ReplaceAll(text, "-----", "—–"),
			"quoted-printable": printable.String(), "quoted-printable, in an answer": "> " + strings.ReplaceAll(printable.String(), "\r\n", "\r\n> "),
			"HTML": "<pre>" + strings.ReplaceAll(text, "=", "&#61;") + "</pre>", "twice": mail + quoted,
		} {
			file := filepath.Join(t.TempDir(), "copied.key")
			require.NoError(t, os.WriteFile(file, []byte(copied), 0o600))
			_, err := readRecovery(file, "")
			require.ErrorIs(t, err, ErrLocked, "%s: %s", version, form)
			_, err = readRecovery(file, "donkey")
			require.ErrorIs(t, err, ErrPassphrase, "%s: %s", version, form)
			r, err := readRecovery(file, "horse")
			require.NoError(t, err, "%s: %s\n%s", version, form, copied)
			require.Equal(t, id.Pointer, r.old, form)
		}
		for form, c := range map[string]struct{ text, why string }{
			"another pointer": {strings.Replace(quoted, id.Pointer.String(), key.Pointer().String(), 1), "altered"},
			"cut off":         {quoted[:len(quoted)-40], "damaged"},
			"less in it":      {strings.Replace(quoted, "\n> "+strings.Split(text, "\n")[6], "", 1), "damaged|altered|stanza|header|scrypt|MAC"},
			"two of them":     {quoted + "\n" + other, "several recovery files"},
			"too long":        {quoted + strings.Repeat("\n", 2*maxRecovery), "too long|over"},
			"no file":         {"Hello,\n\nthe file comes later.\n", "not one of this version"},
		} {
			if version == "version 1" && form == "another pointer" {
				continue // no signature covers it
			}
			file := filepath.Join(t.TempDir(), "bad.key")
			require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
			_, err := readRecovery(file, "horse")
			require.Error(t, err, "%s: %s", version, form)
			require.Regexp(t, c.why, err.Error(), "%s: %s", version, form)
		}
	}
}

// Many parts of recovery files in one text cost no more than its length, and are no file.
func TestPartsOfRecoveryFilesAreNone(t *testing.T) {
	part := "# petname recovery 2\n# pointer: k\n# next: k\n-----BEGIN AGE ENCRYPTED FILE-----\n"
	for _, text := range []string{strings.Repeat(part, maxRecovery/len(part)), strings.Repeat("> ", maxRecovery/2), strings.Repeat("&amp;=3D", maxRecovery/8)} {
		found, err := copiedRecovery(text)
		require.NoError(t, err)
		require.Empty(t, found)
	}
	found, err := copiedRecovery(strings.Repeat(part+"*\n-----END AGE ENCRYPTED FILE-----\n", 100))
	require.NoError(t, err)
	require.Empty(t, found, "none of them can be decoded")
}
