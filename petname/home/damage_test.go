//go:build unix

package home

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname"
)

// A pipe, a folder and a lost link in the place of each file are errors at once, of the
// methods that read it and of CheckFiles, with the path and a next step. They change nothing.
func TestWrongKindsAreNamedAtOnce(t *testing.T) {
	readers := map[string]func(h Home) error{
		identityFile:    func(h Home) error { _, err := h.Identity(); return err },
		deviceFile:      func(h Home) error { _, err := h.Book(petname.Options{}); return err },
		ledgerFile:      func(h Home) error { _, err := h.Book(petname.Options{}); return err },
		peerFile:        func(h Home) error { _, err := h.PeerKey(); return err },
		sealingFile:     func(h Home) error { _, err := h.Sealing(); return err },
		recordsDir:      func(h Home) error { _, err := h.Records(); return err },
		configFile:      func(h Home) error { _, err := h.Config(); return err },
		journalFile:     func(h Home) error { _, err := h.PendingRotation(); return err },
		republishFile:   Home.checkRepublishFile,
		nodeFile:        Home.checkNodeFile,
		oldMessagesFile: func(h Home) error { _, err := h.oldMessagesState(); return err },
	}
	for file, read := range readers {
		for kind, replace := range map[string]func(path string) error{
			"a pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"a folder":        func(path string) error { return os.Mkdir(path, 0o700) },
			"a symbolic link": func(path string) error { return os.Symlink("nowhere", path) },
		} {
			if file == recordsDir && kind == "a folder" {
				continue
			}
			h := create(t, CreateOptions{})
			require.NoError(t, os.RemoveAll(h.path(file)))
			require.NoError(t, replace(h.path(file)))
			var wrong *durable.KindError
			require.ErrorAs(t, read(h), &wrong, "%s %s", file, kind)
			require.ErrorContains(t, read(h), h.path(file))
			require.ErrorContains(t, read(h), kind)
			problems := h.CheckFiles()
			require.Len(t, problems, 1, "%s %s", file, kind)
			var damaged *FileError
			require.ErrorAs(t, problems[0], &damaged, "%s %s", file, kind)
			require.NotEmpty(t, damaged.Next())
			info, err := os.Lstat(h.path(file))
			require.NoError(t, err)
			require.Equal(t, wrong.Mode, info.Mode().Type())
		}
	}
}

// A rotation replaces no link to a key: the former key, or former sealing keys, would stay
// at its target. It is refused before anything has changed; reading follows the link.
func TestALinkToAKeyIsNotReplaced(t *testing.T) {
	for _, file := range []string{identityFile, sealingFile} {
		h := create(t, CreateOptions{})
		before, err := h.Identity()
		require.NoError(t, err)
		away := filepath.Join(t.TempDir(), "away.key")
		require.NoError(t, os.Rename(h.path(file), away))
		require.NoError(t, os.Symlink(away, h.path(file)))
		content := read(t, away)
		after, err := h.Identity()
		require.NoError(t, err)
		require.Equal(t, before.Pointer, after.Pointer)
		_, err = h.Rotate(RotateOptions{})
		var linked *FileError
		require.ErrorAs(t, err, &linked, file)
		require.Equal(t, h.path(file), linked.Path)
		require.Contains(t, linked.Next(), "the file itself")
		require.ErrorAs(t, h.CheckFiles()[0], &linked)
		require.Contains(t, linked.Next(), "the file itself")
		require.Equal(t, content, read(t, away))
		info, err := os.Lstat(h.path(file))
		require.NoError(t, err)
		require.Equal(t, fs.ModeSymlink, info.Mode().Type())
		require.ErrorAs(t, h.replace(file, []byte("new")), &linked)
	}
}

// The attack: another user or program made a second name for a key file. A rotation replaces the
// file, and the other name keeps the retired key: CheckFiles names the file before that.
func TestASecondLinkToAFileIsReported(t *testing.T) {
	h := create(t, CreateOptions{})
	require.Empty(t, h.CheckFiles())
	for _, name := range []string{identityFile, sealingFile, ledgerFile} {
		other := filepath.Join(t.TempDir(), "other")
		require.NoError(t, os.Link(h.path(name), other))
		problems := h.CheckFiles()
		require.Len(t, problems, 1, name)
		require.ErrorContains(t, problems[0], name)
		require.ErrorContains(t, problems[0], "2 names")
		require.NoError(t, os.Remove(other))
	}
	require.Empty(t, h.CheckFiles())
}
