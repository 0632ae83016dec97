package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
)

// openTerminal returns both sides of a new pseudo-terminal: what a person types and reads, and that
// of the program.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Skip("needs /dev/ptmx")
	}
	require.NoError(t, err)
	t.Cleanup(func() { person.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	program, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { program.Close() })
	return person, program
}

// readUntil reads what a program writes to a terminal up to a text, or to its end.
func readUntil(person *os.File, text string) string {
	var read []byte
	for b := make([]byte, 1); !bytes.Contains(read, []byte(text)); {
		n, err := person.Read(b)
		if err != nil {
			break // the program has ended
		}
		read = append(read, b[:n]...)
	}
	return string(read)
}

// atTerminal runs a verb in a process whose terminal answers a question, and returns its exit status
// and what the terminal shows.
func atTerminal(t *testing.T, question, answer string, args ...string) (int, string) {
	t.Helper()
	person, program := openTerminal(t)
	cmd := process(t, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	require.NoError(t, program.Close()) // so that reads end with the process
	shown := readUntil(person, question)
	require.Contains(t, shown, question)
	_, err := person.WriteString(answer)
	require.NoError(t, err)
	shown += readUntil(person, "\x00")
	if err := cmd.Wait(); err != nil {
		require.ErrorAs(t, err, new(*exec.ExitError))
	}
	return cmd.ProcessState.ExitCode(), shown
}

// At a terminal device rm removes a device after the answer "yes" alone: no other answer, no end of
// the input and no interruption changes anything.
func TestDeviceRmChangesNothingUnlessConfirmed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	require.Zero(t, verb(dir, "init").exit)
	h, err := home.Open(dir)
	require.NoError(t, err)
	id, err := h.Identity()
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	public := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	require.NoError(t, book.AdmitDevice(key, public, "phone", true))
	require.NoError(t, book.Close())

	before := verb(dir, "device", "list", "--json").stdout
	require.Contains(t, before, `"name":"phone"`)
	for answer, status := range map[string]int{"y\n": 5, "n\n": 5, "\n": 5, "YES\n": 5, "yes \x15no\n": 5, "\x04": 5, "\x03": 130} {
		exit, shown := atTerminal(t, "Type yes: ", answer, "--home", dir, "device", "rm", "phone")
		require.Equal(t, status, exit, "%q: %s", answer, shown)
		require.NotContains(t, shown, "removed phone", "%q", answer)
		require.Equal(t, before, verb(dir, "device", "list", "--json").stdout, "%q", answer)
	}
	exit, shown := atTerminal(t, "Type yes: ", "yes\n", "--home", dir, "device", "rm", "phone")
	require.Zero(t, exit, shown)
	require.Contains(t, shown, "removed phone")
	require.NotEqual(t, before, verb(dir, "device", "list", "--json").stdout)
}

// At a terminal device join lets a change of this home replace one of another device after the
// answer "mine" alone. An interruption ends the joining.
func TestDeviceJoinKeepsTheirsUnlessToldMine(t *testing.T) {
	for answer, mine := range map[string]bool{"mine\n": true, "theirs\n": false, "y\n": false, "n\n": false, "yes\n": false, "\n": false, "\x04": false} {
		person, program := openTerminal(t)
		decide := (&app{ctx: t.Context(), stdin: program, stderr: program}).decideReentry()
		require.NotNil(t, decide)
		var once sync.WaitGroup
		once.Go(func() {
			readUntil(person, "mine: ")
			_, _ = person.WriteString(answer)
		})
		got, err := decide(petname.ReentryConflict{Reason: petname.ReentryTaken})
		once.Wait()
		require.NoError(t, err)
		require.Equal(t, mine, got, "%q", answer)
	}
	person, program := openTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := person.WriteString("mine\n")
	require.NoError(t, err)
	_, err = (&app{ctx: ctx, stdin: program, stderr: program}).decideReentry()(petname.ReentryConflict{})
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, (&app{ctx: ctx, stdin: strings.NewReader("mine\n"), stderr: program}).decideReentry(), "without a terminal nothing is asked")
}
