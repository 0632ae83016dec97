package home

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
			recovered, err := readRecovery(recovery, "horse")
			require.NoError(t, err, "%s %s", name, file)
			require.True(t, id.Next.Opens(recovered.next.Public()))
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

// A recovery file of either version makes a home in every form in which an editor may
// have saved it, with every form of its passphrase. What is then written, and what a
// rotation writes, is locked with the one form that Create uses.
func TestRecoveryFilesAreRecoveredInEveryForm(t *testing.T) {
	const text = "Zo\u00eb \u1e9b\u0323"
	nfc, nfd := norm.NFC.String(text), norm.NFD.String(text)
	require.NotEqual(t, nfc, nfd)
	lockedWith := func(name, passphrase string) {
		t.Helper()
		identity, err := age.NewScryptIdentity(passphrase)
		require.NoError(t, err)
		b := read(t, name)
		_, err = age.Decrypt(armor.NewReader(bytes.NewReader(b[bytes.Index(b, []byte(armor.Header)):])), identity)
		require.NoError(t, err, name)
	}
	dir := t.TempDir()
	second, first := filepath.Join(dir, "second.key"), filepath.Join(dir, "first.key")
	create(t, CreateOptions{Passphrase: nfd, Recovery: second})
	lockedWith(second, nfc)
	next, err := readRecovery(second, nfc)
	require.NoError(t, err)
	b, err := encrypt([]byte(next.next.Secret()+"\n"), nfd, fast)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(first, slices.Concat([]byte(recoveryMagic1+fmt.Sprintf(recoveryOf1, next.old)), b), 0o600))
	n := 0
	for _, file := range []string{first, second} {
		whole := string(read(t, file))
		for name, encode := range encodings {
			require.NoError(t, os.WriteFile(file, []byte(encode(whole)), 0o600))
			typed := []string{nfc, nfd, bom + nfc, bom + nfd}[n%4]
			n++
			o := RecoverOptions{File: file, Passphrase: typed, Recovery: filepath.Join(t.TempDir(), "new.key"), WorkFactor: fast}
			h, r, err := Recover(filepath.Join(t.TempDir(), "home"), o)
			require.NoError(t, err, "%s as %s", file, name)
			require.Equal(t, next.next.Pointer(), r.New)
			lockedWith(h.path(identityFile), nfc)
			lockedWith(o.Recovery, nfc)

			require.NoError(t, os.WriteFile(o.Recovery, []byte(encode(string(read(t, o.Recovery)))), 0o600))
			again := RotateOptions{Passphrase: typed, Next: o.Recovery, Recovery: filepath.Join(t.TempDir(), "newer.key"), WorkFactor: fast}
			rotation, err := h.Rotate(again)
			require.NoError(t, err, name)
			require.NoError(t, rotation.Commit(nil))
			lockedWith(h.path(identityFile), nfc)
			lockedWith(again.Recovery, nfc)
		}
		require.NoError(t, os.WriteFile(file, []byte(whole), 0o600))
		_, _, err = Recover(filepath.Join(t.TempDir(), "home"), RecoverOptions{File: file, Passphrase: "Zoe", WorkFactor: fast})
		require.ErrorIs(t, err, ErrPassphrase)
	}
}

// A text file is bounded in every form: UTF-16 has two bytes for each of them.
func TestTextFilesAreBoundedInEveryForm(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text")
	for n, fits := range map[int]bool{100: true, 101: false} {
		text := strings.Repeat("x", n)
		for name, b := range map[string]string{"UTF-8": text, "UTF-16LE": utf16Line(binary.LittleEndian, bom+text[1:]), "UTF-16BE": utf16Line(binary.BigEndian, bom+text[1:])} {
			require.NoError(t, os.WriteFile(file, []byte(b), 0o600))
			_, err := readTextUpTo(file, 100)
			require.Equal(t, fits, err == nil, "%d %s: %v", n, name, err)
		}
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
			plain, err := decryptUpTo(locked.Bytes(), p, maxKeyFile)
			require.NoError(t, err, "%s %q", name, text)
			require.Equal(t, "secret", string(plain))
		}
	}
	require.Len(t, passphraseForms("horse"), 1, "each form costs a second")
}
