package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// TryLock acquires an exclusive lock on an open file, which ends when the file is closed.
// It returns false, without waiting, if another process, or another open file of this
// process, has the lock.
func TryLock(f *os.File) (bool, error) {
	beyond := windows.Overlapped{OffsetHigh: 1} // a lock on content would prevent reading it
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &beyond)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
