//go:build windows || plan9 || solaris || aix || android

package ledger

import "os"

// unlock does nothing where closing the file releases the lock.
func unlock(*os.File) {}
