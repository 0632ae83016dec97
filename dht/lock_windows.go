package dht

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile waits for an exclusive lock on a file, which ends when the file is closed.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped))
}
