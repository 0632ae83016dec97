package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerUser returns the effective user ID of the process that made the other end of a
// socket (SO_PEERCRED, unix(7)).
func peerUser(fd uintptr) (int, error) {
	cred, err := unix.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
