//go:build unix

package socket

import (
	"net"
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
