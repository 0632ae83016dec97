package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain runs the test binary as the second process if requested.
func TestMain(m *testing.M) {
	if path := os.Getenv("LEDGER_TEST_HOLD"); path != "" {
		l, err := Open(path, testKey("one"), multi{}, testOptions())
		fmt.Println("open:", err)
		if err == nil {
			io.Copy(io.Discard, os.Stdin) // hold it until the parent lets go
			l.Close()
		}
		return
	}
	os.Exit(m.Run())
}

// hold opens the ledger in another process, until release.
func hold(t *testing.T, path string) (said string, release func()) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LEDGER_TEST_HOLD="+path)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return said, func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	}
}

func TestASecondProcessReceivesErrInUse(t *testing.T) {
	l, path := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)

	said, release := hold(t, path)
	release()
	require.Contains(t, said, "in use by another process")

	require.NoError(t, l.Close())
	said, release = hold(t, path)
	require.Equal(t, "open: <nil>\n", said)
	at := make(chan error, 1)
	go func() {
		_, err := Open(path, testKey("one"), multi{}, testOptions())
		at <- err
	}()
	select {
	case err := <-at:
		require.ErrorIs(t, err, ErrInUse)
	case <-time.After(time.Minute):
		release()
		t.Fatal("without a Wait, Open waits")
	}
	o := testOptions()
	o.Wait = 120 * time.Millisecond
	_, err = Open(path, testKey("one"), multi{}, o)
	require.ErrorIs(t, err, ErrInUse)

	// Waiting gets it as soon as the other lets go.
	o.Wait = time.Minute
	got := make(chan error)
	go func() {
		l, err := Open(path, testKey("one"), multi{}, o)
		if err == nil {
			_, err = l.Append([]byte("b=2"))
			err = errors.Join(err, l.Close())
		}
		got <- err
	}()
	release()
	require.NoError(t, <-got)
	l, err = Open(path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	require.Equal(t, []string{"a=1", "b=2"}, bodies(t, l))
	require.NoError(t, l.Close())
}

func TestOpeningAMissingFileCreatesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	_, err := Open(path, testKey("one"), multi{}, testOptions())
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = os.Stat(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Open(t.TempDir(), testKey("one"), multi{}, testOptions())
	require.Error(t, err)
}

func TestCreateNeverOverwrites(t *testing.T) {
	l, path := newBook(t)
	require.NoError(t, l.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	g := Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}
	_, err = Create(path, g, multi{}, testOptions())
	require.ErrorIs(t, err, fs.ErrExist)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	// Nor when the other file appears at the last moment.
	other := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(other, []byte("mine"), 0o600))
	temp := filepath.Join(filepath.Dir(other), "temp")
	require.NoError(t, os.WriteFile(temp, nil, 0o600))
	require.ErrorIs(t, publish(nil, temp, other), fs.ErrExist)

	// A Create that fails leaves nothing behind.
	dir := t.TempDir()
	g.DeviceName = string(make([]byte, 100))
	_, err = Create(filepath.Join(dir, "ledger.db"), g, multi{}, testOptions())
	require.Error(t, err)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestAnotherDevicesKeyDoesNotOpen(t *testing.T) {
	l, path := newBook(t)
	require.NoError(t, l.Close())
	_, err := Open(path, testKey("stranger"), multi{}, testOptions())
	require.ErrorContains(t, err, "is not one of the book's")
	l, err = Open(path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err, "and the file is free again")
	require.NoError(t, l.Close())
}
