package socket

import "golang.org/x/sys/unix"

// peerUser returns the effective user ID of the process that made the other end of a
// socket (LOCAL_PEERCRED).
func peerUser(fd uintptr) (int, error) {
	cred, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}
