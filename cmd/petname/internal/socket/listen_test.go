package socket

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Only the owner can access the socket. The socket of a killed node is replaced.
func TestListen(t *testing.T) {
	dir := short(t)
	path, err := Path(dir)
	require.NoError(t, err)
	dead, err := net.Listen("unix", path)
	require.NoError(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	_, _, _, err = Call(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
	l, err := Listen(dir)
	require.NoError(t, err)
	defer l.Close()
	if runtime.GOOS != "windows" {
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

// Only the owner can access the socket from the moment that it exists. The
// umask of the process has no effect on its mode, and is restored afterwards.
func TestASocketIsPrivateFromTheStart(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	old := setUmask(0)
	defer setUmask(old)
	path := filepath.Join(short(t), "s")
	l, err := listenPrivate(path) // before the server changes its mode
	require.NoError(t, err)
	defer l.Close()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077, "%#o", info.Mode().Perm())
	require.Zero(t, setUmask(0))
}

// A client sends nothing to a socket in a folder that another user owns or can
// write to, or whose folder is not a folder. Another user may be listening
// there, and a request can contain a passphrase. A node does not listen there
// either.
func TestAClientSendsNothingIntoAnUntrustedFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	run := short(t)
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir := filepath.Join(short(t), strings.Repeat("deep/", 30))
	path, err := Path(dir)
	require.NoError(t, err)
	folder := filepath.Dir(path)
	require.NoError(t, os.Mkdir(folder, 0o700))
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	sent := make(chan struct{}, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sent <- struct{}{}
			_ = json.NewDecoder(c).Decode(new(request))
			_, _ = c.Write([]byte(`{"v":1,"result":"fake"}`))
			c.Close()
		}
	}()
	defer func() {
		l.Close()
		<-done
	}()
	asked := func() (bool, error) {
		_, _, _, err := Call(context.Background(), dir, "v1", "publish", json.RawMessage(`{"passphrase":"horse"}`))
		select {
		case <-sent:
			return true, err
		default:
			return false, err
		}
	}
	reached, err := asked()
	require.NoError(t, err)
	require.True(t, reached, "its own folder")
	refused := func(why string) {
		t.Helper()
		reached, err := asked()
		require.ErrorIs(t, err, ErrNoNode)
		require.ErrorContains(t, err, why)
		require.False(t, reached)
		_, err = Listen(dir)
		require.ErrorContains(t, err, why)
	}
	for _, mode := range []os.FileMode{0o770, 0o702, 0o720, 0o750, 0o705, 0o701} {
		require.NoError(t, os.Chmod(folder, mode))
		refused("open to others")
	}
	require.NoError(t, os.Chmod(folder, 0o700))
	if os.Geteuid() == 0 { // only root may change the owner, and may enter the folder afterwards
		require.NoError(t, os.Chown(folder, 65534, -1))
		refused("another user's")
		require.NoError(t, os.Chown(folder, 0, -1))
	}
	real := filepath.Join(run, "real")
	require.NoError(t, os.Rename(folder, real))
	require.NoError(t, os.Symlink(real, folder))
	refused("not a folder")
}

// A socket lies in its home if its path is no longer than every system allows.
func TestThePathOfASocketIsBounded(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", short(t))
	root := short(t)
	for _, length := range []int{maxPath, maxPath + 1} {
		dir := filepath.Join(root, strings.Repeat("x", length-len(root)-len("/"+sockName)-1))
		path, err := Path(dir)
		require.NoError(t, err)
		require.Equal(t, length == maxPath, path == filepath.Join(dir, sockName), path)
	}
}

// A home whose path is too long has its socket in the runtime folder of the user, if
// no other user can access that folder.
func TestLongPath(t *testing.T) {
	run := short(t)
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir := filepath.Join(short(t), strings.Repeat("deep/", 30))
	path, err := Path(dir)
	require.NoError(t, err)
	require.LessOrEqual(t, len(path), maxPath)
	require.True(t, strings.HasPrefix(path, run))
	other, err := Path(dir + "2")
	require.NoError(t, err)
	require.NotEqual(t, path, other)
	require.NoDirExists(t, filepath.Join(run, "petname"), "asking makes nothing")
	stop := serving(t, dir)
	out, failed := do(t, dir, "echo", `{}`)
	require.Nil(t, failed)
	require.Equal(t, "{}", out)
	stop()
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(filepath.Join(run, "petname"), 0o777))
		_, err = Listen(dir)
		require.ErrorContains(t, err, "open to others")
	}
	t.Setenv("XDG_RUNTIME_DIR", "/"+strings.Repeat("x", 120))
	_, err = Listen(dir)
	require.ErrorContains(t, err, "too long")
	_, _, _, err = Call(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
}
