package socket

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client sends nothing to the socket of a home that another user owns or can write
// to, or to a socket that another user owns: it may have been replaced, and a request
// can contain a passphrase. A node does not listen there either.
func TestTheSocketOfAHomeIsTrustedByOwnerAndMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	dir := short(t)
	path, err := Path(dir)
	require.NoError(t, err)
	require.Equal(t, dir, filepath.Dir(path))
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	trusted := func(where string) {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		accepted := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				cancel()
				c.Close()
			}
			accepted <- err
		}()
		_, _, _, err := Call(ctx, where, "v1", "publish", nil)
		require.NotErrorIs(t, err, ErrUntrusted)
		require.NoError(t, <-accepted)
	}
	refused := func(why string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // nobody answers
		defer cancel()
		_, _, _, err := Call(ctx, dir, "v1", "publish", nil)
		require.ErrorIs(t, err, ErrUntrusted)
		require.ErrorIs(t, err, ErrNoNode)
		require.ErrorContains(t, err, why)
		_, err = Listen(dir)
		require.ErrorIs(t, err, ErrUntrusted)
		_, err = os.Lstat(path)
		require.NoError(t, err, "and is not replaced")
	}
	trusted(dir)
	for _, mode := range []os.FileMode{0o755, 0o750} {
		require.NoError(t, os.Chmod(dir, mode))
		trusted(dir)
	}
	link := filepath.Join(short(t), "link")
	require.NoError(t, os.Symlink(dir, link))
	trusted(link)
	for _, mode := range []os.FileMode{0o777, 0o770, 0o702, 0o1777} {
		require.NoError(t, os.Chmod(dir, mode))
		refused("chmod 700")
	}
	require.NoError(t, os.Chmod(dir, 0o700))
	if os.Geteuid() != 0 {
		return // only root may change the owner
	}
	require.NoError(t, os.Lchown(path, 65534, -1))
	refused("another user's")
	require.NoError(t, os.Lchown(path, 0, -1))
	trusted(dir)
	require.NoError(t, os.Chown(dir, 65534, -1))
	refused("another user's")
}
