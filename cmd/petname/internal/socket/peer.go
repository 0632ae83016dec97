package socket

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// checkPeer fails with [ErrUntrusted] if the process at the other end of a connection is
// not one of this user, or of root, which can read the home in any case. A connection that
// is not one of the operating system passes.
func checkPeer(conn net.Conn) error {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var user int
	var uerr error
	if err := raw.Control(func(fd uintptr) { user, uerr = peerUser(fd) }); err != nil {
		return err
	}
	if uerr != nil {
		return fmt.Errorf("%w: the user at its other end is not known: %w", ErrUntrusted, uerr)
	}
	if !trustedUser(user, os.Geteuid()) {
		return fmt.Errorf("%w: a process of user %d is at its other end", ErrUntrusted, user)
	}
	return nil
}

// trustedUser reports whether a process of a user may be at the other end, for one of own.
func trustedUser(user, own int) bool { return user == own || user == 0 }
