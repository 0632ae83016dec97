//go:build linux

package socket

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The user at the other end is its own, or root.
func TestWhichUsersAreTrusted(t *testing.T) {
	for _, test := range []struct {
		user, own int
		trusted   bool
	}{{1000, 1000, true}, {0, 1000, true}, {0, 0, true}, {1001, 1000, false}, {1000, 0, false}, {65534, 0, false}} {
		require.Equal(t, test.trusted, trustedUser(test.user, test.own), "%v", test)
	}
}

const asOtherUser = "PETNAME_TEST_SOCKET" // path of a socket, for TestAnotherUser

// TestAnotherUser is the process of another user in the test below: it connects, sends a
// request and prints what it receives, or listens and prints what it was sent.
func TestAnotherUser(t *testing.T) {
	path := os.Getenv(asOtherUser)
	if path == "" {
		t.Skip("for the test below")
	}
	if filepath.Base(path) != sockName {
		conn, err := net.Dial("unix", filepath.Join(filepath.Dir(path), sockName))
		require.NoError(t, err)
		_, _ = conn.Write([]byte(`{"v":1,"program":"v1","verb":"echo","args":{"secret":1}}`))
		b, _ := io.ReadAll(conn)
		os.Stdout.Write(append([]byte("received:"), b...))
		return
	}
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o666))
	os.Stdout.Write([]byte("listening\n"))
	conn, err := l.Accept()
	require.NoError(t, err)
	b, _ := io.ReadAll(conn)
	os.Stdout.Write(append([]byte("received:"), b...))
}

// The attack: a process of another user gets at the socket in spite of the modes, as after
// a chmod by mistake. It runs no verb, and as a listener receives no request.
func TestAnotherUserIsRefusedAtBothEnds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	binary := filepath.Join(short(t), "test") // the folder of the tests is closed to others
	require.NoError(t, os.Chmod(filepath.Dir(binary), 0o755))
	b, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, b, 0o755))
	other := func(path string) *exec.Cmd {
		cmd := exec.Command(binary, "-test.run=^TestAnotherUser$")
		cmd.Env = append(os.Environ(), asOtherUser+"="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		return cmd
	}
	dir := short(t)
	serving(t, dir)
	path, err := Path(dir)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(path, 0o666))
	out, err := other(filepath.Join(dir, "client")).Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "received:")
	require.NotContains(t, string(out), "secret")
	answer, failed := do(t, dir, "echo", `{"secret":1}`)
	require.Nil(t, failed)
	require.Contains(t, answer, "secret", "its own user is served")

	dir = short(t)
	require.NoError(t, os.Chmod(dir, 0o777))
	path = filepath.Join(dir, sockName)
	cmd := other(path)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, len("listening\n"))
	_, err = io.ReadFull(stdout, line)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NoError(t, os.Lchown(path, 0, -1)) // as a hard link or a mount would make it look
	_, _, _, err = Call(context.Background(), dir, "v1", "publish", json.RawMessage(`{"passphrase":"horse"}`))
	require.ErrorIs(t, err, ErrUntrusted)
	require.ErrorIs(t, err, ErrNoNode)
	require.ErrorContains(t, err, "user 65534")
	rest, err := io.ReadAll(stdout)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
	require.Contains(t, string(rest), "received:")
	require.NotContains(t, string(rest), "horse")
}
