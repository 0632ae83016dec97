package home

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/petname"
)

// encodings are the forms in which editors write a text.
var encodings = map[string]func(text string) string{
	"as it is":     func(s string) string { return s },
	"CRLF":         func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
	"BOM":          func(s string) string { return bom + s },
	"BOM and CRLF": func(s string) string { return bom + strings.ReplaceAll(s, "\n", "\r\n") },
	"UTF-16LE":     func(s string) string { return utf16Line(binary.LittleEndian, bom+s) },
	"UTF-16BE":     func(s string) string { return utf16Line(binary.BigEndian, bom+s) },
	"UTF-16LE and CRLF": func(s string) string {
		return utf16Line(binary.LittleEndian, bom+strings.ReplaceAll(s, "\n", "\r\n"))
	},
}

// Each text file of a home is read in every form in which an editor may have saved it:
// the book opens, the identity unlocks, and the recovery file has the next key.
func TestTextFilesAreReadInEveryForm(t *testing.T) {
	recovery := filepath.Join(t.TempDir(), "next.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: recovery})
	open := create(t, CreateOptions{})
	require.NoError(t, h.SetConfig(Config{Network: "lan"}))
	id, err := h.Identity()
	require.NoError(t, err)
	for name, encode := range encodings {
		for _, file := range []string{h.path(identityFile), h.path(deviceFile), h.path(peerFile), h.path(sealingFile), h.path(configFile), recovery, open.path(identityFile)} {
			before := read(t, file)
			require.NoError(t, os.WriteFile(file, []byte(encode(string(before))), 0o600))
			book, err := h.Book(petname.Options{})
			require.NoError(t, err, "%s %s", name, file)
			require.NoError(t, book.Close())
			got, err := h.Identity()
			require.NoError(t, err, "%s %s", name, file)
			require.Equal(t, id.Next, got.Next)
			key, err := got.Key("horse")
			require.NoError(t, err, "%s %s", name, file)
			require.Equal(t, id.Pointer, key.Pointer())
			require.Empty(t, h.CheckFiles(), "%s %s", name, file)
			c, err := h.Config()
			require.NoError(t, err, "%s %s", name, file)
			require.Equal(t, "lan", c.Network)
			next, err := readRecovery(recovery, "horse")
			require.NoError(t, err, "%s %s", name, file)
			require.True(t, id.Next.Opens(next.Public()))
			_, err = open.Rotate(RotateOptions{})
			require.NoError(t, err, "%s %s", name, file)
			require.NoError(t, os.WriteFile(file, before, 0o600))
		}
	}
}

// A passphrase file in any form either locks a home that every other form of the same
// passphrase unlocks, or is refused before there is a home.
func TestEveryFormOfAPassphraseUnlocks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	readAs := func(b string) string {
		t.Helper()
		require.NoError(t, os.WriteFile(file, []byte(b), 0o600))
		p, err := ReadPassphrase(file)
		require.NoError(t, err)
		return p
	}
	const text = "Zo\u00eb\u2019s \u1e9b\u0323 \ud55c pass\nsecond line\n"
	for name, encode := range encodings {
		for _, form := range []norm.Form{norm.NFC, norm.NFD} {
			h := create(t, CreateOptions{Passphrase: readAs(encode(form.String(text)))})
			id, err := h.Identity()
			require.NoError(t, err)
			for other, encode := range encodings {
				for _, form := range []norm.Form{norm.NFC, norm.NFD} {
					_, err = id.Key(readAs(encode(form.String(text))))
					require.NoError(t, err, "%s with %s", name, other)
				}
			}
			_, err = id.Key("Zoe\u2019s \u1e9b\u0323 \ud55c pass")
			require.ErrorIs(t, err, ErrPassphrase)
		}
	}
	h := create(t, CreateOptions{Passphrase: "\u00e9 e\u0301"}) // neither NFC nor NFD
	id, err := h.Identity()
	require.NoError(t, err)
	for _, p := range []string{"\u00e9 \u00e9", "e\u0301 e\u0301"} {
		_, err = id.Key(p)
		require.NoError(t, err)
	}
	for name, b := range map[string]string{
		"Latin-1": "p\xe4ss\n", "UTF-16 without a mark": utf16Line(binary.LittleEndian, "pass\n"), "BOM alone": bom + "\r\n",
		"UTF-16 of an empty line": utf16Line(binary.BigEndian, bom+"\r\npass"), "a zero": "a\x00b",
	} {
		require.NoError(t, os.WriteFile(file, []byte(b), 0o600))
		_, err := ReadPassphrase(file)
		require.Error(t, err, name)
	}
	for _, p := range []string{"p\xe4ss", "a\rb", "a\x1bb", bom} {
		dir := filepath.Join(t.TempDir(), "home")
		_, err := Create(dir, CreateOptions{Passphrase: p, WorkFactor: fast})
		require.Error(t, err, "%q", p)
		require.NoDirExists(t, dir)
	}
}

// A home that an older version locked with the bytes of a passphrase file, as they came,
// unlocks with the same file.
func TestHomesLockedWithTheBytesOfAFileUnlock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	for name, encode := range encodings {
		for _, text := range []string{"pass\n", "pass", norm.NFD.String("p\u00e4ss\n")} {
			b := []byte(encode(text))
			line, _, _ := bytes.Cut(b, []byte("\n"))
			recipient, err := age.NewScryptRecipient(string(bytes.TrimSuffix(line, []byte("\r"))))
			require.NoError(t, err)
			recipient.SetWorkFactor(fast)
			var locked bytes.Buffer
			a := armor.NewWriter(&locked)
			w, err := age.Encrypt(a, recipient)
			require.NoError(t, err)
			_, err = w.Write([]byte("secret"))
			require.NoError(t, err)
			require.NoError(t, w.Close())
			require.NoError(t, a.Close())
			require.NoError(t, os.WriteFile(file, b, 0o600))
			p, err := ReadPassphrase(file)
			require.NoError(t, err)
			plain, err := decrypt(locked.Bytes(), p)
			require.NoError(t, err, "%s %q", name, text)
			require.Equal(t, "secret", string(plain))
		}
	}
	require.Len(t, passphraseForms("horse"), 1, "each form costs a second")
}
