//go:build unix

package durable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable"
)

// What is not a file is refused at once, with what it is: a pipe without a writer would
// wait for ever, and a device can have no end.
func TestOnlyFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("file"), []byte("content"), 0o600))
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o600))
	require.NoError(t, os.Mkdir(at("folder"), 0o700))
	for link, to := range map[string]string{"link": "file", "lost": "nowhere", "topipe": "pipe", "loop": "loop"} {
		require.NoError(t, os.Symlink(at(to), at(link)))
	}
	for name, want := range map[string]string{
		at("pipe"): "a pipe", at("topipe"): "a pipe", at("folder"): "a folder", at("lost"): "a symbolic link", at("loop"): "a symbolic link", "/dev/null": "a device",
	} {
		for i, read := range []func(string) (*os.File, error){durable.Open, durable.OpenInput} {
			_, err := read(name)
			var kind *durable.KindError
			require.ErrorAs(t, err, &kind, "%s %d", name, i)
			require.EqualError(t, err, strconv.Quote(name)+" is "+want+", and is not a file")
		}
	}
	for _, name := range []string{"file", "link"} {
		b, err := durable.ReadFile(at(name), 7)
		require.NoError(t, err)
		require.Equal(t, "content", string(b))
		_, err = durable.ReadFile(at(name), 6)
		require.ErrorAs(t, err, new(*durable.SizeError))
		require.ErrorContains(t, err, at(name))
	}
	_, err := durable.Open(at("none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A descriptor that the process has open is an input, as of <(command) in a shell.
func TestADescriptorIsAnInput(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	_, err = w.WriteString("secret")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	name := "/dev/fd/" + strconv.Itoa(int(r.Fd()))
	f, err := durable.OpenInput(name)
	require.NoError(t, err)
	defer f.Close()
	b, err := durable.ReadUpTo(f, name, 100)
	require.NoError(t, err)
	require.Equal(t, "secret", string(b))
	_, err = durable.Open(name)
	require.ErrorContains(t, err, "is not a file")
	_, err = durable.ReadUpTo(strings.NewReader("secret"), name, 5)
	require.ErrorAs(t, err, new(*durable.SizeError))
}

// One open file at a time has the lock.
func TestALockIsHeldByOne(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	open := func() *os.File {
		f, err := os.Open(name)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	for i, want := range []bool{true, false} {
		got, err := durable.TryLock([]*os.File{first, second}[i])
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, first.Close())
	got, err := durable.TryLock(second)
	require.NoError(t, err)
	require.True(t, got)
}
