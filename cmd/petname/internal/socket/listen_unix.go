//go:build unix

package socket

import (
	"io/fs"
	"net"
	"os"
	"syscall"
)

// listenPrivate binds a socket that nobody else can connect to, not even
// between bind and chmod. The mask is the process's; what another goroutine
// creates meanwhile is the more private for it.
func listenPrivate(path string) (net.Listener, error) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// owned reports whether a file is of the user that this process acts for.
func ownedByUser(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}
