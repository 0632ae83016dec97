//go:build unix

package socket

import (
	"io/fs"
	"net"
	"os"
	"syscall"
)

// listenPrivate binds a socket that no other user can connect to, not even between
// bind and chmod. The umask is global to the process: files that other goroutines
// create meanwhile only get fewer permissions.
func listenPrivate(path string) (net.Listener, error) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// ownedByUser reports whether the effective user of this process owns a file.
func ownedByUser(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}
