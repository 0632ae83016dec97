//go:build !windows && !plan9 && !solaris && !aix && !android

package ledger

import (
	"os"
	"syscall"
)

// unlock releases bbolt's lock where bbolt itself cannot any more: a mapping
// that it leaves behind would hold the lock beyond the file's closing.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
