//go:build unix

package socket

import (
	"net"
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
