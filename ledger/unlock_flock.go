//go:build !windows && !plan9 && !solaris && !aix && !android

package ledger

import (
	"os"
	"syscall"
)

// unlock releases bbolt's lock if bbolt itself cannot: a mapping that it leaves
// behind would hold the lock after the file is closed.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
