//go:build unix

package home

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// An unreadable post.db is an error, and stays: a named pipe does not block the move,
// and a link to a missing file is not a new home.
func TestAnUnreadablePostFileStays(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a named pipe":     func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link to itself": func(path string) error { return os.Symlink(path, path) },
		"a link to a disk that is away": func(path string) error {
			return os.Symlink(filepath.Join(filepath.Dir(path), "away", "post.db"), path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Create(filepath.Join(t.TempDir(), "home"), CreateOptions{})
			require.NoError(t, err)
			file := h.path(oldMessagesFile)
			require.NoError(t, os.RemoveAll(file))
			require.NoError(t, make(file))
			before, err := os.Lstat(file)
			require.NoError(t, err)
			require.True(t, h.HasOldMessages())
			book, _, err := opened(t, h)
			require.ErrorContains(t, err, "post.db")
			require.NoError(t, book.Close())
			after, err := os.Lstat(file)
			require.NoError(t, err)
			require.Equal(t, before.Mode(), after.Mode())
		})
	}
}

// The messages in a linked file are moved as those in a file are.
func TestALinkedPostFileIsMoved(t *testing.T) {
	h, err := Create(filepath.Join(t.TempDir(), "home"), CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(h.path(oldMessagesFile)))
	whole := older(t, h)
	away := filepath.Join(t.TempDir(), "away")
	require.NoError(t, os.Rename(h.path(oldMessagesFile), away))
	require.NoError(t, os.Symlink(away, h.path(oldMessagesFile)))
	book, notice, err := opened(t, h)
	require.NoError(t, err)
	require.Nil(t, notice)
	require.Equal(t, 60, rows(t, book))
	require.NoError(t, book.Close())
	left, err := os.ReadFile(away)
	require.NoError(t, err)
	require.Equal(t, whole, left)
}
