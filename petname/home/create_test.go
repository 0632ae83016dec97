package home

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

func TestCreate(t *testing.T) {
	h := create(t, CreateOptions{Nickname: "Alice"})
	require.Equal(t, []string{deviceFile, identityFile, ledgerFile, peerFile, recordsDir, sealingFile}, files(t, h.Dir))
	require.Empty(t, h.CheckFiles())
	id, err := h.Identity()
	require.NoError(t, err)
	require.False(t, id.Locked)
	require.False(t, id.NextElsewhere)
	require.Equal(t, "in this home", id.Recovery())
	key, err := id.Key("")
	require.NoError(t, err)
	require.Equal(t, id.Pointer, key.Pointer())
	again, err := Open(h.Dir)
	require.NoError(t, err)
	require.Equal(t, h, again)
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	require.Equal(t, id.Pointer, book.Identity())
	require.NoError(t, book.Close())
	peer, err := h.PeerKey()
	require.NoError(t, err)
	require.NotEmpty(t, peer)
	// all keys are different ones
	text := string(read(t, h.path(identityFile)))
	keys := strings.Split(strings.TrimSpace(text[strings.Index(text, "PETNAME-SECRET"):]), "\n")
	require.Len(t, keys, 2)
	require.NotEqual(t, keys[0], keys[1])
	require.NotContains(t, text, strings.TrimSpace(string(read(t, h.path(deviceFile)))))
	next, err := pointer.ParseKey(keys[1])
	require.NoError(t, err)
	require.True(t, id.Next.Opens(next.Public()))
	_, err = Create(h.Dir, CreateOptions{})
	require.ErrorIs(t, err, ErrExists)
}

// Only the recovery file has the next key, which matches the commitment of id.
func TestRecovery(t *testing.T) {
	file := filepath.Join(t.TempDir(), "next.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: file})
	id, err := h.Identity()
	require.NoError(t, err)
	require.True(t, id.Locked)
	require.True(t, id.NextElsewhere)
	info, err := os.Stat(file)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	unlock := func(b []byte) string { // by age itself, as the age command would
		identity, err := age.NewScryptIdentity("horse")
		require.NoError(t, err)
		r, err := age.Decrypt(armor.NewReader(bytes.NewReader(b[bytes.Index(b, []byte(armor.Header)):])), identity)
		require.NoError(t, err)
		var plain bytes.Buffer
		_, err = plain.ReadFrom(r)
		require.NoError(t, err)
		return plain.String()
	}
	recovery := read(t, file)
	require.NotContains(t, string(recovery), "PETNAME-SECRET-KEY")
	lines := strings.Split(strings.TrimSpace(unlock(recovery)), "\n")
	secret, after := lines[len(lines)-2], lines[len(lines)-1]
	next, err := pointer.ParseKey(secret)
	require.NoError(t, err)
	require.True(t, id.Next.Opens(next.Public()))
	require.NotEqual(t, id.Pointer, next.Pointer())
	for _, name := range []string{identityFile, deviceFile, peerFile, sealingFile, ledgerFile} {
		b := read(t, h.path(name))
		require.NotContains(t, string(b), strings.TrimSpace(secret), name)
		require.NotContains(t, string(b), after, name)
		if name == identityFile {
			require.NotContains(t, string(b), "PETNAME-SECRET-KEY")
			require.NotContains(t, unlock(b), strings.TrimSpace(secret))
			require.NotContains(t, unlock(b), after)
		}
	}
	_, err = id.Key("")
	require.ErrorIs(t, err, ErrLocked)
	_, err = id.Key("cow")
	require.ErrorIs(t, err, ErrPassphrase)
	key, err := id.Key("horse")
	require.NoError(t, err)
	require.Equal(t, id.Pointer, key.Pointer())
}

// A failed Create leaves no file, and changes no existing one.
func TestCreateFails(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "taken")
	require.NoError(t, os.WriteFile(taken, []byte("mine"), 0o600))
	for name, p := range map[string]CreateOptions{
		"no passphrase": {Recovery: "x"},
		"taken":         {Recovery: taken, Passphrase: "p", WorkFactor: fast},
		"nowhere":       {Recovery: filepath.Join(taken, "x"), Passphrase: "p", WorkFactor: fast},
		"no folder":     {Recovery: filepath.Join(t.TempDir(), "no", "x"), Passphrase: "p", WorkFactor: fast},
		"nickname":      {Nickname: "a/b\x00"},
	} {
		root := t.TempDir()
		_, err := Create(filepath.Join(root, "a", "b"), p)
		require.Error(t, err, name)
		require.Empty(t, files(t, root), name)
		dir := filepath.Join(root, "empty")
		require.NoError(t, os.Mkdir(dir, 0o700))
		_, err = Create(dir, p)
		require.Error(t, err, name)
		require.Empty(t, files(t, dir), "%s: the folder that was there stays, empty", name)
	}
	require.Equal(t, "mine", string(read(t, taken)))
	dir := filepath.Join(t.TempDir(), "home")
	_, err := Create(dir, CreateOptions{Recovery: filepath.Join(dir, "next"), Passphrase: "p", WorkFactor: fast})
	require.ErrorIs(t, err, ErrRecoveryInHome)
	require.NoFileExists(t, filepath.Join(dir, "next"))
	used := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(used, "notes"), nil, 0o600))
	_, err = Create(used, CreateOptions{})
	require.ErrorIs(t, err, fs.ErrExist)
	require.Equal(t, []string{"notes"}, files(t, used))
	_, err = Create(filepath.Join(used, "notes"), CreateOptions{})
	require.ErrorContains(t, err, "is a file")
	require.NoError(t, os.Remove(filepath.Join(used, "notes")))
	require.NoError(t, os.Mkdir(filepath.Join(used, "lost+found"), 0o700))
	_, err = Create(used, CreateOptions{})
	require.NoError(t, err, "a file system of its own")
	cut := create(t, CreateOptions{})
	require.NoError(t, os.Remove(cut.path(identityFile)))
	_, err = Create(cut.Dir, CreateOptions{})
	require.ErrorContains(t, err, "cut short")
	_, err = Open(cut.Dir)
	require.ErrorIs(t, err, ErrNoHome)
}

// A path that looks like a pattern is a path.
func TestCreateQuotes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such names")
	}
	dir := filepath.Join(t.TempDir(), `a[b*?\`)
	_, err := Create(dir, CreateOptions{Nickname: "x/y\x00"})
	require.Error(t, err)
	require.NoDirExists(t, dir)
	_, err = Create(dir, CreateOptions{})
	require.NoError(t, err)
}

// Create refuses a folder that contains any file of keys, or a book, whatever
// else is missing. init changes nothing there.
func TestCreateNeverOverwritesKeys(t *testing.T) {
	whole := create(t, CreateOptions{})
	for _, name := range []string{identityFile, deviceFile, peerFile, sealingFile, ledgerFile, identityFile + ".part"} {
		dir := t.TempDir()
		lone := filepath.Join(dir, name)
		content := []byte("of an older version, or damaged")
		if name != identityFile+".part" {
			content = read(t, whole.path(name))
		}
		require.NoError(t, os.WriteFile(lone, content, 0o600))
		_, err := Create(dir, CreateOptions{})
		if name == identityFile {
			require.ErrorIs(t, err, ErrExists)
		} else {
			require.ErrorIs(t, err, fs.ErrExist, name)
		}
		require.Equal(t, []string{name}, files(t, dir))
		require.Equal(t, content, read(t, lone), name)
	}
	if runtime.GOOS == "windows" {
		return
	}
	dir := t.TempDir() // keys on a disk that is not mounted
	away := filepath.Join(t.TempDir(), "away")
	require.NoError(t, os.Symlink(away, filepath.Join(dir, identityFile)))
	_, err := Create(dir, CreateOptions{})
	require.ErrorIs(t, err, ErrExists)
	require.Equal(t, []string{identityFile}, files(t, dir))
	require.NoFileExists(t, away)
	_, err = Open(dir)
	require.NoError(t, err, "a home with an unreadable key")
}

// A recovery file replaces no other file, and is not written through a link to
// a missing file.
func TestARecoveryFileIsNeverOverAnother(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links")
	}
	root := t.TempDir()
	link, away := filepath.Join(root, "link"), filepath.Join(root, "away")
	require.NoError(t, os.Symlink(away, link))
	_, err := Create(filepath.Join(root, "home"), CreateOptions{Recovery: link, Passphrase: "horse", WorkFactor: fast})
	require.ErrorIs(t, err, fs.ErrExist)
	require.Equal(t, []string{"link"}, files(t, root))
}
